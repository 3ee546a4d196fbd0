"""What the main process decides in a training, all processes do.

Measurements of the validation rows are the same in all of them, and so is what follows from those. A request to stop,
and what a monitor finds, the main process alone knows.
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from trainer.launch import launch

_DECIDED = ("should_training_stop", "should_epoch_stop", "should_save", "should_evaluate", "should_log")


class SameDecisions(TrainerCallback):
    """After each step every process does what the main one's callbacks decided; stands behind all others."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: object) -> None:
        decided = launch.from_main([getattr(control, name) for name in _DECIDED])
        for name, value in zip(_DECIDED, decided, strict=True):
            setattr(control, name, value)


def of_main(callback: TrainerCallback) -> TrainerCallback:
    """A callback that tells, asks and decides in the main process; one that does nothing in the others."""
    return callback if launch.is_main() else TrainerCallback()
