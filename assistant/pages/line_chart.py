"""A small line chart: for numbers whose names are only known when they are there.

The lines are an SVG that is stretched to its place; all words stand beside it as text, in the page's own size, so that
the chart reads the same on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2a9d8f", "#d98324", "#5b7fbf", "#b0568c", "#7a9a3a", "#8a6fd1", "#c0534a", "#6b7f86")
_PARTS = 5  # of the vertical axis, about at most, where its ends follow from the numbers
Series = Mapping[str, Sequence[tuple[float, float]]]


def line_chart(series: Series, x: str, y: str, top: float | None = None, limit: float | None = None) -> str:
    """The series, by name, each of (x, y) points in order, with a legend; empty where no line has two points.

    `top` fixes the axis to 0 and this; `limit` draws a line that should not be crossed.
    """
    if all(len(line) < 2 for line in series.values()):
        return ""
    points = [point for line in series.values() for point in line]
    right = max(1e-9, *(px for px, _ in points))
    values = [py for _, py in points] + ([limit] if limit is not None else [])
    ticks = [0.0, top / 2, top] if top is not None else _ticks(min(values), max(values))

    def place(px: float, py: float) -> str:
        return f"{100 * px / right:.2f},{100 * (ticks[-1] - py) / (ticks[-1] - ticks[0]):.2f}"

    across = "".join(_level(100 * number / (len(ticks) - 1), "var(--bs-line)") for number in range(len(ticks)))
    if limit is not None:
        across += _level(float(place(0, limit).split(",")[1]), "var(--bs-bad)", "5 4")
    lines = "".join(_line([place(*point) for point in line], number) for number, line in enumerate(series.values()))
    words = "".join(f"<span>{value:.6g}</span>" for value in reversed(ticks))
    legend = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(series)
    )
    described = f"{y} by {x}: " + "; ".join(
        f"{name} ends at {line[-1][1]:.3g}" for name, line in series.items() if line
    )
    return (
        f'<figure class="bs-chart"><figcaption>{escape(y)}</figcaption><div class="bs-plot"><div>{words}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(described)}">'
        f"{across}{lines}</svg><p><span>0</span><span>{escape(x)} {right:.6g}</span></p></div>"
        f'<div class="bs-legend">{legend}</div></figure>'
    )


def _line(places: list[str], number: int) -> str:
    if not places:
        return ""
    stroke = f'fill="none" stroke="{COLOURS[number % len(COLOURS)]}"'
    # A line of no length with round ends: a circle would be stretched with the drawing.
    return (
        f'<polyline points="{" ".join(places)}" {stroke} stroke-width="2" stroke-linejoin="round"/>'
        f'<path d="M{places[-1]} h0" {stroke} stroke-width="6" stroke-linecap="round"/>'
    )


def _level(up: float, colour: str, dashes: str = "none") -> str:
    return f'<path d="M0,{up:.2f} h100" stroke="{colour}" stroke-dasharray="{dashes}"/>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in even steps, the first not above `low`, the last not below `high`."""
    room = high - low or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(room / _PARTS))
    step = min(power * size for size in (1, 2, 5, 10) if power * size >= 0.999 * room / _PARTS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:  # one value, itself a round number: room on both sides, but none below 0 for what is not
        first, last = (first - 1 if low < 0 or first > 0 else 0), last + 1
    return [number * step for number in range(first, last + 1)]
