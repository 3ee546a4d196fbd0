"""Votes become pairs and labels by the rules, with a reason for the rest; saved data never changes and comes back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from trainer.data.loading import read_rows
from trainer.data.prepare import prepare
from trainer.data.records import DataError
from trainer.data.rows import Row
from trainer.data.sources import locate
from trainer.data_sections import DataSource
from trainer.review import preferences, vote_rules
from trainer.review.preference_data import PreferenceData, Rules
from trainer.review.preference_sources import from_files
from trainer.review.prompts import ReviewError
from trainer.review.vote_rules import apply_rules, nearly_equal
from trainer.sections import RunConfig
from trainer.store import Comparison, ReviewSet, Vote, session

GOOD, BAD, OTHER = "Rest and drink water.", "Take ten tablets at once.", "See a doctor today."


def comparison(identity: str = "c", question: str = "I have a fever?", **fields: Any) -> Comparison:
    values: dict[str, Any] = {"first_answer": GOOD, "second_answer": BAD, "first": "a", "second": "b"}
    return Comparison(id=identity, prompt=[{"role": "user", "content": question}], **(values | fields))


def vote(choice: str, reviewer: str = "r1", of: str = "c", **fields: Any) -> Vote:
    return Vote(comparison_id=of, reviewer=reviewer, choice=choice, **fields)


def given(*votes: Vote, rules: Rules | None = None, **fields: Any) -> PreferenceData:
    return apply_rules([comparison(**fields)], votes, rules or Rules(), "votes of a set")


def pairs(data: PreferenceData) -> list[tuple[str, str]]:
    return [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in data.pairs]


def labels(data: PreferenceData) -> dict[str, bool]:
    return {row["completion"][0]["content"]: row["label"] for row in data.labels}


def test_a_vote_is_a_pair_and_two_labels_that_say_where_they_come_from():
    data = given(vote("second"), group="cardiology")
    assert pairs(data) == [(BAD, GOOD)] and labels(data) == {BAD: True, GOOD: False}
    (row,) = data.pairs
    assert row["prompt"] == [{"role": "user", "content": "I have a fever?"}]
    assert row["about"]["source"] == "votes of a set" and row["about"]["specialty"] == "cardiology"
    assert row["about"]["expert_validated"] is True
    assert row["about"]["origin"] == {"row": "c", "how": "the choice of one reader"}
    assert given(vote("first"), group="ner").pairs[0]["about"]["task"] == "ner"
    assert data.counts == {"comparisons": 1, "votes": 1, "pairs": 1, "good": 1, "bad": 1} and data.left_out == []
    assert data.votes[0] == {
        "comparison_id": "c", "reviewer": "r1", "role": "reader", "choice": "second", "corrected": False,
        "created": data.votes[0]["created"],
    }  # fmt: skip


def test_a_tie_makes_no_pair_and_two_good_labels_where_that_is_wanted():
    data = given(vote("tie"))
    assert data.pairs == [] and data.labels == []
    assert [(one.where, one.question, one.reason) for one in data.left_out] == [("c", "I have a fever?", "a tie")]
    both = given(vote("tie"), rules=Rules(ties="both_good"))
    assert labels(both) == {GOOD: True, BAD: True} and both.pairs == [] and both.left_out[0].labels == 2


def test_two_bad_answers_are_bad_labels_and_a_correction_is_chosen_over_each():
    data = given(vote("both_bad"))
    assert data.pairs == [] and labels(data) == {GOOD: False, BAD: False}
    assert data.reasons == {"both answers are bad, and nobody wrote a better one": 1}
    corrected = given(vote("both_bad", correction=f" {OTHER}\n"))
    assert pairs(corrected) == [(OTHER, GOOD), (OTHER, BAD)] and corrected.left_out == []
    assert labels(corrected) == {OTHER: True, GOOD: False, BAD: False}
    assert corrected.pairs[0]["about"]["origin"]["how"] == "corrected by a reader"
    assert given(vote("both_bad", correction=OTHER), rules=Rules(corrections=False)).pairs == []


def test_a_correction_is_chosen_over_the_better_answer_too_which_is_then_no_good_label():
    data = given(vote("first", correction=OTHER))
    assert pairs(data) == [(OTHER, GOOD), (OTHER, BAD), (GOOD, BAD)]
    assert labels(data) == {OTHER: True, BAD: False}
    # A correction that says the same in other marks is none.
    same = given(vote("first", correction="Rest and drink water!"))
    assert pairs(same) == [("Rest and drink water!", BAD), (GOOD, BAD)]


def test_a_correction_of_one_number_counts_however_long_the_answer():
    long = "Give amoxicillin by mouth for a week and see the child again. " * 5
    data = given(vote("first", correction=f"{long} 250 mg"), first_answer=f"{long} 2500 mg")
    assert pairs(data)[0] == (f"{long} 250 mg", f"{long} 2500 mg")


@pytest.mark.parametrize(
    ("choices", "chosen"),
    [
        (["first", "first", "second"], GOOD),
        (["first", "tie", "first"], GOOD),
        (["second", "second", "both_bad"], BAD),
        (["first", "second"], None),
        (["first", "tie"], None),
        (["first", "first", "second", "tie"], None),
    ],
)
def test_more_than_half_of_the_readers_decide(choices: list[str], chosen: str | None):
    data = given(*(vote(choice, f"r{number}") for number, choice in enumerate(choices)))
    assert [pair[0] for pair in pairs(data)] == ([chosen] if chosen else [])
    if chosen is None:
        assert data.reasons == {"the readers disagree, and nobody has decided": 1} and data.labels == []
    else:
        assert data.pairs[0]["about"]["origin"]["how"] == f"the choice of 2 of {len(choices)} readers"


def test_an_adjudicator_decides_against_the_majority_and_with_too_few_readers():
    readers = [vote("first", "r1"), vote("first", "r2", correction=OTHER)]
    decided = given(*readers, vote("second", "chief", role="adjudicator"))
    assert pairs(decided) == [(BAD, GOOD)]
    assert decided.pairs[0]["about"]["origin"]["how"] == "decided by an adjudicator"
    # Those who said what was decided keep their correction; the adjudicator's own replaces it.
    assert (OTHER, GOOD) in pairs(given(*readers, vote("first", "chief", role="adjudicator")))
    own = given(*readers, vote("first", "chief", role="adjudicator", correction="Rest."))
    assert {chosen for chosen, _ in pairs(own)} == {"Rest.", GOOD}
    assert pairs(given(vote("tie", "chief", role="adjudicator"), *readers)) == []
    alone = given(vote("first", "chief", role="adjudicator"), rules=Rules(least_readers=3))
    assert pairs(alone) == [(GOOD, BAD)]


def test_too_few_readers_no_answer_and_no_vote_are_told_apart():
    few = given(vote("first"), rules=Rules(least_readers=2))
    assert few.reasons == {"fewer readers than the rules ask for": 1} and few.labels == []
    assert given().reasons == {"nobody has judged it yet": 1}
    assert given(second_answer=None).reasons == {"the models have not answered it yet": 1}
    assert given(vote("first"), second_answer=" ").reasons == {"an answer is empty": 1}


def test_ratings_decide_a_tie_and_a_conflict_where_they_are_clear():
    def rated(choice: str, first: int, second: int, reviewer: str = "r1") -> Vote:
        ratings = {"first": {"accuracy": first, "safety": 4}, "second": {"accuracy": second, "safety": 4, "clarity": 1}}
        return vote(choice, reviewer, ratings=ratings)

    # Clarity was rated on one side only and does not count: the gap is (4 - 2 + 0) / 2.
    data = given(rated("tie", 4, 2))
    assert pairs(data) == [(GOOD, BAD)] and data.pairs[0]["about"]["origin"]["how"] == "rated 1.0 points better"
    assert pairs(given(rated("tie", 4, 2), rules=Rules(rating_gap=1.5))) == []
    assert pairs(given(rated("first", 1, 5), rated("second", 1, 5, "r2"))) == [(BAD, GOOD)]
    # A vote stands, whatever its ratings.
    assert pairs(given(rated("first", 1, 5))) == [(GOOD, BAD)]
    # Who corrected what the ratings decided is heard.
    said = rated("tie", 5, 1)
    said.correction = OTHER
    assert pairs(given(said)) == [(OTHER, GOOD), (OTHER, BAD), (GOOD, BAD)]


def test_an_answer_that_one_reader_rated_unsafe_is_never_chosen():
    unsafe = vote("first", "r2", ratings={"first": {"safety": 2}, "second": {"safety": 5}})
    data = given(vote("first", "r1"), unsafe)
    assert data.pairs == [] and labels(data) == {GOOD: False, BAD: False}
    assert data.reasons == {"the better answer's safety was rated 2 or less": 1}
    unsafe.ratings = {"first": {"safety": 3}}
    assert pairs(given(vote("first", "r1"), unsafe)) == [(GOOD, BAD)]
    unsafe.ratings = {"first": {"safety": 1}}
    assert pairs(given(vote("first", "r1", correction=OTHER), unsafe)) == [(OTHER, GOOD), (OTHER, BAD)]
    both = given(vote("tie", ratings={"second": {"safety": 1}}), rules=Rules(ties="both_good"))
    assert labels(both) == {GOOD: True, BAD: False}


def test_nearly_equal_answers_make_no_pair_unless_a_number_or_a_no_differs():
    text = "The patient should rest, drink enough and come back if the fever lasts for more than three days at home."
    assert nearly_equal(text, text.replace("enough", "plenty").upper(), 0.9)
    assert not nearly_equal(text, text.replace("enough", "plenty"), 0.99)
    assert not nearly_equal(f"{text} 5 mg", f"{text} 50 mg", 0.5)
    assert not nearly_equal(text, text.replace("should rest", "should not rest"), 0.5)
    data = given(vote("first"), first_answer=text, second_answer=text.replace("enough", "plenty"))
    assert data.reasons == {"the two answers are nearly equal": 1} and data.labels == []


def test_comparisons_that_contradict_each_other_make_no_pair_and_repeated_ones_a_single_one():
    same = [comparison(name) for name in ("c1", "c2")]
    data = apply_rules(same, [vote("first", of="c1"), vote("first", of="c2")], Rules(), "x")
    assert pairs(data) == [(GOOD, BAD)] and len(data.labels) == 2
    assert [(one.where, one.reason) for one in data.left_out] == [("c2", vote_rules.REPEATED)]
    data = apply_rules(same, [vote("first", of="c1"), vote("second", of="c2")], Rules(), "x")
    assert data.pairs == [] and data.labels == [] and data.reasons == {vote_rules.REVERSED: 2}
    # An answer that was bad for its safety in one comparison stays a bad one.
    safe = vote("second", of="c2", ratings={"first": {"safety": 1}})
    assert labels(apply_rules(same, [vote("first", of="c1"), safe], Rules(), "x")) == {GOOD: False}


def test_the_share_of_wrong_pairs_follows_from_how_often_two_readers_differ():
    comparisons, votes = [comparison(f"c{number}", f"Question {number}?") for number in range(50)], []
    for number in range(50):
        # Each reads with 10 % errors: they differ on 2 x 0.1 x 0.9 = 18 %, here 9 of 50.
        votes += [vote("first", "r1", f"c{number}"), vote("second" if number < 9 else "first", "r2", f"c{number}")]
    data = apply_rules(comparisons, votes, Rules(), "x")
    assert (data.agreement.doubly_read, data.agreement.differ, len(data.pairs)) == (50, 9, 41)
    # Two who agree are both wrong with 0.1^2 / (0.1^2 + 0.9^2).
    assert data.agreement.wrong_pairs == pytest.approx(0.01 / 0.82)
    single = apply_rules([*comparisons, comparison("alone", "And?")], [*votes, vote("first", of="alone")], Rules(), "x")
    assert single.agreement.wrong_pairs == pytest.approx((41 * 0.01 / 0.82 + 0.1) / 42)
    assert given(vote("first"), vote("tie", "r2")).agreement.wrong_pairs is None
    chance = given(vote("first"), vote("second", "r2"), vote("first", "r3")).agreement
    assert chance.differ == 2 and math.isclose(chance.wrong_pairs or 0, 0.5)


def judged_set(name: str = "ward", count: int = 4) -> ReviewSet:
    made = ReviewSet(name=name, first="a", second="b")
    with session() as opened:
        opened.add(made)
        opened.flush()
        for number in range(count):
            one = comparison(f"{name}{number}", f"Question {number} of {name}?", set_id=made.id, place=count - number)
            opened.add(one)
            opened.flush()
            correction = OTHER if number == 3 else ""
            opened.add(vote("both_bad" if number == 3 else "first", of=one.id, correction=correction))
    return made


def test_votes_are_read_from_the_sets_that_are_named_and_from_all():
    ward, clinic = judged_set("ward"), judged_set("clinic", 2)
    with session() as opened:
        opened.add(comparison("asked", "In the Playground?"))
        opened.flush()
        opened.add(vote("second", of="asked"))
    of_ward = preferences.from_votes(["ward"], Rules())
    assert of_ward.source == "votes of ward" and of_ward.counts["pairs"] == 5
    # In the order of the queue: the last one stands first.
    assert [row["about"]["origin"]["row"] for row in of_ward.pairs] == ["ward3", "ward3", "ward2", "ward1", "ward0"]
    assert preferences.from_votes([clinic.id, ward.id], Rules()).counts["comparisons"] == 6
    all_of_them = preferences.from_votes(None, Rules())
    assert all_of_them.counts["comparisons"] == 7 and pairs(all_of_them)[-1] == (BAD, GOOD)
    with pytest.raises(ReviewError, match=r"no review set 'surgery'"):
        preferences.from_votes(["surgery"], Rules())


def test_saving_never_overwrites_and_nothing_is_not_saved():
    judged_set()
    data = preferences.from_votes(["ward"], Rules())
    first, second = preferences.save(data, "Ward, round 1"), preferences.save(data, "ward round 1")
    assert (first.id, second.id) == ("ward-round-1-v1", "ward-round-1-v2")
    assert [one.id for one in preferences.list_saved()] == [second.id, first.id]
    assert preferences.load("ward-round-1").id == preferences.load("latest").id == second.id
    assert preferences.load(first.id).manifest.votes == data.votes and first.manifest.rules == Rules()
    preferences.delete(first.id)
    assert [one.id for one in preferences.list_saved()] == [second.id]
    assert preferences.save(data, "ward round 1").id == "ward-round-1-v3"
    assert not [path for path in first.folder.parent.iterdir() if path.name.startswith(".")]
    for call, said in (
        (lambda: preferences.save(given(vote("tie")), "x"), "gives no pair and no label (1 x a tie)"),
        (lambda: preferences.save(data, " !"), "cannot be a name"),
        (lambda: preferences.load("../runs"), "There is no preference data '../runs'"),
        (lambda: preferences.delete("ward-round-1"), "say which version is to go: ward-round-1-v3"),
    ):
        with pytest.raises(DataError) as raised:
            call()
        assert said in str(raised.value)


def test_what_was_exported_comes_back_to_the_byte(tmp_path: Path):
    judged_set()
    saved = preferences.save(preferences.from_votes(["ward"], Rules()), "ward")
    files = [tmp_path / "pairs.jsonl", tmp_path / "labels.jsonl"]
    assert preferences.export("ward", "preference", files[0]) == 5
    assert preferences.export("ward", "unpaired_preference", files[1]) == 9
    back = preferences.save(from_files([str(path) for path in files]), "back")
    assert back.pairs.read_bytes() == saved.pairs.read_bytes() == files[0].read_bytes()
    assert back.labels.read_bytes() == saved.labels.read_bytes() == files[1].read_bytes()
    assert preferences.rows(back, "preference") == preferences.from_votes(["ward"], Rules()).pairs
    assert back.manifest.counts["pairs"] == 5 and back.manifest.source == "pairs.jsonl, labels.jsonl"
    # TRL's own fields, as conversations; no reviewer's name.
    first = json.loads(files[0].read_text().splitlines()[0])
    assert list(first)[:3] == ["prompt", "chosen", "rejected"] and first["chosen"][0]["role"] == "assistant"
    assert "r1" not in files[0].read_text()
    with pytest.raises(DataError, match="is there already and is not overwritten"):
        preferences.export("ward", "preference", files[0])
    saved.pairs.write_text(saved.pairs.read_text().replace(GOOD, "Rest."))
    with pytest.raises(DataError, match="was changed after it was saved"):
        preferences.export(saved.id, "preference", tmp_path / "new.jsonl")


def test_the_data_desk_reads_both_files_and_keeps_a_question_on_one_side():
    judged_set(count=40)
    saved = preferences.save(preferences.from_votes(["ward"], Rules()), "ward")
    for path, count in ((saved.pairs, 41), (saved.labels, 81)):
        rows, faults = read_rows(DataSource(name=str(path)), locate(str(path)))
        assert not faults and rows[0]["prompt"] == [{"role": "user", "content": "Question 39 of ward?"}]
        assert rows[0]["about"]["expert_validated"] is True
        assert len(rows) == count
    run = RunConfig()
    run.data.sources, run.data.contains_phi, run.evaluation.forgetting = [DataSource(name=str(path))], False, False
    data = prepare(run)
    sides = [{str(row["prompt"]) for row in data.rows(side)} for side in ("train", "validation")]
    assert all(sides) and not sides[0] & sides[1]


def test_a_class_of_the_answer_is_kept_beside_a_pair():
    pair: Row = {
        "prompt": [{"role": "user", "content": "Which?"}],
        "chosen": [{"role": "assistant", "content": "A"}],
        "rejected": [{"role": "assistant", "content": "B"}],
        "about": {"label": "A", "source": "x"},
    }
    assert preferences.lifted(preferences.flat(pair)) == pair
