"""Training rows with disturbed questions: which, how many, and that nothing else of them changes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from evaluators.attacks.cases import EXPECTED_CHANGE, PRESERVING
from trainer.data import prepare
from trainer.data.perturbed import Counts, clean_twin, perturbed_rows
from trainer.data.rows import Row, question, row_id
from trainer.data.tokenised import tokenise
from trainer.sections import RunConfig
from trainer.steering_sections import AdversarialSection

KINDS = ["typos", "style", "irrelevant_context"]
TOPICS = ["hypertension", "pneumonia", "appendicitis", "hypothyroidism", "pancreatitis", "osteoporosis", "migraine"]
LONG = "Take a history, examine, and treat what is found; come back in a week if it is no better than now. " * 3


def row(ask: str, answer: str = LONG, **about: Any) -> Row:
    made = Row(prompt=[{"role": "user", "content": ask}], completion=[{"role": "assistant", "content": answer}])
    identity: Any = {"id": row_id(made)} | about
    return made | Row(about=identity)


def rows(count: int = 30) -> list[Row]:
    return [
        row(f"What is the treatment of {TOPICS[n % 7]} in patient number {n}?", task="treatment") for n in range(count)
    ]


def origin(made: Row) -> dict[str, Any]:
    return dict(made.get("about", {}).get("origin", {}))


def perturbed(given: list[Row], kinds: list[str] | None = None, share: float = 0.5, seed: int = 1) -> list[Row]:
    return list(perturbed_rows(given, kinds or KINDS, share, seed, Counts()))


def test_the_run_file_names_the_kinds_that_keep_the_meaning():
    annotation = AdversarialSection.model_fields["perturbations"].annotation
    assert get_args(get_args(annotation)[0]) == PRESERVING
    for kind in EXPECTED_CHANGE:
        with pytest.raises(ValueError, match=f"{kind}: the answer"):
            perturbed(rows(2), [kind])


def test_question_alone_is_disturbed_and_the_row_says_from_what():
    given = rows()
    before = json.dumps(given)
    made = perturbed(given)
    assert json.dumps(given) == before and len(made) == 30
    sources = {one["about"]["id"]: one for one in given}  # pyright: ignore
    for one in made:
        source = sources[origin(one)["row"]]
        assert question(one) != question(source) == origin(one)["clean"]
        assert one.get("completion") == source.get("completion")
        assert one["about"]["task"] == "treatment" and one["about"]["id"] == row_id(one)  # pyright: ignore
        twin = clean_twin(one)
        assert twin is not None and question(twin) == question(source)
        assert twin.get("completion") == source.get("completion")
    kinds = Counter(origin(one)["how"].partition(":")[0] for one in made)
    assert set(kinds.values()) == {10}, "evenly over the kinds"
    assert all(clean_twin(one) is None for one in given)
    assert perturbed(given) == made != perturbed(given, seed=2)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.75])
def test_disturbed_rows_are_the_share_that_was_asked_for(share: float):
    given = rows(120)
    made = perturbed(given, share=share)
    assert len(made) / (len(made) + 120) == pytest.approx(share, abs=0.03)
    assert max(Counter(origin(one)["row"] for one in made).values()) <= 6
    assert len({question(one) for one in made}) == len(made)


def test_a_row_that_stands_twice_is_disturbed_in_two_ways_and_a_rewritten_one_names_the_row_that_was_read():
    one = row("What is the treatment of hypertension in a patient with gout?")
    made = perturbed([one, one])
    assert len({question(each) for each in made}) == 2
    rewritten = row("What is the treatment of high blood pressure?", origin={"row": "read", "how": "synonyms: …"})
    (again,) = perturbed([rewritten])
    assert origin(again)["row"] == "read" and origin(again)["clean"] == question(rewritten)


def test_rows_are_left_alone_where_the_answer_could_become_wrong():
    left = [
        row("What does the abbreviation HTN stand for?"),
        row("¿Cuál es el tratamiento de la hipertensión en el embarazo y para qué sirve?"),
        Row(text="Hypertension is treated with drugs."),
        # Taken out of the question to the letter, and exchanged there:
        row("Find the disorders: he has hypertension.", "hypertension", task="ner"),
    ]
    assert perturbed(left, ["abbreviations", "synonyms"]) == []
    counts = Counts()
    assert len(list(perturbed_rows(left, KINDS, 0.5, 1, counts))) == 2 >= 1, "the last may be asked in another style"
    assert "2 rows were disturbed where 4 were asked for" in counts.notes()[0]
    short = row("Which drug lowers the blood pressure in hypertension?", "Hypertension is treated with amlodipine.")
    assert perturbed([short], ["abbreviations"]) == []
    (made,) = perturbed([row("Which drug lowers the blood pressure in hypertension?")], ["abbreviations"])
    assert "HTN" in question(made)


def run_on(path: Path, **adversarial: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "data": {"sources": [{"name": str(path)}], "contains_phi": False, "validation_share": 0.3},
            "steering": {"replay_share": 0},
            "evaluation": {"forgetting": False},
            "adversarial": adversarial,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "rows.jsonl"
    lines = [{"question": question(one), "answer": f"Answer {number}."} for number, one in enumerate(rows(40))]
    found.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return found


def test_only_the_training_side_is_disturbed_and_the_manifest_says_so(path: Path):
    plain = prepare.prepare(run_on(path))
    made = prepare.prepare(run_on(path, perturbations=KINDS))
    clean, train = list(plain.rows("train")), list(made.rows("train"))
    assert train[: len(clean)] == clean and list(made.rows("validation")) == list(plain.rows("validation"))
    added = train[len(clean) :]
    assert 0.8 * len(clean) < len(added) == made.manifest.perturbed_rows and all(origin(one) for one in added)
    assert made.manifest.train_rows == len(train) and plain.manifest.perturbed_rows == 0
    (step,) = [step for step in made.manifest.steps if step.name == "perturb"]
    assert step.rows_after == len(train) and "typos" in step.detail
    held_back = {one["about"]["id"] for one in made.rows("validation")}
    assert not held_back & {origin(one)["row"] for one in added}
    half = prepare.prepare(run_on(path, perturbations=KINDS, share=0.3))
    assert half.folder != made.folder and half.manifest.perturbed_rows < made.manifest.perturbed_rows


def test_a_disturbed_row_that_asks_what_a_held_back_one_asks_is_left_out(path: Path):
    asked = [f"What is the treatment of {topic} in adults?" for topic in TOPICS * 2]
    # What the style kind makes of the question, as a row of its own: each pair falls on two sides somewhere.
    shouted = [text.upper() for text in asked]
    lines = [{"question": text, "answer": f"Answer {n}."} for n, text in enumerate(asked + shouted)]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    made = prepare.prepare(run_on(path, perturbations=["style"], share=0.8))
    (step,) = [step for step in made.manifest.steps if step.name == "perturb"]
    assert "were left out, being too like a held-back row" in step.detail
    held_back = {question(one).lower() for one in made.rows("validation")}
    added = {question(one).lower() for one in made.rows("train") if origin(one)}
    assert added and not added & held_back


def test_a_row_knows_its_clean_twins_tokens_where_the_loss_asks_for_them(path: Path, tiny_model: Path):
    from trainer.models import load_tokenizer

    tokenizer = load_tokenizer(str(tiny_model))
    run = run_on(path, perturbations=KINDS, consistency=1.0)
    run.schedule.max_length = 200
    run.data.validation_share = 0.1
    prepared = tokenise(run, tokenizer)
    data = list(prepare.prepare(run).rows("train"))
    seen = Counter()
    for tokens, labels, twin, number in zip(
        *(prepared.train[name][:] for name in ("input_ids", "labels", "twin", "row")), strict=True
    ):
        clean = origin(data[number]).get("clean")
        if clean is None or not twin:
            assert clean is None or len(tokens) == 200, "a row without a twin is clean, or one of the two was cut"
            seen["without"] += 1
            continue
        answered = [one for one in labels if one != -100]
        assert twin[-len(answered) :] == answered == tokens[-len(answered) :]
        assert clean in tokenizer.decode(twin) and twin != tokens
        seen["with"] += 1
    assert seen["with"] > 20 and seen["without"] > 20
    assert not any(prepared.validation["twin"][:])
    assert "twin" not in tokenise(run_on(path, perturbations=KINDS), tokenizer).train.column_names
