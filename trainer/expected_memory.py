"""Memory that a job is expected to take of each of its devices (GiB), by the estimate of `trainer.sizing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer import catalogue, hardware, sizing
from trainer.duration import Range

if TYPE_CHECKING:
    from trainer.sections import RunConfig

CONTEXT_TOKENS = 4096
"""Of each conversation, for which keys and values are counted."""
_GIB = 2**30


def training_gib(config: RunConfig, workers: int = 1) -> Range | None:
    """Peak of a training on each of its devices, by the estimate; on a CPU of all processes, and of `workers` of them.

    None for a model whose shape is not known.
    """
    found = sizing.estimate(config, hardware.detect())
    if found is None:
        return None
    together = workers * config.hardware.processes if config.hardware.device == "cpu" else 1
    return Range(low=together * found.peak_gib.low, high=together * found.peak_gib.high)


def answering_gib(config: RunConfig, rows: int = 2, copies: int = 1) -> Range | None:
    """Memory of a run's base model while `rows` conversations are answered at once; None where its shape is not known.

    `copies` of its weights. Keys and values are in 16 bits, of no tokens at the low end; an adapter's own weights are
    small beside them.
    """
    model = catalogue.base_model(config.model.name)
    if model is None:
        return None
    device = config.hardware.device
    weights = copies * sizing.weight_bytes(config, model, device == "cuda" or hardware.cpu_has_bf16()) / _GIB
    kept = rows * CONTEXT_TOKENS * 2 * 2 * model.layers * model.kv_heads * model.head_dim / _GIB
    low, high = sizing.OVERHEAD[device]
    return Range(low=weights + low, high=weights + kept + high)
