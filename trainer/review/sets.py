"""Sets of questions that two models answer, and how far their reviewers are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from evaluators.cases import Progress, silent
from evaluators.generation import Sampling
from trainer import actor, audit, model_refs, store
from trainer.data.rows import Message
from trainer.model_refs import ModelRef
from trainer.review.ballots import reviewer_name
from trainer.review.dealing import deal
from trainer.review.prompts import Prompt, ReviewError
from trainer.store import Assignment, Comparison, ReviewSet, Vote

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
    """Remove a set with its answers and votes, for good; returns what it was.

    Its votes are several people's: of those who sign in, only an administrator may.
    """
    found = get_set(identity)
    actor.must_own("", f"The set {found.name!r} with its votes")
    with store.session() as session:
        own = select(Comparison.id).where(Comparison.set_id == found.id)
        session.exec(delete(Vote).where(col(Vote.comparison_id).in_(own)))
        session.exec(delete(Assignment).where(col(Assignment.comparison_id).in_(own)))
        session.exec(delete(Comparison).where(col(Comparison.set_id) == found.id))
        session.exec(delete(ReviewSet).where(col(ReviewSet.id) == found.id))
    audit.record("deleted", f"review set {found.id}")
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


def progress(set_id: str) -> list[ReviewerProgress]:
    """How far each reviewer is, by name: those whom the set is dealt to, and whoever judged a case of it."""
    found = get_set(set_id)
    with store.session() as session:
        cases = session.exec(select(func.count()).where(Comparison.set_id == found.id)).one()
        chosen = select(Assignment.reviewer, Assignment.state).join(Comparison).where(Comparison.set_id == found.id)
        states: dict[str, Counter[str]] = defaultdict(Counter)
        for reviewer, state in session.exec(chosen):
            states[reviewer][state] += 1
    counted = []
    for reviewer in sorted({*found.reviewers, *states}):
        given = states[reviewer]
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


def asked(prompt: Prompt) -> list[Message]:
    """Its conversation without the system prompt; raises `ReviewError` where it does not end with a question."""
    messages = [dict(one) for one in prompt.messages if one["role"] != "system"]
    if not messages or messages[-1]["role"] != "user":
        raise ReviewError(f"A question asks nothing ({prompt.source or 'no source'}); it has to end with the user's.")
    return messages


def _add(session: Session, into: ReviewSet, prompts: Sequence[Prompt]) -> int:
    known = list(session.exec(select(Comparison).where(Comparison.set_id == into.id)))
    seen = {repr(one.prompt) for one in known}
    place = max((one.place for one in known), default=-1) + 1
    for prompt in prompts:
        messages = asked(prompt)
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
