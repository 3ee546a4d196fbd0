"""What to ask people next: each strategy on a trained tiny model, and that the words say what was measured."""

import re

import numpy as np
import pytest

from evaluators import overlap, uncertainty
from evaluators.committee import Disagreement
from evaluators.likelihood import reply_likelihoods
from evaluators.uncertainty import Uncertainty
from trainer.model_refs import ModelRef, of_run
from trainer.review import selection
from trainer.review.prompts import Prompt, ReviewError
from trainer.review.selection import choose
from trainer.runs import Run
from trainer.tuned import Tuned


def prompt(text: str) -> Prompt:
    return Prompt(messages=[{"role": "user", "content": text}])


PROMPTS = [prompt(f"Is {number} even?") for number in (3, 40, 500, 6000, 70000)]
CHOICE = "Which is even?\n\nA. three\nB. four\nC. five\n\nAnswer with the letter of the one best option."


def texts(prompts: list[Prompt]) -> list[str]:
    return [one.question for one in prompts]


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "ANSWER_TOKENS", 6)


@pytest.fixture
def by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings of one number, the question's length: who is far from whom can be counted."""
    monkeypatch.setattr(overlap, "embed", lambda texts: np.array([[float(len(one))] for one in texts]))


def test_chance_is_the_seed_s_and_leaves_out_what_is_labelled_and_what_comes_twice():
    pool = [*PROMPTS, *PROMPTS]
    chosen = choose(pool, 9, "random", labelled=PROMPTS[:2])
    assert sorted(texts(chosen)) == sorted(texts(PROMPTS[2:]))
    assert {one.chosen_by for one in chosen} == {"by chance"}
    assert texts(choose(pool, 3, "random", seed=1)) == texts(choose(pool, 3, "random", seed=1))
    assert any(texts(choose(pool, 3, "random", seed=1)) != texts(choose(pool, 3, "random", seed=n)) for n in range(9))
    assert all(not one.chosen_by for one in PROMPTS), "the prompts that were given are as they were"
    assert choose(PROMPTS, 2, "random", labelled=PROMPTS) == []


def test_the_least_sure_come_first_by_each_measure():
    found = [Uncertainty(0.5, 0.9, -0.2, 3), Uncertainty(2.314, 0.5, -0.1, 3), Uncertainty(1.0, 0.017, -1.5, 3)]

    def chosen(by: selection.Measure) -> list[tuple[int, str]]:
        return [(one.place, one.why) for one in selection.least_sure(found, 2, by)]

    assert chosen("uncertainty") == [
        (1, "uncertain: entropy 2.31 nats a token"),
        (2, "uncertain: entropy 1.00 nats a token"),
    ]
    assert chosen("margin")[0] == (2, "uncertain: margin 0.02 between the two likeliest tokens")
    assert [place for place, _ in chosen("margin")] == [2, 1]
    assert chosen("likelihood") == [
        (2, "uncertain: log-likelihood -1.50 nats a token"),
        (0, "uncertain: log-likelihood -0.20 nats a token"),
    ]


def test_mixed_takes_what_is_unlike_among_the_least_sure():
    # Of eight places the four least sure are looked at for one that is wanted; the unlikest of all is not among them.
    entropies = [0.1, 2.0, 2.1, 2.2, 2.3, 0.2, 0.3, 0.4]
    found = [Uncertainty(one, 0.0, 0.0, 1) for one in entropies]
    points = np.array([[99.0], [1.0], [5.0], [2.0], [3.0], [0.0], [0.0], [0.0]])
    chosen = selection.least_sure_and_alike(found, points, 1, np.array([[0.0]]))
    assert [tuple(one) for one in chosen] == [
        (2, "uncertain: entropy 2.10 nats a token; unlike the others: distance 5.00")
    ]


def test_the_most_disputed_come_first():
    found = [Disagreement(0.0, 0.1), Disagreement(0.69, 0.5), Disagreement(0.6, 0.55)]
    chosen = selection.most_disputed(found, 2)
    assert [one.place for one in chosen] == [2, 1]
    assert chosen[0].why == "models disagree: divergence 0.55, vote entropy 0.60 nats a token"


def test_diversity_begins_with_what_is_least_like_the_labelled(by_length: None):
    # Lengths 10 to 14; labelled is one of 10, so that the longest comes first, then the one in the middle.
    chosen = choose(PROMPTS[1:], 2, "diversity", labelled=PROMPTS[:1])
    assert [(one.question, one.chosen_by) for one in chosen] == [
        ("Is 70000 even?", "unlike the others: distance 4.00"),
        ("Is 500 even?", "unlike the others: distance 2.00"),
    ]


def test_without_sentence_embeddings_the_model_s_own_states_serve_and_it_is_said(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
):
    def missing(texts: list[str]) -> np.ndarray:
        raise overlap.EncoderMissing("No encoder. Install the package")

    monkeypatch.setattr(overlap, "embed", missing)
    with pytest.raises(ReviewError, match=r"Install the package; or name a model"):
        choose(PROMPTS, 2, "diversity")
    chosen = choose(PROMPTS, 3, "diversity", models=[ModelRef(run=finished_run.id)])
    assert len(set(texts(chosen))) == 3
    assert all(one.chosen_by.endswith("(by the model's own states)") for one in chosen)


@pytest.mark.parametrize("part", ["tuned", "base"])
def test_uncertainty_is_that_of_the_model_that_is_named(finished_run: Run, part: str):
    heard: list[tuple[int, int]] = []
    ref = ModelRef(run=finished_run.id, part=part)
    chosen = choose(PROMPTS, 5, "uncertainty", models=[ref], progress=lambda *done: heard.append(done))
    tuned = Tuned(finished_run)
    system = {"role": "system", "content": finished_run.config.task.system_prompt}
    asked = [[system, *one.messages] for one in PROMPTS]
    read = uncertainty.read_answers(tuned.side(True), tuned.tokenizer, asked, selection.ANSWER_TOKENS, part == "tuned")
    expected = {one.question: own.uncertainty.entropy for one, own in zip(PROMPTS, read, strict=True)}
    assert texts(chosen) == sorted(expected, key=lambda text: -expected[text])
    assert [one.chosen_by for one in chosen] == [
        f"uncertain: entropy {expected[one.question]:.2f} nats a token" for one in chosen
    ]
    assert heard[-1] == (5, 5)


def test_a_multiple_choice_is_read_over_its_letters(finished_run: Run):
    ref = ModelRef(run=finished_run.id)
    [choice] = choose([prompt(CHOICE)], 1, "likelihood", models=[ref])
    tuned = Tuned(finished_run)
    system = {"role": "system", "content": finished_run.config.task.system_prompt}
    [likelihoods] = reply_likelihoods(
        tuned.side(True), tuned.tokenizer, [[system, *prompt(CHOICE).messages]], ["ABC"], True
    )
    best = uncertainty.of_options(likelihoods).likelihood
    assert choice.chosen_by == f"uncertain: log-likelihood {best:.2f} nats a token"
    mixed = choose([prompt(CHOICE), *PROMPTS], 6, "margin", models=[ref])
    assert sorted(texts(mixed)) == sorted([CHOICE, *texts(PROMPTS)])


def test_mixed_reads_the_model_and_the_embeddings(finished_run: Run, by_length: None):
    chosen = choose(PROMPTS, 2, "mixed", models=[ModelRef(run=finished_run.id)], labelled=[prompt("Is 1 even?")])
    assert texts(chosen)[0] == "Is 70000 even?"
    assert re.fullmatch(
        r"uncertain: entropy \d\.\d\d nats a token; unlike the others: distance 4.00", chosen[0].chosen_by
    )


def test_a_committee_of_models_and_one_by_dropout(finished_run: Run):
    tuned, base, checkpoint = of_run(finished_run)[:3]
    for models in ([tuned, base, checkpoint], [tuned]):
        heard: list[tuple[int, int]] = []
        chosen = choose(PROMPTS, 5, "committee", models=models, progress=lambda *done, h=heard: h.append(done))
        found = [float(re.findall(r"divergence (\d\.\d\d)", one.chosen_by)[0]) for one in chosen]
        assert found == sorted(found, reverse=True)
        assert sorted(texts(chosen)) == sorted(texts(PROMPTS))
        assert heard == sorted(heard) and heard[-1][0] == heard[-1][1]
    # The same model twice is of one mind: what dropout finds is dropout's.
    assert {one.chosen_by for one in choose(PROMPTS, 2, "committee", models=[tuned, tuned])} == {
        "models disagree: divergence 0.00, vote entropy 0.00 nats a token"
    }


def test_what_cannot_be_chosen_is_said(finished_run: Run):
    with pytest.raises(ReviewError, match="0 questions cannot be chosen; ask for 1 or more"):
        choose(PROMPTS, 0, "random")
    with pytest.raises(ReviewError, match="Committee is a model's: name the model, or choose by diversity or random"):
        choose(PROMPTS, 1, "committee")
    with pytest.raises(ReviewError, match=f"{finished_run.id}:base cannot be a committee by itself: .*adapter is off"):
        choose(PROMPTS, 1, "committee", models=[ModelRef(run=finished_run.id, part="base")])
    adapter = finished_run.adapter / "adapter_config.json"
    adapter.write_text(adapter.read_text().replace('"lora_dropout": 0.1', '"lora_dropout": 0.0'))
    with pytest.raises(ReviewError, match=r"cannot be a committee by itself: .*without dropout. .*method.dropout"):
        choose(PROMPTS, 1, "committee", models=[ModelRef(run=finished_run.id)])
