"""The trainer of a run, by what the run minimises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.objective_sections import REINFORCED
from trainer.objectives import preference, reinforcement, reward, sft
from trainer.objectives.settings import Parts

if TYPE_CHECKING:
    from trainer.objectives.run_trainer import RunTrainer


def build(parts: Parts) -> RunTrainer:
    """The trainer; the model has to be as the run begins, since a reference may be asked now."""
    kind = parts.config.objective.kind
    if kind in REINFORCED:
        return reinforcement.build(parts)
    if kind == "reward":
        return reward.build(parts)
    return sft.build(parts) if kind == "sft" else preference.build(parts)
