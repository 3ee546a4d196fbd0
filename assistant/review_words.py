"""The review queue in a terminal: what its verbs print, as objects and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel

from evaluators.scores import Measure
from trainer.evaluation.words import interval, number
from trainer.review import queue
from trainer.review.ballots import Revealed, Seen, Shown
from trainer.review.queue import ReviewerProgress
from trainer.review.results import PairResult, ReviewResults
from trainer.store import ReviewSet


class ReviewSetSummary(BaseModel):
    """`review create`, `review add` and `review show --json`: a set and how far it is."""

    id: str
    name: str
    blind: bool
    models: tuple[str, str] | None
    """None while a blind set still has cases to be judged: who judges it does not see them."""
    cases: int
    answered: int
    judged: int
    votes: int
    reviewers: list[ReviewerProgress]
    case: Shown | None = None
    """With --reviewer: the next case of theirs."""


class ReviewSetList(BaseModel):
    """`review list --json`: the sets, newest first."""

    sets: list[ReviewSetSummary]


class ReviewAssigned(BaseModel):
    """`review assign --json`: how many readings were dealt, and how far each reviewer is."""

    set: str
    dealt: int
    reviewers: list[ReviewerProgress]


class ReviewAnswered(BaseModel):
    """`review answer --json`: how many questions both models answered now."""

    set: str
    answered: int


class ReviewVoted(BaseModel):
    """`review vote --json` and `review skip --json`: what was kept, and after a vote whose the answers were."""

    case: str
    reviewer: str
    choice: Seen | Literal["skipped"]
    revealed: Revealed | None = None


def summary(found: ReviewSet) -> ReviewSetSummary:
    """A set as the command line shows it."""
    far, readers = queue.set_progress(found.id), queue.progress(found.id)
    open_cases = far.judged < far.cases or any(one.open for one in readers)
    return ReviewSetSummary(
        id=found.id,
        name=found.name,
        blind=found.blind,
        models=None if found.blind and open_cases else (found.first, found.second),
        reviewers=readers,
        **far.model_dump(),
    )


def set_lines(found: ReviewSetSummary) -> Iterator[str]:
    """How far a set is."""
    yield f"Set {found.name!r}: {found.answered} of {found.cases} cases answered, {found.judged} judged."
    if found.models:
        yield f"It compares {found.models[0]} with {found.models[1]}."
    for one in found.reviewers:
        skipped = f", {one.skipped} skipped" if one.skipped else ""
        yield f"  {one.reviewer}: {one.done} of {one.total} judged{skipped}"


def case_lines(case: Shown, reviewer: str) -> Iterator[str]:
    """A case as its reviewer reads it."""
    yield f"\nCase {case.comparison_id} ({case.done + 1} of {case.total})"
    for message in case.messages:
        yield f"{message['role']}: {message['content']}"
    yield f"\n--- left ---\n{case.left}\n\n--- right ---\n{case.right}\n"
    yield f"Vote: bedside review vote {case.comparison_id} --reviewer '{reviewer}' --choice left|right|tie|both_bad"


def result_lines(found: ReviewResults) -> Iterator[str]:
    """What the votes say, a line each."""
    if not found.votes:
        yield "No votes yet."
        return
    readers = f"{found.reviewers} reviewer{'s' * (found.reviewers != 1)}"
    yield f"{found.votes} votes of {readers} on {found.comparisons} comparisons; {found.adjudicated} adjudicated."
    if found.changed:
        yield f"  {found.changed} of them changed after the names were shown."
    for pair in found.pairs:
        yield from _pair_lines(pair)
    for title, ranking in (("Bradley-Terry", found.bradley_terry), ("Elo", found.elo)):
        for model, rating in ranking.ratings.items():
            yield f"  {title:14} {model:40} {_with_interval(rating, 0)}"
        if ranking.remark:
            yield f"  {title}: {ranking.remark}"
    for model, given in found.ratings.items():
        stars = ", ".join(f"{criterion} {_with_interval(one, 1)}" for criterion, one in given.items())
        yield f"  Stars of {model}: {stars}"
    yield found.agreement.said
    for one in found.agreement.kappas:
        yield f"  Cohen's kappa of {one.first} and {one.second}: {_with_interval(one.kappa, 2)}, n = {one.kappa.n}"
    if found.open_disagreements:
        yield f"{found.open_disagreements} cases on which readers differ are undecided."
    if found.position.share is not None:
        share = found.position.share
        yield (
            f"The left answer won {share.score:.0%} of {share.n} votes ({share.low:.0%} to {share.high:.0%}): "
            f"bias by position: {found.position.verdict}."
        )


def _pair_lines(pair: PairResult) -> Iterator[str]:
    yield f"{pair.first} against {pair.second}: {pair.verdict}."
    between = f" ({interval(pair.win_share)})" if interval(pair.win_share) else ""
    yield (
        f"  {pair.first_wins} to {pair.second_wins}, {pair.ties} ties, {pair.both_bad} both bad; "
        f"the first is preferred in {number(pair.win_share)}{between}."
    )


def _with_interval(measure: Measure, digits: int) -> str:
    if measure.value is None:
        return "-"
    value = f"{measure.value:.{digits}f}"
    if measure.low is None or measure.high is None:
        return value
    return f"{value} ({measure.low:.{digits}f} to {measure.high:.{digits}f})"
