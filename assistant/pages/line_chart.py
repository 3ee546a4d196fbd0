"""A small line chart as SVG: for numbers whose names are only known when they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2a9d8f", "#d98324", "#5b7fbf", "#b0568c", "#7a9a3a", "#8a6fd1", "#c0534a", "#6b7f86")
WIDTH, HEIGHT = 640, 220  # of the drawing; it scales with the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 34
Series = Mapping[str, Sequence[tuple[float, float]]]


def line_chart(series: Series, x: str, y: str, top: float | None = None, limit: float | None = None) -> str:
    """The series, by name, each of (x, y) points in order, with a legend; empty where there is no point.

    `top` fixes the axis to 0 and this; `limit` draws a line that should not be crossed.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    right = max(1e-9, *(px for px, _ in points))
    values = [py for _, py in points] + ([limit] if limit is not None else [])
    low, high = (0.0, top) if top is not None else _range(values)

    def place(px: float, py: float) -> str:
        across = _LEFT + (WIDTH - _LEFT - _RIGHT) * px / right
        up = HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (py - low) / (high - low)
        return f"{across:.1f},{up:.1f}"

    lines = []
    for number, line in enumerate(series.values()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(place(*point) for point in line)
        drawn = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        across, up = place(*line[-1]).split(",") if line else ("0", "0")
        end = f'<circle cx="{across}" cy="{up}" r="3" fill="{colour}"/>' if line else ""
        lines.append(drawn + end)
    if limit is not None:
        up = place(0, limit).split(",")[1]
        lines.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up}" y2="{up}" stroke="var(--bs-bad)" '
            'stroke-dasharray="5 4"/>'
        )
    ticks = "".join(
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up}" y2="{up}" stroke="var(--bs-line)"/>'
        f'<text x="{_LEFT - 8}" y="{float(up) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (low, (low + high) / 2, high)
        if (up := place(0, value).split(",")[1])
    )
    words = (
        f'<text x="{_LEFT}" y="{HEIGHT - 10}">0</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 10}" text-anchor="end">{escape(x)} {right:.6g}</text>'
    )
    legend = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(series)
    )
    described = f"{y} by {x}: " + "; ".join(
        f"{name} ends at {line[-1][1]:.3g}" for name, line in series.items() if line
    )
    drawing = "".join([ticks, *lines, words])
    return (
        f'<figure class="bs-chart"><figcaption>{escape(y)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(described)}">{drawing}'
        f'</svg><div class="bs-legend">{legend}</div></figure>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    # A chart of what is never negative does not show a negative number on its axis.
    return (max(0.0, low - room) if low >= 0 else low - room), high + room
