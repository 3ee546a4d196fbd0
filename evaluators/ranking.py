"""Which model is preferred, from comparisons of two at a time: Bradley-Terry and Elo ratings; and bias by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel

from evaluators.metrics import Proportion, proportion
from evaluators.resampling import CONFIDENCE, RESAMPLES, interval, resampled
from evaluators.scores import Measure

if TYPE_CHECKING:
    import numpy as np

CENTRE = 1000.0
"""Mean of the ratings."""
POINTS = 400.0
"""Rating points between two models of which one wins ten times as often (Elo 1978)."""
K = 32.0
"""Points that one comparison can move an Elo rating by at most."""
_TOLERANCE = 1e-9  # of log strengths; the fit stops there
_MOST_STEPS = 20_000
FEWEST_SIDED = 6
"""Decided comparisons below which even all of them on one side are no evidence: 2 * 0.5**5 is 0.06."""


class Duel(NamedTuple):
    """One comparison of two different models: `score` is 1 where the first won, 0 where it lost, 0.5 for a tie."""

    first: str
    second: str
    score: float
    unit: str
    """The question; intervals resample these."""


class Ranking(BaseModel):
    """Models with their ratings, the best first; `remark` says why there are none, or what to know of them."""

    ratings: dict[str, Measure]
    remark: str = ""


def bradley_terry(duels: Sequence[Duel], seed: int = 0) -> Ranking:
    """Maximum-likelihood ratings of Bradley and Terry (1952), a tie as half a win for each, with bootstrap intervals.

    Fitted by Hunter's MM algorithm (2004), on Elo's scale: a model that is `POINTS` above another wins ten times as
    often as it. The ratings' mean is `CENTRE`. There are none where some models never lost to the others (Ford 1957):
    their distance would be infinite. There is no interval where that goes for more than a tenth of the resamples.
    """
    import numpy as np

    models = sorted({name for duel in duels for name in duel[:2]})
    if not models:
        return Ranking(ratings={}, remark="Nothing has been compared yet.")
    units = sorted({duel.unit for duel in duels})
    size = len(models)
    wins = np.zeros((len(units), size, size))
    for duel in duels:
        one, other, unit = models.index(duel.first), models.index(duel.second), units.index(duel.unit)
        wins[unit, one, other] += duel.score
        wins[unit, other, one] += 1 - duel.score
    value = _fitted(wins.sum(axis=0)[None])[0]
    remark = ""
    draws = np.full((RESAMPLES, size), math.nan)
    if np.isnan(value).any():
        remark = _apart(wins.sum(axis=0), models)
    else:
        totals = resampled(wins.reshape(len(units), size * size), seed)
        draws = _fitted(totals.reshape(RESAMPLES, size, size))
        share = float(np.isnan(draws).any(axis=1).mean())
        if share > 0.1:
            remark = (
                f"No intervals: in {share:.0%} of the resamples one model lost to none of the others. "
                "More comparisons give them."
            )
    return Ranking(ratings=_ratings("Bradley-Terry", models, value, draws, duels), remark=remark)


def elo(duels: Sequence[Duel], seed: int = 0) -> Ranking:
    """Elo ratings (1978), every model starting at `CENTRE`, with `K` points a comparison and bootstrap intervals.

    They depend on the order of the comparisons, so the value is the mean over `RESAMPLES` random orders, and the
    interval is over resampled questions in random order: it holds the uncertainty of both. With few comparisons the
    ratings have not moved far from `CENTRE` yet; Bradley-Terry has no such memory.
    """
    import numpy as np

    models = sorted({name for duel in duels for name in duel[:2]})
    if not models:
        return Ranking(ratings={}, remark="Nothing has been compared yet.")
    random = np.random.default_rng(seed)
    everything = [random.permutation(len(duels)) for _ in range(RESAMPLES)]
    names, unit = np.unique(np.array([duel.unit for duel in duels], dtype=object), return_inverse=True)
    drawn = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        drawn.append(random.permutation(np.repeat(np.arange(len(duels)), times[unit])))
    value = _played(duels, models, everything).mean(axis=0)
    draws = _played(duels, models, drawn)
    return Ranking(ratings=_ratings("Elo", models, value, draws, duels))


class PositionBias(BaseModel):
    """Does the place on the page decide? Sides are drawn by chance, so without bias the left wins half the time."""

    share: Proportion | None
    """Of the votes with a winner, those for the left answer; None without any."""
    p: float | None
    """Of the exact binomial test against one half, both sides."""
    verdict: Literal["left is preferred", "right is preferred", "not shown", "not enough evidence"]


def position_bias(left_won: Sequence[bool]) -> PositionBias:
    """Whether the answer on the left won too often or too seldom, over votes that had a winner."""
    n, left = len(left_won), sum(left_won)
    if not n:
        return PositionBias(share=None, p=None, verdict="not enough evidence")
    from scipy.stats import binomtest

    p = float(binomtest(left, n).pvalue)
    if n < FEWEST_SIDED:
        verdict = "not enough evidence"
    elif p >= 1 - CONFIDENCE:
        verdict = "not shown"
    else:
        verdict = "left is preferred" if 2 * left > n else "right is preferred"
    return PositionBias(share=proportion(left, n), p=p, verdict=verdict)


def _fitted(wins: np.ndarray) -> np.ndarray:
    """(r, m, m) wins of row over column to (r, m) ratings; nan for a matrix in which the ratings are not finite."""
    import numpy as np

    size = wins.shape[-1]
    # Who beat whom, also over others: with every model reached from every other, the likelihood has its maximum.
    reached = ((wins > 0) | np.eye(size, dtype=bool)).astype(np.int64)
    for _ in range(size.bit_length()):
        reached = (reached @ reached > 0).astype(np.int64)
    fit = reached.all(axis=(1, 2))
    found = np.full((len(wins), size), math.nan)
    left, games = wins[fit], (wins + wins.swapaxes(1, 2))[fit]
    won = left.sum(axis=2)
    logs = np.zeros_like(won)
    for _ in range(_MOST_STEPS):
        strength = np.exp(logs)
        met = (games / (strength[:, :, None] + strength[:, None, :])).sum(axis=2)
        new = np.log(won / met) if size > 1 else logs
        new -= new.mean(axis=1, keepdims=True)
        moved = np.abs(new - logs).max(initial=0.0)
        logs = new
        if moved < _TOLERANCE:
            break
    found[fit] = CENTRE + POINTS * logs / math.log(10)
    return found


def _apart(wins: np.ndarray, models: Sequence[str]) -> str:
    """Why the ratings are not finite, in a sentence."""
    import numpy as np
    from scipy.sparse.csgraph import connected_components

    _, group = connected_components(wins + wins.T, directed=False)
    if group.any():
        parts = [", ".join(np.array(models)[group == one]) for one in sorted(set(group))]
        return f"No ratings: {' and '.join(parts)} were never compared with each other. Compare a model of each."
    _, group = connected_components(wins, connection="strong")
    for one in sorted(set(group)):
        inside = group == one
        if not wins[np.ix_(~inside, inside)].any():
            named = ", ".join(np.array(models)[inside])
            return f"No ratings: {named} lost to none of the others, so that the distance has no bound yet."
    raise AssertionError("a graph that is not strongly connected has a part that nothing leads into")


def _played(duels: Sequence[Duel], models: Sequence[str], orders: Sequence[np.ndarray]) -> np.ndarray:
    """(orders, models): Elo ratings after the comparisons in each of the orders, all orders a step at a time."""
    import numpy as np

    first = np.array([models.index(duel.first) for duel in duels])
    second = np.array([models.index(duel.second) for duel in duels])
    score = np.array([duel.score for duel in duels])
    longest = max(map(len, orders))
    padded = np.array([np.pad(order, (0, longest - len(order)), constant_values=-1) for order in orders])
    ratings = np.full((len(orders), len(models)), CENTRE)
    every = np.arange(len(orders))
    for step in padded.T:
        one, other = first[step], second[step]
        expected = 1 / (1 + 10 ** ((ratings[every, other] - ratings[every, one]) / POINTS))
        gained = np.where(step < 0, 0.0, K * (score[step] - expected))
        ratings[every, one] += gained
        ratings[every, other] -= gained
    return ratings


def _ratings(
    name: str, models: Sequence[str], value: np.ndarray, draws: np.ndarray, duels: Sequence[Duel]
) -> dict[str, Measure]:
    found = {}
    for place in sorted(range(len(models)), key=lambda place: -value[place]):
        model = models[place]
        own = [duel.unit for duel in duels if model in duel[:2]]
        units = len(set(own))
        known = not math.isnan(value[place])
        low, high, kind = interval(draws[:, place], value[place], None, units) if known else (None, None, "none")
        found[model] = Measure(
            name=name,
            value=float(value[place]) if known else None,
            low=low,
            high=high,
            n=len(own),
            units=units,
            interval=kind,
            scale="number",
        )
    return found
