"""The charts of the Release page: differences, calibration, accuracy under attack, and what is paid for what.

As in `line_chart`, drawings are stretched to their place and all words stand beside them as text, so that they read the
same on a telephone. No meaning hangs on a colour alone: each is said in words too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from assistant.pages.drawing import EVEN, dot, figure, legend, levels, path, svg
from assistant.pages.line_chart import COLOURS
from assistant.pages.style import Tone, badge
from evaluators.attacks.gradient import GradientCurve
from evaluators.calibration import Bin
from evaluators.metrics import Proportion, proportion
from evaluators.scores import Difference, Measure, Verdict
from evaluators.selection import Candidate, Criterion, pareto

SIDES = {"base": "var(--bs-soft)", "tuned": COLOURS[0]}
_TONES: dict[Verdict, Tone] = {"better": "good", "worse": "bad", "unknown": "quiet"}
_INK: dict[Verdict, str] = {"better": "var(--bs-good)", "worse": "var(--bs-bad)", "unknown": "var(--bs-soft)"}
_LABEL, _DRAWING, _NUMBER = ("1 1 190px", "2 1 260px", "1 1 230px")  # widths of a row's parts, and where they wrap


def forest_plot(rows: Sequence[tuple[str, Measure, Difference]]) -> str:
    """Tuned - base of each (title, tuned measure, difference), with 95 % intervals: to the right is always better.

    Measures in a unit of their own have no place on the common axis and are told in numbers alone.
    """
    if not rows:
        return ""
    reach = max(
        (
            abs(end)
            for _, one, diff in rows
            if one.scale != "number"
            for end in (diff.low, diff.high)
            if end is not None
        ),
        default=0.0,
    )
    reach = _round_up(reach or 0.01)
    lines = "".join(_forest_row(*row, reach) for row in rows)
    axis = _row(
        f'<span style="flex:{_LABEL}"></span><span class="bs-soft" style="flex:{_DRAWING};display:grid;'
        f'grid-template-columns:1fr auto 1fr;font-size:.82rem"><span>{100 * reach:g} points worse</span>'
        f'<span>0</span><span style="text-align:right">{100 * reach:g} points better</span></span>'
        f'<span style="flex:{_NUMBER}"></span>'
    )
    return (
        f'<figure class="bs-chart">{_verdicts(rows)}<figcaption>Tuned minus base on the same questions, with 95 % '
        f"intervals; 1 point is 0.01</figcaption>{axis}{lines}</figure>"
    )


def _verdicts(rows: Sequence[tuple[str, Measure, Difference]]) -> str:
    parts = []
    for verdict, tone in _TONES.items():
        names = [title for title, _, diff in rows if diff.verdict == verdict]
        told = escape(", ".join(names) or "nothing")
        parts.append(f'<p style="margin:0 0 6px">{badge(f"{verdict}: {len(names)}", tone)} {told}</p>')
    return "".join(parts)


def _forest_row(title: str, measure: Measure, diff: Difference, reach: float) -> str:
    told = _difference(measure, diff)
    drawing = ""
    if measure.scale != "number" and diff.value is not None and diff.low is not None and diff.high is not None:
        sign = 1 if measure.higher_is_better else -1
        low, value, high = sorted(50 + 50 * sign * end / reach for end in (diff.low, diff.value, diff.high))
        ink = _INK[diff.verdict]
        drawing = svg(
            f"{title}: {diff.verdict}, {told}",
            path("M50,0 V20", "var(--bs-soft)", 1, "2 2")
            + path(f"M{low:.2f},10 H{high:.2f}", ink, 3)
            + dot(value, 10, ink, 11),
            20,
        )
    direction = "" if measure.higher_is_better else ", lower is better"
    return _row(
        f'<span style="flex:{_LABEL}">{escape(title)}<br><span class="bs-soft">{escape(measure.name)}{direction}, '
        f'n = {diff.n:,}</span></span><span style="flex:{_DRAWING}">{drawing}</span>'
        f'<span style="flex:{_NUMBER}">{badge(diff.verdict, _TONES[diff.verdict])} '
        f'<span style="white-space:nowrap">{told}</span></span>'
    )


def _row(inner: str) -> str:
    return f'<div style="display:flex;flex-wrap:wrap;align-items:center;gap:2px 16px;padding:7px 0">{inner}</div>'


def _difference(measure: Measure, diff: Difference) -> str:
    if diff.value is None or diff.low is None or diff.high is None:
        return "not measured"
    if measure.scale == "share":
        value, low, high = (f"{100 * one:+.1f}" for one in (diff.value, diff.low, diff.high))
        return _minus(f"{value} points ({low} to {high})")
    places = "+.3f" if measure.scale == "score" else "+.3g"
    return _minus(f"{diff.value:{places}} ({diff.low:{places}} to {diff.high:{places}})")


def reliability_plot(base: Sequence[Bin], tuned: Sequence[Bin]) -> str:
    """Share right by confidence: a model that is as sure as it is right lies on the dashed line."""
    inner = path("M0,100 L100,0", "var(--bs-soft)", 1, "5 4")
    described = []
    for side, bins in (("base", base), ("tuned", tuned)):
        known = [(one, one.confidence, one.accuracy) for one in bins if one.confidence is not None and one.n]
        most = max((one.n for one, _, _ in known), default=1)
        for one, confidence, accuracy in known:
            if accuracy is None:
                continue
            share = proportion(round(accuracy * one.n), one.n)
            words = f"{side}, {one.n:,} answers with confidence {confidence:.2f}: {_percent(share)} right"
            described.append(words)
            size = 5 + 11 * math.sqrt(one.n / most)
            inner += _point(100 * confidence + (0.4 if side == "tuned" else -0.4), share, SIDES[side], words, size)
    if not described:
        return ""
    return figure(
        "Share right, with 95 % intervals, by the confidence of the answers; larger points stand for more of them",
        ("1", "0.5", "0"),
        svg("; ".join(described), levels() + inner),
        ("0", "confidence", "1"),
        legend({"base": SIDES["base"], "tuned": SIDES["tuned"], "as sure as right (dashed)": "var(--bs-soft)"}),
    )


def gradient_plot(curve: GradientCurve) -> str:
    """Accuracy against the size of a change of the input embeddings: two attacks, and noise of the same size."""
    if not curve.points:
        return ""
    series: dict[str, list[tuple[float, Proportion]]] = {
        "FGSM, one step": [(one.epsilon, one.fgsm) for one in curve.points],
        f"{curve.steps} steps": [(one.epsilon, one.multi_step) for one in curve.points],
        "random noise, equal norm": [(one.epsilon, one.noise) for one in curve.points],
    }
    inner, described = "", []
    sizes = list(dict.fromkeys([0.0, *(one.epsilon for one in curve.points)]))
    for number, (name, points) in enumerate(series.items()):
        if points[0][0] > 0:
            points.insert(0, (0.0, curve.clean))
        ink = COLOURS[number]
        places = [(100 * sizes.index(epsilon) / max(1, len(sizes) - 1), share) for epsilon, share in points]
        line = " ".join(f"{left:.2f},{100 - 100 * share.score:.2f}" for left, share in places)
        inner += f'<polyline points="{line}" fill="none" stroke="{ink}" stroke-width="2" {EVEN}/>'
        for (epsilon, _), (left, share) in zip(points, places, strict=True):
            words = f"{name}, ε {epsilon:g}: {_percent(share)} right"
            described.append(words)
            # A little apart, so that three intervals at one place can be told from each other.
            inner += _point(left + 0.7 * (number - 1), share, ink, words, 8)
    return figure(
        f"Share right of {curve.clean.n} questions, with 95 % intervals, by ε: the norm of the change by the mean norm "
        "of an embedding (steps are not even)",
        ("1", "0.5", "0"),
        svg("; ".join(described), levels() + inner),
        [f"{epsilon:g}" for epsilon in sizes],
        legend(dict(zip(series, COLOURS, strict=False))),
    )


def pareto_plot(candidates: Sequence[Candidate], x: Criterion, y: Criterion, chosen: str | None = None) -> str:
    """Candidates by two criteria, those joined that no other beats in both; what lacks a number is told, not drawn."""
    known = [one for one in candidates if one.values.get(x.name) is not None and one.values.get(y.name) is not None]
    front = pareto(known, [x, y])
    across, up = _span(known, x.name), _span(known, y.name)
    places = {one.name: (_place(one, x.name, across), 100 - _place(one, y.name, up)) for one in known}
    joined = " L".join(f"{left:.2f},{top:.2f}" for left, top in sorted(places[name] for name in front))
    inner = path(f"M{joined}", SIDES["tuned"], 2) if len(front) > 1 else ""
    numbers, lines = "", ""
    for number, one in enumerate(candidates, start=1):
        words = [f"{axis.name}: {_value(one, axis.name)}" for axis in (x, y)]
        if one.name in places:
            left, top = places[one.name]
            words.append("on the front" if one.name in front else "no better than another in either")
            inner += dot(left, top, SIDES["tuned" if one.name in front else "base"], 12, f"{one.name}: {words[-1]}")
            numbers += f'<b style="position:absolute;left:{left:.2f}%;top:{top:.2f}%;padding:2px 7px">{number}</b>'
        else:
            words.append("not drawn")
        picked = f" {badge('chosen', 'good')}" if one.name == chosen else ""
        lines += f"<li><strong>{escape(one.name)}</strong>{picked} {escape('; '.join(words))}</li>"
    if not candidates:
        return ""
    plot = ""
    if known:
        described = f"{y.name} by {x.name}; on the front: {', '.join(front)}"
        drawing = svg(described, levels() + inner)
        plot = figure(
            f"{y.name}, {y.better} is better",
            (f"{up[1]:.3g}", f"{up[0]:.3g}"),
            f'<span style="position:relative;display:block">{drawing}{numbers}</span>',
            (f"{across[0]:.3g}", f"{x.name}, {x.better} is better", f"{across[1]:.3g}"),
            "",
        )
    return f'{plot}<ol style="margin:0;padding-left:1.4em;list-style:decimal">{lines}</ol>'


def attack_bars(rows: Sequence[tuple[str, Measure, Measure]]) -> str:
    """Accuracy as the questions are and as each kind of attack changes them: (kind, clean, attacked) a row."""
    if not rows:
        return ""
    colours = legend({"as asked": SIDES["base"], "changed": COLOURS[1]})
    lines = "".join(_attack_row(*row) for row in rows)
    return (
        f'<figure class="bs-chart"><figcaption>Share right, with 95 % intervals</figcaption>{colours}{lines}</figure>'
    )


def _attack_row(kind: str, clean: Measure, attacked: Measure) -> str:
    inner = ""
    for top, one, ink in ((2, clean, SIDES["base"]), (14, attacked, COLOURS[1])):
        if one.value is None or one.low is None or one.high is None:
            continue
        inner += f'<rect x="0" y="{top}" width="{100 * one.value:.2f}" height="8" fill="{ink}" fill-opacity=".55"/>'
        inner += path(f"M{100 * one.low:.2f},{top + 4} H{100 * one.high:.2f}", "var(--body-text-color)", 1.5)
    told = f"{_measured(clean)} as asked, {_measured(attacked)} changed"
    questions = f"{clean.units:,} question{'' if clean.units == 1 else 's'}"
    return (
        f'<div style="padding:8px 0"><div class="bs-row"><span>{escape(kind)}</span><span class="bs-soft">{told}, '
        f"{questions}</span></div>"
        f'<div style="background:var(--bs-sunk);border-radius:4px;margin-top:4px">'
        f"{svg(f'{kind}: {told}', inner, 24)}</div></div>"
    )


def _point(x: float, share: Proportion, ink: str, words: str, size: float) -> str:
    whisker = path(f"M{x:.2f},{100 - 100 * share.low:.2f} V{100 - 100 * share.high:.2f}", ink, 1.5)
    return whisker + dot(x, 100 - 100 * share.score, ink, size, words)


def _round_up(value: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(power * size for size in (1, 2, 5, 10) if power * size >= value * 0.999)


def _span(candidates: Sequence[Candidate], name: str) -> tuple[float, float]:
    """The ends of an axis that has room around its values."""
    values = [value for one in candidates if (value := one.values.get(name)) is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _place(candidate: Candidate, name: str, ends: tuple[float, float]) -> float:
    value = candidate.values[name]
    assert value is not None
    return 100 * (value - ends[0]) / (ends[1] - ends[0])


def _value(candidate: Candidate, name: str) -> str:
    value = candidate.values.get(name)
    return "not measured" if value is None else f"{value:.4g}"


def _measured(one: Measure) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "not measured"
    return _percent(Proportion(score=one.value, low=one.low, high=one.high, n=one.n))


def _percent(share: Proportion) -> str:
    return f"{share.score:.0%} ({share.low:.0%} to {share.high:.0%})"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
