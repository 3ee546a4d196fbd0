"""The Runs page's words and tables as HTML. All text that comes from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from assistant.pages.history import History
from assistant.pages.style import Tone, badge, notice
from trainer import energy
from trainer.energy import Energy
from trainer.events import SampleEvent
from trainer.jobs import ACTIVE
from trainer.runs import Run

TONES: dict[str, Tone] = {
    "queued": "quiet",
    "preparing": "busy",
    "training": "busy",
    "evaluating": "busy",
    "done": "good",
    "stopped": "warn",
    "failed": "bad",
}
_METRICS = {"structure": "taught structure", "exact_match": "exact match", "label": "right class"}


def state(run: Run, past: History) -> str:
    """The head of the page: name, state, progress, time left, and the numbers of the last step."""
    status = run.status
    head = (
        f'<div class="bs-row bs-head"><span class="bs-big">{escape(run.config.output.name)}</span>'
        f"{badge(status.state, TONES[status.state])}</div>"
        f'<p class="bs-soft">{escape(_subtitle(run))}</p>'
    )
    return f'<div class="bs-card">{head}{_progress(run, past)}{_facts(past)}</div>'


def notes(run: Run, past: History) -> str:
    """Why the run failed or stopped, and what went another way than planned."""
    lines = [one.message if one.kind == "warning" else one.reason for one in past.notes]
    lines += [
        f"{one.reason} Training went back to step {one.to_step} and goes on with a rate of {one.learning_rate:.1e}."
        for one in past.guards
    ]
    lines += [f"Step {one.step}: {one.message}" for one in past.alarms]
    if run.status.error:
        return notice("This run failed", [run.status.error, *lines], "bad")
    if run.status.state == "stopped":
        return notice("This run was stopped", [*lines, past.detail] if past.detail else lines, "warn")
    return notice("Worth knowing", lines, "warn")


def samples(past: History) -> str:
    """The newest answer to each sample question; earlier ones folded away."""
    if not past.samples:
        return ""
    last = past.samples[-1].step
    newest = "".join(_sample(one) for one in past.samples if one.step == last)
    earlier = "".join(_sample(one) for one in reversed(past.samples) if one.step != last)
    folded = f'<details class="bs-defaults"><summary>Earlier answers</summary>{earlier}</details>' if earlier else ""
    return f'<div class="bs-card"><h3>Sample answers</h3>{newest}{folded}</div>'


def _sample(one: SampleEvent) -> str:
    return (
        f'<div class="bs-sample"><div class="bs-row"><q>{escape(one.prompt)}</q><span class="bs-soft">step {one.step}'
        f"</span></div><p>{escape(one.answer)}</p></div>"
    )


def report(found: dict[str, Any] | None) -> str:
    """The report of a finished run: scores with their 95 % intervals, losses, forgetting, and what it cost."""
    if not found:
        return ""
    rows = "".join(_row(one) for one in found.get("table") or [])
    table = (
        '<div class="bs-scroll" tabindex="0"><table class="bs-table bs-compare" id="runs-report-table"><thead><tr>'
        "<th>Held-out questions</th>"
        "<th>base</th><th>base, prompted</th><th>tuned</th></tr></thead>"
        f'<tbody>{rows}</tbody></table></div><p class="bs-soft">Share of answers that pass, with the 95 % interval. '
        "“Prompted” is the base model with worked examples in its prompt.</p>"
        if rows
        else ""
    )
    return f'<div class="bs-card" id="runs-report-card"><h3>Report</h3>{table}{_costs(found)}</div>'


def duration(seconds: float) -> str:
    """Time in words: "40 s", "12 min", "3 h 5 min"."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _subtitle(run: Run) -> str:
    task = run.config.task.name.replace("_", " ")
    place = run.config.hardware.gpu or run.status.device.upper()
    return f"{run.config.model.name} · {task} · {place}"


def _progress(run: Run, past: History) -> str:
    status, last = run.status, past.steps[-1] if past.steps else None
    share = status.step / status.total_steps if status.total_steps else 0.0
    left, right = f"step {status.step} of {status.total_steps}" if status.total_steps else "", ""
    if status.state == "training" and last:
        right = f"about {duration(last.eta_seconds)} left" if last.eta_seconds >= 1 else ""
    elif status.state in ACTIVE and past.progress:
        # Before and after training, the bar tells how far the present piece of work is.
        share = past.progress.done / past.progress.total if past.progress.total else 0.0
        total = f" of {past.progress.total:,}" if past.progress.total else ""
        left, right = past.progress.stage, f"{past.progress.done:,}{total}"
    elif status.state in ACTIVE:
        left = past.detail or {"queued": "waiting to start", "preparing": "getting ready"}.get(status.state, left)
    if status.state == "done":
        share = 1.0
    if not left:
        return ""
    return (
        f'<div class="bs-bar bs-fill-accent"><i style="width:{100 * min(1.0, share):.1f}%"></i></div>'
        f'<div class="bs-row bs-soft"><span>{escape(left)}</span><span>{escape(right)}</span></div>'
    )


def _facts(past: History) -> str:
    if not past.steps:
        return ""
    last = past.steps[-1]
    facts = {
        "training loss": f"{last.loss:.3f}",
        "validation loss": f"{past.evals[-1].loss:.3f}" if past.evals else "not yet",
        "tokens per second": f"{last.tokens_per_second:,.0f}",
        "memory, peak": f"{last.memory_gib:.1f} GiB",
    }
    if past.mix and (general := sum(one.general for one in past.mix)):
        low, high = min(one.share for one in past.mix), max(one.share for one in past.mix)
        rows = sum(one.rows for one in past.mix)
        facts["general rows seen"] = f"{general / rows:.0%} (a window: {low:.0%} to {high:.0%})"
    return facts_list(facts)


def facts_list(facts: dict[str, str]) -> str:
    """Small named numbers side by side."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items())
    return f'<dl class="bs-facts">{items}</dl>'


def _row(row: dict[str, Any]) -> str:
    name = str(row.get("name") or row.get("set") or "")
    metric = str(row.get("metric") or "")
    under = f"{_METRICS.get(metric, metric)}, n = {row.get('n', '?')}"
    if row.get("majority") is not None:
        under += f"; always the commonest class: {row['majority']:.0%}"
    cells = "".join(f"<td>{_share(row.get(side), side == 'tuned')}</td>" for side in ("base", "prompted", "tuned"))
    return f'<tr><td>{escape(name)}<br><span class="bs-soft">{escape(under)}</span></td>{cells}</tr>'


def _share(found: dict[str, float] | None, strong: bool) -> str:
    if not found or "score" not in found:
        return '<span class="bs-soft">not measured</span>'
    text = f"{found['score']:.0%}"
    interval = f"{found['low']:.0%} to {found['high']:.0%}" if "low" in found and "high" in found else ""
    return f'{f"<strong>{text}</strong>" if strong else text}<br><span class="bs-soft">{interval}</span>'


def _costs(found: dict[str, Any]) -> str:
    facts: dict[str, str] = {}
    loss, forgetting = found.get("validation_loss"), found.get("forgetting")
    if loss:
        facts["validation loss"] = f"{loss['before']:.2f} → {loss['after']:.2f}"
    if forgetting:
        before, after = forgetting.get("questions_before"), forgetting.get("questions_after")
        if before and after:
            facts[f"general questions right (n = {before.get('n', '?')})"] = (
                f"{before['score']:.0%} → {after['score']:.0%}"
            )
        perplexity = forgetting.get("perplexity")
        if perplexity:
            facts["perplexity, general text"] = f"{perplexity['before']:.1f} → {perplexity['after']:.1f}"
    if "training_minutes" in found:
        facts["training time"] = duration(60 * found["training_minutes"])
        if said := found.get("predicted_hours"):
            facts["training time, predicted"] = " to ".join(duration(3600 * said[end]) for end in ("low", "high"))
    if "evaluating_minutes" in found:
        facts["scoring time"] = duration(60 * found["evaluating_minutes"])
    if said := found.get("energy"):
        facts["energy, estimated"] = energy.words(Energy.model_validate(said))
    if "peak_gib" in found:
        facts["memory, peak"] = f"{found['peak_gib']:.1f} GiB"
        if said := found.get("predicted_gib"):
            facts["memory, predicted"] = f"{said['low']:.1f} to {said['high']:.1f} GiB"
    if "trainable_share" in found:
        facts["weights trained"] = f"{found['trainable_share']:.2%}"
        if said := found.get("lecture_share"):
            facts["the lecture’s figure"] = said
    if found.get("rank") is not None:
        facts["rank found"] = str(found["rank"])
    if found.get("best_step") is not None:
        facts["kept from step"] = str(found["best_step"])
    if folds := found.get("folds"):
        facts[f"loss of held-back rows ({folds['n']} folds)"] = f"{folds['mean']:.2f} ± {folds['sd']:.2f}"
    return facts_list(facts)
