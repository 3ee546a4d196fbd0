"""A vote as a reviewer gives it, in terms of left and right, and as it is kept, in terms of first and second."""

from __future__ import annotations

import unicodedata
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from trainer import actor
from trainer.data.rows import Message
from trainer.review.prompts import ReviewError
from trainer.store import CRITERIA, Choice, Vote

Side = Literal["left", "right"]
Seen = Literal["left", "right", "tie", "both_bad"]
LONGEST = 20_000
"""Characters of a correction, a comment or a reason."""


class Span(BaseModel):
    """What is wrong in an answer: its characters from `start` to `end`, which read `text`."""

    side: Side
    start: int = Field(ge=0)
    end: int
    text: str = Field(min_length=1, max_length=LONGEST)
    reason: str = Field(default="", max_length=LONGEST)


class Ballot(BaseModel):
    """A vote in terms of what the reviewer sees."""

    choice: Seen
    ratings: dict[Side, dict[str, int]] = Field(default_factory=dict)
    """1 to 5 on each of `store.CRITERIA` that was rated."""
    correction: str = Field(default="", max_length=LONGEST)
    """A better answer that the reviewer wrote."""
    spans: list[Span] = Field(default_factory=list, max_length=100)
    comment: str = Field(default="", max_length=LONGEST)
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
    choice: Seen | None
    """What the reviewer chose; None where nobody voted (which only a comparison that is not blind allows)."""


class Disagreement(BaseModel):
    """A case on which its readers voted differently, as one adjudicator sees it."""

    shown: Shown
    votes: dict[str, Ballot]
    """Of each reader, in terms of the left and the right answer of `shown`."""
    opposite: bool
    """Whether one preferred the left and another the right answer."""
    decision: Ballot | None
    """The adjudicator's, where one has decided."""


def reviewer_name(text: str) -> str:
    """A reviewer's name as it is kept; raises `ReviewError` where there is none, or it is over 80 characters long."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > 80:
        raise ReviewError("Votes need a reviewer's name of 1 to 80 characters.")
    return name


def own_name(text: str) -> str:
    """The name that whoever acts judges under: as it is given, or that of the person who is signed in.

    Raises `ReviewError` where somebody is signed in under another one: nobody votes for somebody else.
    """
    name, acting = reviewer_name(text), actor.now()
    if acting.role is None:
        return name
    if name.casefold() != acting.name.casefold():
        raise ReviewError(f"You are signed in as {acting.name}, and judge under that name; {name!r} is another one.")
    return acting.name


def place_of(side: str, turned: bool) -> Choice:
    """first or second for left or right; a tie and both bad stay so."""
    places: dict[str, Choice] = {"left": "first", "right": "second", "tie": "tie", "both_bad": "both_bad"}
    if turned:
        places |= {"left": "second", "right": "first"}
    return places[side]


def side_of(place: str, turned: bool) -> Seen:
    """The inverse of `place_of`."""
    sides: tuple[Seen, ...] = ("left", "right", "tie", "both_bad")
    return next(side for side in sides if place_of(side, turned) == place)


def as_seen(given: Vote, turned: bool) -> Ballot:
    """A kept vote in terms of a page on which the second answer stands on the left where `turned`."""
    return Ballot.model_validate(
        {
            "choice": side_of(given.choice, turned),
            "ratings": {side_of(place, turned): stars for place, stars in given.ratings.items()},
            "correction": given.correction,
            "spans": [one | {"side": side_of(one["side"], turned)} for one in given.spans],
            "comment": given.comment,
            "seconds": given.seconds,
        }
    )
