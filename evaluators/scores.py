"""Metrics as functions of a sum over items, and what follows: intervals, paired differences, verdicts.

Everything that is measured here (a share, F1, corpus BLEU, calibration error) is a function `of` of what the items add
up to: (correct, 1) for accuracy, (tp, fp, fn) for F1, n-gram counts for BLEU. So one bootstrap serves all of them: sums
over resampled source questions, never over their variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from evaluators.metrics import paired_difference
from evaluators.resampling import CONFIDENCE, Interval, clopper_pearson, interval, permutation, resampled

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["better", "worse", "unknown"]
Scale = Literal["share", "score", "number"]
"""share: of cases, 0 to 1; score: 0 to 1, no share of cases (F1, ROUGE-L); number: anything else, in its own unit."""


@dataclass(frozen=True)
class Score:
    """A metric over a suite's items, before it is summed up."""

    name: str
    rows: np.ndarray
    """(n, k): what each item adds. A row of zeros: the item says nothing about this metric and is left out. Where such
    an item counts all the same (nothing to find, nothing found), a column of ones keeps it in."""
    of: Callable[[np.ndarray], np.ndarray]
    """(..., k) sums to (...) values; nan where the sums say nothing (`divide`)."""
    units: Sequence[str]
    """(n,) the source question of each item."""
    scale: Scale = "share"
    higher_is_better: bool = True
    note: str = ""
    """What one has to know to read it: sacrebleu's signature, a threshold, a caution."""


class Measure(BaseModel):
    """A metric's value with its 95 % interval; `n` items that say something, from `units` source questions."""

    name: str
    value: float | None
    """None where nothing could be measured (no item that the metric speaks of)."""
    low: float | None
    """None where the items cannot say how sure the value is."""
    high: float | None
    n: int
    units: int
    interval: Literal["exact", "bootstrap", "none"]
    scale: Scale = "share"
    higher_is_better: bool = True
    note: str = ""


class Difference(BaseModel):
    """Tuned minus base on the same items: value, 95 % interval, and the p of a paired test."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    """McNemar's exact test, or the permutation test over source questions."""
    verdict: Verdict
    """better or worse (by the metric's direction) where the interval leaves out 0 and p < 0.05, else unknown."""
    n: int
    """Items that say something on both sides; only these are compared."""
    units: int


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, element by element; nan, which says that nothing was measured, where `below` is 0."""
    import numpy as np

    return above / np.where(below == 0, np.nan, below)


def ratio(sums: np.ndarray) -> np.ndarray:
    """(..., 2) sums of a quantity and of what it is counted in, to (...) quotients."""
    return divide(sums[..., 0], sums[..., 1])


def mean(
    name: str,
    values: Sequence[float | None],
    units: Sequence[str],
    scale: Scale = "share",
    higher_is_better: bool = True,
    note: str = "",
) -> Score:
    """The mean of `values`, one an item, 0/1 or real; None and nan are left out of it.

    Raises `ValueError` where there are not as many values as units.
    """
    import numpy as np

    if len(values) != len(units):
        raise ValueError(f"{name}: {len(values)} values for {len(units)} source questions; give one for each item")
    known = np.array([np.nan if value is None else value for value in values], dtype=float)
    said = ~np.isnan(known)
    rows = np.stack([np.where(said, known, 0.0), said.astype(float)], axis=1)
    return Score(name, rows, ratio, units, scale, higher_is_better, note)


def measure(score: Score, seed: int = 0) -> Measure:
    """The score's value with its 95 % interval over source questions; variants of one never narrow it.

    - A mean of 0/1 in which each source question is right or wrong as a whole and has as many items as any other (most
      often one): Clopper and Pearson's exact interval, of questions.
    - Else the percentile bootstrap over source questions, seeded (`evaluators.resampling.interval`), which also says
      what holds where all resamples agree, and where too few questions carry the metric.
    - Where `of` gives nan for the whole, nothing was measured: the value is None, and so is the interval.

    Raises `ValueError` for rows that are not finite or not one an item.
    """
    kept = _said(score)
    sums = _by_unit(score, kept)
    value = _value(score, sums)
    found: Interval = (None, None, "none")
    if value is not None:
        right = _right(score, sums)
        if right is not None:
            found = (*clopper_pearson(sum(right), len(right)), "exact")
        else:
            bounds = None if score.scale == "number" else (0.0, 1.0)
            found = interval(score.of(resampled(sums, seed)), value, bounds, len(sums))
    return Measure(
        name=score.name,
        value=value,
        low=found[0],
        high=found[1],
        n=int(kept.sum()),
        units=len(sums),
        interval=found[2],
        scale=score.scale,
        higher_is_better=score.higher_is_better,
        note=score.note,
    )


def compare(base: Score, tuned: Score, seed: int = 0) -> Difference:
    """Tuned minus base on the items of which both sides say something, paired by source question.

    - 0/1 by whole questions, as in `measure`: McNemar's exact test (1947), and Bonett and Price's interval (2012).
    - Else a permutation test that swaps the sides of whole source questions, and the percentile bootstrap of the
      difference (`evaluators.resampling`), both seeded.

    A verdict needs both the interval and the test: the bootstrap of a handful of questions leaves out 0 too easily.
    Raises `ValueError` where the two scores are not of the same items in the same order.
    """
    import numpy as np

    if list(base.units) != list(tuned.units) or base.rows.shape != tuned.rows.shape:
        raise ValueError(f"{base.name}: base and tuned answered different items; ask both the same, in the same order")
    kept = _said(base) & _said(tuned)
    before, after = _by_unit(base, kept), _by_unit(tuned, kept)
    first, second = _value(base, before), _value(tuned, after)
    value = low = high = p = None
    test = "none"
    if first is not None and second is not None:
        value = second - first
        was, now = _right(base, before), _right(tuned, after)
        if was is not None and now is not None:
            test, p = "McNemar's exact test", _mcnemar(was, now)
            _, low, high = paired_difference(now, was)  # which gives its first minus its second
        else:
            test, p = "permutation test over source questions", permutation(base.of, before, after, seed)
            both, columns = resampled(np.hstack([before, after]), seed), before.shape[1]
            bounds = None if base.scale == "number" else (-1.0, 1.0)
            differences = base.of(both[:, columns:]) - base.of(both[:, :columns])
            low, high, _ = interval(differences, value, bounds, len(before))
    return Difference(
        name=base.name,
        value=value,
        low=low,
        high=high,
        p=p,
        test=test,
        verdict=_verdict(low, high, p, base.higher_is_better),
        n=int(kept.sum()),
        units=len(before),
    )


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of several tests, in order, adjusted for their number (Holm 1979): below 0.05, all hold together."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def _said(score: Score) -> np.ndarray:
    """(n,) which items say something."""
    import numpy as np

    if score.rows.ndim != 2 or len(score.rows) != len(score.units):
        raise ValueError(
            f"{score.name}: rows of shape {score.rows.shape} for {len(score.units)} items; one row an item"
        )
    if not np.isfinite(score.rows).all():
        raise ValueError(f"{score.name}: a row is not finite; leave an item out by a row of zeros")
    return np.asarray(score.rows.any(axis=1))


def _by_unit(score: Score, kept: np.ndarray) -> np.ndarray:
    """(units, k): sums of the kept rows by source question."""
    import numpy as np

    names, index = np.unique(np.array(score.units, dtype=object)[kept], return_inverse=True)
    sums = np.zeros((len(names), score.rows.shape[1]))
    np.add.at(sums, index, score.rows[kept])
    return sums


def _value(score: Score, sums: np.ndarray) -> float | None:
    value = float(score.of(sums.sum(axis=0))) if len(sums) else math.nan
    return None if math.isnan(value) else value


def _right(score: Score, sums: np.ndarray) -> list[bool] | None:
    """Of a mean of 0/1: whether each source question is right as a whole. None where that does not describe it."""
    import numpy as np

    if score.of is not ratio or not np.isin(score.rows, (0.0, 1.0)).all():
        return None
    hits, items = sums.T
    whole = np.isin(items, items[:1]).all() and ((hits == 0) | (hits == items)).all()
    return (hits > 0).tolist() if whole else None


def _mcnemar(was: Sequence[bool], now: Sequence[bool]) -> float:
    from scipy.stats import binomtest

    lost = sum(before and not after for before, after in zip(was, now, strict=True))
    won = sum(after and not before for before, after in zip(was, now, strict=True))
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _verdict(low: float | None, high: float | None, p: float | None, higher_is_better: bool) -> Verdict:
    if low is None or high is None or p is None or p >= 1 - CONFIDENCE or low <= 0 <= high:
        return "unknown"
    return "better" if (low > 0) == higher_is_better else "worse"
