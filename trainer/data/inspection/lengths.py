"""Distributions of lengths: exact percentiles from counts, and a histogram of round bins."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel

from trainer.data.inspection.phrases import CJK

BINS = 20


class Bin(BaseModel):
    """Rows whose length is at least `low` and under `high`."""

    low: int
    high: int
    rows: int


class Lengths(BaseModel):
    """How long rows are. Percentiles are by nearest rank: a row has exactly that length."""

    rows: int
    total: int
    mean: float
    p50: int
    p95: int
    p98: int
    longest: int
    histogram: list[Bin]


def lengths(counts: Counter[int]) -> Lengths | None:
    """Summary of `counts` (length → rows); None where there is no row."""
    rows = counts.total()
    if not rows:
        return None
    ordered = sorted(counts.items())
    total = sum(length * number for length, number in ordered)

    def percentile(percent: int) -> int:
        wanted, seen = -(-rows * percent // 100), 0
        for length, number in ordered:
            seen += number
            if seen >= wanted:
                return length
        return ordered[-1][0]

    return Lengths(
        rows=rows,
        total=total,
        mean=total / rows,
        p50=percentile(50),
        p95=percentile(95),
        p98=percentile(98),
        longest=ordered[-1][0],
        histogram=_histogram(counts, ordered[-1][0]),
    )


def words_in(text: str) -> int:
    """Words of a text; where a language is written without spaces, each character counts as one."""
    if text.isascii():
        return len(text.split())
    characters = len(CJK.findall(text))
    return characters + len(CJK.sub(" ", text).split())


def _histogram(counts: Counter[int], longest: int) -> list[Bin]:
    width = next(
        step * 10**power for power in range(12) for step in (1, 2, 5) if (longest + 1) <= BINS * step * 10**power
    )
    bins = [Bin(low=low, high=low + width, rows=0) for low in range(0, longest + 1, width)]
    for length, number in counts.items():
        bins[length // width].rows += number
    return bins
