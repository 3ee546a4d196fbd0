"""A reward model through TRL's RewardTrainer: the base with a head that gives an answer a number.

It minimises -log sigmoid(r_chosen - r_rejected), the likelihood of the votes under Bradley and Terry's model (Ouyang et
al. 2022, eq. 1), plus objective.centre x (r_chosen + r_rejected)^2, which holds the rewards near 0 (Eisenstein et al.
2023, eq. 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.objective_sections import RewardObjective
from trainer.reward_models import padded

if TYPE_CHECKING:
    from trainer.objectives.reward_trainer import RewardModelTrainer
    from trainer.objectives.settings import Parts


def build(parts: Parts) -> RewardModelTrainer:
    """A trainer for the run."""
    import torch
    from trl.trainer.reward_config import RewardConfig

    from trainer.objectives.reward_trainer import RewardModelTrainer

    objective, pad = parts.config.objective, parts.tokenizer.pad_token_id
    assert isinstance(objective, RewardObjective)

    def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
        # As TRL's trainer wants them: the chosen answers, and after them the rejected ones.
        lines = [
            torch.tensor([*row["prompt_ids"], *row[side]]) for side in ("chosen_ids", "rejected_ids") for row in rows
        ]
        return padded(lines, pad)

    return RewardModelTrainer(
        parts.config,
        args=RewardConfig(
            **parts.arguments(),
            max_length=None,  # rows were cut, and counted, when they were prepared
            center_rewards_coefficient=objective.centre or None,
            disable_dropout=False,  # it is the run's method.dropout
        ),
        data_collator=together,
        train_dataset=parts.prepared.train,
        **parts.options(),
    )
