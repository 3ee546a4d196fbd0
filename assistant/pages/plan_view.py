"""The Plan page's right side as HTML: what is known so far, the estimate, and the run file with its reasons."""

from __future__ import annotations

from html import escape
from typing import Any

from pydantic import BaseModel

from assistant.pages.run_view import facts_list
from assistant.pages.style import Tone, badge
from assistant.planner.advice_alternatives import Alternative
from assistant.planner.advice_models import Reason
from assistant.planner.answers import QUESTIONS, Answers, holds_patient_data, missing
from assistant.planner.replies import price_words, time_words
from trainer.config import of_kind
from trainer.data import recipes
from trainer.sections import TAGGED, RunConfig
from trainer.sizing import Estimate

_FITS: dict[str, tuple[str, Tone]] = {
    "fits": ("fits", "good"),
    "tight": ("tight", "warn"),
    "does_not_fit": ("does not fit", "bad"),
}
_ASKED = {
    "task": "What the model is for",
    "examples": "Data",
    "gpu": "Where it trains",
    "contains_phi": "Patient data",
}
_OPEN = ("model", "data", "method")  # the sections that people look at first; the others unfold
FREE_SHARE = 0.2  # of the memory is to stay free (lecture L1.13)


def known(answers: Answers) -> str:
    """The four things a plan needs, with what was said of each so far."""
    open_ones = missing(answers)
    rows = "".join(
        f'<li class="{"" if name in open_ones else "bs-known"}"><span>{label}</span>'
        f"<span>{escape(_said(answers, name)) if name not in open_ones else 'not yet'}</span></li>"
        for name, label in ((one, _ASKED[one]) for one in QUESTIONS)
    )
    return (
        '<div class="bs-card"><h3>The run file grows here</h3><p class="bs-soft">Four answers make a plan. Each value '
        f'then comes with its reason and source.</p><ul class="bs-known-list">{rows}</ul></div>'
    )


def estimate(config: RunConfig, found: Estimate | None) -> str:
    """Peak memory as a bar against the limit, with the fifth that is to stay free, and the hours."""
    title = f'<span class="bs-big">{escape(config.output.name)}</span>'
    where = config.hardware.gpu or ("a CPU" if config.hardware.device == "cpu" else "a GPU")
    under = f'<p class="bs-soft">{escape(config.model.name)} · {escape(where)}</p>'
    if found is None:
        text = "No estimate: this model or this GPU is not in the catalogue."
        return f'<div class="bs-card">{title}{under}<p>{text}</p></div>'
    word, tone = _FITS[found.fits]
    peak, limit = found.peak_gib, found.limit_gib
    scale = max(limit, peak.high) * 1.0
    low, high, end = (100 * value / scale for value in (peak.low, peak.high, limit))
    free = end * (1 - FREE_SHARE)
    bar = (
        f'<div class="bs-bar bs-fill-{tone}" role="img" aria-label="{peak.low:.1f} to {peak.high:.1f} of {limit:.1f} '
        f'GiB: {word}"><em style="left:{free:.1f}%;width:{end - free:.1f}%"></em>'
        f'<i class="bs-high" style="width:{high:.1f}%"></i><i style="width:{low:.1f}%"></i>'
        f'<b style="left:{min(end, 99.6):.1f}%"><span>{limit:.3g} GiB</span></b></div>'
    )
    rented = {"if rented": price_words(found.usd)} if found.usd else {}
    facts = facts_list(
        {
            "memory needed": f"{peak.low:.1f} to {peak.high:.1f} GiB",
            "kept free": f"{FREE_SHARE:.0%} of {limit:.3g} GiB (hatched)",
            "training": time_words(found.hours) if found.hours else "depends on the file's rows",
        }
        | rented
    )
    parts = "".join(f"<tr><td>{escape(name)}</td><td>{gib:.2f} GiB</td></tr>" for name, gib in found.parts.items())
    return (
        f'<div class="bs-card" id="plan-estimate-card"><div class="bs-row bs-head">{title}{badge(word, tone)}</div>'
        f"{under}{bar}"
        f'{facts}<details class="bs-defaults"><summary>What takes the memory (high end)</summary>'
        f'<table class="bs-table">{parts}</table></details></div>'
    )


def run_file(config: RunConfig, planned: RunConfig | None, reasons: list[Reason], last: RunConfig | None = None) -> str:
    """The run file by section: each value with its why and source; untouched defaults folded away.

    What differs from `last`, the run file before the last message, is marked, and its section stands open.
    """
    data = config.model_dump(mode="json")
    before = planned.model_dump(mode="json") if planned else {}
    earlier = last.model_dump(mode="json") if last else data
    for section in TAGGED if planned else ():
        kind, was = data[section]["kind"], before[section]["kind"]
        if kind != was:
            # Another kind was chosen by hand: its own defaults are what it is compared with, and no reason is of it.
            before[section] = of_kind(section, before[section], kind) | {"kind": was}
            reasons = [reason for reason in reasons if not reason.field.startswith(f"{section}.")]
    why = {reason.field: reason for reason in reasons}
    sections = []
    for section, values in data.items():
        if not isinstance(values, dict):
            continue
        shown, defaults = [], []
        changed = {name for name, value in values.items() if value != earlier[section].get(name)}
        for name, value in values.items():
            field = f"{section}.{name}"
            new = name in changed
            if before and value != before[section].get(name):
                shown.append(_value(name, value, "You set this.", "your edit", new))
            elif field in why:
                shown.append(_value(name, value, why[field].why, why[field].source, new))
            else:
                defaults.append(_value(name, value, _described(getattr(config, section), name), "default", new))
        sections.append(_section(section, shown, defaults, bool(changed)))
    return f'<div class="bs-card" id="plan-table">{"".join(sections)}</div>'


def _section(name: str, shown: list[str], defaults: list[str], changed: bool) -> str:
    count = len(defaults)
    folded = (
        f'<details class="bs-defaults"><summary>{count} more at {"its default" if count == 1 else "their defaults"}'
        f"</summary>{''.join(defaults)}</details>"
        if defaults
        else ""
    )
    told = f"{len(shown)} {'value' if len(shown) == 1 else 'values'} with reasons" if shown else "all at their defaults"
    state = " open" if changed or name in _OPEN else ""
    return (
        f'<details class="bs-section"{state}><summary><strong>{escape(name.capitalize())}'
        f"</strong><span>{told}</span></summary>{''.join(shown)}{folded}</details>"
    )


def alternatives(found: list[Alternative]) -> str:
    """Other plans beside the first: what differs, what each needs, and what it gives up."""
    if not found:
        return ""
    items = []
    for one in found:
        word, tone = _FITS[one.estimate.fits]
        time = f", {time_words(one.estimate.hours)}" if one.estimate.hours else ""
        # How often is measured and saved follows from the number of steps, and is no choice between plans.
        told = {name: to for name, to in one.changes.items() if not name.endswith("every")}
        changes = [f"{_label(name)} {_text(to)}" for name, to in told.items()]
        if len(changes) > 4:
            changes = [*changes[:4], f"and {len(changes) - 4} more"]
        stands = " bs-stands" if not one.changes else ""
        taken = f'<p class="bs-say">Say “{escape(one.say)}”</p>' if one.changes else ""
        items.append(
            f'<div class="bs-way{stands}"><div class="bs-row"><q>{escape(one.label.capitalize())}</q>'
            f"{badge(word, tone)}</div><p>{escape(', '.join(changes))}</p>"
            f'<p class="bs-soft">{one.estimate.peak_gib.low:.1f} to {one.estimate.peak_gib.high:.1f} GiB'
            f"{escape(time)}. {escape(one.gives_up)}</p>{taken}</div>"
        )
    return f'<div class="bs-card"><h3>Other ways</h3><div class="bs-ways">{"".join(items)}</div></div>'


def _said(answers: Answers, name: str) -> str:
    if name in answers.unknown:
        return "not sure"
    if name == "task":
        return ", ".join(one.replace("_", " ") for one in [answers.task, *answers.other_tasks] if one)
    if name == "examples":
        rows = f"{answers.examples:,} examples" if answers.examples else ""
        return ", ".join(part for part in (recipes.shown(answers.dataset or ""), rows) if part)
    if name == "gpu":
        return answers.gpu or f"{answers.vram_gib:g} GB GPU"
    return {True: "yes", False: "none", None: "not known"}[holds_patient_data(answers)]


def _value(name: str, value: Any, why: str, source: str, changed: bool) -> str:
    kind = "bs-value bs-changed" if changed else "bs-value"
    return (
        f'<div class="{kind}"><div><div class="bs-name">{escape(name.replace("_", " "))}</div>'
        f'<div class="bs-what">{escape(_text(value))}</div></div>'
        f'<div><div class="bs-why">{escape(why)}</div><div class="bs-source">{escape(source)}</div></div></div>'
    )


def _described(section: BaseModel, name: str) -> str:
    return type(section).model_fields[name].description or ""


def _label(field: str) -> str:
    section, _, name = field.partition(".")
    return section if name == "name" else name.replace("_", " ")


def _text(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, dict):
        said = {key: one for key, one in value.items() if key != "name" and one not in (None, {}, [])}
        rest = ", ".join(f"{key} {_text(one)}" for key, one in said.items())
        return f"{value.get('name', '')} ({rest})" if rest else str(value.get("name", ""))
    return f"{value:g}" if isinstance(value, float) else str(value)
