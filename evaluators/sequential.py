"""A sequential test of two shares: look after every answer, stop as soon as it is decided, and err no more for it.

Wald's sequential probability ratio test for two shares (Wald 1947, chapter 6): the answers are paired in the order in
which they come, and only pairs in which one is good and the other is not say something. Where the two shares are equal,
each of these is a fair coin; where the odds of a good answer differ by the ratio u, the better side wins it with
probability u / (1 + u), whatever the shares are. Two such tests, one for each direction, are made at once, each at half
the error (as Armitage 1957), so that it ends with one of three conclusions.

The bounds on the likelihood ratio are 2 / alpha above and beta below. By Wald's inequality a bound of 1 / a is crossed
wrongly with a probability of at most a, however often one looks; Wald's own, (1 - beta) / alpha, hold only about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field, model_validator

Decision = Literal["second better", "first better", "no such difference", "undecided"]


class Design(BaseModel):
    """Error rates and the smallest difference that matters, fixed before the first answer."""

    alpha: float = Field(default=0.05, gt=0, le=0.5)
    """Probability of finding a difference, in either direction, where there is none: at most this."""
    beta: float = Field(default=0.2, gt=0, le=0.5)
    """Probability of missing a difference of the smallest size or larger: at most this."""
    usual: float = Field(default=0.7, gt=0, lt=1)
    """Share of good answers that is expected of the first."""
    smallest: float = Field(default=0.1, gt=0, lt=1)
    """Difference of the shares that should not be missed."""

    @model_validator(mode="after")
    def _fits(self) -> Design:
        if self.usual + self.smallest >= 1:
            raise ValueError(
                f"usual ({self.usual:g}) and smallest ({self.smallest:g}) together have to stay below 1; expect less "
                "of the first, or look for a smaller difference"
            )
        return self

    @property
    def odds_ratio(self) -> float:
        """The ratio of the odds of a good answer, second to first, that the smallest difference means."""
        better = self.usual + self.smallest
        return better * (1 - self.usual) / ((1 - better) * self.usual)

    @property
    def upper(self) -> float:
        """Bound of the log likelihood ratio at which a difference is found."""
        return math.log(2 / self.alpha)

    @property
    def lower(self) -> float:
        """Bound at which a difference of the smallest size is ruled out."""
        return math.log(self.beta)

    def expected(self) -> int:
        """About how many answers of each side it takes, where there is a difference of the smallest size.

        Wald's approximation, without what the last pair goes over the bound.
        """
        better = self.usual + self.smallest
        win = self.odds_ratio / (1 + self.odds_ratio)
        up, down = math.log(2 * win), math.log(2 * (1 - win))
        differing = self.usual * (1 - better) + better * (1 - self.usual)
        moved = (1 - self.beta) * self.upper + self.beta * self.lower
        return math.ceil(moved / (win * up + (1 - win) * down) / differing)


class Sequential(BaseModel):
    """Where the test stands after `pairs` pairs; what came after a decision is not looked at."""

    decision: Decision
    pairs: int
    won: int
    """Pairs in which only the second was good."""
    lost: int
    """Pairs in which only the first was."""
    second_better: float
    """Log likelihood ratio of that against no difference; so is `first_better`."""
    first_better: float


def sequential(design: Design, first: Sequence[bool], second: Sequence[bool]) -> Sequential:
    """Test the answers of two sides, good or not, in the order in which each came; independent of each other.

    Answers of the longer side that have no partner yet wait for one.
    """
    win = design.odds_ratio / (1 + design.odds_ratio)
    up, down = math.log(2 * win), math.log(2 * (1 - win))
    ratios = {"second better": 0.0, "first better": 0.0}
    open_ = list(ratios)
    decision: Decision = "undecided"
    pairs = won = lost = 0
    for one, other in zip(first, second, strict=False):
        pairs += 1
        if one == other:
            continue
        won, lost = won + other, lost + one
        for name in open_:
            ratios[name] += up if (name == "second better") == other else down
        if over := [name for name in open_ if ratios[name] >= design.upper]:
            decision = "second better" if over == ["second better"] else "first better"
            break
        # Each direction ends where it is ruled out first, or its error would not be what is stated.
        open_ = [name for name in open_ if ratios[name] > design.lower]
        if not open_:
            decision = "no such difference"
            break
    return Sequential(
        decision=decision,
        pairs=pairs,
        won=won,
        lost=lost,
        second_better=ratios["second better"],
        first_better=ratios["first better"],
    )
