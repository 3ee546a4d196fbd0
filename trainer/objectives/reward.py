"""A reward model through TRL's RewardTrainer: the base with a head that gives an answer a number.

It minimises -log sigmoid(r_chosen - r_rejected), the likelihood of the votes under Bradley and Terry's model (Ouyang et
al. 2022, eq. 1), plus objective.centre x (r_chosen + r_rejected)^2, which holds the rewards near 0 (Eisenstein et al.
2023, eq. 2).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.objective_sections import RewardObjective
from trainer.reward_models import padded
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.data.tokenised import Prepared
    from trainer.objectives.reward_trainer import RewardModelTrainer
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
) -> RewardModelTrainer:
    """A trainer for the run; for `evaluate_first` and `saves` see `settings.arguments`."""
    import torch
    from trl.trainer.reward_config import RewardConfig

    from trainer.objectives import settings
    from trainer.objectives.reward_trainer import RewardModelTrainer

    assert isinstance(config.objective, RewardObjective)
    arguments = settings.arguments(config, model, len(prepared.train), checkpoints, evaluate_first, saves)

    def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
        # As TRL's trainer wants them: the chosen answers, and after them the rejected ones.
        lines = [
            torch.tensor([*row["prompt_ids"], *row[side]]) for side in ("chosen_ids", "rejected_ids") for row in rows
        ]
        return padded(lines, tokenizer.pad_token_id)

    return RewardModelTrainer(
        config,
        model=model,
        args=RewardConfig(
            **arguments,
            max_length=None,  # rows were cut, and counted, when they were prepared
            center_rewards_coefficient=config.objective.centre or None,
            disable_dropout=False,  # it is the run's method.dropout
        ),
        data_collator=together,
        train_dataset=prepared.train,
        eval_dataset=prepared.validation,
        processing_class=tokenizer,
        callbacks=[*settings.with_early_stop(config, callbacks, saves), *steering.callbacks],
        steering=steering,
    )
