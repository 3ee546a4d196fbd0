"""How a run's memory is made to fit: four bits, checkpointing, smaller batches, shorter rows, offload."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from assistant.planner.advice_devices import share_weights_out, weights_are_too_much
from assistant.planner.advice_models import Reason
from trainer import sizing
from trainer.combinations import faults
from trainer.hardware import Machine
from trainer.launch import launch
from trainer.method_sections import FullMethod
from trainer.sections import RunConfig
from trainer.sizing import Estimate

LEVERS = (
    "model.quantization",
    "schedule.gradient_checkpointing",
    "schedule.batch_size",
    "schedule.max_length",
    "method.offload",
)
"""What is turned until a run fits."""


class Levers(BaseModel):
    """What is turned until a run fits: each step costs time or precision, the cheaper ones first (lecture L1.11)."""

    quantization: str
    gradient_checkpointing: bool
    batch_size: int
    max_length: int
    offload: bool = False
    """Of full tuning alone."""


def make_it_fit(
    config: RunConfig,
    machine: Machine,
    rows: int | None,
    row_tokens: float | None,
    asked: dict[str, Any],
) -> tuple[Estimate | None, Levers, list[Reason]]:
    """Turn the levers, the cheapest first, until the run fits; leaves `config` at the first that does.

    The effective batch stays the same, and so does what the user asked for (`asked`, by field). Of several GPUs each
    holds its share before four bits are tried where one cannot hold the weights, and where nothing else fits; the third
    result are the reasons for that. Where nothing fits, `config` is left at the smallest.
    """
    effective = config.schedule.batch_size * config.schedule.accumulation
    batches = [size for size in (16, 8, 4, 2, 1) if size <= config.schedule.batch_size]
    processes = launch.processes(config)
    batches = [size for size in batches if effective % (size * processes) == 0] or batches[-1:]
    if "schedule.batch_size" in asked:
        batches = [config.schedule.batch_size]
    on_gpu = config.hardware.device == "cuda"
    whole = [(False, batches[0]), (on_gpu, batches[0])]
    smaller = [(on_gpu or size == 1, size) for size in batches[1:]]
    last = "nf4" if on_gpu else "none"
    tried = [("none", checkpointing, batch) for checkpointing, batch in whole]
    if weights_are_too_much(config, machine):
        _first_that_fits(config, machine, rows, row_tokens, asked, tried, effective)
        shared, reasons = share_weights_out(config, machine, rows, row_tokens, asked)
        if shared is not None:
            return shared, _levers(config), reasons
    tried += [(last, checkpointing, batch) for checkpointing, batch in whole if last == "nf4"]
    tried += [(last, checkpointing, batch) for checkpointing, batch in smaller]
    estimate = _first_that_fits(config, machine, rows, row_tokens, asked, tried, effective)
    too_large = on_gpu and estimate is not None and estimate.fits != "fits"
    if isinstance(config.method, FullMethod) and too_large and "method.offload" not in asked:
        config.method.offload = True
        estimate = _first_that_fits(config, machine, rows, row_tokens, asked, tried, effective)
    shorten = "schedule.max_length" not in asked
    while shorten and estimate is not None and estimate.fits == "does_not_fit" and config.schedule.max_length > 256:
        config.schedule.max_length //= 2
        estimate = sizing.estimate(config, machine, rows, row_tokens)
    if estimate is not None and estimate.fits != "fits":
        shared, reasons = share_weights_out(config, machine, rows, row_tokens, asked)
        if shared is not None:
            return shared, _levers(config), reasons
    return estimate, _levers(config), []


def _levers(config: RunConfig) -> Levers:
    return Levers(
        quantization=config.model.quantization,
        gradient_checkpointing=config.schedule.gradient_checkpointing,
        batch_size=config.schedule.batch_size,
        max_length=config.schedule.max_length,
        offload=isinstance(config.method, FullMethod) and config.method.offload,
    )


def _first_that_fits(
    config: RunConfig,
    machine: Machine,
    rows: int | None,
    row_tokens: float | None,
    asked: dict[str, Any],
    tried: list[tuple[str, bool, int]],
    effective: int,
) -> Estimate | None:
    """Leaves `config` at the first of these (quantisation, checkpointing, batch) that fits, else at the last."""
    estimate = None
    # What a method cannot go with is no lever for it: no checkpointing under a prefix, no 4 bits under PiSSA.
    packs, recomputes = not _clashes(config, "nf4", False), not _clashes(config, "none", True)
    for quantization, checkpointing, batch in tried:
        quantization = asked.get("model.quantization", quantization if packs else "none")
        checkpointing = asked.get("schedule.gradient_checkpointing", checkpointing and recomputes)
        config.model.quantization = quantization  # pyright: ignore[reportAttributeAccessIssue]
        config.schedule.gradient_checkpointing = checkpointing
        config.schedule.batch_size = batch
        config.schedule.accumulation = asked.get("schedule.accumulation", max(1, effective // batch))
        estimate = sizing.estimate(config, machine, rows, row_tokens)
        if estimate is None or estimate.fits == "fits":
            break
    return estimate


def _clashes(config: RunConfig, quantization: str, checkpointing: bool) -> bool:
    """Whether this quantisation or checkpointing cannot go with the rest of the run file."""
    other = config.model_copy(deep=True)
    other.model.quantization = quantization  # pyright: ignore[reportAttributeAccessIssue]
    other.schedule.gradient_checkpointing = checkpointing
    return len(faults(other)) > len(faults(config))
