"""The tables of bench/active.py."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from trainer.review.selection import Strategy

Task = Literal["rare", "even"]
RESAMPLES = 2000
CHANCE: Strategy = "random"


class Curve(BaseModel):
    """A finished row: a strategy's quality by the number of labels."""

    task: Task
    strategy: Strategy
    seed: int
    labels: list[int]
    right: list[float]
    """Share of the test orders that are right."""
    classes: list[int]
    """Of how many classes there is a label."""
    minutes: float


def print_tables(task: Task, rows: Sequence[Curve]) -> None:
    """Quality by labels, and labels by quality, of all strategies on one task."""
    if not rows:
        return
    labels = rows[0].labels
    chance = {row.seed: row for row in rows if row.strategy == CHANCE}
    strategies = list(dict.fromkeys(row.strategy for row in rows))
    print(f"\n{task}: right answers in % by number of labels")
    print(f"{'chosen by':12} {'seeds':>5}", *(f"{one:>6}" for one in labels), f"{'classes':>8} {'minutes':>7}")
    for strategy in strategies:
        own = [row for row in rows if row.strategy == strategy]
        shares = (f"{100 * one:6.1f}" for one in mean_curve(own))
        classes = statistics.fmean(row.classes[len(labels) // 2] for row in own)
        minutes = statistics.fmean(row.minutes for row in own)
        print(f"{strategy:12} {len(own):5}", *shares, f"{classes:8.1f} {minutes:7.1f}")
    print(f"classes: of how many there is a label among the first {labels[len(labels) // 2]}")
    levels = labels[2:]
    print(f"\n{task}: labels needed to be as good as chance with {', '.join(map(str, levels))}")
    print(
        f"{'chosen by':12} {'seeds':>5}",
        *(f"{one:>6}" for one in levels),
        f"{'share of chance':>20} {'points gained':>21}",
    )
    for strategy in strategies:
        pairs = [(row, chance[row.seed]) for row in rows if row.strategy == strategy and row.seed in chance]
        if not pairs or strategy == CHANCE:
            continue
        own, other = mean_curve([one for one, _ in pairs]), mean_curve([one for _, one in pairs])
        counts = (_count(needed(labels, own, other[labels.index(level)])) for level in levels)
        print(f"{strategy:12} {len(pairs):5}", *counts, f"{_share(pairs):>20} {_gain(pairs):>21}")


def mean_curve(rows: Sequence[Curve]) -> list[float]:
    """Mean quality at each number of labels."""
    return [statistics.fmean(column) for column in zip(*(row.right for row in rows), strict=True)]


def needed(labels: Sequence[int], right: Sequence[float], quality: float) -> float:
    """Labels at which a curve first reaches a quality, on straight lines between its points; infinite if it never does.

    A curve that begins there or above needs at most its first number of labels, which is what is returned.
    """
    if right[0] >= quality:
        return labels[0]
    for place in range(1, len(labels)):
        if right[place] >= quality:
            step = (quality - right[place - 1]) / (right[place] - right[place - 1])
            return labels[place - 1] + step * (labels[place] - labels[place - 1])
    return math.inf


def share_of_chance(pairs: Sequence[tuple[Curve, Curve]]) -> float:
    """Labels that a strategy needs over those that chance needs, both to reach what chance ends with."""
    labels = pairs[0][0].labels
    own, chance = mean_curve([one for one, _ in pairs]), mean_curve([one for _, one in pairs])
    return needed(labels, own, chance[-1]) / needed(labels, chance, chance[-1])


def _share(pairs: Sequence[tuple[Curve, Curve]]) -> str:
    draw = random.Random(0)
    found = sorted(share_of_chance(draw.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    low, high = found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES)]
    interval = f" [{_ratio(low)}, {_ratio(high)}]" if len(pairs) > 1 else ""
    return _ratio(share_of_chance(pairs)) + interval


def _gain(pairs: Sequence[tuple[Curve, Curve]]) -> str:
    """Points by which the mean of the curve lies above that of chance with the same seed."""
    from scipy.stats import t

    gains = [100 * (statistics.fmean(one.right) - statistics.fmean(other.right)) for one, other in pairs]
    mean = statistics.fmean(gains)
    if len(gains) < 2:
        return f"{mean:+.1f}"
    half = float(t.ppf(0.975, len(gains) - 1)) * statistics.stdev(gains) / len(gains) ** 0.5
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"


def _count(value: float) -> str:
    return f"{'never':>6}" if math.isinf(value) else f"{value:6.0f}"


def _ratio(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.2f}"
