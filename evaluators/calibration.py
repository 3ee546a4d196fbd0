"""Does a model know how sure it may be? Confidence against right and wrong: ECE, Brier score, reliability."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from evaluators.scores import Score, divide, mean

if TYPE_CHECKING:
    import numpy as np

BINS = 15
_EDGES = [index / BINS for index in range(BINS + 1)]
# What the taught words mean (lecture L2.4), after the IPCC's scale for authors (Guidance Notes on Addressing
# Uncertainties, 2005, table 3): high, about 8 of 10 right; medium, about 5; low, about 2.
STATED = {"high": 0.8, "moderate": 0.5, "medium": 0.5, "low": 0.2}
_WORD = "|".join(STATED)
_LINE = re.compile(
    r"^[\s*_#>-]*confidence(?: level| score)?[\s*_]*[:=][ \t*_]*(.+)$", flags=re.IGNORECASE | re.MULTILINE
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PERCENT = re.compile(rf"({_NUMBER.pattern})\s*(?:%|per ?cent)", flags=re.IGNORECASE)
_DECIMAL = re.compile(r"0?\.\d+")
_STATED = re.compile(rf"({_WORD})\b(?!\s*(?:to|or|and|[-–/])\s*(?:{_WORD})\b)", flags=re.IGNORECASE)


class Bin(BaseModel):
    """The items whose confidence is from `low` to below `high` (the last bin: up to 1): their mean and share right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def confidence(totals: Sequence[float]) -> list[float]:
    """How sure a model is of each option, from the options' log-likelihoods (nats): their softmax, which sums to 1.

    Raises `ValueError` without options, or where none of them is possible (all -inf).
    """
    from scipy.special import softmax

    if not len(totals) or max(totals) == float("-inf"):
        raise ValueError(f"log-likelihoods {list(totals)}: a confidence needs at least one option that is possible")
    return softmax(totals).tolist()


def stated(answer: str) -> float | None:
    """The confidence that an answer's last "Confidence:" line states, from 0 to 1; None where it states none.

    A single percentage counts as it stands, before a word beside it, and so does a line that is a decimal below 1. Else
    the line has to begin with one of the taught words, which mean what the IPCC has authors mean by them (`STATED`):
    high 0.8, moderate 0.5, low 0.2. A range ("80-90 %", "low to moderate") is none.
    """
    lines = _LINE.findall(answer)
    if not lines:
        return None
    line = lines[-1]
    percent = _PERCENT.search(line)
    if percent:
        value = float(percent[1]) / 100
        return value if value <= 1 and len(_NUMBER.findall(line)) == 1 else None
    if _DECIMAL.fullmatch(line.strip()):
        return float(line)
    word = _STATED.match(line)
    return STATED[word[1].lower()] if word else None


def ece(confidences: Sequence[float | None], right: Sequence[bool | None], units: Sequence[str]) -> Score:
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017): |accuracy - confidence| over 15 equal bins.

    The mean over the bins weighted by their items, from 0 to 1. An item without a confidence is left out; one whose
    answer could not be read (`right` is None) is wrong. Raises `ValueError` for a confidence outside 0 to 1, and where
    the three are not equally long.
    """
    import numpy as np

    rows = np.zeros((len(units), BINS, 2))
    for row, one, good in zip(rows, confidences, right, strict=True):
        if one is not None:
            row[_bin(one)] = 1.0, one - bool(good)

    def of(sums: np.ndarray) -> np.ndarray:
        items, gaps = sums[..., 0::2], sums[..., 1::2]
        return divide(np.abs(gaps).sum(axis=-1), items.sum(axis=-1))

    note = f"{BINS} equal bins. Of few items it is too high, even where a model is calibrated, and so is its interval."
    return Score("Expected calibration error", rows.reshape(len(units), 2 * BINS), of, units, "score", False, note)


def brier(confidences: Sequence[float | None], right: Sequence[bool | None], units: Sequence[str]) -> Score:
    """Brier score (1950) of the confidence in the answer that was given: mean of (confidence - right)², 0 to 1.

    Of that answer alone, not of all options; always 0.5 sure gives 0.25. Items are left out or wrong as in `ece`.
    """
    values = [None if one is None else (one - bool(good)) ** 2 for one, good in zip(confidences, right, strict=True)]
    note = "Of the answer that was given; a constant confidence of 0.5 gives 0.25."
    return mean("Brier score", values, units, "score", higher_is_better=False, note=note)


def reliability(confidences: Sequence[float | None], right: Sequence[bool | None]) -> list[Bin]:
    """The 15 bins of `ece`, for a plot: in a calibrated model, accuracy follows confidence. Empty bins have n = 0."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for one, good in zip(confidences, right, strict=True):
        if one is not None:
            held[_bin(one)].append((one, bool(good)))
    return [
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            n=len(items),
            confidence=sum(one for one, _ in items) / len(items) if items else None,
            accuracy=sum(good for _, good in items) / len(items) if items else None,
        )
        for index, items in enumerate(held)
    ]


def _bin(one: float) -> int:
    if not 0 <= one <= 1:
        raise ValueError(f"a confidence of {one}; it has to be from 0 to 1")
    return min(bisect_right(_EDGES, one), BINS) - 1
