"""Reviewers who vote in windows of the served app, and what must be true of what is kept of their votes."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import col, select
from window import Window

from trainer import store
from trainer.store import Assignment, Comparison, ReviewSet, Vote

STARS = 4


def answered_set(name: str, cases: int) -> str:
    """A set that is answered already; returns its id."""
    with store.session() as session:
        made = ReviewSet(name=name, first="model-a", second="model-b")
        session.add(made)
        session.flush()
        for place in range(cases):
            prompt = [{"role": "user", "content": f"Question {place}?"}]
            session.add(
                Comparison(
                    set_id=made.id,
                    prompt=prompt,
                    first="model-a",
                    second="model-b",
                    place=place,
                    first_answer=f"First {place}.",
                    second_answer=f"Second {place}.",
                )
            )
    return made.id


def votes(window: Window, set_id: str, name: str) -> Iterator[str]:
    """Vote in a window that was opened, on one case after the other, with stars, a correction and a comment.

    Gives each comment that the page said was kept.
    """
    window.type_in("review-reviewer", name)
    window.type_in("review-select", set_id)
    window.happen("review-reviewer", "submit")
    while "Question" in str(window.shows("review-question")) and "Case" in str(window.shows("review-progress")):
        comment = f"{name} on {window.shows('review-question')}"
        window.type_in("review-comment", comment)
        window.type_in("review-correction", f"Better: {comment}")
        window.type_in("review-safety-left", STARS)
        window.happen("review-vote-tie")
        if "Your vote is kept" not in str(window.shows("review-voted")):
            raise AssertionError(window.shows("review-voted"))
        yield comment
        window.happen("review-next")


def kept(set_id: str) -> list[Vote]:
    """Every vote on this set, and that each is there as a whole: with all that was written, and its case marked as
    judged; no case is marked without one."""
    with store.session() as session:
        of_set = select(Comparison.id).where(Comparison.set_id == set_id)
        found = session.exec(select(Vote).where(col(Vote.comparison_id).in_(of_set))).all()
        done = session.exec(
            select(Assignment).where(col(Assignment.comparison_id).in_(of_set), Assignment.state == "done")
        ).all()
    for one in found:
        assert one.choice == "tie"
        if one.reviewer.startswith("Browser"):  # who chooses and writes nothing
            continue
        assert one.comment.startswith(one.reviewer) and one.correction == f"Better: {one.comment}"
        assert [given for side in one.ratings.values() for given in side.values()] == [STARS]
    assert {(one.comparison_id, one.reviewer) for one in found} == {(one.comparison_id, one.reviewer) for one in done}
    assert len(found) == len(done)
    return list(found)
