"""What a search's trials amount to: one of them, those that no other beats, and the one that is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from trainer.errors import UserError
from trainer.search.request import Objective
from trainer.search.space import Values

TrialState = Literal["waiting", "running", "complete", "pruned", "unfit", "failed"]


Report = Callable[[int, float], bool]
"""Told a share of a trial's budget (per cent) and the validation loss there; says whether the trial goes on."""


class Result(BaseModel):
    """What a trial came to that was trained to its end."""

    measured: dict[Objective, float]
    curve: list[tuple[int, float]]
    steps: int
    seconds: float


class Poor(UserError):
    """A trial that ended early, and why: poorer than the others, diverged, or out of memory."""


class Unfit(UserError):
    """A trial's values do not go together with each other or with the rest; how good they are remains unknown."""


class TrialRecord(BaseModel):
    """A trial as it stands.

    waiting: stopped or killed, and made again when the search goes on; complete: trained to its end and measured;
    pruned: ended early, being poorer than most; unfit: its values do not go together, which says nothing about how good
    they are; failed: its process died, twice.
    """

    number: int
    state: TrialState
    values: dict[str, Any]
    measured: dict[Objective, float] = {}
    """Of a complete one: each of the search's objectives, the lower the better."""
    curve: list[tuple[int, float]] = []
    """Validation loss (nats) at shares of the budget, in per cent."""
    detail: str = ""
    seconds: float = 0.0
    steps: int = 0
    changes: list[Values] = []
    """Of a population's member: its values generation by generation."""


def complete(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those that were trained to their end."""
    return [one for one in trials if one.state == "complete"]


def made(trials: Sequence[TrialRecord]) -> int:
    """How many count as made: trained to their end, ended early, or given up."""
    return sum(one.state in ("complete", "pruned", "failed") for one in trials)


def front(trials: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """The complete trials that no other is at least as good as in everything, and better in something (Pareto).

    With one objective: the best, and those equal to it.
    """
    found = complete(trials)
    return [one for one in found if not any(_beats(other, one, objectives) for other in found)]


def best(trials: Sequence[TrialRecord], objectives: Sequence[Objective]) -> TrialRecord | None:
    """The trial to take: the best, or of several objectives the one of the front that is nearest to the ideal.

    The ideal has the best value of each objective on the front; distances are Euclidean, each objective scaled to the
    front's own range (the compromise solution of Zeleny 1973). None before a trial is complete.
    """
    candidates = front(trials, objectives)
    if not candidates:
        return None
    low = {name: min(one.measured[name] for one in candidates) for name in objectives}
    high = {name: max(one.measured[name] for one in candidates) for name in objectives}

    def distance(one: TrialRecord) -> float:
        shares = [(one.measured[name] - low[name]) / ((high[name] - low[name]) or 1.0) for name in objectives]
        return math.hypot(*shares)

    return min(candidates, key=lambda one: (distance(one), one.number))


def _beats(other: TrialRecord, one: TrialRecord, objectives: Sequence[Objective]) -> bool:
    pairs = [(other.measured[name], one.measured[name]) for name in objectives]
    return all(its <= own for its, own in pairs) and any(its < own for its, own in pairs)
