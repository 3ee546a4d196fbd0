"""The guard against a loss or a gradient that is no number, or that runs away.

A step cannot be taken back once the optimiser has made it, so the guard ends training before anything is measured or
saved; the engine goes back to a checkpoint from before the trouble, with half the rate, once, and then gives up.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import checkpoints
from trainer.sections import RunConfig

RUNAWAY = 10.0
"""A loss that is this many times the run's first, for `IN_A_ROW` steps, does not come back."""
IN_A_ROW = 3
LEAST_FIRST = 1.0
"""Nats that the first loss counts as at least: after transfer it may be near 0, and any harder batch 10 times that."""


@dataclass
class Divergence:
    """Why training ended (a part of a sentence), after which step, and the last step whose weights are above doubt."""

    step: int
    sound_until: int
    reason: str


class DivergenceGuard(TrainerCallback):
    """Ends training at a bad step and leaves what it found in `found`.

    Needs `logging_steps=1` and `logging_nan_inf_filter=False`. After a step transformers asks all callbacks what is
    due (`on_step_end`), then logs, then evaluates and saves: what is due can still be cleared while it logs, in
    whatever order the callbacks stand. With fp16 a gradient may be infinite, and the scaler skips that step by itself.
    """

    def __init__(self) -> None:
        self.found: Divergence | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: torch.nn.Module | None = None,
        **kwargs: object,
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        # The first and the latest are enough; a long run has thousands, and this is asked at every step.
        first = next(float(entry["loss"]) for entry in state.log_history if "loss" in entry)
        logged = (float(entry["loss"]) for entry in reversed(state.log_history) if "loss" in entry)
        losses = [first, *reversed(list(islice(logged, IN_A_ROW)))]
        gradient_norm = None if args.fp16 else logs.get("grad_norm")
        self.found = judge(state.global_step, losses, gradient_norm)
        if self.found is None and control.should_save and model is not None and not _finite(model):
            step = state.global_step
            self.found = Divergence(step, step - 1, f"after step {step} a weight is no longer a number")
        if self.found:
            control.should_training_stop = True
            control.should_evaluate = control.should_save = False


def judge(step: int, losses: list[float], gradient_norm: float | None = None) -> Divergence | None:
    """What is wrong after `step`, whose loss (nats) is the last of `losses`, if anything is.

    Before it stand the run's first loss and those of the steps just before, or all between. A step's loss is that of
    the weights before it, which the step before it made.
    """
    if not math.isfinite(losses[-1]):
        return Divergence(step, max(0, step - 2), f"the loss of step {step} is no longer a number")
    if gradient_norm is not None and not math.isfinite(gradient_norm):
        return Divergence(step, step - 1, f"the gradient of step {step} is no longer a number")
    limit = RUNAWAY * max(losses[0], LEAST_FIRST)
    if len(losses) > IN_A_ROW and min(losses[-IN_A_ROW:]) > limit:
        reason = f"the loss was above {limit:.3g} for {IN_A_ROW} steps up to step {step}; it began at {losses[0]:.3g}"
        return Divergence(step, max(0, step - IN_A_ROW - 1), reason)
    return None


def slower(run: RunConfig, times_before: int) -> RunConfig | None:
    """The run with half the peak rate; None where that was tried already."""
    if times_before:
        return None
    changed = run.model_copy(deep=True)
    changed.schedule.learning_rate /= 2
    return changed


def remove_unsound(folder: Path, found: Divergence) -> None:
    """Remove the checkpoints in `folder` from after `sound_until`, so that the newest left is one to go on from."""
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoints.step_of(checkpoint) > found.sound_until:
            shutil.rmtree(checkpoint)


def _finite(model: torch.nn.Module) -> bool:
    return all(bool(one.isfinite().all()) for one in model.parameters() if one.requires_grad)
