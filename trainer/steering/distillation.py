"""On general rows the untouched base teaches the model that is tuned from it (lecture L2.8).

Learning without forgetting (Li & Hoiem 2017): instead of the row's own answer, the base's probabilities of every answer
token are the target (Hinton et al. 2015), at temperature 1, at which answers are drawn. The base is the same model with
its adapter off, so that there is no second copy.
"""

from __future__ import annotations

from typing import Any

import torch

from trainer.methods.answering import untouched
from trainer.objectives.answer_loss import final_hidden, kl_of_answers, require_plain_head
from trainer.steering.batch import Batch


class Distillation:
    """strength x KL(base || tuned) in nats: summed over the answer positions of general rows, by the step's count.

    Those rows' own loss has to be left out, or they learn two things. Costs a forward pass of the general rows.
    Raises `MethodError` for a model whose logits are more than hidden state times output matrix.
    """

    def __init__(self, model: Any, strength: float):
        require_plain_head(
            model, "steering.distillation", "set it to 0 and use steering.l2_sp or steering.replay_share"
        )
        self.strength = strength

    def __call__(self, batch: Batch) -> torch.Tensor | None:
        general = batch.general.nonzero()[:, 0]
        kept = batch.labels[general][:, 1:] != -100
        if not kept.any():
            return None
        with torch.no_grad(), untouched(batch.model):
            rows = {name: values[general] for name, values in batch.inputs.items()}
            base = final_hidden(batch.model, rows)[:, :-1][kept]
        tuned = batch.hidden[general][:, :-1][kept]
        return self.strength * kl_of_answers(base, tuned, batch.head) / batch.count
