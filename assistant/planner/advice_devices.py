"""Several GPUs: how many train together, and what each of them holds (lecture L1.11, L1.12)."""

from __future__ import annotations

from typing import Any

from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers
from trainer import catalogue, sizing
from trainer.combinations import faults
from trainer.hardware import Machine
from trainer.launch import launch
from trainer.method_sections import FullMethod
from trainer.sections import RunConfig
from trainer.sizing import Estimate

MOST_IN_A_MACHINE = 16
"""GPUs that are planned as one machine's; more are planned as machines of eight, as such servers are built."""
_EIGHT = 8


def devices(config: RunConfig, answers: Answers) -> list[Reason]:
    """Let all GPUs train together, with as many rows a step as one would; else say why one of them trains alone."""
    row = catalogue.gpu(config.hardware.gpu) if config.hardware.gpu else None
    count = max(answers.gpu_count or 1, row.count if row else 1)  # a rented machine has its own
    if config.hardware.device == "cpu" or count == 1:
        return []
    processes, machines = (count, 1) if count <= MOST_IN_A_MACHINE else (_EIGHT, count // _EIGHT)
    together = config.model_copy(deep=True)
    together.hardware.processes, together.hardware.machines = processes, machines
    _share_out(together)
    known = {fault.message for fault in faults(config)}
    if against := [fault for fault in faults(together) if fault.message not in known]:
        why = f"You have {count} GPUs, and one of them trains: {against[0]}"
        return [Reason(field="hardware.processes", value=1, why=why, source="Bedside")]
    config.hardware, config.schedule = together.hardware, together.schedule
    rows = config.schedule.batch_size * config.schedule.accumulation
    reasons = [
        Reason(
            field="hardware.processes",
            value=processes,
            why=f"A process for each GPU; a step learns from {rows} rows in all.",
            source="your answer",
        ),
        Reason(
            field="hardware.strategy",
            value="ddp",
            why="Each GPU holds the whole model, which fits; nothing but gradients is sent.",
            source="Bedside",
        ),
    ]
    if machines > 1:
        why = f"{count} GPUs are planned as machines of {_EIGHT}; `bedside launch` prints what starts them."
        reasons.append(Reason(field="hardware.machines", value=machines, why=why, source="your answer"))
    return reasons


def _share_out(config: RunConfig) -> None:
    """Forward passes that all processes have as many of; a batch becomes smaller before a step has more rows."""
    schedule, count = config.schedule, launch.processes(config)
    rows = schedule.batch_size * schedule.accumulation
    rows = count * max(1, -(-rows // count))
    schedule.batch_size = max(size for size in range(1, schedule.batch_size + 1) if rows % (size * count) == 0)
    schedule.accumulation = rows // schedule.batch_size


def weights_are_too_much(config: RunConfig, machine: Machine) -> bool:
    """Whether the weights alone are more than each of several GPUs has room for, as those of 70B are (lecture L1.12):
    2 bytes each, and 16 with gradient and moments in full tuning (`trainer.sizing`).
    """
    model, limit = catalogue.base_model(config.model.name), sizing.limit_gib(config, machine)
    if launch.processes(config) == 1 or model is None or limit is None:
        return False
    each = 16 if isinstance(config.method, FullMethod) else 2
    return each * model.params_b * 1e9 / 2**30 > limit


def share_weights_out(
    config: RunConfig, machine: Machine, rows: int | None, row_tokens: float | None, asked: dict[str, Any]
) -> tuple[Estimate | None, list[Reason]]:
    """Let each of several GPUs hold its share of the model in 16 bits; the estimate of that, and the reasons.

    None, and `config` as it is, where that is not possible, no help, or not what was `asked` for (by field).
    """
    if launch.processes(config) == 1 or "hardware.strategy" in asked or asked.get("model.quantization") == "nf4":
        return None, []
    shared = config.model_copy(deep=True)
    shared.model.quantization = "none"
    if isinstance(shared.method, FullMethod):
        shared.method.offload = False
    shared.hardware.strategy = "zero3" if shared.method.kind == "full" else "fsdp"
    shared.schedule.gradient_checkpointing = True
    shared.steering.forgetting_every = shared.steering.harm_every = None
    shared.evaluation.sample_prompts = []
    known = {fault.message for fault in faults(config)}
    if any(fault.message not in known for fault in faults(shared)):
        return None, []
    for offload in (False, True):
        shared.hardware.offload = offload
        estimate = sizing.estimate(shared, machine, rows, row_tokens)
        if estimate is not None and estimate.fits == "fits":
            for name in ("model", "method", "hardware", "schedule", "steering", "evaluation"):
                setattr(config, name, getattr(shared, name))
            return estimate, _reasons(config)
    return None, []


def _reasons(config: RunConfig) -> list[Reason]:
    count, strategy = launch.processes(config), config.hardware.strategy
    how = (
        "FSDP2, which is part of PyTorch and shares out as DeepSpeed's ZeRO-3 does"
        if strategy == "fsdp"
        else "DeepSpeed's ZeRO-3, which has to be installed there"
    )
    why = (
        f"In 16 bits this model does not fit one GPU, so each of the {count} holds its share, by {how}; the lecture "
        "gives ZeRO-3 for 70B on several GPUs."
    )
    reasons = [Reason(field="hardware.strategy", value=strategy, why=why, source="lecture L1.12")]
    if config.hardware.offload:
        why = "The shares wait in the computer's memory, for two to three times the time: else this does not fit."
        reasons.append(Reason(field="hardware.offload", value=True, why=why, source="lecture L1.11"))
    silent = "No process has the whole model while it trains, so that none can answer meanwhile; look at it afterwards."
    for field in ("steering.forgetting_every", "steering.harm_every", "evaluation.sample_prompts"):
        value = [] if field.endswith("prompts") else None
        reasons.append(Reason(field=field, value=value, why=silent, source="Bedside"))
    return reasons
