"""A reward model through TRL's RewardTrainer: the base with a head that gives an answer a number.

It minimises -log sigmoid(r_chosen - r_rejected), the likelihood of the votes under Bradley and Terry's model (Ouyang et
al. 2022, eq. 1), plus objective.centre x (r_chosen + r_rejected)^2, which holds the rewards near 0 (Eisenstein et al.
2023, eq. 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from evaluators.pair_ranking import Rated
from trainer.objective_sections import RewardObjective
from trainer.reward_models import padded, rate
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from datasets import Dataset
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

    def together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
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


def rate_pairs(model: Any, pairs: Dataset, pad_token_id: Any) -> list[Rated]:
    """The rewards of tokenised pairs (`prompt_ids`, `chosen_ids`, `rejected_ids`), by a model in evaluation mode."""
    columns = [pairs[name][:] for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    chosen, rejected = ([[*asked, *said] for asked, said in zip(columns[0], side, strict=True)] for side in columns[1:])
    found = rate(model, [*chosen, *rejected], pad_token_id)
    return list(zip(found[: len(chosen)], found[len(chosen) :], strict=True))


def loss(rated: Sequence[Rated], centre: float) -> float:
    """The mean loss (nats) of pairs, as the module says."""
    losses = [_softplus(bad - good) + centre * (good + bad) ** 2 for good, bad in rated]
    return fmean(losses)


def _softplus(value: float) -> float:
    """log(1 + e^value), which is -log sigmoid(-value), without an overflow."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
