"""A test of two versions in use side by side (lecture L3.1): users are divided by a fixed split, and a sequential test
(`evaluators.sequential`) says when it is over.

Answers to one user are alike, so each user counts once, with the first outcome; the others are kept and told. A user's
name is never kept: the arm follows from a hash of it, and an outcome carries a keyed hash that cannot be undone outside
this home.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ValidationError
from sqlmodel import col, select

from evaluators.sequential import Design, Sequential, sequential
from trainer.data.gather import secret
from trainer.store import ABTest, Outcome, Version, session
from trainer.versions import VersionError, registry

Arm = Literal["first", "second"]
ARMS: tuple[Arm, ...] = ("first", "second")


class ArmState(BaseModel):
    """One side: its version, its users who count, and how many of them had a good answer."""

    number: str
    users: int
    good: int
    further: int
    """Outcomes of users who count already."""


class State(BaseModel):
    """Where a test stands."""

    id: str
    line: str
    first: ArmState
    second: ArmState
    share: float
    design: Design
    test: Sequential
    ended: bool
    words: str


def begin(
    line: str,
    second: str,
    *,
    share: float = 0.5,
    alpha: float = 0.05,
    beta: float = 0.2,
    usual: float = 0.7,
    smallest: float = 0.1,
) -> ABTest:
    """Try version `second` beside the one in use, on `share` of the users; see `Design` for the rest.

    Raises `VersionError` where nothing is in use, a test is running already, or the numbers do not fit.
    """
    current = registry.in_use(line)
    tried = registry.get(line, second)
    if current is None:
        raise VersionError(f"No version of {line} is in use; put one into use first, to test another against it.")
    if current.number == tried.number:
        raise VersionError(f"{line} {tried.number} is in use already; test another version against it.")
    if not 0 < share < 1:
        raise VersionError(f"share is {share:g}; give the share of users who get {tried.number}, such as 0.5.")
    try:
        design = Design(alpha=alpha, beta=beta, usual=usual, smallest=smallest)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise VersionError(f"{name + ': ' if name else ''}{first['msg'].removeprefix('Value error, ')}.") from None
    with session() as open_:
        running = open_.exec(select(ABTest).where(ABTest.line == line, col(ABTest.ended).is_(None))).first()
        if running:
            raise VersionError(
                f"{line} has a test already ({running.first} against {running.second}); end it before the next."
            )
        test = ABTest(
            line=line, first=current.number, second=tried.number, share=share, settings=design.model_dump(mode="json")
        )
        open_.add(test)
    return test


def get(identity: str) -> ABTest:
    """The test of this id; raises `VersionError`."""
    with session() as open_:
        found = open_.get(ABTest, identity)
    if found is None:
        raise VersionError(f"There is no A/B test {identity!r}; `bedside versions ab list` shows those there are.")
    return found


def tests(line: str | None = None) -> list[ABTest]:
    """All tests, or those of a line, the newest first."""
    wanted = select(ABTest).order_by(col(ABTest.created).desc())
    with session() as open_:
        return list(open_.exec(wanted.where(ABTest.line == line) if line is not None else wanted))


def running(line: str) -> ABTest | None:
    """The line's test that has not ended, or None."""
    return next((one for one in tests(line) if one.ended is None), None)


def arm(test: ABTest, user: str) -> Arm:
    """Which version a user gets: always the same one for as long as the test is known, and in every home."""
    if not user.strip():
        raise VersionError("The user's name is empty; without it nobody can be given the same version again.")
    digest = hashlib.sha256(f"{test.id}/{user.strip()}".encode()).digest()
    return "second" if int.from_bytes(digest[:8]) < test.share * 2**64 else "first"


def version_for(line: str, user: str) -> Version | None:
    """The version that a user of the line is to be answered by: by the running test, else what is in use."""
    test = running(line)
    if test is None:
        return registry.in_use(line)
    return registry.get(line, test.first if arm(test, user) == "first" else test.second)


def record(test: ABTest, user: str, good: bool) -> Arm:
    """Keep how one answer went; returns the user's arm. Raises `VersionError` where the test has ended."""
    side = arm(test, user)
    name = hmac.new(secret(), f"{test.id}/{user.strip()}".encode(), hashlib.sha256).hexdigest()
    with session() as open_:
        found = open_.get(ABTest, test.id)
        if found is None or found.ended is not None:
            raise VersionError(f"The A/B test {test.id} has ended; outcomes are no longer taken.")
        open_.add(Outcome(test_id=test.id, user=name, arm=side, good=good))
    return side


def state(test: ABTest) -> State:
    """Where it stands, by all outcomes so far. Looking at it any number of times changes no error rate."""
    design = Design.model_validate(test.settings)
    with session() as open_:
        found = open_.exec(select(Outcome).where(Outcome.test_id == test.id).order_by(col(Outcome.id))).all()
    first_of_users: dict[str, Outcome] = {}
    for one in found:
        first_of_users.setdefault(one.user, one)
    counted = {side: [one.good for one in first_of_users.values() if one.arm == side] for side in ARMS}
    tested = sequential(design, counted["first"], counted["second"])
    sides = {
        side: ArmState(
            number=test.first if side == "first" else test.second,
            users=len(counted[side]),
            good=sum(counted[side]),
            further=sum(one.arm == side for one in found) - len(counted[side]),
        )
        for side in ARMS
    }
    return State(
        id=test.id,
        line=test.line,
        first=sides["first"],
        second=sides["second"],
        share=test.share,
        design=design,
        test=tested,
        ended=test.ended is not None,
        words=_words(sides["first"], sides["second"], design, tested),
    )


def end(test: ABTest, reason: str = "") -> ABTest:
    """End a test and keep its conclusion; what is in use stays as it is. A test that is undecided needs a reason."""
    found = state(test)
    if found.test.decision == "undecided" and not reason.strip():
        raise VersionError(f"The test is undecided: {found.words} Say why it is to end now, or let it go on.")
    told = f"{found.words} Ended: {reason.strip()}" if reason.strip() else found.words
    with session() as open_:
        kept = open_.get(ABTest, test.id)
        if kept is None or kept.ended is not None:
            raise VersionError(f"The A/B test {test.id} has ended already.")
        kept.ended, kept.conclusion = datetime.now(UTC), told
        open_.add(kept)
    return kept


def _words(first: ArmState, second: ArmState, design: Design, tested: Sequential) -> str:
    seen = ", ".join(
        f"{side.number}: {side.good:,} of {side.users:,} users had a good answer" for side in (first, second)
    )
    rates = f"error rates {100 * design.alpha:g} % and {100 * design.beta:g} %"
    points = f"{100 * design.smallest:g} points (about {100 * design.usual:g} %)"
    if tested.decision == "undecided":
        return (
            f"Undecided after {tested.pairs:,} pairs of users ({seen}). Where {first.number} and {second.number} "
            f"differ by {points}, it takes about {design.expected():,} users a side on average; {rates}."
        )
    over = f"after {tested.pairs:,} pairs of users, {tested.won + tested.lost:,} of which differed ({seen}; {rates})"
    if tested.decision == "no such difference":
        return f"No difference of {points} between {first.number} and {second.number}: decided {over}."
    better, worse = (second, first) if tested.decision == "second better" else (first, second)
    return (
        f"{better.number} gives good answers more often than {worse.number}: decided {over}. The shares of a test that "
        "stopped early overstate the difference."
    )
