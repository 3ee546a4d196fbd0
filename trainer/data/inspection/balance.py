"""How evenly classes are filled, and what repeating rare rows or weighing them would change (lecture L3.20)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import BaseModel

MOST_LISTED = 100
"""Classes that are listed by name; a field with more is seldom one of classes."""


class ClassShare(BaseModel):
    """A class, its rows, and its share of the rows whose class is known."""

    name: str
    rows: int
    share: float


class ClassMix(BaseModel):
    """How the rows are spread over the classes of a field."""

    known: int
    """Rows whose class is known; `share` is of these."""
    unknown: int
    classes: int
    listed: list[ClassShare]
    """The largest first, at most `MOST_LISTED`."""
    ratio: float
    """Rows of the largest class for one row of the smallest; 1 where there is one class or none."""
    effective_classes: float
    """As many equally large classes would be as mixed: the exponential of Shannon's entropy (Hill 1973)."""


class BalanceEffect(BaseModel):
    """What repeating the rows of rare classes would do, and the weights that would do the same in the loss."""

    most: int
    """A row is repeated at most so often."""
    rows_before: int
    rows_after: int
    shares_before: dict[str, float]
    shares_after: dict[str, float]
    weights: dict[str, float]
    """Inverse-frequency weights, N / (classes × rows of the class): every class then weighs the same, the mean is 1."""
    sentence: str


def class_mix(counts: Mapping[str, int], unknown: int = 0) -> ClassMix:
    """Shares, ratio and effective number of classes of `counts` (class → rows)."""
    counts = {name: rows for name, rows in counts.items() if rows > 0}
    known = sum(counts.values())
    shares = [rows / known for rows in counts.values()]
    largest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ClassMix(
        known=known,
        unknown=unknown,
        classes=len(counts),
        listed=[ClassShare(name=name, rows=rows, share=rows / known) for name, rows in largest_first[:MOST_LISTED]],
        ratio=largest_first[0][1] / largest_first[-1][1] if counts else 1.0,
        effective_classes=math.exp(-sum(share * math.log(share) for share in shares)) if counts else 0.0,
    )


def balance_effect(counts: Mapping[str, int], most: int = 4) -> BalanceEffect:
    """Rows and shares after every class is brought to the largest one's size, each row repeated at most `most` times.

    Raises `ValueError` where there is no row.
    """
    counts = {name: rows for name, rows in sorted(counts.items()) if rows > 0}
    if not counts:
        raise ValueError("There is no row to balance.")
    before, largest = sum(counts.values()), max(counts.values())
    repeated = {name: min(largest, most * rows) for name, rows in counts.items()}
    after = sum(repeated.values())
    rarest = min(counts, key=lambda name: (counts[name], name))
    short = [name for name, rows in repeated.items() if rows < largest]
    sentence = (
        f"Repeating rare rows up to {most} times makes {before:,} rows {after:,}; the rarest class ({rarest}) goes "
        f"from {_percent(counts[rarest] / before)} to {_percent(repeated[rarest] / after)}."
    )
    if after == before:
        sentence = "The classes are equally large: nothing would be repeated."
    elif short:
        sentence += f" Too rare to become equal: {_named(short)}. New rows help these more than repeated ones."
    return BalanceEffect(
        most=most,
        rows_before=before,
        rows_after=after,
        shares_before={name: rows / before for name, rows in counts.items()},
        shares_after={name: rows / after for name, rows in repeated.items()},
        weights={name: before / (len(counts) * rows) for name, rows in counts.items()},
        sentence=sentence,
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
