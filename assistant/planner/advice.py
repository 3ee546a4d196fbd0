"""Answers → run file. Deterministic; every value that is set has its reason and the source of that reason."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from assistant.planner import (
    advice_alignment,
    advice_data,
    advice_devices,
    advice_kernels,
    advice_method,
    advice_steering,
    advice_training,
)
from assistant.planner.advice_alternatives import Alternative, by_priority, nearest_that_fit
from assistant.planner.advice_memory import LEVERS, make_it_fit
from assistant.planner.advice_models import (
    Reason,
    choose_hardware,
    choose_model,
    planned_machine,
    said,
)
from assistant.planner.answers import Answers, uses_starter
from trainer import config as run_config
from trainer import sizing
from trainer.combinations import faults
from trainer.hardware import Machine
from trainer.sections import RunConfig
from trainer.sizing import Estimate

_SYSTEM_PROMPT = "You are a clinical assistant."


class Plan(BaseModel):
    """A run file with its reasons, its estimate (None where the model is not in the catalogue) and other plans."""

    config: RunConfig
    reasons: list[Reason]
    estimate: Estimate | None
    alternatives: list[Alternative] = []


def advise(answers: Answers, machine: Machine) -> Plan:
    """The plan for these answers, with others beside it: fastest, balanced and best, or the nearest that fit."""

    def make(wanted: Answers) -> tuple[RunConfig, Estimate | None]:
        made = _by_priority(wanted, planned_machine(wanted, machine))
        return made.config, made.estimate

    plan = _by_priority(answers, planned_machine(answers, machine))
    if plan.estimate is not None:
        others = by_priority if plan.estimate.fits == "fits" else nearest_that_fit
        plan.alternatives = others(plan.config, answers, make)
    return plan


def _by_priority(answers: Answers, machine: Machine) -> Plan:
    """Speed: one model smaller, else half the passes. Quality: one larger where it fits, else more of the same."""
    plan = _plan(answers, machine)
    another = "method.kind" in answers.settings or "method.init" in answers.settings
    if another and plan.estimate is not None and plan.estimate.fits != "fits":
        # The models by memory are chosen for LoRA; what another method needs may be too much for them.
        smaller = _plan(answers, machine, size_step=-1)
        if smaller.estimate is not None and smaller.estimate.fits == "fits":
            return smaller
    if answers.priority not in ("speed", "quality"):
        return plan
    step = -1 if answers.priority == "speed" else 1
    other = _plan(answers, machine, size_step=step)
    fits = other.estimate is not None and other.estimate.fits == "fits"
    if other.config.model.name != plan.config.model.name and (fits or step < 0):
        return other
    return _plan(answers, machine, effort=0.5 if step < 0 else 1.5)


def _plan(answers: Answers, machine: Machine, size_step: int = 0, effort: float = 1.0) -> Plan:
    """`size_step`: one base model larger or smaller than usual; `effort`: factor on the passes over the data."""
    reasons: list[Reason] = []
    config = RunConfig(format_version=run_config.FORMAT_VERSION)
    config.hardware, found = choose_hardware(answers, machine)
    reasons += found
    name, batch, reason = choose_model(answers, config.hardware, size_step)
    config.model.name = name
    reasons.append(reason)
    reasons += _task(config, answers)
    found_data = advice_data.data(config, answers)
    rows, row_tokens = found_data.rows, found_data.row_tokens
    reasons += found_data.reasons + advice_alignment.planned(config, answers, found_data)
    reasons += advice_method.method(config, answers)
    reasons += advice_training.schedule(config, answers, batch, found_data)
    if config.objective.kind != "sft":
        reasons += advice_alignment.schedule(config, rows, 0)
    advice_method.with_effort(config, answers, effort, reasons)
    planned = config.model_copy(deep=True)
    left = _set(config, answers.settings)
    wanted_length = config.schedule.max_length
    reasons += advice_training.rhythm(config, answers, rows)
    reasons += advice_steering.steering(config, answers, found_data)
    asked = {name: value for name, value in answers.settings.items() if name not in left}
    reasons += advice_devices.devices(config, answers)
    estimate, levers, shared = make_it_fit(config, machine, rows, row_tokens, asked)
    reasons += shared
    reasons += advice_training.memory_reasons(config, levers, estimate, wanted_length, found_data.long_row_tokens)
    if validated := advice_steering.validation(config, answers, rows, estimate):
        reasons += validated
        estimate = sizing.estimate(config, machine, rows, row_tokens)
    reasons += advice_kernels.kernels(config, estimate) if "hardware.kernels" not in asked else []
    reasons = _with_requests(reasons, config, planned, answers.settings, left)
    config.output.name = _name(config)
    reasons.append(
        Reason(field="output.name", value=config.output.name, why="Task and model, to be told apart.", source="Bedside")
    )
    return Plan(config=config, reasons=reasons, estimate=estimate)


def _task(config: RunConfig, answers: Answers) -> list[Reason]:
    config.task.name = answers.task or "question_answering"
    config.task.other_tasks = list(answers.other_tasks)
    config.task.specialty = answers.specialty
    config.task.system_prompt = _SYSTEM_PROMPT
    if answers.specialty and not uses_starter(answers):
        config.task.system_prompt = f"You are a clinical assistant in {answers.specialty}."
    source = "your answer" if answers.task else "Bedside"
    why = (
        "What you said the model is for."
        if answers.task
        else "No task was named; questions and answers are the broadest."
    )
    reasons = [Reason(field="task.name", value=config.task.name, why=why, source=source)]
    if config.task.other_tasks:
        reasons.append(said("task.other_tasks", config.task.other_tasks, "The same model serves these too."))
    if config.task.specialty:
        reasons.append(said("task.specialty", config.task.specialty, "The specialty that you named."))
    why = "The same words stand before every conversation, in training and in use, so that both answers are comparable."
    reasons.append(Reason(field="task.system_prompt", value=config.task.system_prompt, why=why, source="lecture L2.3"))
    return reasons


def _set(config: RunConfig, settings: dict[str, Any]) -> dict[str, str]:
    """Set what was asked for; what no longer goes with the rest (another machine was named since) is left, with why."""
    left = {}
    if "method.rank" in settings:
        advice_method.set_rank(config.method, settings["method.rank"])
    if "evaluation.every" in settings:
        config.schedule.checkpoint_every = settings["evaluation.every"]
    for name, value in settings.items():
        section, _, field = name.partition(".")
        # The kind is planned for already; in its place it would be another section.
        if name == "method.kind":
            continue
        part, known = getattr(config, section), {fault.message for fault in faults(config)}
        before = getattr(part, field)
        setattr(part, field, value)
        if new := [fault.message for fault in faults(config) if fault.message not in known]:
            setattr(part, field, before)
            left[name] = new[0]
    return left


def _with_requests(
    reasons: list[Reason],
    config: RunConfig,
    planned: RunConfig,
    settings: dict[str, Any],
    left: dict[str, str],
) -> list[Reason]:
    """The reasons, where a value that the user asked for says so, beside what the planner would have taken."""
    kept = {reason.field: reason for reason in reasons}
    for name, value in settings.items():
        section, _, field = name.partition(".")
        own = getattr(getattr(planned, section), field)
        if name in left:
            why = f"You asked for {value}, but it does not go with the rest: {left[name]}"
            kept[name] = Reason(field=name, value=own, why=why, source="Bedside")
            continue
        why = "You asked for it."
        if name == "method.kind":
            why += f" {kept[name].why}"
        elif name in kept and own != value and name not in LEVERS:
            why += f" The planner would take {own}: {kept[name].why}"
        kept[name] = Reason(field=name, value=value, why=why, source="your answer")
    if "method.rank" in settings:
        for name in ("method.alpha", "method.start_rank"):
            if name in kept and name not in settings:
                kept[name] = kept[name].model_copy(update={"value": getattr(config.method, name.partition(".")[2])})
    return list(kept.values())


def _name(config: RunConfig) -> str:
    model = re.sub(r"-instruct.*$", "", config.model.name.rsplit("/", 1)[-1])
    return f"{config.task.name.replace('_', '-')}-{model}"[:80]


Plan.model_rebuild()
