"""The search for LoRA's rank before a run (lecture L1.10): start at 8, double, halve, or keep, and stop by itself.

A trial trains a fresh adapter of one rank for the first steps of the run, at the rates that the run itself has in these
steps, so that no decay makes the loss look flat. What is decided follows from the trials alone, and a trial that is
done stays in `rank_search.json` of the run folder: a run that resumes does not train it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, Field, FiniteFloat, model_validator

from trainer.atomic import write_atomically
from trainer.method_sections import LoraMethod

START, LEAST, MOST = 8, 2, 128
"""Ranks: where the search starts (lecture L1.10), and between which it stays."""
MOST_TRIALS = 5
MEASUREMENTS = 6
"""Of the validation loss in a trial, evenly spread: two in each third of it."""
GAP_GROWN = 0.1
"""Nats by which the gap may widen within a trial: beyond, the validation perplexity has moved a tenth away from that of
training."""
FILE = "rank_search.json"


class Trial(BaseModel):
    """One adapter trained for a while: loss (nats a token) by step, in training and on the validation rows."""

    rank: int
    train: list[tuple[int, FiniteFloat]] = Field(min_length=3)
    validation: list[tuple[int, FiniteFloat]] = Field(min_length=3)
    """The last one is that of the trial's last step."""

    @model_validator(mode="after")
    def _covers_its_last_third(self) -> Trial:
        for name, curve in (("train", self.train), ("validation", self.validation)):
            if not _between(curve, 1 / 3, 2 / 3, self.steps) or not _between(curve, 2 / 3, 1, self.steps):
                raise ValueError(f"{name}: a loss in the middle and in the last third of {self.steps} steps is needed")
        return self

    @property
    def steps(self) -> int:
        """How long it was trained."""
        return max(self.train[-1][0], self.validation[-1][0])

    @property
    def train_loss(self) -> float:
        """Mean training loss of the last third, in nats."""
        return _mean(self.train, 2 / 3, 1, self.steps)

    @property
    def loss(self) -> float:
        """Validation loss at its end, by which ranks are compared: an overfitting that has begun counts."""
        return self.validation[-1][1]

    @property
    def gap(self) -> float:
        """Validation loss less training loss in the last third, in nats."""
        return self._gap(2 / 3, 1)

    @property
    def gap_growth(self) -> float:
        """By how much the gap of the last third is wider than that of the middle one, in nats."""
        return self.gap - self._gap(1 / 3, 2 / 3)

    def falls(self, side: Literal["train", "validation"]) -> float:
        """By how much the mean loss of the last third is below that of the middle one, in nats."""
        curve = self.train if side == "train" else self.validation
        return _mean(curve, 1 / 3, 2 / 3, self.steps) - _mean(curve, 2 / 3, 1, self.steps)

    def _gap(self, start: float, end: float) -> float:
        return _mean(self.validation, start, end, self.steps) - _mean(self.train, start, end, self.steps)


class Decision(BaseModel):
    """What follows from the trials so far; with `keep` the search is over."""

    next_rank: int | None
    word: Literal["double", "halve", "keep"]
    reason: str


def trial_steps(total_steps: int) -> int:
    """Steps of a trial: a fifth of the run's, so that five trials cost no more than the run again, within 20 to 200.

    Below 20 a third of a trial is too few steps to see where a loss goes; what 200 steps do not show of a rank, a
    search is too dear for.
    """
    return min(200, max(20, total_steps // 5))


def measured_at(steps: int) -> list[int]:
    """The steps of a trial after which its validation loss is measured; the last step is one of them."""
    return [round(number * steps / MEASUREMENTS) for number in range(1, MEASUREMENTS + 1)]


def with_rank(method: LoraMethod, rank: int) -> LoraMethod:
    """The method at another rank and the same scale of its update: alpha / rank stays what it was.

    Rank-stabilised scaling divides by the root of the rank so that alpha can stay, and it does (Kalajdzievski 2023).
    """
    if method.scaling == "rank_stabilised":
        return method.model_copy(update={"rank": rank})
    return method.model_copy(update={"rank": rank, "alpha": max(1, round(method.alpha * rank / method.rank))})


def best(trials: list[Trial], least_gain: float) -> Trial:
    """The trial with the lowest loss at its end; where others are within `least_gain` of it, the smallest of them."""
    lowest = min(trial.loss for trial in trials)
    return min((trial for trial in trials if trial.loss - lowest <= least_gain), key=lambda trial: trial.rank)


def decide(trials: list[Trial], least_gain: float) -> Decision:
    """What to try next (lecture L1.10), from at least one trial in the order they were made.

    From the middle third of the last trial to its last one: overfitting, which halves, is a validation loss that rises
    by `least_gain` (nats) or more while the training loss falls and the gap widens by more than `GAP_GROWN`. An early
    plateau, which doubles, is a validation loss that no longer falls by `least_gain` with a gap that has not widened so
    far; the training loss of single batches varies too much to tell a plateau by. Otherwise the rank is kept, as it is
    where the next one was tried before or is out of bounds, and where the last change brought nothing.
    """
    last = trials[-1]
    rising, falling, widened = -last.falls("validation"), last.falls("train"), last.gap_growth > GAP_GROWN
    if rising >= least_gain and falling > 0 and widened:
        word, wanted = "halve", last.rank // 2
        seen = (
            f"Overfitting at rank {last.rank}: the validation loss rose by {rising:.3f} while the training loss fell "
            f"by {falling:.3f}; the gap between them widened to {last.gap:.3f}."
        )
    elif -rising < least_gain and not widened:
        word, wanted = "double", last.rank * 2
        seen = (
            f"An early plateau at rank {last.rank}: in the last third of {last.steps} steps the validation loss did "
            f"not fall by {least_gain:g}; the gap to the training loss is {last.gap:.3f}."
        )
    else:
        seen = f"No plateau and no overfitting at rank {last.rank} (gap {last.gap:.3f})."
        return _keep(trials, least_gain, seen, "")
    if len(trials) > 1:
        gain = trials[-2].loss - last.loss
        if last.rank > trials[-2].rank and gain < least_gain:
            return _keep(trials, least_gain, seen, f"Doubling from {trials[-2].rank} gained {gain:.3f}, too little.")
        if last.rank < trials[-2].rank and gain < -least_gain:
            return _keep(trials, least_gain, seen, f"Halving from {trials[-2].rank} lost {-gain:.3f}.")
    if wanted in [trial.rank for trial in trials]:
        return _keep(trials, least_gain, seen, f"Rank {wanted} was tried already.")
    if not LEAST <= wanted <= MOST:
        return _keep(trials, least_gain, seen, f"The search stays between {LEAST} and {MOST}.")
    if len(trials) >= MOST_TRIALS:
        return _keep(trials, least_gain, seen, f"{MOST_TRIALS} trials are enough.")
    return Decision(next_rank=wanted, word=word, reason=f"{seen} Rank {wanted} is tried next.")


def search(
    folder: Path,
    least_gain: float,
    total_steps: int,
    train_with_rank: Callable[[int, int], Trial],
    tell: Callable[[Decision, Trial], None],
) -> int:
    """The rank to train with, by trials of `train_with_rank(rank, steps)`, each told with what it decides.

    `folder` is the run's: trials that stand in it are not made again, nor told. `least_gain` is in nats
    (`evaluation.least_gain`), `total_steps` those of the run. What `train_with_rank` raises ends the search.
    """
    path = folder / FILE
    trials = [Trial.model_validate(one) for one in json.loads(path.read_text())] if path.exists() else []
    rank: int | None = decide(trials, least_gain).next_rank if trials else START
    while rank is not None:
        trials.append(train_with_rank(rank, trial_steps(total_steps)))
        write_atomically(path, json.dumps([trial.model_dump() for trial in trials]))
        decision = decide(trials, least_gain)
        tell(decision, trials[-1])
        rank = decision.next_rank
    return best(trials, least_gain).rank


def _keep(trials: list[Trial], least_gain: float, seen: str, why: str) -> Decision:
    chosen = best(trials, least_gain)
    words = [seen, why, f"Rank {chosen.rank} is taken (validation loss {chosen.loss:.3f})."]
    return Decision(next_rank=None, word="keep", reason=" ".join(word for word in words if word))


def _between(curve: list[tuple[int, float]], start: float, end: float, steps: int) -> list[float]:
    return [loss for step, loss in curve if start * steps < step <= end * steps]


def _mean(curve: list[tuple[int, float]], start: float, end: float, steps: int) -> float:
    return fmean(_between(curve, start, end, steps))
