"""The charts of the Review page: who won how often, ratings of models with their intervals, and the left side's share.

As on the Release page, drawings are stretched to their place, all words stand beside them as text, and no meaning hangs
on a colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant.pages.drawing import dot, legend, path, svg
from assistant.pages.line_chart import COLOURS
from evaluators.metrics import Proportion
from evaluators.scores import Measure

WINS = {"first": COLOURS[0], "tie": "#9fb3b5", "both bad": "#d9a39b", "second": COLOURS[2]}


def wins_bar(first: str, second: str, counts: Mapping[str, int]) -> str:
    """Votes for the first model, ties, both bad, and votes for the second, as one bar; `counts` by `WINS`' names."""
    total = sum(counts.values())
    if not total:
        return ""
    names = {"first": f"{first} preferred", "tie": "tie", "both bad": "both bad", "second": f"{second} preferred"}
    at, inner = 0.0, ""
    for kind, ink in WINS.items():
        width = 100 * counts[kind] / total
        inner += f'<rect x="{at:.2f}" y="0" width="{width:.2f}" height="16" fill="{ink}"/>'
        at += width
    told = {f"{names[kind]}: {counts[kind]}": ink for kind, ink in WINS.items()}
    drawing = svg("; ".join(told), inner + path("M50,0 V16", "var(--body-text-color)", 1.5, "2 2"), 16)
    return f'<figure class="bs-chart"><div class="bs-strip">{drawing}</div>{legend(told)}</figure>'


def intervals(rows: Sequence[tuple[str, Measure]], caption: str, ends: tuple[float, float] | None = None) -> str:
    """A point with its 95 % interval for each (name, measure), on one axis that all share; `ends` fixes the axis."""
    known = [end for _, one in rows for end in (one.low, one.value, one.high) if end is not None]
    if not known:
        return ""
    low, high = ends or _span(known)
    lines = "".join(_interval(name, one, low, high) for name, one in rows)
    return (
        f'<figure class="bs-chart"><figcaption>{escape(caption)}, with 95 % intervals</figcaption>{lines}'
        f'<div class="bs-line bs-soft"><span></span><span class="bs-row"><span>{low:.4g}</span><span>{high:.4g}</span>'
        f"</span><span></span></div></figure>"
    )


def left_share(share: Proportion) -> str:
    """How often the left answer won, with its interval, against one half."""
    ink = COLOURS[0]
    inner = path("M50,0 V20", "var(--bs-soft)", 1, "2 2") + _whisker(100 * share.low, 100 * share.high, ink)
    told = f"{share.score:.0%} ({share.low:.0%} to {share.high:.0%}), n = {share.n}"
    drawing = svg(f"left preferred: {told}", inner + dot(100 * share.score, 10, ink, 11), 20)
    return (
        f'<figure class="bs-chart"><div class="bs-line"><span>Left preferred</span><span>{drawing}</span>'
        f'<span>{told}</span></div><div class="bs-line bs-soft"><span></span><span class="bs-row"><span>0 %</span>'
        "<span>half</span><span>100 %</span></span><span></span></div></figure>"
    )


def value(one: Measure, places: str) -> str:
    """A measure with its interval, as far as they are known."""
    if one.value is None:
        return "not measured"
    told = f"{one.value:{places}}"
    if one.low is not None and one.high is not None:
        told += f" ({one.low:{places}} to {one.high:{places}})"
    return told.replace("-", "\N{MINUS SIGN}")


def _interval(name: str, one: Measure, low: float, high: float) -> str:
    told = f"{value(one, '.0f' if high - low > 10 else '.2f')}, n = {one.n}"
    drawing = ""
    if one.value is not None:
        place = {end: 100 * (end - low) / (high - low) for end in (one.low, one.value, one.high) if end is not None}
        if one.low is not None and one.high is not None:
            drawing = _whisker(place[one.low], place[one.high], COLOURS[0])
        drawing = svg(f"{name}: {told}", drawing + dot(place[one.value], 10, COLOURS[0], 11), 20)
    return f'<div class="bs-line"><span>{escape(name)}</span><span>{drawing}</span><span>{told}</span></div>'


def _whisker(left: float, right: float, ink: str) -> str:
    return path(f"M{left:.2f},10 H{right:.2f}", ink, 3)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis with room around the values, as whole numbers where they lie far apart."""
    room = 0.08 * (max(values) - min(values)) or 1.0
    low, high = min(values) - room, max(values) + room
    return (float(round(low)), float(round(high))) if high - low > 10 else (low, high)
