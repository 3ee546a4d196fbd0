"""What many prompts begin with, read once and shared: the system prompt and worked examples of a set."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


def read_shared(model: Any, prompts: Sequence[list[int]]) -> tuple[Prefix, list[list[int]]]:
    """Read what all prompts (token ids) begin with; returns it and the rest of each, which is never empty.

    Call it with the adapter as it will be when the rest is read.
    """
    import torch
    from transformers import DynamicCache

    shortest = min(prompts, key=len)
    shared = 0
    while shared < len(shortest) - 1 and all(prompt[shared] == shortest[shared] for prompt in prompts):
        shared += 1
    cache = DynamicCache()
    if shared:
        ids = torch.tensor([prompts[0][:shared]], device=model.device)
        model(input_ids=ids, past_key_values=cache, logits_to_keep=last_position(model))
    return Prefix(prompts[0][:shared], cache, model.device), [prompt[shared:] for prompt in prompts]


def last_position(model: Any) -> torch.Tensor:
    """`logits_to_keep` for the last position alone.

    An index and not the number 1: with the number the hidden states are a strided view, and torch then copies the
    head's weights once for each row of the batch (1.5 s a call for 16 rows of the embedded model on two cores).
    """
    import torch

    return torch.tensor([-1], device=model.device)
