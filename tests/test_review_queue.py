"""The review queue: who reads what, votes in terms of what was seen, names only after the vote."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from typer.testing import CliRunner

from assistant.review_commands import review_app
from evaluators.generation import Answer, Sampling
from trainer import model_refs, pairing, runs, store
from trainer.data.records import DataError
from trainer.model_refs import ModelRef
from trainer.review import blinding, prompts, queue, sets
from trainer.review.ballots import Ballot, Span
from trainer.review.prompts import Prompt, ReviewError
from trainer.review.results import results
from trainer.sections import RunConfig
from trainer.store import Assignment, Comparison, ReviewSet, Vote

FIRST, SECOND = "The first answer.", "Another answer."


def _prompt(text: str, **known: Any) -> Prompt:
    return Prompt(messages=[{"role": "user", "content": text}], **known)


@pytest.fixture
def models() -> tuple[ModelRef, ModelRef]:
    """Two models of a run that is there, so that they have a name to be shown by."""
    run = runs.create(RunConfig.model_validate({"output": {"name": "secret-name"}}))
    return ModelRef(run=run.id), ModelRef(run=run.id, part="base")


def _make(models: tuple[ModelRef, ModelRef], count: int, name: str = "cases", **options: Any) -> ReviewSet:
    made = queue.create_set(name, [_prompt(f"Question {number}?") for number in range(count)], *models, **options)
    _answer(made.id)
    return made


def _answer(set_id: str) -> None:
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == set_id)):
            one.first_answer, one.second_answer = FIRST, SECOND
            session.add(one)


def _votes() -> list[Vote]:
    with store.session() as session:
        return list(session.exec(select(Vote).order_by(col(Vote.id))))


def _readers(set_id: str) -> dict[str, list[str]]:
    """Reviewers by question."""
    with store.session() as session:
        rows = session.exec(select(Comparison.prompt, Assignment.reviewer).join(Assignment)).all()
    found: dict[str, list[str]] = {}
    for prompt, reviewer in rows:
        found.setdefault(prompt[-1]["content"], []).append(reviewer)
    return found


# Who reads what


def test_cases_are_dealt_evenly_and_a_share_of_them_twice(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 20)
    assert queue.assign(made.id, ["Ada", "Ben", "Cy"], 0.25) == 25
    readers = _readers(made.id)
    assert sorted(map(len, readers.values())) == [1] * 15 + [2] * 5
    assert all(len(set(one)) == len(one) for one in readers.values()), "nobody reads a case twice"
    assert sorted(Counter(name for one in readers.values() for name in one).values()) == [8, 8, 9]
    first = [
        case.messages[0]["content"] for case in [queue.next_case(made.id, name) for name in ("Ada", "Ben")] if case
    ]
    assert len(set(first)) == 2 or readers[first[0]] == ["Ada", "Ben"], "each has a case of their own"


def test_dealing_anew_keeps_what_is_done_and_gives_skipped_cases_to_others(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 6)
    queue.assign(made.id, ["Ada", "Ben"], 0)
    done = queue.next_case(made.id, "Ada")
    assert done is not None and (done.done, done.total) == (0, 3)
    queue.vote(done.comparison_id, "Ada", Ballot(choice="tie"))
    skipped = queue.next_case(made.id, "Ada")
    assert skipped is not None and skipped.done == 1
    with pytest.raises(ReviewError, match="skipped with a reason"):
        queue.skip(skipped.comparison_id, "Ada", "  ")
    queue.skip(skipped.comparison_id, "Ada", "not my field")
    queue.assign(made.id, ["Ada", "Cy"], 0)
    readers = _readers(made.id)
    assert readers[done.messages[0]["content"]] == ["Ada"]
    assert sorted(readers[skipped.messages[0]["content"]]) == ["Ada", "Cy"]
    assert [(one.reviewer, one.done, one.skipped, one.total) for one in queue.progress(made.id)] == [
        ("Ada", 1, 1, 4), ("Cy", 0, 0, 3),
    ]  # fmt: skip
    assert queue.add_prompts(made.id, [_prompt("Question 0?"), _prompt("New?", chosen_by="uncertain")]) == 1
    assert sum(one.total for one in queue.progress(made.id)) == 8, "a new case is dealt at once"
    with pytest.raises(ReviewError, match="is dealt to Ada, Cy, and not to 'Ben'"):
        queue.next_case(made.id, "Ben")
    with pytest.raises(ReviewError, match="need two reviewers"):
        queue.assign(made.id, ["Ada"], 0.5)


def test_without_dealing_everybody_reads_everything(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 3)
    for name in ("Ada", " Ada  Lovelace "):
        seen = []
        while (case := queue.next_case(made.id, name)) is not None:
            seen.append(case.messages[0]["content"])
            queue.vote(case.comparison_id, name, Ballot(choice="both_bad"))
        assert seen == ["Question 0?", "Question 1?", "Question 2?"]
    assert [(one.reviewer, one.done, one.total) for one in queue.progress(made.id)] == [
        ("Ada", 3, 3), ("Ada Lovelace", 3, 3),
    ]  # fmt: skip
    assert queue.set_progress(made.id).model_dump() == {"cases": 3, "answered": 3, "judged": 3, "votes": 6}


def test_sets_are_found_by_name_and_gone_for_good(models: tuple[ModelRef, ModelRef]):
    with pytest.raises(ReviewError, match="no review set 'cases'; there are none yet"):
        queue.get_set("cases")
    made, other = _make(models, 2), _make(models, 2, "others")
    assert queue.get_set("cases") == queue.get_set(made.id[:7]) == queue.get_set(made.id)
    assert [one.name for one in queue.list_sets()] == ["others", "cases"]
    with pytest.raises(ReviewError, match="There is a set 'cases' already"):
        _make(models, 1)
    with pytest.raises(ReviewError, match="choose two different ones"):
        queue.create_set("same", [_prompt("Why?")], models[0], models[0])
    case = queue.next_case(made.id, "Ada")
    assert case is not None
    queue.vote(case.comparison_id, "Ada", Ballot(choice="tie"))
    queue.delete_set("cases")
    assert [one.id for one in queue.list_sets()] == [other.id] and not _votes()
    with pytest.raises(ReviewError, match="may have been deleted"):
        queue.vote(case.comparison_id, "Ada", Ballot(choice="tie"))


# What is seen, and what is kept


def test_votes_are_kept_in_terms_of_the_models_and_not_of_the_page(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 12)
    for _ in range(12):
        case = queue.next_case(made.id, "Ada")
        assert case is not None and {case.left, case.right} == {FIRST, SECOND}
        side, other = ("left", "right") if case.left == FIRST else ("right", "left")
        queue.vote(
            case.comparison_id,
            "Ada",
            Ballot.model_validate(
                {
                    "choice": side,
                    "ratings": {side: {"safety": 5}, other: {"safety": 2, "clarity": 1}},
                    "correction": " Better. ",
                    "spans": [{"side": other, "start": 0, "end": 7, "text": "Another", "reason": "wrong"}],
                    "seconds": 12.5,
                }
            ),
        )
        seen = queue.reveal(case.comparison_id, "Ada")
        assert (seen.left, seen.right)[side == "right"] == str(models[0]) and seen.choice == side
        again = queue.shown(case.comparison_id, "Ada")
        assert (again.left, again.right, again.names) == (case.left, case.right, seen.names)
    votes = _votes()
    assert len(votes) == 12 and {vote.swapped for vote in votes} == {True, False}
    for vote in votes:
        assert (vote.choice, vote.correction, vote.seconds) == ("first", "Better.", 12.5)
        assert vote.ratings == {"first": {"safety": 5}, "second": {"safety": 2, "clarity": 1}}
        assert vote.spans == [{"side": "second", "start": 0, "end": 7, "text": "Another", "reason": "wrong"}]


def test_a_second_vote_replaces_the_first(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 1)
    case = queue.next_case(made.id, "Ada")
    assert case is not None
    marked = []
    for choice in ("left", "left", "right", "right"):
        queue.vote(case.comparison_id, "Ada", Ballot(choice=choice))
        marked.append(_votes()[0].changed)
    assert marked == [False, False, True, True], "sent twice is not changed; what was chosen by its name stays marked"
    kept = _votes()
    assert len(kept) == 1 and (kept[0].choice == "second") != kept[0].swapped
    assert results(made.id).changed == 1
    queue.skip(case.comparison_id, "Ada", "changed my mind")
    assert queue.progress(made.id)[0].done == 1, "what is judged stays judged"


def test_what_cannot_be_voted_on_or_voted(models: tuple[ModelRef, ModelRef]):
    made = queue.create_set("cases", [_prompt("Why?")], *models)
    with store.session() as session:
        identity = session.exec(select(Comparison.id)).one()
    assert queue.next_case(made.id, "Ada") is None, "not answered yet"
    with pytest.raises(ReviewError, match="has not been answered yet"):
        queue.vote(identity, "Ada", Ballot(choice="tie"))
    _answer(made.id)
    case = queue.shown(identity, "Ada")
    span = Span(side="left", start=1, end=9, text=case.left[:8])
    with pytest.raises(ReviewError, match="do not stand at characters 1 to 9 of the left answer"):
        queue.vote(identity, "Ada", Ballot(choice="tie", spans=[span]))
    with pytest.raises(ReviewError, match="name of 1 to 80 characters"):
        queue.vote(identity, " ", Ballot(choice="tie"))
    for wrong in ({"left": {"speed": 3}}, {"left": {"safety": 6}}):
        with pytest.raises(ValueError, match="rated 1 to 5 on accuracy, safety, clarity, completeness"):
            Ballot.model_validate({"choice": "tie", "ratings": wrong})
    assert not _votes()


# Blindness


def test_nothing_names_a_model_before_the_vote(
    models: tuple[ModelRef, ModelRef], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    run = models[0].run
    made = queue.create_set(
        "blind", [_prompt(f"Question {n}?", chosen_by=f"{run}:base is unsure of it") for n in range(6)], *models
    )
    _answer(made.id)
    queue.assign(made.id, ["Ada", "Ben"], 1.0)
    cases = [queue.next_case(made.id, name) for name in ("Ada", "Ben")]
    identities = [case.comparison_id for case in cases if case]
    returned: list[Any] = [*cases, *queue.progress(made.id), queue.set_progress(made.id)]
    for identity in identities:
        with pytest.raises(ReviewError) as refused:
            queue.reveal(identity, "Cy")
        assert str(refused.value) == "The names are shown after the vote; vote first."
        returned.append(queue.shown(identity, "Cy"))
    for reader, choice in (("Eve", "first"), ("Flo", "second")):
        _vote_for(identities[0], reader, choice)
    returned += queue.disagreements(made.id, "Cy")
    assert returned[-1].shown.names is None
    told = [one.model_dump_json() for one in returned]
    for arguments in (
        ["list"], ["list", "--json"], ["show", "blind"], ["show", "blind", "--json"],
        ["show", "blind", "--reviewer", "Ada"], ["show", "blind", "--reviewer", "Ada", "--json"],
        ["assign", "blind", "--reviewer", "Ada", "--reviewer", "Ben", "--json"],
        ["skip", identities[1], "--reviewer", "Dee", "--reason", "no time", "--json"],
    ):  # fmt: skip
        result = CliRunner().invoke(review_app, arguments)
        assert result.exit_code == 0, (arguments, result.output)
        told.append(result.output)
    told += [caplog.text, *capfd.readouterr(), *identities]
    for text in told:
        assert run not in text and "secret-name" not in text, text
    assert "a model is unsure of it" in told[0]
    # And the same look finds the names where they may stand.
    revealed = CliRunner().invoke(
        review_app, ["vote", identities[1], "--reviewer", "Ben", "--choice", "tie", "--json"]
    ).output  # fmt: skip
    assert run in revealed and "secret-name" in revealed


def test_the_side_is_a_keyed_hash_of_case_and_reviewer(home: Path):
    sides = [blinding.swapped(f"case {number}", "Ada") for number in range(400)]
    assert 160 < sum(sides) < 240, "about half, four standard deviations either way"
    assert sides == [blinding.swapped(f"case {number}", "Ada") for number in range(400)]
    other = [blinding.swapped(f"case {number}", "Ben") for number in range(400)]
    assert 140 < sum(one != two for one, two in zip(sides, other, strict=True)) < 260
    (home / "pseudonyms.key").unlink()
    assert sides != [blinding.swapped(f"case {number}", "Ada") for number in range(400)], "another home, other sides"


def test_without_blindness_the_names_stand_above_the_answers(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 1, blind=False)
    case = queue.next_case(made.id, "Ada")
    assert case is not None and case.names is not None
    seen = queue.reveal(case.comparison_id, "Ada")
    assert seen.choice is None and seen.names == case.names
    base = case.names[0 if case.left == SECOND else 1]
    assert base.startswith("base") and "secret-name" in base


def test_what_was_compared_in_the_playground_is_judged_the_same_way(models: tuple[ModelRef, ModelRef]):
    talk = Prompt(messages=[{"role": "system", "content": "Be kind."}, *_prompt("Why?").messages], group="cardiology")
    identity = queue.keep_comparison(talk, *models, FIRST, SECOND, blind=True, sampling=Sampling(seed=3))
    case = queue.shown(identity, "Ada")
    assert [one["role"] for one in case.messages] == ["user"] and (case.done, case.total, case.names) == (0, 0, None)
    queue.vote(identity, "Ada", Ballot(choice="left"))
    assert queue.reveal(identity, "Ada").choice == "left" and queue.list_sets() == []


# Disagreement


def test_an_adjudicator_sees_both_votes_in_terms_of_their_own_page(models: tuple[ModelRef, ModelRef]):
    made = _make(models, 4)
    with store.session() as session:
        cases = list(session.exec(select(Comparison.id).order_by(col(Comparison.place))))
    wanted = [("first", "second"), ("first", "tie"), ("first", "first"), ("second", "first")]
    for identity, choices in zip(cases, wanted, strict=True):
        for name, choice in zip(("Ada", "Ben"), choices, strict=True):
            _vote_for(identity, name, choice)
    found = queue.disagreements(made.id, "Cy")
    assert [(one.shown.comparison_id, one.opposite) for one in found] == [
        (cases[0], True), (cases[3], True), (cases[1], False),
    ]  # fmt: skip
    for one in found:
        chosen = {name: {"left": one.shown.left, "right": one.shown.right}.get(ballot.choice, "tie")
                  for name, ballot in one.votes.items()}  # fmt: skip
        expected = dict(zip(("Ada", "Ben"), wanted[cases.index(one.shown.comparison_id)], strict=True))
        assert chosen == {
            name: {"first": FIRST, "second": SECOND}.get(choice, "tie") for name, choice in expected.items()
        }
        assert one.decision is None
    _vote_for(cases[0], "Cy", "second", role="adjudicator")
    found = queue.disagreements(made.id, "Cy")
    assert [one.shown.comparison_id for one in found] == [cases[3], cases[1], cases[0]], "decided ones come last"
    decided = found[-1]
    assert decided.decision is not None and decided.shown.names is not None
    assert {"left": decided.shown.left, "right": decided.shown.right}[decided.decision.choice] == SECOND
    assert {one.reviewer for one in queue.progress(made.id)} == {"Ada", "Ben"}, "an adjudicator is no reader"


def _vote_for(identity: str, name: str, choice: str, **options: Any) -> None:
    case = queue.shown(identity, name)
    side = {"first": FIRST, "second": SECOND}.get(choice)
    queue.vote(
        identity,
        name,
        Ballot.model_validate({"choice": choice if side is None else "left" if case.left == side else "right"}),
        **options,
    )


# Answers


class _Pair:
    """Two models that answer by rule, and die when they are told to."""

    asked: list[str] = []  # noqa: RUF012 shared on purpose: what all of them were asked
    dies_after = 10**6

    def answer_all(self, conversations: Any, max_new_tokens: int, progress: Any) -> list[tuple[str, str]]:
        answers = []
        for one in conversations:
            if len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(one[-1]["content"])
            answers.append((f"{one[-1]['content']} yes, at most {max_new_tokens}", "no"))
        progress(2 * len(conversations), 2 * len(conversations))
        return answers

    def ask(self, messages: Any, sampling: Sampling) -> Any:
        for text in ("y", f"yes at {sampling.temperature} "):
            yield {"first": Answer(text=text), "second": Answer(text="no")}


def test_answers_go_on_where_they_were_interrupted(models: tuple[ModelRef, ModelRef], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_refs, "parse", lambda text: text)
    monkeypatch.setattr(pairing, "load", lambda first, second: _Pair())
    monkeypatch.setattr(sets, "ANSWERED_AT_ONCE", 2)
    monkeypatch.setattr(_Pair, "asked", [])
    monkeypatch.setattr(_Pair, "dies_after", 3)
    made = queue.create_set(
        "cases", [_prompt(f"Question {n}?") for n in range(5)], *models, sampling=Sampling(max_new_tokens=7)
    )
    with pytest.raises(KeyboardInterrupt):
        queue.answer_set(made.id)
    assert queue.set_progress(made.id).answered == 2
    monkeypatch.setattr(_Pair, "dies_after", 10**6)
    heard: list[tuple[int, int]] = []
    assert queue.answer_set(made.id, lambda done, total: heard.append((done, total))) == 3
    assert heard[-1] == (3, 3) and [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert _Pair.asked == [f"Question {n}?" for n in (0, 1, 2, 2, 3, 4)]
    case = queue.next_case(made.id, "Ada")
    assert case is not None and {case.left, case.right} == {"Question 0? yes, at most 7", "no"}
    assert queue.answer_set(made.id) == 0
    warm = queue.create_set("warm", [_prompt("Why?")], *models, sampling=Sampling(temperature=0.5))
    assert queue.answer_set(warm.id) == 1
    case = queue.next_case(warm.id, "Ada")
    assert case is not None and {case.left, case.right} == {"yes at 0.5", "no"}


# Questions out of files


def test_questions_of_every_kind_of_file(tmp_path: Path):
    lines = tmp_path / "questions.txt"
    lines.write_text("What is sepsis?\n\n  Is 4, or 5, even? \nWhat is sepsis?\n", encoding="utf-8")
    assert [(one.question, one.source) for one in prompts.read(lines)] == [
        ("What is sepsis?", "questions.txt, line 1"), ("Is 4, or 5, even?", "questions.txt, line 3"),
    ]  # fmt: skip
    table = tmp_path / "alone.csv"
    table.write_text("id,question,specialty\n1,Why?,cardiology\n2,How?,\n", encoding="utf-8")
    assert [(one.question, one.group, one.source) for one in prompts.read(table)] == [
        ("Why?", "cardiology", "alone.csv, row 1"), ("How?", "", "alone.csv, row 2"),
    ]  # fmt: skip
    talk = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
    chat = tmp_path / "chat.jsonl"
    chat.write_text(json.dumps({"messages": talk}) + "\n", encoding="utf-8")
    assert [one["role"] for one in prompts.read(chat)[0].messages] == ["user", "assistant", "user"]
    case = {"id": "row 7", "source": "row 7", "question": "Asked?", "answer": "Model's.", "values": {}, "group": "ner"}
    cases = tmp_path / "01-answers.tuned.jsonl"
    cases.write_text(json.dumps(case) + "\n", encoding="utf-8")
    found = prompts.read(cases)[0]
    assert (found.question, found.group) == ("Asked?", "ner")
    assert found.source == "01-answers.tuned.jsonl, case row 7"
    assert len(prompts.read("starter/instructions", 3)) == 3
    assert prompts.read("starter/safety", 1)[0].messages[0]["role"] == "user"


def test_a_row_without_a_question_is_named(tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "Why?", "answer": "So."}\n{"question": "", "answer": "So."}\n{"question": 7}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl: row 2, field question: .*; mend it or take it out\. 1 more"):
        prompts.read(rows)
    assert len(prompts.read(rows, 1)) == 1, "what comes after the last one that is wanted is not read"
    with pytest.raises(DataError, match=r"There is no file 'nowhere\.txt'"):
        prompts.read("nowhere.txt")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(DataError):
        prompts.read(empty)
    notes = tmp_path / "notes.csv"
    notes.write_text("colour,shape\nred,round\nblue,square\n")
    with pytest.raises(DataError, match=r"notes\.csv, columns: "):
        prompts.read(notes)
