"""Holds the base's weights where they are: L2-SP and elastic weight consolidation (lecture L2.8).

L2-SP (Li et al. 2018) adds strength / 2 x sum change^2 to the loss; EWC (Kirkpatrick et al. 2017) weighs each change by
the Fisher information, so that only what general rows depend on is held. What counts is the change of the weights
themselves: under LoRA that is scale x B A, whatever A and B are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint

from trainer.data.sources import Progress
from trainer.launch import launch
from trainer.methods import MethodError
from trainer.steering import fisher
from trainer.steering.batch import Batch
from trainer.steering.weight_changes import Change, changes

if TYPE_CHECKING:
    from datasets import Dataset

    from trainer.sections import RunConfig

FISHER = "fisher.safetensors"


class Retention:
    """The term of the loss, once in each step of the optimiser: strength / 2 x sum (l2_sp + ewc x F) change^2.

    The Fisher information has a mean of 1 over all weights, so that a strength means the same for every model, and the
    same for EWC as for L2-SP: EWC only deals it out otherwise.
    """

    def __init__(self, moved: Sequence[Change], l2_sp: float, ewc: float, information: Mapping[str, torch.Tensor]):
        self.moved = moved
        self.l2_sp = l2_sp
        self.ewc = ewc
        self.information = information

    def __call__(self, batch: Batch) -> torch.Tensor | None:
        if not batch.last:
            return None
        total = torch.zeros((), device=batch.losses.device)
        for change in self.moved:
            # Computed again in the backward pass: B A of all layers together is as large as the base.
            part = checkpoint(self._penalty, change, use_reentrant=False, preserve_rng_state=False)
            assert isinstance(part, torch.Tensor)
            total = total + part.to(total.device)
        return total

    def _penalty(self, change: Change) -> torch.Tensor:
        moved = change.by().square()
        weight = self.l2_sp
        if self.ewc and change.name in self.information:
            weight = weight + self.ewc * self.information[change.name].float()
        return (weight * moved).sum() / 2


def retention(config: RunConfig, model: Any, sets: Sequence[Dataset], folder: Path, progress: Progress) -> Retention:
    """What a run's `steering.l2_sp` and `steering.ewc` ask for; to be made before training, and before a checkpoint is
    loaded. The Fisher information is measured once, on the general rows of `sets`, and stands in the run folder.

    Raises `DataError` where EWC has no general rows, `MethodError` where the method changes no weight of the base.
    """
    moved = changes(model)
    if not moved:
        raise MethodError(
            f"method.kind: {config.method.kind} changes no weight of the base that steering.ewc or steering.l2_sp "
            "could hold; set them to 0, or take lora."
        )
    information = {}
    if config.steering.ewc:
        path = folder / FISHER
        with launch.main_first():
            if not path.exists():
                rows = fisher.general_rows(sets, config.schedule.seed)
                fisher.save(fisher.fisher_information(model, moved, rows, progress), path)
        information = fisher.read(path, moved)
    return Retention(moved, config.steering.l2_sp, config.steering.ewc, information)
