"""A reward model's loss on pairs, outside of training: -log sigmoid(chosen - rejected) + centre x (their sum)^2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from evaluators.pair_ranking import Rated
from trainer.reward_models import rate

if TYPE_CHECKING:
    from datasets import Dataset


def rate_pairs(model: Any, pairs: Dataset, pad_token_id: Any) -> list[Rated]:
    """The rewards of tokenised pairs (`prompt_ids`, `chosen_ids`, `rejected_ids`), by a model in evaluation mode."""
    columns = [pairs[name][:] for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    chosen, rejected = ([[*asked, *said] for asked, said in zip(columns[0], side, strict=True)] for side in columns[1:])
    found = rate(model, [*chosen, *rejected], pad_token_id)
    return list(zip(found[: len(chosen)], found[len(chosen) :], strict=True))


def loss(rated: Sequence[Rated], centre: float) -> float:
    """The mean loss (nats) of pairs, as above (Ouyang et al. 2022; Eisenstein et al. 2023)."""
    losses = [_softplus(bad - good) + centre * (good + bad) ** 2 for good, bad in rated]
    return fmean(losses)


def _softplus(value: float) -> float:
    """log(1 + e^value), which is -log sigmoid(-value), without an overflow."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
