"""What-ifs: another plan beside the present one, which stays as it is."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner import requests
from assistant.planner.advice import Plan, advise
from assistant.planner.answers import Answers, merge, missing
from assistant.planner.reading import read
from assistant.planner.reading_text import Message
from assistant.planner.replies import time_words
from trainer.hardware import Machine
from trainer.method_names import method_name

_WHAT_IF = re.compile(
    r"[^.;!?\n]*\b(?:what if|what would (?:change|happen|it be|it take|it look like)?\s*(?:if|with|on)?|suppose|imagine"
    r"|how would it be (?:with|on|if))\b(?P<inner>[^;!?\n]*)\??",
    re.IGNORECASE,
)
_FITS = {"fits": "fits", "tight": "tight", "does_not_fit": "does not fit"}


def compare(text: str, known: Answers, plan: Plan | None, machine: Machine) -> tuple[str, str]:
    """The reply to a what-if, and the message without it; ("", text) where the message has none."""
    match = _WHAT_IF.search(text)
    if match is None:
        return "", text
    rest = text[: match.start()] + " " + text[match.end() :]
    inner = match["inner"].strip()
    settings, remarks = requests.read_requests(Message(inner), plan.config if plan else None, known.settings)
    reading = read(inner, machine, known=known)
    changes = reading.changes.model_copy(update={"settings": settings}) if settings else reading.changes
    if not changes.model_fields_set:
        said = " ".join([*remarks, *reading.remarks])
        return said or "I did not find what would be different in that; for example “what if I had an A100?”.", rest
    other = merge(known, changes)
    if plan is None or missing(other):
        return "I can compare two plans once there is one; nothing was changed.", rest
    return f"Beside each other; the plan stays as it is:\n\n{_table(plan, advise(other, machine))}", rest


def _table(mine: Plan, theirs: Plan) -> str:
    rows: list[tuple[str, str, str]] = []
    for label, value in (
        ("model", lambda plan: plan.config.model.name),
        ("device", lambda plan: plan.config.hardware.gpu or plan.config.hardware.device),
        ("base in", lambda plan: "4 bits" if plan.config.model.quantization == "nf4" else "16 bits"),
        ("method", lambda plan: method_name(plan.config)),
        ("rank", lambda plan: getattr(plan.config.method, "rank", "none")),
        (
            "batch x accumulation",
            lambda plan: f"{plan.config.schedule.batch_size} x {plan.config.schedule.accumulation}",
        ),
        ("epochs", lambda plan: f"{plan.config.schedule.epochs:g}"),
        ("max. tokens", lambda plan: plan.config.schedule.max_length),
        ("checkpointing", lambda plan: "yes" if plan.config.schedule.gradient_checkpointing else "no"),
    ):
        pair: tuple[Any, Any] = (value(mine), value(theirs))
        if pair[0] != pair[1] or label in ("model", "device"):
            rows.append((label, str(pair[0]), str(pair[1])))
    rows.append(("memory", _memory(mine), _memory(theirs)))
    rows.append(("training", _hours(mine), _hours(theirs)))
    head = "| | this plan | what if |\n|---|---|---|\n"
    return head + "\n".join(f"| {label} | {one} | {other} |" for label, one, other in rows)


def _memory(plan: Plan) -> str:
    if plan.estimate is None:
        return "not known"
    peak = plan.estimate.peak_gib
    return f"{peak.low:.1f}-{peak.high:.1f} of {plan.estimate.limit_gib:.3g} GiB, {_FITS[plan.estimate.fits]}"


def _hours(plan: Plan) -> str:
    return time_words(plan.estimate.hours) if plan.estimate and plan.estimate.hours else "not known"
