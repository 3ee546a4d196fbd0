"""Resampling over source questions: bootstrap intervals, and a permutation test of two sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    Of = Callable[[np.ndarray], np.ndarray]

RESAMPLES = 2_000
CONFIDENCE = 0.95
_ENOUGH = 0.9  # of the resamples have to say something; two questions give 75 to 87 %, three 95 %
_BLOCK = 4_000_000  # draws at a time, so that a large suite needs no more than about 100 MB
Interval = tuple[float | None, float | None, Literal["exact", "bootstrap", "none"]]


def resampled(sums: np.ndarray, seed: int) -> np.ndarray:
    """(`RESAMPLES`, k) totals of `sums` (units, k) over units drawn with replacement; the seed fixes the draws."""
    import numpy as np

    random, units = np.random.default_rng(seed), len(sums)
    size = max(1, _BLOCK // units)
    totals = []
    for start in range(0, RESAMPLES, size):
        rows = min(size, RESAMPLES - start)
        drawn = random.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        totals.append(counts @ sums)
    return np.concatenate(totals)


def interval(values: np.ndarray, value: float, bounds: tuple[float, float] | None, units: int) -> Interval:
    """The 95 % percentile interval (Efron 1979) of resampled `values`, and what it is.

    Where all values agree, which is no evidence that other units would: what was seen in none of the units has a
    probability of at most q (Clopper and Pearson's bound for 0 of them), so a mean that lies within `bounds` can be
    no further from `value` than q lets it. Without bounds, there is no interval. There is none either where more than
    a tenth of the values are nan: too few units carry the metric. Fewer are passed over.

    Percentiles are somewhat narrow where units are few: of 300 simulated shares (five variants a question, correlated
    0.5) they held the truth in 95 % with 100 questions and a share of 0.5, 92 % with 10; 94 and 88 % with 0.1.
    """
    import numpy as np

    said = values[~np.isnan(values)]
    if len(said) < _ENOUGH * len(values):
        return None, None, "none"
    low, high = (float(bound) for bound in np.quantile(said, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    if not math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-9):
        return low, high, "bootstrap"
    if bounds is None:
        return None, None, "none"
    _, q = clopper_pearson(0, units)
    return value - q * (value - bounds[0]), value + q * (bounds[1] - value), "exact"


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, `hits` of `n` (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    found = binomtest(hits, n).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def permutation(of: Of, before: np.ndarray, after: np.ndarray, seed: int) -> float:
    """The p of no difference between the sides, whose sums by unit are `before` and `after` (units, k each).

    Sides are swapped unit by unit, `RESAMPLES` times; the observed difference counts as one of them, so that p is
    never 0 (Phipson and Smyth 2010). A permutation that says nothing (nan) counts against a finding.
    """
    import numpy as np

    first, second = before.sum(axis=0), after.sum(axis=0)
    moved = (np.random.default_rng(seed).random((RESAMPLES, len(before))) < 0.5) @ (after - before)
    seen = abs(float(of(second) - of(first)))
    differences = np.abs(of(second - moved) - of(first + moved))
    extreme = ~(differences < seen - 1e-9)  # equal but for rounding counts too
    return float(1 + extreme.sum()) / (1 + RESAMPLES)
