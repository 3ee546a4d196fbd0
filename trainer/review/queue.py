"""The review queue: what reviewers are shown of two models' answers, and their votes, without names before the vote.

The sets of questions are made in `sets.py`; what pages and commands use of it is here as well.

A reviewer sees a left and a right answer (`Shown`) and answers in these terms (`Ballot`); which of the two is the
first model's is decided by `blinding.swapped`, and votes are kept in terms of first and second. Nothing that a
reviewer is given before the vote of a blind comparison names a model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from evaluators.generation import Sampling
from trainer import model_refs, store
from trainer.jobs import RunError
from trainer.model_refs import ModelRef
from trainer.review.ballots import LONGEST, Ballot, Disagreement, Revealed, Shown, as_seen, own_name, place_of
from trainer.review.blinding import swapped
from trainer.review.prompts import Prompt, ReviewError
from trainer.review.sets import (
    ReviewerProgress,
    SetProgress,
    add_prompts,
    answer_set,
    asked,
    assign,
    create_set,
    delete_set,
    get_set,
    list_sets,
    progress,
    set_progress,
)
from trainer.store import Assignment, Comparison, ReviewSet, Role, Vote

__all__ = [
    "Ballot",
    "ReviewerProgress",
    "SetProgress",
    "add_prompts",
    "answer_set",
    "assign",
    "create_set",
    "delete_set",
    "get_set",
    "list_sets",
    "own_name",
    "progress",
    "set_progress",
]


def keep_comparison(
    prompt: Prompt,
    first: ModelRef,
    second: ModelRef,
    first_answer: str,
    second_answer: str,
    *,
    blind: bool,
    sampling: Sampling,
    identity: str | None = None,
) -> str:
    """Keep what two models answered in the Playground, so that it can be voted on; returns its id.

    `identity`: the id that it was shown under (`store.new_identity`), where it was shown before it is kept.
    """
    made = Comparison(
        id=identity or store.new_identity(),
        prompt=asked(prompt),
        first=str(first),
        second=str(second),
        first_answer=first_answer,
        second_answer=second_answer,
        blind=blind,
        sampling=sampling.model_dump(),
        group=prompt.group,
        source=prompt.source,
        chosen_by=prompt.chosen_by,
    )
    with store.session() as session:
        session.add(made)
    return made.id


def next_case(set_id: str, reviewer: str) -> Shown | None:
    """The first answered case of a set that this reviewer has neither judged nor skipped; None where there is none.

    Raises `ReviewError` where the set is dealt to others.
    """
    reviewer = own_name(reviewer)
    found = get_set(set_id)
    with store.session() as session:
        if found.reviewers and reviewer not in found.reviewers:
            raise ReviewError(
                f"The set {found.name!r} is dealt to {', '.join(found.reviewers)}, and not to {reviewer!r}; "
                "choose one of these names, or deal it to more reviewers."
            )
        chosen = (
            select(Comparison)
            .where(Comparison.set_id == found.id, col(Comparison.second_answer).is_not(None))
            .order_by(col(Comparison.place), col(Comparison.id))
        )
        own = select(Assignment.comparison_id).where(Assignment.reviewer == reviewer)
        if found.reviewers:
            chosen = chosen.where(col(Comparison.id).in_(own.where(Assignment.state == "open")))
        else:
            chosen = chosen.where(col(Comparison.id).not_in(own))
        first = session.exec(chosen).first()
        return _shown(session, first, reviewer) if first else None


def shown(comparison_id: str, reviewer: str) -> Shown:
    """A comparison as this reviewer sees it. Raises `ReviewError` where it is not there or not answered yet."""
    with store.session() as session:
        return _shown(session, _answered(session, comparison_id), own_name(reviewer))


def vote(comparison_id: str, reviewer: str, ballot: Ballot, role: Role = "reader") -> None:
    """Keep a vote; it is on disk when this returns. Voting again replaces the vote of the same role, and is
    marked where a blind choice becomes another.

    Raises `ReviewError` where the comparison is not there or not answered, or a marked span is not in its answer.
    """
    reviewer = own_name(reviewer)
    with store.session() as session:
        comparison = _answered(session, comparison_id)
        before = _vote(session, comparison_id, reviewer)
        turned = _turned(comparison_id, reviewer, before)
        choice = place_of(ballot.choice, turned)
        answers = {"first": comparison.first_answer or "", "second": comparison.second_answer or ""}
        for span in ballot.spans:
            if answers[place_of(span.side, turned)][span.start : span.end] != span.text:
                raise ReviewError(
                    f"The marked words {span.text[:60]!r} do not stand at characters {span.start} to {span.end} of the "
                    f"{span.side} answer; mark them again."
                )
        store.upsert(
            session,
            Vote,
            {"comparison_id": comparison_id, "reviewer": reviewer, "role": role},
            {
                "choice": choice,
                "swapped": turned,
                "changed": before is not None and comparison.blind and (before.changed or before.choice != choice),
                "ratings": {place_of(side, turned): given for side, given in ballot.ratings.items()},
                "correction": ballot.correction.strip(),
                "spans": [one.model_dump() | {"side": place_of(one.side, turned)} for one in ballot.spans],
                "comment": ballot.comment.strip(),
                "seconds": ballot.seconds,
                "created": _moment(session, comparison_id),
            },
        )
        if role == "reader":
            _mark(session, comparison_id, reviewer, "done", "")


def skip(comparison_id: str, reviewer: str, reason: str) -> None:
    """Leave a case to others, saying why; what was judged already stays judged."""
    reviewer, reason = own_name(reviewer), reason.strip()[:LONGEST]
    if not reason:
        raise ReviewError("A case is skipped with a reason; write one, such as 'not my field'.")
    with store.session() as session:
        _answered(session, comparison_id)
        if _vote(session, comparison_id, reviewer) is None:
            _mark(session, comparison_id, reviewer, "skipped", reason)


def reveal(comparison_id: str, reviewer: str) -> Revealed:
    """Whose the answers are. Raises `ReviewError` before this reviewer's vote, where the comparison is blind."""
    reviewer = own_name(reviewer)
    with store.session() as session:
        comparison = _answered(session, comparison_id)
        given = _vote(session, comparison_id, reviewer)
        if given is None and comparison.blind:
            raise ReviewError("The names are shown after the vote; vote first.")
    turned = _turned(comparison_id, reviewer, given)
    left, right = _sides(comparison.first, comparison.second, turned)
    return Revealed(
        left=left,
        right=right,
        names=(_label(left), _label(right)),
        choice=as_seen(given, turned).choice if given else None,
    )


def disagreements(set_id: str, adjudicator: str = "adjudicator") -> list[Disagreement]:
    """The cases whose readers voted differently, undecided and opposite votes first, as this adjudicator sees them.

    The adjudicator reads the votes and decides by `vote(..., role="adjudicator")`, which then counts alone.
    """
    adjudicator = own_name(adjudicator)
    found = get_set(set_id)
    disputed = []
    with store.session() as session:
        given: dict[str, list[Vote]] = defaultdict(list)
        for one in session.exec(
            select(Vote).join(Comparison).where(Comparison.set_id == found.id).order_by(col(Vote.id))
        ):
            given[one.comparison_id].append(one)
        for comparison in session.exec(
            select(Comparison).where(Comparison.set_id == found.id).order_by(col(Comparison.place))
        ):
            readers = [one for one in given[comparison.id] if one.role == "reader"]
            choices = {one.choice for one in readers}
            if len(choices) < 2:
                continue
            own = latest([one for one in given[comparison.id] if one.reviewer == adjudicator])
            turned = _turned(comparison.id, adjudicator, own)
            decided = latest([one for one in given[comparison.id] if one.role == "adjudicator"])
            disputed.append(
                Disagreement(
                    shown=_seen(comparison, adjudicator, own),
                    votes={one.reviewer: as_seen(one, turned) for one in readers},
                    opposite={"first", "second"} <= choices,
                    decision=as_seen(decided, turned) if decided else None,
                )
            )
    return sorted(disputed, key=lambda one: (one.decision is not None, not one.opposite))


def latest(votes: Sequence[Vote]) -> Vote | None:
    """The last of these votes; of the adjudicators' on one comparison it is the one that counts. None without any."""
    return max(votes, key=lambda one: store.as_utc(one.created), default=None)


def _moment(session: Session, comparison_id: str) -> datetime:
    """Now; or just after the last vote on this comparison, where the clock was set back since: the last one counts."""
    given = session.exec(select(Vote.created).where(Vote.comparison_id == comparison_id))
    return max([store.now(), *(store.as_utc(one) + timedelta(microseconds=1) for one in given)])


def _answered(session: Session, comparison_id: str) -> Comparison:
    found = session.get(Comparison, comparison_id)
    if found is None:
        raise ReviewError(f"There is no comparison {comparison_id!r}; it may have been deleted with its set.")
    if found.first_answer is None or found.second_answer is None:
        raise ReviewError("This case has not been answered yet; let the models answer the set first.")
    return found


def _shown(session: Session, comparison: Comparison, reviewer: str) -> Shown:
    seen = _seen(comparison, reviewer, _vote(session, comparison.id, reviewer))
    if not comparison.set_id:
        return seen
    found = session.get(ReviewSet, comparison.set_id)
    assert found is not None  # a foreign key
    own = (
        select(func.count())
        .select_from(Assignment)
        .join(Comparison)
        .where(Comparison.set_id == found.id, Assignment.reviewer == reviewer)
    )
    whole = own if found.reviewers else select(func.count()).where(Comparison.set_id == found.id)
    done = session.exec(own.where(Assignment.state != "open")).one()
    return seen.model_copy(update={"done": done, "total": session.exec(whole).one()})


def _seen(comparison: Comparison, reviewer: str, given: Vote | None) -> Shown:
    """The comparison as this reviewer sees it, who gave this vote or none yet."""
    turned = _turned(comparison.id, reviewer, given)
    left, right = _sides(comparison.first_answer or "", comparison.second_answer or "", turned)
    names, why = None, comparison.chosen_by
    if given is not None or not comparison.blind:
        names = _sides(_label(comparison.first), _label(comparison.second), turned)
    else:
        for ref in sorted({comparison.first, comparison.second}, key=len, reverse=True):
            why = why.replace(ref, "a model").replace(ref.partition(":")[0], "a model")
    return Shown(
        comparison_id=comparison.id,
        messages=comparison.prompt,
        left=left,
        right=right,
        blind=comparison.blind,
        names=names,
        group=comparison.group,
        chosen_by=why,
    )


def _vote(session: Session, comparison_id: str, reviewer: str) -> Vote | None:
    """A vote of this reviewer in any role."""
    return session.exec(
        select(Vote)
        .where(Vote.comparison_id == comparison_id, Vote.reviewer == reviewer)
        .order_by(col(Vote.created).desc())
    ).first()


def _turned(comparison_id: str, reviewer: str, given: Vote | None) -> bool:
    """Whether the second answer stands on the left: as it stood when the reviewer voted, where that was."""
    return swapped(comparison_id, reviewer) if given is None else given.swapped


def _mark(session: Session, comparison_id: str, reviewer: str, state: str, reason: str) -> None:
    store.upsert(
        session,
        Assignment,
        {"comparison_id": comparison_id, "reviewer": reviewer},
        {"state": state, "reason": reason},
    )


def _sides(first: str, second: str, turned: bool) -> tuple[str, str]:
    return (second, first) if turned else (first, second)


def _label(ref: str) -> str:
    """A model as a list shows it; its text where its run is gone."""
    run, _, part = ref.partition(":")
    try:
        return model_refs.label(ModelRef(run=run, part=part or model_refs.TUNED))
    except RunError:
        return ref
