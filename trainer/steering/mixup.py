"""Mixup in the embeddings: each row is read together with another one of its batch (lecture L3.9).

For text, what is mixed is not the tokens but their embeddings (Guo et al. 2019; with transformers, Sun et al. 2020):
share x own + (1 - share) x other, and the loss is mixed from the answers of both by the same share.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Mixed:
    """How a batch of n rows is mixed: loss = share x loss(labels) + (1 - share) x loss(labels[order])."""

    share: float
    """Of each row itself, at least 0.5."""
    order: torch.Tensor
    """(n,) the row that each row is mixed with; itself where it is left alone."""
    inputs: dict[str, torch.Tensor]
    """What the model is to be called with: the mask covers the tokens of both rows."""


class Mixup:
    """Mixes batches while the model reads them: the share is max(l, 1 - l) with l drawn from Beta(alpha, alpha).

    Where only one of two rows has a token, that token stays as it is: padding is not mixed in. General rows are left
    alone, since they are there to keep what the base says of them.
    """

    def __init__(self, model: Any, alpha: float, seed: int):
        self.model = model
        self.alpha = alpha
        self.seed = seed
        self.batches = 0

    @contextmanager
    def __call__(self, inputs: dict[str, torch.Tensor], general: torch.Tensor) -> Iterator[Mixed | None]:
        """Within it, a forward pass of `.inputs` is mixed; None where nothing is: in eval mode, or with a single row.

        Shapes: `input_ids` and `attention_mask` (n, t), general (n,).
        """
        rows = (~general).nonzero()[:, 0].tolist()
        if not self.model.training or len(rows) < 2:
            yield None
            return
        draw = random.Random(f"mixup/{self.seed}/{self.batches}")
        self.batches += 1
        share = draw.betavariate(self.alpha, self.alpha)
        share = max(share, 1 - share)
        draw.shuffle(rows)
        order = torch.arange(len(general), device=general.device)
        # Each with the next one of a random circle, so that none is mixed with itself.
        order[rows] = torch.tensor(rows[1:] + rows[:1], device=general.device)
        mask = inputs["attention_mask"]
        own, other = share * mask, (1 - share) * mask[order]
        weight = (other / (own + other).clamp(min=1e-9))[..., None]  # (n, t, 1)

        def mix(module: Any, arguments: Any, embedded: torch.Tensor) -> torch.Tensor:
            # Written as a difference, a row that is mixed with itself stays exactly as it is.
            return embedded + weight.to(embedded) * (embedded[order] - embedded)

        hook = self.model.get_input_embeddings().register_forward_hook(mix)
        try:
            yield Mixed(share, order, {**inputs, "attention_mask": mask | mask[order]})
        finally:
            hook.remove()

    def state(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def restore(self, state: dict[str, Any]) -> None:
        self.batches = state["batches"]
