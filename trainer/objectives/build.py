"""The trainer of a run, by what the run minimises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.tokenised import Prepared
from trainer.objective_sections import REINFORCED
from trainer.objectives import preference, reinforcement, reward, sft
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.objectives.run_trainer import RunTrainer
    from trainer.steering.steering import Steering


def build(
    config: RunConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    steering: Steering,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluate_first: bool,
    saves: bool = True,
) -> RunTrainer:
    """For `evaluate_first` and `saves` see `settings.arguments`. Callbacks of the run come before those of steering."""
    parts = (config, model, tokenizer, prepared, steering, checkpoints, callbacks, evaluate_first, saves)
    if config.objective.kind in REINFORCED:
        return reinforcement.build(*parts)
    if config.objective.kind == "reward":
        return reward.build(*parts)
    if config.objective.kind == "sft":
        return sft.build(*parts)
    return preference.build(*parts)
