"""Cross-entropy of the answers' tokens without ever holding their logits all at once.

TRL's own loss also keeps entropy and accuracy of each token and came to 1.7 times our time on two cores. Here logits
exist for `CHUNK` positions at a time: their gradient with respect to the hidden state is taken on the spot, which is
all that is needed while the output layer is frozen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.data
from trl.trainer.sft_trainer import SFTTrainer

from trainer.data import mixing

CHUNK = 256  # positions; 256 x 49,152 fp32 logits are 48 MiB
# Decoders whose logits are nothing but hidden state times output matrix: no bias, scale or soft cap.
PLAIN_HEADS = {"llama", "mistral", "qwen2", "qwen3", "phi3"}


class _AnswerLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            part, wanted = hidden[start : start + CHUNK], labels[start : start + CHUNK, None]
            logits = (part @ weight.T).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            total += (normaliser - logits.gather(-1, wanted)).sum()
            if gradient is not None:
                # d loss / d logits = softmax - one-hot
                logits.sub_(normaliser).exp_().scatter_add_(-1, wanted, -torch.ones_like(wanted, dtype=logits.dtype))
                gradient[start : start + CHUNK] = logits.to(weight.dtype) @ weight
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * upstream[0].to(ctx.gradient.dtype), None, None


def answer_loss(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum of the cross-entropy (nats) at positions whose next token is labelled.

    Shapes: hidden (batch, length, width), weight (vocabulary, width), labels (batch, length) with -100 where nothing is
    trained; position t predicts label t + 1. Gradients flow to `hidden` only.
    """
    following = labels[:, 1:]
    kept = following != -100
    loss = _AnswerLoss.apply(hidden[:, :-1][kept], weight, following[kept])
    assert isinstance(loss, torch.Tensor)
    return loss


class SimilarLengths(torch.utils.data.Sampler[int]):
    """Rows in batches of similar length, the batches in random order; another order each epoch.

    The order keeps the share of general rows the same throughout (`mixing.order_by_share`; lecture L2.10).

    transformers' own `group_by_length` keeps batches of one length, and with them one task, together for dozens of
    steps; the model then swings from task to task (lab values learnt alone: 73 % right, after such an epoch: 35 %).
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, general: list[bool]):
        self.lengths = lengths
        self.general = general
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, also when a run resumes within one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = random.Random(f"{self.seed}/{self.epoch}")
        order = sorted(range(len(self.lengths)), key=lambda row: (self.lengths[row], draw.random()))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        # A batch that is not full has to be the last, or all after it would be cut elsewhere.
        rest = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        held = sum(self.general[row] for batch in batches for row in batch) / max(1, sum(map(len, batches)))
        ordered = mixing.order_by_share(batches, self.general, held, f"{self.seed}/{self.epoch}")
        return iter([row for batch in ordered + rest for row in batch])


class AnswerLossTrainer(SFTTrainer):
    """TRL's trainer with batches of similar length, and `answer_loss` where the output layer is plain and frozen.

    `count_rows` hears of each batch that is trained on how many rows it has, and how many of them are general.
    """

    def __init__(self, *arguments: Any, count_rows: Callable[[int, int], None] | None, **options: Any):
        super().__init__(*arguments, **options)
        self.count_rows = count_rows
        tokens_only = self.data_collator
        self.data_collator = lambda rows: {
            **tokens_only([{name: row[name] for name in ("input_ids", "labels")} for row in rows]),
            "general": torch.tensor([row["general"] for row in rows]),
        }

    def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengths:
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        size, seed = self.args.per_device_train_batch_size, self.args.seed
        return SimilarLengths(list(rows["length"]), size, seed, list(rows["general"]))

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        general = inputs.pop("general")
        if model.training and self.count_rows:
            self.count_rows(len(general), int(general.sum()))
        core = self.accelerator.unwrap_model(model).get_base_model()
        head = core.get_output_embeddings().weight
        if core.config.model_type not in PLAIN_HEADS or head.requires_grad or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        if model.training:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
        self._metrics["train" if model.training else "eval"]["num_tokens"] = [self._total_train_tokens]
        hidden = core.base_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        ).last_hidden_state
        count = (labels[:, 1:] != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return answer_loss(hidden, head, labels) / count
