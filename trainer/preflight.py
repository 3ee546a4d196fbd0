"""Before a run: two real steps on its longest rows; and smaller batches where memory is not enough (lecture L1.13)."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import hardware, sizing
from trainer.data.tokenised import Prepared
from trainer.launch import launch
from trainer.methods import saved
from trainer.objectives.build import build
from trainer.objectives.settings import Parts
from trainer.reporting import Reporter, peak_memory_gib
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainer.steering.steering import Steering

STEPS = 2  # the first makes the optimiser's states, the second meets them
_NEVER = 10**6


def try_longest_rows(
    config: RunConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    assemble: Callable[[RunConfig, Prepared, Reporter], Steering],
    reporter: Reporter,
) -> None:
    """Train on the longest rows for two steps, tell what memory they took, and put what is trained back as it was.

    `assemble` gives what acts on a training, so that its memory is counted too. Raises what PyTorch raises where memory
    is not enough; see `is_out_of_memory`.
    """
    reporter.progress("trying the longest rows", 0, 1)
    lengths = prepared.train.data["length"].to_numpy()
    longest = prepared.train.select([*lengths.argsort(kind="stable")[-config.schedule.batch_size :]] * launch.size())
    short = config.model_copy(deep=True)
    short.schedule.max_steps, short.schedule.accumulation, short.schedule.patience = STEPS, launch.size(), None
    short.schedule.checkpoint_every = short.evaluation.every = _NEVER
    tried = replace(prepared, train=longest)
    steering = assemble(short, tried, reporter.silent())
    steering.order = range(len(longest))
    before = saved.training_state(model)
    with tempfile.TemporaryDirectory(prefix=".preflight-", dir=reporter.folder) as folder:
        try:
            parts = Parts(short, model, tokenizer, tried, steering, Path(folder), [], evaluate_first=False, saves=False)
            build(parts).train()
        finally:
            saved.set_training_state(model, before)
            model.zero_grad(set_to_none=True)
            give_memory_back()
    device, limit = config.hardware.device, sizing.limit_gib(config, hardware.detect())
    peak = peak_memory_gib(device)
    reporter.progress(f"trying the longest rows: {peak:.1f} GiB at the peak", 1, 1)
    if limit is not None and peak > (1 - sizing.FREE_SHARE) * limit:
        reporter.warn(
            f"The longest rows took {peak:.1f} of {limit:.1f} GiB: less than a fifth is left free (lecture L1.13). "
            "If memory runs out, the batch is halved."
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch could not get memory, on a GPU or from the system."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def with_smaller_batch(config: RunConfig) -> RunConfig | None:
    """The same run with at most half the batch and as many rows a step as before; None where the batch is 1 already."""
    schedule = config.schedule
    effective = schedule.batch_size * schedule.accumulation
    smaller = [size for size in range(1, schedule.batch_size // 2 + 1) if effective % size == 0]
    if not smaller:
        return None
    changed = config.model_copy(deep=True)
    changed.schedule.batch_size = smaller[-1]
    changed.schedule.accumulation = effective // smaller[-1]
    return changed


def give_memory_back() -> None:
    """Give what a training that has ended had taken back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
