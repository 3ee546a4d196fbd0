"""A disturbed question is to be answered as the clean one is: KL between the two, at the answer's tokens.

As in virtual adversarial training (Miyato et al. 2018) and its uses for text (Jiang et al. 2020, SMART), what the model
says to the clean question is the target and is not trained itself; here the disturbance is one of the words
(`trainer.data.perturbed`). The answer is the same in both, so that its tokens stand in one to one.
"""

from __future__ import annotations

from typing import Any

import torch

from trainer.data.tokens import IGNORED
from trainer.methods.answering import evaluating
from trainer.objectives.answer_loss import final_hidden, kl_of_answers, require_plain_head
from trainer.steering.batch import Batch


class ConsistencyLoss:
    """strength x KL(clean || disturbed) in nats: summed over the answers' positions, divided by the step's count.

    The clean question is read without gradient and without dropout, by the model as it is now. Rows without a clean
    twin (`Batch.twins`) add nothing. Costs a forward pass of the twins. Raises `MethodError` for a model whose logits
    are more than hidden state times output matrix.
    """

    def __init__(self, model: Any, strength: float):
        require_plain_head(model, "adversarial.consistency", "set it to 0; perturbations alone do without it")
        self.strength = strength

    def __call__(self, batch: Batch) -> torch.Tensor | None:
        assert batch.twins is not None
        rows = (batch.twins != IGNORED).any(1).nonzero()[:, 0]
        if not len(rows):
            return None
        twins = batch.twins[rows]
        twins = twins[:, : int((twins != IGNORED).sum(1).max())]
        mask = (twins != IGNORED).long()
        answered = batch.labels[rows][:, 1:] != IGNORED
        # The answer ends both rows: as many tokens at the twin's end as are trained in the row.
        ends = mask.sum(1)[:, None] - 1
        at = torch.arange(twins.shape[1] - 1, device=twins.device)[None]
        same = (at < ends) & (at >= ends - answered.sum(1)[:, None])
        inputs = {"input_ids": twins.where(mask.bool(), 0), "attention_mask": mask}
        with torch.no_grad(), evaluating(batch.model):
            clean = final_hidden(batch.model, inputs)[:, :-1][same]
        disturbed = batch.hidden[rows][:, :-1][answered]
        return self.strength * kl_of_answers(clean, disturbed, batch.head) / batch.count
