"""The Runs page's account of what acted on a run while it trained: one card for each part that did."""

from __future__ import annotations

from html import escape

from assistant.pages.history import History
from assistant.pages.line_chart import line_chart
from assistant.pages.run_view import facts_list
from assistant.pages.style import badge
from trainer.events import ConflictEvent, EvalEvent, Points, Scored

_KINDS = {"general": "general questions", "general_medical": "general medical questions"}
_DECIDED = {"double": "double it", "halve": "halve it", "keep": "keep it"}


def cards(past: History) -> str:
    """All cards, what may call for a decision first; empty where nothing acted."""
    parts = (_forgetting, _harm, _tasks, _conflicts, _weights, _mixing, _curriculum, _rows, _ranks, _folds, _machine)
    return "".join(f'<div class="bs-card">{found}</div>' for part in parts if (found := part(past)))


def _ranks(past: History) -> str:
    if not past.ranks:
        return ""
    rows = "".join(
        f"<tr><td><strong>{one.rank}</strong></td><td>{one.train_loss:.3f}</td><td>{one.validation_loss:.3f}</td>"
        f'<td>{one.gap:.3f}</td><td class="bs-short">{_DECIDED[one.decision]}</td></tr>'
        f'<tr class="bs-under"><td colspan="5">{escape(one.reason)}</td></tr>'
        for one in past.ranks
    )
    curves = {f"rank {one.rank}": one.validation_curve for one in past.ranks}
    return (
        f"<h3>Search for the rank</h3>{line_chart(curves, 'step', 'validation loss')}"
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>rank</th><th>training</th><th>validation</th>'
        "<th>gap</th><th>then</th></tr></thead>"
        f'<tbody>{rows}</tbody></table></div><p class="bs-soft">Losses at the end, and their gap. Doubled where '
        "the loss flattens early, halved where the gap grows (lecture L1.10).</p>"
    )


def _folds(past: History) -> str:
    if not past.folds:
        return ""
    losses = [one.loss for one in past.folds]
    mean = sum(losses) / len(losses)
    facts = {
        "folds": f"{len(losses)} of {past.folds[-1].folds}",
        "mean loss of held-back rows": f"{mean:.3f}",
        "best to worst": f"{min(losses):.3f} to {max(losses):.3f}",
    }
    return f"<h3>Every row held back once</h3>{facts_list(facts)}"


def _tasks(past: History) -> str:
    if not past.evals:
        return ""
    last = past.evals[-1]
    charts = []
    for title, series in (("Validation loss by task", "tasks"), ("Validation loss by specialty", "specialties")):
        names = list(getattr(last, series))
        if 1 < len(names) <= 8:
            curves = {_word(name): _points(past.evals, series, name) for name in names}
            charts.append(f"<h3>{title}</h3>{_over_time(curves, 'loss')}")
    return f"{_accuracy(past.evals)}{''.join(charts)}"


def _accuracy(evals: list[EvalEvent]) -> str:
    last = evals[-1]
    if last.token_accuracy is None or last.answer_accuracy is None:
        return ""
    curves = {
        "answer tokens right": [(one.step, one.token_accuracy) for one in evals if one.token_accuracy is not None],
        "whole answers right": [(one.step, one.answer_accuracy) for one in evals if one.answer_accuracy is not None],
    }
    chart = _over_time(curves, "share", top=1.0)
    under = f"On {last.n} validation rows, each token after the right ones before it."
    return f'<h3>Right on validation rows</h3>{chart}<p class="bs-soft">{under}</p>'


def _over_time(curves: dict[str, list[tuple[int, float]]], y: str, top: float | None = None) -> str:
    """A chart; the numbers by name as long as there is one of each."""
    now = {name: f"{line[-1][1]:.3f}" for name, line in curves.items() if line}
    return line_chart(curves, "step", y, top) or facts_list(now)


def _points(evals: list[EvalEvent], series: str, name: str) -> list[tuple[int, float]]:
    return [(one.step, getattr(one, series)[name]) for one in evals if name in getattr(one, series)]


def _forgetting(past: History) -> str:
    if not past.forgetting:
        return ""
    last = past.forgetting[-1]
    curves = {
        _KINDS.get(kind, kind): [(one.step, one.scores[kind].lost) for one in past.forgetting if kind in one.scores]
        for kind in last.scores
    }
    rows = "".join(_lost(kind, points) for kind, points in last.scores.items())
    state = badge("past the limit", "bad") if last.past else badge("within the limit", "good")
    return (
        f'<div class="bs-row"><h3>Forgetting monitor</h3>{state}</div>'
        f"{line_chart(curves, 'step', 'points lost', limit=last.limit)}"
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>asked</th><th>before</th><th>now</th>'
        f'<th>lost</th></tr></thead><tbody>{rows}</tbody></table></div><p class="bs-soft">The same questions each '
        f"time, never trained on. Lost: absolute points of accuracy, with the 95 % interval of the paired difference; "
        f"limit {last.limit:g} points (lecture L2.9).</p>"
    )


def _lost(kind: str, points: Points) -> str:
    return (
        f'<tr><td>{escape(_KINDS.get(kind, kind))}<br><span class="bs-soft">n = {points.n}</span></td>'
        f"<td>{points.before:.0%}</td><td>{points.now:.0%}</td><td><strong>{points.lost:+.1f}</strong><br>"
        f'<span class="bs-soft">{points.low:+.1f} to {points.high:+.1f}</span></td></tr>'
    )


def _harm(past: History) -> str:
    if not past.harm:
        return ""
    last = past.harm[-1]
    state = badge("past the limit", "bad") if last.past else badge("within the limit", "good")
    curve = {"harmful answers": [(one.step, one.share) for one in past.harm]}
    facts = {
        "harmful now": f"{last.harmful} of {last.n} ({last.low:.0%} to {last.high:.0%})",
        "refused now": f"{last.refused} of {last.n}",
        "harmful from the base": f"{last.base_harmful} of {last.n}",
    }
    return (
        f'<div class="bs-row"><h3>Answers to harmful requests</h3>{state}</div>'
        f"{line_chart(curve, 'step', 'share', top=1.0)}{facts_list(facts)}"
        '<p class="bs-soft">A fixed set of requests, screened by rules: a screen, not a judgement.</p>'
    )


def _mixing(past: History) -> str:
    moving = [one for one in past.mix if one.target is not None]
    if not moving:
        return ""
    curves = {
        "seen": [(one.step, one.share) for one in moving],
        "aimed at": [(one.step, one.target) for one in moving if one.target is not None],
    }
    chart = _over_time(curves, "share of general rows")
    return f'<h3>Dynamic mixing</h3>{chart}<p class="bs-soft">Driven by both validation losses (lecture L2.11).</p>'


def _curriculum(past: History) -> str:
    if not past.levels:
        return ""
    begun = "".join(
        f"<li><strong>{escape(one.level)}</strong> from step {one.step}: {escape(one.reason)}</li>"
        for one in past.levels
    )
    names = list(dict.fromkeys(level for one in past.mix for level in one.levels))
    totals = {one.step: sum(one.levels.values()) or 1 for one in past.mix}
    curves = {name: [(one.step, one.levels.get(name, 0) / totals[one.step]) for one in past.mix] for name in names}
    chart = line_chart(curves, "step", "share of rows seen", top=1.0)
    return f'<h3>Curriculum</h3>{chart}<ul class="bs-list">{begun}</ul>'


def _weights(past: History) -> str:
    if not past.weights:
        return ""
    names = list(past.weights[-1].weights)
    curves = {_word(name): [(one.step, one.weights.get(name, 1.0)) for one in past.weights] for name in names}
    return f"<h3>What each task counts</h3>{_over_time(curves, 'weight')}"


def _conflicts(past: History) -> str:
    if not past.conflicts:
        return ""
    last = past.conflicts[-1]
    return (
        f'<h3>Do the tasks pull apart?</h3>{_matrix(last)}<p class="bs-told">{escape(last.suggestion)}</p>'
        f'<p class="bs-soft">Mean cosine between the tasks’ gradients over {len(past.conflicts)} measurements; below 0 '
        "they conflict (lecture L2.6).</p>"
    )


def _matrix(last: ConflictEvent) -> str:
    names = list(last.mean)
    head = "".join(f"<th>{escape(_word(name))}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{escape(_word(one))}</td>"
        + "".join(_cosine(last.mean[one].get(other), one == other) for other in names)
        + "</tr>"
        for one in names
    )
    return (
        f'<div class="bs-scroll" tabindex="0"><table class="bs-table"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cosine(value: float | None, itself: bool) -> str:
    if itself:
        return "<td></td>"
    if value is None:
        return '<td><span class="bs-soft">not yet</span></td>'
    text = f"{value:+.2f}"
    return f"<td>{badge(text, 'bad') if value < -0.05 else text}</td>"


def _rows(past: History) -> str:
    if not past.evals or not past.evals[-1].worst:
        return ""
    last = past.evals[-1]
    worst, best = ("".join(map(_scored, rows)) for rows in (last.worst, last.best))
    return (
        f'<h3>Validation rows at step {last.step}</h3><details class="bs-section" open><summary><strong>Worst</strong>'
        f'</summary>{worst}</details><details class="bs-section"><summary><strong>Best</strong></summary>{best}'
        "</details>"
    )


def _scored(one: Scored) -> str:
    return (
        f'<div class="bs-sample"><div class="bs-row bs-head"><q>{escape(one.question)}</q><span class="bs-soft">'
        f"loss&nbsp;{one.loss:.2f}</span></div><p>{escape(one.answer)}</p></div>"
    )


def _machine(past: History) -> str:
    read = past.reading
    if read is None:
        return ""
    facts = {"memory of the process": f"{read.process_gib:.1f} GiB"}
    if read.gpu_gib is not None:
        limit = f" of {read.gpu_limit_gib:.0f}" if read.gpu_limit_gib else ""
        facts["memory of the GPU"] = f"{read.gpu_gib:.1f}{limit} GiB"
    if read.gpu_use is not None:
        facts["GPU in use"] = f"{read.gpu_use:.0%}"
    if read.temperature_c is not None:
        facts["temperature"] = f"{read.temperature_c:.0f} °C"
    if read.power_w is not None:
        facts["power"] = f"{read.power_w:.0f} W"
    return f"<h3>The machine</h3>{facts_list(facts)}"


def _word(name: str) -> str:
    return name.replace("_", " ")
