"""The Playground behind its page: who stands where, what a vote keeps, and what is said of two answers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from assistant.pages import playground_talk, playground_view
from assistant.pages.difference import difference
from assistant.pages.loaded import Loaded
from assistant.pages.playground_cases import CasesFold
from assistant.pages.playground_models import Models, ref
from assistant.pages.playground_settings import draws, sampling
from assistant.pages.playground_talk import Talk, answered, begin, follow_up, keep
from evaluators.generation import PROMPTED, Answer, Sampling
from trainer.evaluation import evaluations
from trainer.evaluation.request import EvaluationRequest, SuiteChoice
from trainer.model_refs import ModelRef
from trainer.review import queue
from trainer.review.prompts import Prompt, ReviewError
from trainer.runs import Run, RunError

ONE, OTHER = ModelRef(run="run", part="base"), ModelRef(run="run")
ASK = Prompt(messages=[{"role": "user", "content": "Is 4 even?"}], group="maths", source="set.jsonl, row 3")


def answers(**texts: str) -> dict[str, Answer]:
    return {
        side: Answer(text=text, tokens=3, seconds=1.5, finished=True, confidence=0.5) for side, text in texts.items()
    }


def talk(blind: bool = False, reviewer: str = "Osler") -> Talk:
    return begin(ONE, OTHER, ASK, Sampling(), {}, reviewer, blind)


def whole(one: Talk, first: str, second: str) -> Talk:
    """The conversation once both have answered."""
    texts = {side: {"first": first, "second": second}[place] for side, place in one.places.items()}
    return answered(replace(one, last=answers(**texts)))


def plain(page: str) -> str:
    return re.sub("<[^>]*>", "", page)


def test_blind_sides_are_shuffled_and_others_are_not() -> None:
    turned = [talk(blind=True).turned for _ in range(60)]
    assert 10 < sum(turned) < 50
    assert not any(talk().turned for _ in range(20))
    with pytest.raises(ReviewError, match="reviewer's name"):
        talk(blind=True, reviewer=" ")


@pytest.mark.parametrize("blind", [True, False])
def test_a_vote_is_of_what_stood_on_each_side(blind: bool) -> None:
    seen = set()
    for _ in range(12):
        one = whole(talk(blind), "the base's", "the tuned one's")
        left, right = playground_talk.sides(one)
        identity = keep(one, "Osler")
        shown = queue.shown(identity, "Osler")
        assert (shown.left, shown.right, shown.messages) == (left, right, ASK.messages)
        assert (shown.group, shown.blind) == ("maths", blind)
        queue.vote(identity, "Osler", queue.Ballot(choice="left"))
        assert queue.reveal(identity, "Osler").left == str(one.models["left"])
        seen.add(left)
    assert seen == ({"the base's", "the tuned one's"} if blind else {"the base's"})


def test_a_blind_vote_is_taken_from_whom_the_sides_were_shuffled_for() -> None:
    one = whole(talk(blind=True), "a", "b")
    with pytest.raises(ReviewError, match="shuffled for Osler; vote under that name"):
        keep(one, "Somebody else")
    assert one.hidden and not replace(one, voted=True).hidden


def test_each_side_goes_on_from_its_own_answers() -> None:
    one = follow_up(whole(talk(blind=True), "base says", "tuned says"), "Why?")
    for side, place in one.places.items():
        said = {"first": "base says", "second": "tuned says"}[place]
        assert one.messages(side) == [
            {"role": "user", "content": "Is 4 even?"},
            {"role": "assistant", "content": said},
            {"role": "user", "content": "Why?"},
        ]
    done = whole(one, "because", "so")
    kept = queue.shown(keep(done, "Osler"), "Osler")
    assert {kept.left, kept.right} == {"because", "so"}
    assert [message["content"] for message in kept.messages] == ["Is 4 even?", "Why?"], "questions that both were asked"


def test_after_a_vote_a_further_question_is_a_comparison_of_its_own_with_the_sides_as_they_are() -> None:
    one = whole(talk(blind=True), "a", "b")
    keep(one, "Osler")
    further = whole(follow_up(replace(one, voted=True), "Why?"), "c", "d")
    assert further.turned == one.turned and further.identity != one.identity and not further.hidden
    shown = queue.shown(keep(further, "Another reader"), "Another reader")
    assert (shown.left, shown.right) == playground_talk.sides(further)


def test_the_prompted_base_stands_beside_both_sides() -> None:
    class Pairing:
        def ask(self, *given: Any) -> Any:
            yield answers(first="1", second="2") | {PROMPTED: Answer(text="3")}

        def draws(self, messages: Any, drawn_by: Any, seeds: list[int], *given: Any) -> Any:
            yield [answers(first=f"1 by {seed}", second=f"2 by {seed}") for seed in seeds]

    pairing: Any = Pairing()
    (one,) = playground_talk.answers(talk(), pairing, True, 1)
    assert {side: answer.text for side, answer in one.last.items()} == {"left": "1", "right": "2", PROMPTED: "3"}
    hot = replace(talk(), sampling=Sampling(seed=5, temperature=1.0))
    (many,) = playground_talk.answers(hot, pairing, False, 2)
    assert [one["right"].text for one in many.draws] == ["2 by 5", "2 by 6"] and many.last == many.draws[0]


def test_words_that_differ_are_marked_and_escaped() -> None:
    page = difference("Give 5 mg <b> daily.", "Give 10 mg <b> daily, please.")
    assert re.findall(r"<mark[^>]*>([^<]*)</mark>", page) == ["5", "10", ", please"]
    assert "78% of the words are the same" in page, "2 x 7 of 8 + 10 words and signs"
    assert "&lt;b&gt;" in page and "<b>" not in page


def test_what_two_answers_name() -> None:
    page = playground_view.named("Metformin 500 mg for diabetes.", "Insulin for diabetes.")
    marks = re.findall(r"<mark[^>]*>([^<]*)</mark>", page)
    assert "metformin" in marks and any("insulin" in one for one in marks) and any("500" in one for one in marks)
    assert not any("diabetes" in one for one in marks), "both name it"
    assert "Neither names" in playground_view.named("Hello.", "Hi.")


def test_facts_of_an_answer() -> None:
    answer = Answer(text="Assessment: x\nConfidence: high", tokens=30, seconds=1.5, confidence=0.834)
    assert plain(playground_view.facts(answer, "stopped")) == (
        "30 tokens, stopped · 20.0 tokens/s · 83% sure of each token on average · says it is 80% sure"
    )
    assert playground_view.heading("A", "<x>") == '<h3>A <span class="bs-soft">&lt;x&gt;</span></h3>'
    table = playground_view.draws([answers(left="<i>", right="r")], 7)
    assert "&lt;i&gt;" in table and "<td>7</td>" in table


def test_settings_that_cannot_be_are_said() -> None:
    with pytest.raises(ValueError, match="longest answer 1 to 4096 tokens"):
        sampling(0.0, 1.0, -1, 20)
    with pytest.raises(ValueError, match="At temperature 0 every answer drawn is the same"):
        draws(3, Sampling())
    with pytest.raises(ValueError, match="1 to 8 answers"):
        draws(9, Sampling(temperature=1.0))
    assert draws(None, Sampling()) == 1


def test_the_two_that_stand_there_stay_unless_another_run_is_looked_at(finished_run: Run) -> None:
    import gradio as gr

    with gr.Blocks():
        models = Models()
    run = finished_run.id
    page, first, second = models.open(None, None, None)
    assert (first, second) == (f"{run}:base", run)
    values = [value for _, value in page[models.chosen[0]].choices]
    assert values[:3] == [run, f"{run}:base", f"{run}:checkpoint-4"]
    assert models.open(run, f"{run}:checkpoint-4", f"{run}:base")[1:] == (f"{run}:checkpoint-4", f"{run}:base")
    assert models.open(None, "gone", run)[1:] == (f"{run}:base", run), "one that is gone does not stay"
    assert page[models.adapters[1]].visible is False
    with pytest.raises(RunError, match="Choose two models"):
        ref(None)
    assert ref(f"{run}:checkpoint-4") == ModelRef(run=run, part="checkpoint-4")


def test_the_two_in_memory_are_loaded_anew_when_one_is_trained_anew(finished_run: Run) -> None:
    import os

    loaded = Loaded()
    first, second = ModelRef(run=finished_run.id, part="base"), ModelRef(run=finished_run.id)
    assert not loaded.has(first, second)
    pairing = loaded.get(first, second)
    assert loaded.has(first, second) and loaded.get(first, second) is pairing and not loaded.has(second, first)
    os.utime(finished_run.weights[0], (1, 1))
    assert not loaded.has(first, second) and loaded.get(first, second) is not pairing
    steps = pairing.ask([{"role": "user", "content": "Is 4 even?"}], Sampling(max_new_tokens=2))
    assert loaded.step(steps) and loaded.step(steps) and loaded.step(steps) is None
    assert loaded.use(first, second, lambda one: one.together) is True


def test_questions_of_a_set_are_gone_through(tmp_path, finished_run: Run) -> None:
    import gradio as gr

    with gr.Blocks():
        question = gr.Textbox()
        fold = CasesFold(question)
    file = tmp_path / "questions.txt"
    file.write_text("First?\nSecond <b>?\n")
    page = fold._of_file(str(file))
    assert page[question] == "First?" and page[fold._move].visible
    page = fold._at(page[fold._prompts], 5)
    assert page[question] == "Second <b>?" and page[fold._place] == 1, "the last one, not past it"
    assert "Question 2 of 2 · questions.txt, line 2" in page[fold._where]
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    assert "it holds no rows" in fold._of_file(str(empty))[fold._said].value
    # The cases of an evaluation, by its id and a file's name; nothing else can be named.
    made = evaluations.create(
        EvaluationRequest(run=finished_run.id, suites=[SuiteChoice(suite="safety", source="starter/general")])
    )
    cases = made.folder / evaluations.CASES
    cases.mkdir()
    (cases / "qa.tuned.jsonl").write_text(
        '{"id": "1", "source": "1", "question": "Is 7 odd?", "answer": "yes", "values": [1.0]}\n'
    )
    assert fold.open()[fold._set].choices == [(f"qa · {made.id}", f"{made.id}/qa.tuned.jsonl")]
    assert fold._of_evaluation(f"{made.id}/qa.tuned.jsonl")[question] == "Is 7 odd?"
    outside = fold._of_evaluation(f"{made.id}/../request.yaml")
    assert question not in outside and outside[fold._said].visible
