"""The learner of bench/active.py: the embedded model, of which the last layers are tuned, and the orders it reads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from active_tables import Task

from evaluators.sides import last_position

if TYPE_CHECKING:
    import torch

POOL, TEST_A_CLASS = 400, 20
RARE = 0.02
"""Share of each class but the commonest, where classes are rare."""
LAYERS, RANK, RATE, EPOCHS, BATCH = 2, 8, 5e-3, 8, 8
# Told apart by their first token, which is what the model learns to say. "Every 4 hours" would be "four" once more.
WORDS = {
    "once daily": " daily",
    "twice daily": " twice",
    "three times daily": " three",
    "at bedtime": " bedtime",
    "every 8 hours": " eight",
    "four times daily": " four",
    "every 6 hours": " six",
    "every 12 hours": " twelve",
    "once weekly": " weekly",
}
CLASSES = list(WORDS)


class Order(NamedTuple):
    """A written order and the place of its class in `CLASSES`."""

    text: str
    label: int


def orders(task: Task, seed: int) -> tuple[list[Order], list[Order]]:
    """The pool and the test orders of a seed; no drug is in both."""
    from evaluators.rewording.drug_index import common_drugs, drug_table

    drugs = list(common_drugs(drug_table()))
    random.Random(seed).shuffle(drugs)
    held_out = len(drugs) // 4
    others = round(POOL * RARE) if task == "rare" else POOL // len(CLASSES)
    counts = [POOL - others * (len(CLASSES) - 1)] + [others] * (len(CLASSES) - 1)
    pool = _drawn(drugs[held_out:], f"active/{seed}/pool", counts)
    random.Random(seed).shuffle(pool)
    return pool, _drawn(drugs[:held_out], f"active/{seed}/test", [TEST_A_CLASS] * len(CLASSES))


def _drawn(drugs: list[str], name: str, counts: list[int]) -> list[Order]:
    from trainer.data.generated import order_rows

    found: list[Order] = []
    left = list(counts)
    for row in order_rows(15 * sum(counts), drugs, name):
        said = row["answer"].rpartition("frequency: ")[2]
        if said in WORDS and left[label := CLASSES.index(said)]:
            left[label] -= 1
            found.append(Order(row["prompt"].partition(": ")[2], label))
    if any(left):
        raise ValueError(f"too few orders were drawn: {left} are missing")
    return found


class Read(NamedTuple):
    """Orders as the layers that are not tuned leave them."""

    states: torch.Tensor
    """(n, tokens, width), padded on the left."""
    mask: torch.Tensor
    """(n, tokens)"""


class Learner:
    """The embedded model, of which the last `LAYERS` layers are tuned; what lies below them is read once."""

    def __init__(self) -> None:
        from torch.nn import ModuleList

        from trainer import models
        from trainer.method_sections import LoraMethod
        from trainer.methods import lora
        from trainer.sections import RunConfig

        wanted = RunConfig.model_validate({"hardware": {"precision": "bf16", "device": "cpu"}})
        self.base: Any
        self.base, self.tokenizer, _ = models.load_base(wanted)
        self.base.eval()
        self.words = [self.tokenizer(WORDS[one])["input_ids"][0] for one in CLASSES]
        if len(set(self.words)) < len(CLASSES):
            raise ValueError("two classes begin with the same token")
        self.every = self.base.model.layers
        self.last = ModuleList(list(self.every)[-LAYERS:])
        read, at_once = self._read(["Warfarin 5 mg PO daily", "Begin 2 mg of warfarin by mouth at bedtime."], None)
        self.base.model.layers = self.last
        lora.apply(self.base, LoraMethod(rank=RANK, alpha=2 * RANK))
        # An untrained adapter changes nothing: this compares reading in two parts with reading at once.
        difference = float((self._logits(read, [0, 1]) - at_once).detach().abs().max())
        if difference > 1e-3:
            raise ValueError(f"reading the layers in two parts changes logits by {difference:g}")

    def read(self, texts: Sequence[str]) -> Read:
        """What the layers below the tuned ones make of the orders."""
        import torch

        longest = max(len(self._ids(text)) for text in texts)
        self.base.model.layers = self.every
        parts = [self._read(texts[start : start + BATCH], longest)[0] for start in range(0, len(texts), BATCH)]
        self.base.model.layers = self.last
        return Read(torch.cat([one.states for one in parts]), torch.cat([one.mask for one in parts]))

    def train(self, read: Read, labels: Sequence[int], chosen: Sequence[int], seed: int) -> None:
        """Tune a new adapter on the chosen orders."""
        import torch
        from peft.tuners.lora import LoraLayer

        torch.manual_seed(seed)
        for module in self.base.modules():
            if isinstance(module, LoraLayer):
                module.reset_lora_parameters("default", True)
        trained = [one for one in self.base.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
        draw, order = random.Random(seed), list(chosen)
        for _ in range(EPOCHS):
            draw.shuffle(order)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                words = torch.tensor([self.words[labels[one]] for one in batch])
                # Over the whole vocabulary, as an answer of one token is learnt in a run.
                torch.nn.functional.cross_entropy(self._logits(read, batch), words).backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad()

    def scores(self, read: Read, chosen: Sequence[int]) -> torch.Tensor:
        """(chosen, classes) logits of the classes' words for the chosen orders."""
        import torch

        with torch.no_grad():
            parts = [
                self._logits(read, chosen[start : start + 50])[:, self.words] for start in range(0, len(chosen), 50)
            ]
        return torch.cat(parts)

    def _logits(self, read: Read, chosen: Sequence[int]) -> torch.Tensor:
        rows = list(chosen)
        mask = read.mask[rows]
        seen = int(mask.sum(-1).max())  # what is padding in all of them need not be read
        return self.base(
            inputs_embeds=read.states[rows, -seen:],
            attention_mask=mask[:, -seen:],
            position_ids=_positions(mask)[:, -seen:],
            use_cache=False,
            logits_to_keep=last_position(self.base),
        ).logits[:, -1]

    def _read(self, texts: Sequence[str], longest: int | None) -> tuple[Read, torch.Tensor]:
        import torch

        batch = self.tokenizer.pad(
            {"input_ids": [self._ids(text) for text in texts]},
            padding="max_length" if longest else True,
            max_length=longest,
            padding_side="left",
            return_tensors="pt",
        )
        mask = batch["attention_mask"]
        with torch.no_grad():
            found = self.base(
                **batch,
                position_ids=_positions(mask),
                use_cache=False,
                output_hidden_states=True,
                logits_to_keep=last_position(self.base),
            )
        return Read(found.hidden_states[len(self.every) - LAYERS], mask), found.logits[:, -1]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(f"{text}\nFrequency:")["input_ids"]


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(-1) - 1).clamp(min=0)
