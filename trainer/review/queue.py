"""The review queue: sets of questions that two models answered, dealt to reviewers, who vote without seeing names.

A reviewer sees a left and a right answer (`Shown`) and answers in these terms (`Ballot`); which of the two is the
first model's is decided by `blinding.swapped`, and votes are kept in terms of first and second. Nothing that a
reviewer is given before the vote of a blind comparison names a model.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field, field_validator
from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from evaluators.cases import Progress, silent
from evaluators.generation import Sampling
from trainer import model_refs, store
from trainer.data.rows import Message
from trainer.jobs import RunError
from trainer.model_refs import ModelRef
from trainer.review.blinding import swapped
from trainer.review.prompts import Prompt, ReviewError
from trainer.store import CRITERIA, Assignment, Choice, Comparison, ReviewSet, Role, Vote

Side = Literal["left", "right"]
Place = Literal["first", "second"]
ANSWERED_AT_ONCE = 40
"""Questions between two times of saving their answers."""
_LONGEST = 20_000
"""Characters of a correction, a comment or a reason."""


class Span(BaseModel):
    """What is wrong in an answer: its characters from `start` to `end`, which read `text`."""

    side: Side
    start: int = Field(ge=0)
    end: int
    text: str = Field(min_length=1, max_length=_LONGEST)
    reason: str = Field(default="", max_length=_LONGEST)


class Ballot(BaseModel):
    """A vote in terms of what the reviewer sees."""

    choice: Literal["left", "right", "tie", "both_bad"]
    ratings: dict[Side, dict[str, int]] = Field(default_factory=dict)
    """1 to 5 on each of `store.CRITERIA` that was rated."""
    correction: str = Field(default="", max_length=_LONGEST)
    """A better answer that the reviewer wrote."""
    spans: list[Span] = Field(default_factory=list, max_length=100)
    comment: str = Field(default="", max_length=_LONGEST)
    seconds: float = Field(default=0.0, ge=0)
    """From the answers being shown to the vote."""

    @field_validator("ratings")
    @classmethod
    def _known(cls, ratings: dict[Side, dict[str, int]]) -> dict[Side, dict[str, int]]:
        for side, given in ratings.items():
            for criterion, stars in given.items():
                if criterion not in CRITERIA or not 1 <= stars <= 5:
                    raise ValueError(
                        f"{side} has {criterion} = {stars}; an answer is rated 1 to 5 on {', '.join(CRITERIA)}"
                    )
        return {side: given for side, given in ratings.items() if given}


class Shown(BaseModel):
    """A comparison as one reviewer sees it."""

    comparison_id: str
    messages: list[Message]
    left: str
    right: str
    blind: bool
    names: tuple[str, str] | None = None
    """Of the left and the right model; None before the vote of a blind comparison."""
    done: int = 0
    """Cases of the set that this reviewer has judged or skipped, of `total`; 0 of 0 in the Playground."""
    total: int = 0
    group: str = ""
    chosen_by: str = ""


class Revealed(BaseModel):
    """Whose the answers were, once the reviewer has voted."""

    left: str
    """A model, as `model_refs.ModelRef` writes it; so is `right`."""
    right: str
    names: tuple[str, str]
    """The same as a list shows them."""
    choice: Literal["left", "right", "tie", "both_bad"] | None
    """What the reviewer chose; None where nobody voted (which only a comparison that is not blind allows)."""


class ReviewerProgress(BaseModel):
    """How far one reviewer is in a set."""

    reviewer: str
    done: int
    skipped: int
    total: int

    @property
    def open(self) -> int:
        return self.total - self.done - self.skipped


class SetProgress(BaseModel):
    """How far a set is as a whole."""

    cases: int
    answered: int
    """Cases that both models have answered, and that can be judged."""
    judged: int
    """Cases with a vote at least."""
    votes: int


class Disagreement(BaseModel):
    """A case on which its readers voted differently, as one adjudicator sees it."""

    shown: Shown
    votes: dict[str, Ballot]
    """Of each reader, in terms of the left and the right answer of `shown`."""
    opposite: bool
    """Whether one preferred the left and another the right answer."""
    decision: Ballot | None
    """The adjudicator's, where one has decided."""


# Sets


def create_set(
    name: str,
    prompts: Sequence[Prompt],
    first: ModelRef,
    second: ModelRef,
    *,
    blind: bool = True,
    sampling: Sampling | None = None,
    seed: int = 17,
) -> ReviewSet:
    """A set of questions for two models to answer; equal questions are taken once.

    Raises `ReviewError` for a name that is taken, no questions, or twice the same model.
    """
    name = " ".join(name.split())
    if not name:
        raise ReviewError("The set has no name; give it one that its reviewers will know it by.")
    if first == second:
        raise ReviewError(f"Both models are {first}; choose two different ones.")
    if not prompts:
        raise ReviewError("There are no questions to be judged; give at least one.")
    made = ReviewSet(
        name=name,
        first=str(first),
        second=str(second),
        blind=blind,
        sampling=(sampling or Sampling()).model_dump(),
        seed=seed,
    )
    with store.session() as session:
        if session.exec(select(ReviewSet).where(ReviewSet.name == name)).first():
            raise ReviewError(f"There is a set {name!r} already; choose another name, or add questions to that one.")
        session.add(made)
        session.flush()
        _add(session, made, prompts)
    return made


def add_prompts(set_id: str, prompts: Sequence[Prompt]) -> int:
    """Put more questions at the end of a set and deal them to its reviewers; returns how many it did not have yet."""
    with store.session() as session:
        found = _locked(session, set_id)
        added = _add(session, found, prompts)
        if added and found.reviewers:
            _deal(session, found)
    return added


def list_sets() -> list[ReviewSet]:
    """All sets, the newest first."""
    with store.session() as session:
        return list(session.exec(select(ReviewSet).order_by(col(ReviewSet.created).desc(), col(ReviewSet.id))))


def get_set(identity: str) -> ReviewSet:
    """The set of this id, its beginning, or this name; raises `ReviewError` naming those that there are."""
    sets = list_sets()
    found = [one for one in sets if identity in (one.id, one.name)]
    found = found or [one for one in sets if identity and one.id.startswith(identity)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ReviewError(f"{identity!r} begins the ids of {len(found)} sets; write more of it.")
    there = "there are " + ", ".join(one.name for one in sets) if sets else "there are none yet"
    raise ReviewError(f"There is no review set {identity!r}; {there}.")


def delete_set(identity: str) -> ReviewSet:
    """Remove a set with its answers and votes, for good; returns what it was."""
    found = get_set(identity)
    with store.session() as session:
        own = select(Comparison.id).where(Comparison.set_id == found.id)
        session.exec(delete(Vote).where(col(Vote.comparison_id).in_(own)))
        session.exec(delete(Assignment).where(col(Assignment.comparison_id).in_(own)))
        session.exec(delete(Comparison).where(col(Comparison.set_id) == found.id))
        session.exec(delete(ReviewSet).where(col(ReviewSet.id) == found.id))
    return found


def assign(set_id: str, reviewers: Sequence[str], double_share: float) -> int:
    """Deal a set's cases to reviewers evenly, one reader each, and two where it is read twice; returns how many.

    `double_share` of the cases, drawn by the set's seed, are read twice. What is done stays; what is open or was
    skipped is dealt anew, never to someone who did or skipped that case. Raises `ReviewError` without reviewers, or
    where two readers are wanted and there is one.
    """
    names = list(dict.fromkeys(reviewer_name(one) for one in reviewers))
    if not names:
        raise ReviewError("Nobody is named to read the cases; give at least one reviewer.")
    if not 0 <= double_share <= 1:
        raise ReviewError(f"The share that is read twice is {double_share:g}; give a number from 0 to 1.")
    if double_share and len(names) < 2:
        raise ReviewError("Cases that are read twice need two reviewers; name another one, or set the share to 0.")
    with store.session() as session:
        found = _locked(session, set_id)
        found.reviewers, found.double_share = names, double_share
        session.add(found)
        return _deal(session, found)


def answer_set(set_id: str, progress: Progress = silent) -> int:
    """Both models answer what is unanswered; returns how many questions they answered.

    Answers are saved every `ANSWERED_AT_ONCE` questions, so that what is killed goes on from there, and an answer that
    stands is never replaced. `progress` hears how many of the unanswered are done. Raises `RunError` and `ModelError`
    where a model is gone.
    """
    found = get_set(set_id)
    with store.session() as session:
        unanswered = list(
            session.exec(
                select(Comparison)
                .where(Comparison.set_id == found.id, col(Comparison.first_answer).is_(None))
                .order_by(col(Comparison.place))
            )
        )
    if not unanswered:
        return 0
    from trainer import pairing

    pair = pairing.load(model_refs.parse(found.first), model_refs.parse(found.second))
    sampling = Sampling.model_validate(found.sampling)
    size = ANSWERED_AT_ONCE if sampling.temperature == 0 else 1
    for start in range(0, len(unanswered), size):
        block = unanswered[start : start + size]
        if sampling.temperature == 0:

            def heard(done: int, before: int = start) -> None:
                progress(min(before + done, len(unanswered)), len(unanswered))

            answers = pair.answer_all([one.prompt for one in block], sampling.max_new_tokens, heard)
        else:
            *_, last = pair.ask(block[0].prompt, sampling)
            answers = [(last["first"].text.strip(), last["second"].text.strip())]
        with store.session() as session:
            for comparison, (one, other) in zip(block, answers, strict=True):
                kept = session.get(Comparison, comparison.id)
                if kept is not None and kept.first_answer is None:  # else it was deleted, or answered meanwhile
                    kept.first_answer, kept.second_answer = one, other
                    session.add(kept)
        progress(start + len(block), len(unanswered))
    return len(unanswered)


def keep_comparison(
    prompt: Prompt,
    first: ModelRef,
    second: ModelRef,
    first_answer: str,
    second_answer: str,
    *,
    blind: bool,
    sampling: Sampling,
) -> str:
    """Keep what two models answered in the Playground, so that it can be voted on; returns its id."""
    made = Comparison(
        prompt=_conversation(prompt),
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


# What a reviewer sees and says


def reviewer_name(text: str) -> str:
    """A reviewer's name as it is kept; raises `ReviewError` where there is none, or it is over 80 characters long."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > 80:
        raise ReviewError("Votes need a reviewer's name of 1 to 80 characters.")
    return name


def next_case(set_id: str, reviewer: str) -> Shown | None:
    """The first answered case of a set that this reviewer has neither judged nor skipped; None where there is none.

    Raises `ReviewError` where the set is dealt to others.
    """
    reviewer = reviewer_name(reviewer)
    found = get_set(set_id)
    with store.session() as session:
        if found.reviewers and reviewer not in found.reviewers:
            raise ReviewError(
                f"The set {found.name!r} is dealt to {', '.join(found.reviewers)}, and not to {reviewer!r}; "
                "choose one of these names, or deal it to more reviewers."
            )
        states = _states(session, found)[reviewer]
        answered = session.exec(
            select(Comparison)
            .where(Comparison.set_id == found.id, col(Comparison.second_answer).is_not(None))
            .order_by(col(Comparison.place), col(Comparison.id))
        )
        for comparison in answered:
            if states.get(comparison.id, "" if found.reviewers else "open") == "open":
                return _shown(session, comparison, reviewer)
    return None


def shown(comparison_id: str, reviewer: str) -> Shown:
    """A comparison as this reviewer sees it. Raises `ReviewError` where it is not there or not answered yet."""
    with store.session() as session:
        return _shown(session, _answered(session, comparison_id), reviewer_name(reviewer))


def vote(comparison_id: str, reviewer: str, ballot: Ballot, role: Role = "reader") -> None:
    """Keep a vote; it is on disk when this returns. Voting again replaces the vote of the same role.

    Raises `ReviewError` where the comparison is not there or not answered, or a marked span is not in its answer.
    """
    reviewer = reviewer_name(reviewer)
    with store.session() as session:
        comparison = _answered(session, comparison_id)
        turned = _turned(session, comparison_id, reviewer)
        answers = {"first": comparison.first_answer or "", "second": comparison.second_answer or ""}
        for span in ballot.spans:
            if answers[_place(span.side, turned)][span.start : span.end] != span.text:
                raise ReviewError(
                    f"The marked words {span.text[:60]!r} do not stand at characters {span.start} to {span.end} of the "
                    f"{span.side} answer; mark them again."
                )
        store.upsert(
            session,
            Vote,
            {"comparison_id": comparison_id, "reviewer": reviewer, "role": role},
            {
                "choice": _place(ballot.choice, turned),
                "swapped": turned,
                "ratings": {_place(side, turned): given for side, given in ballot.ratings.items()},
                "correction": ballot.correction.strip(),
                "spans": [one.model_dump() | {"side": _place(one.side, turned)} for one in ballot.spans],
                "comment": ballot.comment.strip(),
                "seconds": ballot.seconds,
                "created": store.now(),
            },
        )
        if role == "reader":
            _mark(session, comparison_id, reviewer, "done", "")


def skip(comparison_id: str, reviewer: str, reason: str) -> None:
    """Leave a case to others, saying why; what was judged already stays judged."""
    reviewer, reason = reviewer_name(reviewer), reason.strip()[:_LONGEST]
    if not reason:
        raise ReviewError("A case is skipped with a reason; write one, such as 'not my field'.")
    with store.session() as session:
        _answered(session, comparison_id)
        if _vote(session, comparison_id, reviewer) is None:
            _mark(session, comparison_id, reviewer, "skipped", reason)


def reveal(comparison_id: str, reviewer: str) -> Revealed:
    """Whose the answers are. Raises `ReviewError` before this reviewer's vote, where the comparison is blind."""
    reviewer = reviewer_name(reviewer)
    with store.session() as session:
        comparison = _answered(session, comparison_id)
        given = _vote(session, comparison_id, reviewer)
        if given is None and comparison.blind:
            raise ReviewError("The names are shown after the vote; vote first.")
        turned = _turned(session, comparison_id, reviewer)
    left, right = _sides(comparison.first, comparison.second, turned)
    return Revealed(
        left=left,
        right=right,
        names=(_label(left), _label(right)),
        choice=_ballot(given, turned).choice if given else None,
    )


# How far they are


def progress(set_id: str) -> list[ReviewerProgress]:
    """How far each reviewer is, by name: those whom the set is dealt to, and whoever judged a case of it."""
    found = get_set(set_id)
    with store.session() as session:
        cases = session.exec(select(func.count()).where(Comparison.set_id == found.id)).one()
        states = _states(session, found)
    counted = []
    for reviewer in sorted({*found.reviewers, *states}):
        given = Counter(states[reviewer].values())
        total = given.total() if found.reviewers else cases
        counted.append(ReviewerProgress(reviewer=reviewer, done=given["done"], skipped=given["skipped"], total=total))
    return counted


def set_progress(set_id: str) -> SetProgress:
    """How far a set is as a whole."""
    found = get_set(set_id)
    with store.session() as session:
        own = Comparison.set_id == found.id
        votes = select(Vote.comparison_id).join(Comparison).where(own)
        return SetProgress(
            cases=session.exec(select(func.count()).where(own)).one(),
            answered=session.exec(select(func.count()).where(own, col(Comparison.second_answer).is_not(None))).one(),
            judged=session.exec(select(func.count()).select_from(votes.distinct().subquery())).one(),
            votes=session.exec(select(func.count()).select_from(votes.subquery())).one(),
        )


def disagreements(set_id: str, adjudicator: str = "adjudicator") -> list[Disagreement]:
    """The cases whose readers voted differently, undecided and opposite votes first, as this adjudicator sees them.

    The adjudicator reads the votes and decides by `vote(..., role="adjudicator")`, which then counts alone.
    """
    adjudicator = reviewer_name(adjudicator)
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
            turned = _turned(session, comparison.id, adjudicator)
            decided = decision([one for one in given[comparison.id] if one.role == "adjudicator"])
            disputed.append(
                Disagreement(
                    shown=_shown(session, comparison, adjudicator),
                    votes={one.reviewer: _ballot(one, turned) for one in readers},
                    opposite={"first", "second"} <= choices,
                    decision=_ballot(decided, turned) if decided else None,
                )
            )
    return sorted(disputed, key=lambda one: (one.decision is not None, not one.opposite))


def decision(adjudicated: Sequence[Vote]) -> Vote | None:
    """The adjudicators' vote that counts for one comparison: the last one; None without any."""
    return max(adjudicated, key=lambda one: store.as_utc(one.created), default=None)


def _conversation(prompt: Prompt) -> list[Message]:
    messages = [dict(one) for one in prompt.messages if one["role"] != "system"]
    if not messages or messages[-1]["role"] != "user":
        raise ReviewError(f"A question asks nothing ({prompt.source or 'no source'}); it has to end with the user's.")
    return messages


def _add(session: Session, into: ReviewSet, prompts: Sequence[Prompt]) -> int:
    known = list(session.exec(select(Comparison).where(Comparison.set_id == into.id)))
    seen = {repr(one.prompt) for one in known}
    place = max((one.place for one in known), default=-1) + 1
    for prompt in prompts:
        messages = _conversation(prompt)
        if repr(messages) in seen:
            continue
        seen.add(repr(messages))
        session.add(
            Comparison(
                set_id=into.id,
                prompt=messages,
                first=into.first,
                second=into.second,
                blind=into.blind,
                sampling=into.sampling,
                place=place,
                group=prompt.group,
                source=prompt.source,
                chosen_by=prompt.chosen_by,
            )
        )
        place += 1
    session.flush()
    return len(seen) - len({repr(one.prompt) for one in known})


def _locked(session: Session, set_id: str) -> ReviewSet:
    """The set, which nobody else changes until this transaction ends."""
    found = session.exec(select(ReviewSet).where(ReviewSet.id == get_set(set_id).id).with_for_update()).first()
    if found is None:
        raise ReviewError(f"The set {set_id!r} was deleted meanwhile.")
    return found


def _deal(session: Session, found: ReviewSet) -> int:
    """Fill every case's free seats from the reviewers with the fewest cases; ties by the seed."""
    cases = list(
        session.exec(select(Comparison.id).where(Comparison.set_id == found.id).order_by(col(Comparison.place)))
    )
    held: dict[str, dict[str, str]] = defaultdict(dict)
    for one in session.exec(select(Assignment).join(Comparison).where(Comparison.set_id == found.id)):
        if one.state == "open":
            session.delete(one)
        else:
            held[one.comparison_id][one.reviewer] = one.state
    session.flush()
    ranked = sorted(range(len(cases)), key=lambda place: random.Random(f"{found.seed}/{place}").random())
    twice = set(ranked[: round(found.double_share * len(cases))])
    load = Counter(reviewer for readers in held.values() for reviewer in readers)
    draw = random.Random(found.seed)
    dealt = 0
    for place, case in enumerate(cases):
        free = 1 + (place in twice) - sum(state == "done" for state in held[case].values())
        may = [one for one in found.reviewers if one not in held[case]]
        draw.shuffle(may)
        for reviewer in sorted(may, key=lambda one: load[one])[: max(0, free)]:
            session.add(Assignment(comparison_id=case, reviewer=reviewer))
            load[reviewer] += 1
            dealt += 1
    return dealt


def _states(session: Session, found: ReviewSet) -> dict[str, dict[str, str]]:
    """For each reviewer, the state of each comparison that is theirs or that they dealt with."""
    states: dict[str, dict[str, str]] = defaultdict(dict)
    for one in session.exec(select(Assignment).join(Comparison).where(Comparison.set_id == found.id)):
        states[one.reviewer][one.comparison_id] = one.state
    return states


def _answered(session: Session, comparison_id: str) -> Comparison:
    found = session.get(Comparison, comparison_id)
    if found is None:
        raise ReviewError(f"There is no comparison {comparison_id!r}; it may have been deleted with its set.")
    if found.first_answer is None or found.second_answer is None:
        raise ReviewError("This case has not been answered yet; let the models answer the set first.")
    return found


def _shown(session: Session, comparison: Comparison, reviewer: str) -> Shown:
    turned = _turned(session, comparison.id, reviewer)
    hidden = comparison.blind and _vote(session, comparison.id, reviewer) is None
    left, right = _sides(comparison.first_answer or "", comparison.second_answer or "", turned)
    names = None
    why = comparison.chosen_by
    if not hidden:
        first, second = _label(comparison.first), _label(comparison.second)
        names = _sides(first, second, turned)
    else:
        for ref in sorted({comparison.first, comparison.second}, key=len, reverse=True):
            why = why.replace(ref, "a model").replace(ref.partition(":")[0], "a model")
    done = total = 0
    if comparison.set_id:
        found = session.get(ReviewSet, comparison.set_id)
        assert found is not None  # a foreign key
        states = _states(session, found)[reviewer]
        done = sum(state != "open" for state in states.values())
        cases = session.exec(select(func.count()).where(Comparison.set_id == found.id)).one()
        total = len(states) if found.reviewers else cases
    return Shown(
        comparison_id=comparison.id,
        messages=comparison.prompt,
        left=left,
        right=right,
        blind=comparison.blind,
        names=names,
        done=done,
        total=total,
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


def _turned(session: Session, comparison_id: str, reviewer: str) -> bool:
    """Whether the second answer stands on the left: as it stood when the reviewer voted, where that was."""
    given = _vote(session, comparison_id, reviewer)
    return swapped(comparison_id, reviewer) if given is None else given.swapped


def _mark(session: Session, comparison_id: str, reviewer: str, state: str, reason: str) -> None:
    store.upsert(
        session,
        Assignment,
        {"comparison_id": comparison_id, "reviewer": reviewer},
        {"state": state, "reason": reason},
    )


def _place(side: str, turned: bool) -> Choice:
    """first or second for left or right; a tie and both bad stay so. It is its own inverse with `_side`."""
    places: dict[str, Choice] = {"left": "first", "right": "second", "tie": "tie", "both_bad": "both_bad"}
    if turned:
        places |= {"left": "second", "right": "first"}
    return places[side]


def _side(place: str, turned: bool) -> Literal["left", "right", "tie", "both_bad"]:
    sides: tuple[Literal["left", "right", "tie", "both_bad"], ...] = ("left", "right", "tie", "both_bad")
    return next(side for side in sides if _place(side, turned) == place)


def _sides(first: str, second: str, turned: bool) -> tuple[str, str]:
    return (second, first) if turned else (first, second)


def _ballot(given: Vote, turned: bool) -> Ballot:
    """A kept vote in terms of a page on which the second answer stands on the left where `turned`."""
    return Ballot.model_validate(
        {
            "choice": _side(given.choice, turned),
            "ratings": {_side(place, turned): stars for place, stars in given.ratings.items()},
            "correction": given.correction,
            "spans": [one | {"side": _side(one["side"], turned)} for one in given.spans],
            "comment": given.comment,
            "seconds": given.seconds,
        }
    )


def _label(ref: str) -> str:
    """A model as a list shows it; its text where its run is gone."""
    run, _, part = ref.partition(":")
    try:
        return model_refs.label(ModelRef(run=run, part=part or model_refs.TUNED))
    except RunError:
        return ref
