"""Metrics as functions of a sum over items, and what follows: intervals, paired differences, verdicts.

Everything that is measured here (a share, F1, corpus BLEU, calibration error) is a function `of` of what the items add
up to: (correct, 1) for accuracy, (tp, fp, fn) for F1, n-gram counts for BLEU. So one bootstrap serves all of them: sums
over resampled source questions, never over their variants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

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
    """(n, k): what each item adds."""
    of: Callable[[np.ndarray], np.ndarray]
    """(..., k) sums to (...) values; nan where the sums say nothing."""
    units: Sequence[str]
    """(n,) the source question of each item."""
    scale: Scale = "share"
    higher_is_better: bool = True
    note: str = ""
    """What one has to know to read it: sacrebleu's signature, a threshold, a caution."""


class Measure(BaseModel):
    """A metric's value with its 95 % interval; `n` items from `units` source questions."""

    name: str
    value: float | None
    """None where nothing could be measured (no item that the metric speaks of)."""
    low: float | None
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
    """better or worse where the interval leaves out 0 (by the metric's direction), else unknown."""
