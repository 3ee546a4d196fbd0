"""What the last version passed and the new one fails: matched by content, counted by question, with intervals."""

from __future__ import annotations

import pytest
from versions_made import evaluated, run_like

from evaluators.cases import Case
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.versions import compatibility


def case(
    question: str, right: bool | None, said: str = "", identity: str = "", source: str = "", group: str = ""
) -> Case:
    identity = identity or question
    return Case(
        id=identity,
        source=source or identity,
        group=group,
        question=question,
        reference="ref",
        answer=said,
        right=right,
    )


def test_broken_cases_are_matched_by_what_was_asked_whatever_their_ids(finished_run: Run):
    new = run_like(finished_run, "new")
    evaluated(finished_run, [case("a", True, "was right", "row 1", group="renal"), case("b", True, identity="row 2")])
    evaluated(new, [case("b", True, identity="row 1"), case("a", False, "is wrong", "row 2", group="renal")])
    found = compatibility.compare(ModelRef(run=finished_run.id), ModelRef(run=new.id))
    assert (found.questions, found.passed, found.lost, found.won) == (2, 2, 1, 0)
    broken = found.broken[0]
    assert (broken.question, broken.group, broken.before, broken.now, broken.reference) == (
        "a", "renal", "was right", "is wrong", "ref",
    )  # fmt: skip
    assert broken.suite == "answers"


def test_the_numbers_are_mcnemars_and_clopper_and_pearsons(finished_run: Run):
    new = run_like(finished_run, "new")
    was = [case(f"q{at}", at < 30) for at in range(40)]
    now = [case(f"q{at}", 6 <= at < 31) for at in range(40)]
    evaluated(finished_run, was)
    evaluated(new, now)
    found = compatibility.compare(ModelRef(run=finished_run.id), ModelRef(run=new.id))
    assert (found.passed, found.lost, found.won) == (30, 6, 1)
    assert found.share == pytest.approx(0.2)
    # Clopper and Pearson, one side: 6 or more of 30 have a probability of 5 % at 0.0909, 6 or fewer at 0.3570.
    assert (found.low, found.high) == (pytest.approx(0.0909, abs=1e-4), pytest.approx(0.3570, abs=1e-4))
    assert found.difference is not None and found.difference.test == "McNemar's exact test"
    # 1 of 7 that changed: 2 (1 + 7) / 2^7.
    assert found.difference.p == pytest.approx(0.125)
    assert found.difference.value == pytest.approx(-5 / 40)
    assert found.sentence().startswith(
        "Of 30 questions that were passed 6 fail now (20.0 %; 95 % confidence: up to 35.7 %), 1 others are passed now; "
        "cases passed changed by -12.5 points (95 % interval "
    )


def test_variants_of_a_question_are_one_question(finished_run: Run):
    new = run_like(finished_run, "new")
    evaluated(finished_run, [case(f"v{at}", True, source="one") for at in range(4)])
    evaluated(new, [case(f"v{at}", at != 2, source="one") for at in range(4)])
    found = compatibility.compare(ModelRef(run=finished_run.id), ModelRef(run=new.id))
    assert (found.questions, found.passed, found.lost, len(found.broken)) == (1, 1, 1, 1)


def test_one_evaluation_of_the_new_against_the_old_is_enough_and_the_newest_counts(finished_run: Run):
    new = run_like(finished_run, "new")
    evaluated(new, [case("a", False)], base=[case("a", False)], against=finished_run.id)
    refs = ModelRef(run=finished_run.id), ModelRef(run=new.id)
    assert compatibility.compare(*refs).passed == 0
    evaluated(
        new, [case("a", False), case("c", None)], base=[case("a", True), case("c", None)], against=finished_run.id
    )
    found = compatibility.compare(*refs)
    assert (found.questions, found.passed, found.lost) == (1, 1, 1), (
        "a case that is neither right nor wrong says nothing"
    )


def test_without_common_cases_there_is_not_enough_evidence(finished_run: Run):
    new = run_like(finished_run, "new")
    evaluated(finished_run, [case("a", True)])
    found = compatibility.compare(ModelRef(run=finished_run.id), ModelRef(run=new.id))
    assert (found.share, found.difference, found.broken) == (None, None, [])
    assert found.sentence().startswith("Not enough evidence on backward compatibility")
    checkpoint = ModelRef(run=finished_run.id, part="checkpoint-4")
    assert compatibility.compare(checkpoint, ModelRef(run=finished_run.id)).questions == 0, "it has answered nothing"
    base = ModelRef(run=finished_run.id, part="base")
    assert compatibility.compare(base, ModelRef(run=finished_run.id)).questions == 1, "the base side of its evaluation"
