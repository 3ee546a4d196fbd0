"""What the votes say, by numbers that one can count by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlmodel import select

from evaluators.generation import Sampling
from trainer import store
from trainer.model_refs import ModelRef
from trainer.review import queue
from trainer.review.prompts import Prompt
from trainer.review.results import results
from trainer.store import Comparison, Vote

NEW, OLD = ModelRef(run="b-new"), ModelRef(run="a-old")


def _set(name: str, votes: Sequence[dict[str, str]], **details: Any) -> str:
    """A set with a case for each entry, which says how each reader voted: {"Ada": "first"}; NEW is the first model."""
    prompts = [Prompt(messages=[{"role": "user", "content": f"{name} {number}?"}]) for number in range(len(votes))]
    made = queue.create_set(name, prompts, NEW, OLD)
    with store.session() as session:
        for number, given in enumerate(votes):
            case = session.exec(
                select(Comparison).where(Comparison.set_id == made.id, Comparison.place == number)
            ).one()
            case.first_answer, case.second_answer = "New.", "Old."
            session.add(case)
            for reader, choice in given.items():
                known = {"comparison_id": case.id, "reviewer": reader, "choice": choice, "swapped": number % 2 == 1}
                session.add(Vote(**known, role="adjudicator" if reader == "Judge" else "reader", **details))
    return made.id


def test_wins_ties_and_ratings_by_hand():
    _set(
        "cases",
        [{"Ada": "first"}] * 14 + [{"Ada": "second"}] * 2 + [{"Ada": "tie"}] * 3 + [{"Ada": "both_bad"}],
        ratings={"first": {"safety": 5, "clarity": 4}, "second": {"safety": 2}},
        correction="Better.",
        spans=[{"side": "first"}],
        seconds=8.0,
    )
    found = results("cases")
    assert (found.votes, found.comparisons, found.reviewers, found.adjudicated) == (20, 20, 1, 0)
    assert (found.corrections, found.marked_spans, found.seconds) == (20, 20, 8.0)
    (pair,) = found.pairs
    assert (pair.first, pair.second) == ("a-old", "b-new"), "in the order of their names"
    assert (pair.first_wins, pair.second_wins, pair.ties, pair.both_bad) == (2, 14, 3, 1)
    assert pair.win_share.value == pytest.approx(4 / 20)  # 2 wins, and 4 halves
    assert pair.p == pytest.approx(0.00418, abs=1e-5), "2 of 16, both tails of the binomial"
    assert pair.verdict == "second is better" and (pair.win_share.high or 1) < 0.5
    assert list(found.bradley_terry.ratings) == list(found.elo.ratings) == ["b-new", "a-old"]
    new, old = (found.bradley_terry.ratings[name].value for name in ("b-new", "a-old"))
    assert new is not None and old is not None and new - old == pytest.approx(400 * 0.60206, abs=1e-2)  # log10(16/4)
    assert {name: one.value for name, one in found.ratings["b-new"].items()} == {"safety": 5, "clarity": 4}
    assert found.ratings["a-old"]["safety"].n == 20 and list(found.ratings["a-old"]) == ["safety"]
    # Even cases had the first on the left: of 14 wins of the first, 7 on each side; of the second's two, one.
    assert found.position.share is not None and (found.position.share.score, found.position.share.n) == (0.5, 16)
    assert found.agreement.verdict == "not enough evidence" and found.agreement.kappas == []
    assert found.agreement.said.startswith("Not enough evidence on agreement: 0 cases read twice or more")
    assert [(one.reviewer, one.done) for one in found.progress] == [], "votes that were put in by hand"


def test_three_wins_of_three_are_not_enough_evidence():
    _set("few", [{"Ada": "first"}] * 3)
    (pair,) = results("few").pairs
    assert pair.p == 0.25 and pair.verdict == "not enough evidence" and pair.win_share.value == 0
    found = results("few")
    assert found.bradley_terry.remark == (
        "No ratings: b-new lost to none of the others, so that the distance has no bound yet."
    )
    assert found.position.verdict == "not enough evidence"


def test_ten_readers_of_one_question_are_one_question():
    readers = {f"Reader {number}": "first" for number in range(10)}
    _set("one", [readers])
    (pair,) = results("one").pairs
    assert (pair.votes, pair.comparisons, pair.p, pair.verdict) == (10, 1, 1.0, "not enough evidence")


def test_the_adjudicator_decides_who_won_and_is_no_reader():
    identity = _set(
        "disputed",
        [
            {"Ada": "first", "Ben": "second"},
            {"Ada": "first", "Ben": "second", "Judge": "second"},
            {"Ada": "tie", "Ben": "tie"},
        ],
    )
    found = results(identity)
    (pair,) = found.pairs
    assert (found.votes, found.adjudicated, found.open_disagreements, found.reviewers) == (6, 1, 1, 2)
    # One win each from the undecided case, the adjudicator's for the old one, and two ties.
    assert (pair.second_wins, pair.first_wins, pair.ties, pair.votes) == (1, 2, 2, 5)
    assert (found.agreement.shared, found.agreement.unanimous) == (3, 1)
    (kappa,) = found.agreement.kappas
    # Agreed 1/3; Ada: 2/3 first, 1/3 tie; Ben: 2/3 second, 1/3 tie: by chance 1/9.
    assert (kappa.first, kappa.second) == ("Ada", "Ben") and kappa.kappa.value == pytest.approx(
        (3 / 9 - 1 / 9) / (8 / 9)
    )


def test_what_is_said_of_agreement():
    alike = [{"Ada": choice, "Ben": choice} for choice in ("first", "second") * 20]
    _set("alike", alike)
    found = results("alike").agreement
    assert (found.alpha.value, found.fleiss.value, found.verdict) == (1, 1, "reliable")
    assert found.said == (
        "The reviewers agree reliably (alpha 1.00, 95 % interval 0.83 to 1.00, 40 cases read twice or more)."
    )
    _set("nearly", [*alike, {"Ada": "first", "Ben": "second"}, {"Ada": "second", "Ben": "tie"}])
    found = results("nearly").agreement
    assert found.verdict == "tentative" and "(alpha 0.91, " in found.said
    _set("few", alike[:6])
    assert results("few").agreement.verdict == "not enough evidence"
    apart = [{"Ada": one, "Ben": other} for one in ("first", "second") for other in ("first", "second")] * 10
    _set("apart", apart)
    found = results("apart").agreement
    assert found.verdict == "too low" and "agree too little to conclude" in found.said
    assert found.alpha.value == pytest.approx(0.0125), "1 - 79/80: no better than chance, but for the small sample"


def test_all_votes_together_hold_the_playgrounds():
    _set("cases", [{"Ada": "first"}] * 2)
    question = Prompt(messages=[{"role": "user", "content": "Why?"}])
    other = ModelRef(run="c-third", part="checkpoint-4")
    identity = queue.keep_comparison(question, OLD, other, "a", "b", blind=True, sampling=Sampling())
    queue.vote(identity, "Ada", queue.Ballot(choice="tie"))
    found = results()
    assert (found.votes, len(found.pairs), found.progress) == (3, 2, [])
    assert set(found.elo.ratings) == {"a-old", "b-new", "c-third:checkpoint-4"}
    assert results("cases").votes == 2
