"""Drawings of a search: trials across their values, losses on the way, objectives against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import combinations
from statistics import median

from assistant.pages.drawing import dot, figure, legend, levels, path, svg
from assistant.search_words import UNITS, measured, value
from trainer.search import outcome
from trainer.search.outcome import TrialRecord
from trainer.search.request import Objective, SearchRequest
from trainer.search.space import Parameter

TAKEN, OTHERS, ENDED = "var(--bs-accent)", "#8fb8b3", "#d98324"
_MOST_PAIRS = 3


def parallel(trials: Sequence[TrialRecord], request: SearchRequest, best: int | None) -> str:
    """Each complete trial as a line across its values, the objectives at the right; the one that is taken is strong."""
    complete = outcome.complete(trials)
    if len(complete) < 2:
        return ""
    names, objectives = list(request.space.root), list(request.objectives)
    columns = len(names) + len(objectives)
    ends = {one: (min(t.measured[one] for t in complete), max(t.measured[one] for t in complete)) for one in objectives}

    def line(trial: TrialRecord) -> str:
        ups = [_share(request.space.root[name], trial.values[name]) for name in names]
        ups += [_between(trial.measured[one], *ends[one]) for one in objectives]
        points = [f"{100 * (at + 0.5) / columns:.2f},{100 - 100 * up:.2f}" for at, up in enumerate(ups)]
        return "M" + " L".join(points)

    axes = "".join(path(f"M{100 * (at + 0.5) / columns:.2f},0 V100", "var(--bs-line)", 1) for at in range(columns))
    others = "".join(path(line(trial), OTHERS, 1) for trial in complete if trial.number != best)
    strong = "".join(path(line(trial), TAKEN, 3) for trial in complete if trial.number == best)
    drawn = svg(f"{len(complete)} trials across their values", axes + others + strong)
    tops = [_end(request.space.root[name], -1) for name in names] + [_told(one, ends[one][1]) for one in objectives]
    lows = [_end(request.space.root[name], 0) for name in names] + [_told(one, ends[one][0]) for one in objectives]
    heads = [_named(name) for name in names] + [UNITS[one] for one in objectives]
    grid = f'style="display:grid;grid-template-columns:repeat({columns},minmax(0,1fr));text-align:center;gap:0"'

    def row(words: list[str], strong: bool = False) -> str:
        cells = "".join(f"<span>{'<b>' if strong else ''}{escape(w)}{'</b>' if strong else ''}</span>" for w in words)
        return f'<div class="bs-soft" {grid}>{cells}</div>'

    width = f'style="min-width:{70 * columns}px"'
    key = legend({"taken": TAKEN, "other complete trials": OTHERS})
    inner = f"{row(heads, True)}{row(tops)}{drawn}{row(lows)}"
    return f'<div class="bs-scroll bs-parallel"><div {width}>{inner}</div></div>{key}'


def curves(trials: Sequence[TrialRecord], best: int | None) -> str:
    """The validation loss of each trial over its budget; those that ended early end in a dot."""
    shown = [trial for trial in trials if trial.curve]
    if not shown:
        return ""
    losses = [loss for trial in shown for _, loss in trial.curve]
    low = min(losses)
    # A trial that went astray would press all others together at the bottom.
    high = min(max(losses), low + 4 * (median(losses) - low)) if len(losses) > 4 else max(losses)
    high = high if high > low else low + 0.1

    def place(share: int, loss: float) -> str:
        return f"{share:.2f},{100 * (high - min(loss, high)) / (high - low):.2f}"

    drawn = levels()
    for trial in sorted(shown, key=lambda one: (one.number == best, one.state == "pruned")):
        ink = TAKEN if trial.number == best else ENDED if trial.state == "pruned" else OTHERS
        points = [place(*point) for point in trial.curve]
        drawn += path("M" + " L".join(points), ink, 3 if trial.number == best else 1.5)
        if trial.state == "pruned" or len(points) == 1:
            x, y = (float(one) for one in points[-1].split(","))
            drawn += dot(x, y, ink, 7, f"trial {trial.number}")
    ups = [f"{one:.3g}" for one in (high, (high + low) / 2, low)]
    key = legend({"taken": TAKEN, "complete": OTHERS, "ended early": ENDED})
    return figure("Validation loss (nats)", ups, svg("Losses of the trials", drawn), ["0", "100 % of the budget"], key)


def pareto(trials: Sequence[TrialRecord], objectives: Sequence[Objective], best: int | None) -> str:
    """Complete trials by two objectives at a time; those that none beats in these two are joined."""
    complete = outcome.complete(trials)
    if len(objectives) < 2 or not complete:
        return ""
    on_front = {one.number for one in outcome.front(trials, objectives)}
    drawings = [
        _pair(complete, across, up, on_front, best) for across, up in list(combinations(objectives, 2))[:_MOST_PAIRS]
    ]
    return "".join(drawings)


def importance(found: dict[str, float]) -> str:
    """Bars, the largest first."""
    bars = "".join(
        f"<li><span>{escape(_named(name))}</span><i><b style='width:{share:.0%}'></b></i><em>{share:.0%}</em></li>"
        for name, share in found.items()
    )
    return f'<ul class="bs-bars">{bars}</ul>' if bars else ""


def _pair(
    complete: Sequence[TrialRecord], across: Objective, up: Objective, on_front: set[int], best: int | None
) -> str:
    xs, ys = [one.measured[across] for one in complete], [one.measured[up] for one in complete]

    def place(trial: TrialRecord) -> tuple[float, float]:
        x = 100 * _between(trial.measured[across], min(xs), max(xs))
        return x, 100 - 100 * _between(trial.measured[up], min(ys), max(ys))

    fronts = sorted(place(one) for one in outcome.front(complete, [across, up]))
    drawn = levels()
    if len(fronts) > 1:
        drawn += path("M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in fronts), OTHERS, 1.5, "5 4")
    for trial in complete:
        ink = TAKEN if trial.number == best else "#5b7fbf" if trial.number in on_front else OTHERS
        words = f"trial {trial.number}: {UNITS[across]} {measured(trial, across)}, {UNITS[up]} {measured(trial, up)}"
        drawn += dot(*place(trial), ink, 12 if trial.number == best else 8, words)
    caption = f"{UNITS[up][:1].upper()}{UNITS[up][1:]} against {UNITS[across]}: left and down is better"
    key = legend({"taken": TAKEN, "on the Pareto front": "#5b7fbf", "beaten by another": OTHERS})
    ups = [_told(up, max(ys)), _told(up, min(ys))]
    acrosses = [_told(across, min(xs)), f"{UNITS[across]} {_told(across, max(xs))}"]
    return figure(caption, ups, svg(caption, drawn), acrosses, key)


def _named(field: str) -> str:
    return field.partition(".")[2].replace("_", " ")


def _told(objective: Objective, found: float) -> str:
    return measured(TrialRecord(number=0, state="complete", values={}, measured={objective: found}), objective)


def _end(parameter: Parameter, place: int) -> str:
    return value(parameter.ends[place])


def _share(parameter: Parameter, found: float) -> float:
    """Where a value stands on its axis, 0 to 1."""
    if parameter.choices is not None:
        return parameter.choices.index(found) / (len(parameter.choices) - 1)
    assert parameter.low is not None and parameter.high is not None
    if parameter.log:
        return _between(math.log(found), math.log(parameter.low), math.log(parameter.high))
    return _between(found, parameter.low, parameter.high)


def _between(found: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (found - low) / (high - low))) if high > low else 0.5
