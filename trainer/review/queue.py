"""The review queue: sets of questions that two models answered, dealt to reviewers, who vote without seeing names.

A reviewer sees a left and a right answer (`Shown`) and answers in these terms (`Ballot`); which of the two is the
first model's is decided by `blinding.swapped`, and votes are kept in terms of first and second. Nothing that a
reviewer is given before the vote of a blind comparison names a model.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from evaluators.cases import Progress, silent
from evaluators.generation import Sampling
from trainer import model_refs, store
from trainer.data.rows import Message
from trainer.jobs import RunError
from trainer.model_refs import ModelRef
from trainer.review.ballots import LONGEST, Ballot, Disagreement, Revealed, Shown, as_seen, place_of
from trainer.review.blinding import swapped
from trainer.review.dealing import deal
from trainer.review.prompts import Prompt, ReviewError
from trainer.store import Assignment, Comparison, ReviewSet, Role, Vote

ANSWERED_AT_ONCE = 40
"""Questions between two times of saving their answers."""


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
            deal(session, found)
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
        return deal(session, found)


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

            def heard(done: int, total: int, before: int = start, own: int = len(block)) -> None:
                progress(before + done * own // total, len(unanswered))

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
    identity: str | None = None,
) -> str:
    """Keep what two models answered in the Playground, so that it can be voted on; returns its id.

    `identity`: the id that it was shown under (`store.new_identity`), where it was shown before it is kept.
    """
    made = Comparison(
        id=identity or store.new_identity(),
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
                "choice": place_of(ballot.choice, turned),
                "swapped": turned,
                "ratings": {place_of(side, turned): given for side, given in ballot.ratings.items()},
                "correction": ballot.correction.strip(),
                "spans": [one.model_dump() | {"side": place_of(one.side, turned)} for one in ballot.spans],
                "comment": ballot.comment.strip(),
                "seconds": ballot.seconds,
                "created": store.now(),
            },
        )
        if role == "reader":
            _mark(session, comparison_id, reviewer, "done", "")


def skip(comparison_id: str, reviewer: str, reason: str) -> None:
    """Leave a case to others, saying why; what was judged already stays judged."""
    reviewer, reason = reviewer_name(reviewer), reason.strip()[:LONGEST]
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
        choice=as_seen(given, turned).choice if given else None,
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
                    votes={one.reviewer: as_seen(one, turned) for one in readers},
                    opposite={"first", "second"} <= choices,
                    decision=as_seen(decided, turned) if decided else None,
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


def _sides(first: str, second: str, turned: bool) -> tuple[str, str]:
    return (second, first) if turned else (first, second)


def _label(ref: str) -> str:
    """A model as a list shows it; its text where its run is gone."""
    run, _, part = ref.partition(":")
    try:
        return model_refs.label(ModelRef(run=run, part=part or model_refs.TUNED))
    except RunError:
        return ref
