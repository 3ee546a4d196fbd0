"""Which model answers: the base or the tuned one, from the one copy of the base's weights that there is.

Virtual tokens (prefix, prompt and P-tuning) stand before everything else, so that what a model keeps of them does not
depend on what follows: here they are read once and become the cache that every prompt begins with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache


@dataclass
class Side:
    """A model as it answers now: `core` is called, after a cache that holds `virtual` tokens (batch of 1)."""

    core: Any
    cache: DynamicCache
    virtual: int


@contextmanager
def side(model: Any, tuned: bool) -> Iterator[Side]:
    """The base (`tuned` False: the adapter is off) or the tuned model, for the length of a `with`.

    A bare model has no adapter to switch off and answers as it is: of a fully tuned model the base has to be loaded
    beside it. Raises `ValueError` where it would otherwise be passed off as its own base.
    """
    import torch
    from transformers import DynamicCache

    if has_virtual_tokens(model):
        core = model.get_base_model()
        with torch.inference_mode():
            cache = _read_virtual(model, core) if tuned else DynamicCache()
        yield Side(core, cache, cache.get_seq_length())
        return
    if not tuned and getattr(model, "is_fully_tuned", False):
        raise ValueError("this model was tuned as a whole: its base has to be loaded by itself")
    off = nullcontext() if tuned else getattr(model, "disable_adapter", nullcontext)()
    with off:
        yield Side(model, DynamicCache(), 0)


def has_virtual_tokens(model: Any) -> bool:
    """Whether what is trained stands in front of the input and not in the layers."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


def last_position(model: Any) -> torch.Tensor:
    """`logits_to_keep` for the last position alone.

    An index and not the number 1: with the number the hidden states are a strided view, and torch then copies the
    head's weights once for each row of the batch (1.5 s a call for 16 rows of the embedded model on two cores).
    """
    import torch

    return torch.tensor([-1], device=model.device)


def _read_virtual(model: Any, core: Any) -> DynamicCache:
    from transformers import DynamicCache

    prompt = model.get_prompt(batch_size=1)
    if isinstance(prompt, DynamicCache):
        return prompt
    cache = DynamicCache()
    core(inputs_embeds=prompt.to(core.dtype), past_key_values=cache, logits_to_keep=last_position(core))
    return cache
