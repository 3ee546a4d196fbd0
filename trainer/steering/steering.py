"""The parts that act on a run while it trains, put together from its run file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback

from trainer.steering.batch import LossTerm, RowWeights, Stateful
from trainer.steering.gradient_conflict import TaskGradients
from trainer.steering.mixup import Mixup


@dataclass
class Steering:
    """What acts on a trainer: the order of rows, the loss, the gradients, the rates, and callbacks."""

    order: Any
    columns: tuple[str, ...]
    optimizer: Any = None
    scheduler: Any = None
    activate: Callable[[int], None] | None = None
    weights: RowWeights | None = None
    terms: list[LossTerm] = field(default_factory=list)
    distils: bool = False
    mixup: Mixup | None = None
    conflict: TaskGradients | None = None
    conflict_every: int | None = None
    callbacks: list[TrainerCallback] = field(default_factory=list)
    remembering: dict[str, Stateful] = field(default_factory=dict)

    def measures_conflict(self, step: int) -> bool:
        """Whether the tasks' gradients are taken apart in the step after `step`: for surgery always."""
        assert self.conflict is not None
        return self.conflict.surgery != "off" or (self.conflict_every is not None and step % self.conflict_every == 0)

    def mixed(self, inputs: dict[str, torch.Tensor]) -> AbstractContextManager[Any]:
        """Mixes the rows of a batch while it is read, where the run does so."""
        return self.mixup(inputs) if self.mixup else nullcontext()

    def state(self) -> dict[str, Any]:
        return {name: part.state() for name, part in self.remembering.items()}

    def restore(self, state: dict[str, Any]) -> None:
        for name, part in self.remembering.items():
            if name in state:
                part.restore(state[name])
