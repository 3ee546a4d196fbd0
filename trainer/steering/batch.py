"""One forward pass in training, as the parts that act on the loss see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch


@dataclass
class Batch:
    """Rows of one forward pass and what came out of it.

    Shapes: n rows of at most t tokens, d wide, p positions whose next token is an answer's (row by row).
    """

    model: Any
    """What is trained, as PEFT or transformers made it."""
    inputs: dict[str, torch.Tensor]
    """`input_ids` and `attention_mask` (n, t)."""
    labels: torch.Tensor
    """(n, t), -100 where nothing is learnt; position i predicts label i + 1."""
    hidden: torch.Tensor
    """(n, t, d), what the output layer reads."""
    head: torch.Tensor
    """(vocabulary, d), the output matrix."""
    losses: torch.Tensor
    """(p,) cross-entropy in nats, differentiable."""
    rows: torch.Tensor
    """(p,) to which row each position belongs."""
    general: torch.Tensor
    """(n,) whether a row is mixed in against forgetting."""
    tasks: torch.Tensor
    """(n,) index into `Prepared.tasks`; -1 where a row has none."""
    count: torch.Tensor | float
    """Answer positions in all batches of this step of the optimiser: what a sum is divided by. Of several processes
    that train together, their mean."""
    last: bool
    """Whether the optimiser steps after this batch."""
    twins: torch.Tensor | None = None
    """(n, t') tokens of each disturbed row with its clean question, -100 behind them and for every other row; only
    where the loss asks for them."""

    def row_means(self) -> torch.Tensor:
        """(n,) mean loss of each row, without gradient; 0 for a row without a position."""
        n = len(self.general)
        sums = torch.zeros(n, device=self.losses.device).index_add_(0, self.rows, self.losses.detach().float())
        return sums / torch.bincount(self.rows, minlength=n).clamp(min=1)


class LossTerm(Protocol):
    """Something added to a step's loss; None where this batch adds nothing."""

    def __call__(self, batch: Batch) -> torch.Tensor | None: ...


class RowWeights(Protocol):
    """How much each row's loss counts: (n,), mean about 1."""

    def __call__(self, batch: Batch) -> torch.Tensor: ...


class Stateful(Protocol):
    """A part that remembers: what it returns stands in each checkpoint as JSON, and is given back on resuming."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...
