"""What many prompts begin with, read once and shared: the system prompt and worked examples of a set."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluators.sides import Side, last_position

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache


@dataclass
class Prefix:
    """What all prompts of a call begin with, read once: its tokens and their keys and values (batch of 1)."""

    tokens: list[int]
    cache: DynamicCache
    device: torch.device

    def before(self, prompts: Sequence[list[int]], pad_token: int) -> dict[str, Any]:
        """Model inputs for the prompts' own tokens after this prefix: left-padded ids, their mask, and a fresh cache.

        Ids and mask (shape: prompts, tokens) hold the prefix too, which the cache already covers; the padding stands
        between it and the prompt's own tokens.
        """
        import torch

        width = max(len(prompt) for prompt in prompts)
        padding = [width - len(prompt) for prompt in prompts]
        rows = [self.tokens + [pad_token] * gap + prompt for gap, prompt in zip(padding, prompts, strict=True)]
        masks = [[1] * len(self.tokens) + [0] * gap + [1] * (width - gap) for gap in padding]
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(len(prompts))
        return {
            "input_ids": torch.tensor(rows, device=self.device),
            "attention_mask": torch.tensor(masks, device=self.device),
            "past_key_values": cache,
        }

    def to_read(self, prompts: Sequence[list[int]], pad_token: int) -> dict[str, Any]:
        """As `before`, for one call of the model and not `generate`: ids and places are of the prompts' own tokens."""
        batch, seen = self.before(prompts, pad_token), len(self.tokens)
        places = batch["attention_mask"].cumsum(-1) - 1
        return batch | {"input_ids": batch["input_ids"][:, seen:], "position_ids": places[:, seen:]}


def read_shared(side: Side, prompts: Sequence[list[int]]) -> tuple[Prefix, list[list[int]]]:
    """Read what all prompts (token ids) begin with; returns it and the rest of each, which is never empty.

    Virtual tokens stand before it, as tokens of number 0 that are never looked at.
    """
    import torch

    shortest = min(prompts, key=len)
    shared = 0
    while shared < len(shortest) - 1 and all(prompt[shared] == shortest[shared] for prompt in prompts):
        shared += 1
    core, cache = side.core, side.cache
    if shared:
        ids = torch.tensor([prompts[0][:shared]], device=core.device)
        core(input_ids=ids, past_key_values=cache, logits_to_keep=last_position(core))
    tokens = [0] * side.virtual + prompts[0][:shared]
    return Prefix(tokens, cache, core.device), [prompt[shared:] for prompt in prompts]
