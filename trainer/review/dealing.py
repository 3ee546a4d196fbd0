"""Who reads which case: evenly, once or twice, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from sqlmodel import Session, col, select

from trainer.store import Assignment, Comparison, ReviewSet


def deal(session: Session, found: ReviewSet) -> int:
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
