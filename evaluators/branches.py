"""Questions one behind the other without padding, and of each its replies as branches of it, in one call of a model.

What a decoder computes of a token depends on the tokens that this one attends to and on nothing else. So a question
that has four replies is read once: each reply's tokens attend to the question and to their own reply, and stand at the
places that they would have after the question alone. Attention goes question by question; all else of the model sees
one long row, in which nothing is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "branches"
_MATRIX_KINDS = {"sdpa", "rows", _NAME}
"""Attention that is a softmax over products of queries and keys and nothing more; `rows`: as training has it."""


@dataclass
class Question:
    """Where a question stands in a call, and who of it sees whom."""

    start: int
    stop: int
    back: torch.Tensor
    """(own tokens, shared tokens + own tokens) how many places each is behind, negative where it is not seen."""


@dataclass
class Call:
    """Questions of one call: `ids` and `places` (1, tokens); `shared` tokens stand in the cache before all of them.

    `read` and `said` (tokens of all replies) are the row in which each reply's token is foretold, and that token.
    """

    ids: torch.Tensor
    places: torch.Tensor
    shared: int
    questions: list[Question]
    read: torch.Tensor
    said: torch.Tensor


_call: ContextVar[Call | None] = ContextVar("call", default=None)


def can_branch(core: Any) -> bool:
    """Whether this model's attention can be told who sees whom."""
    return core.config.get_text_config()._attn_implementation in _MATRIX_KINDS


def lay_out(prompts: Sequence[list[int]], replies: Sequence[Sequence[list[int]]], shared: int, device: Any) -> Call:
    """A call of prompts' tokens (none is empty) and their replies' tokens, after `shared` that the cache holds."""
    ids: list[int] = []
    places: list[torch.Tensor] = []
    questions: list[Question] = []
    read: list[int] = []
    said: list[int] = []
    for prompt, own in zip(prompts, replies, strict=True):
        start = len(ids)
        ids += prompt
        asks = len(ids) - 1
        place = [torch.arange(shared + len(prompt))]
        branch = [torch.zeros(shared + len(prompt), dtype=torch.long)]
        for number, reply in enumerate(own, 1):
            # Nothing is foretold after a reply's last token.
            read += [asks, *range(len(ids), len(ids) + len(reply) - 1)][: len(reply)]
            said += reply
            ids += reply[:-1]
            place.append(torch.arange(len(reply[:-1])) + shared + len(prompt))
            branch.append(torch.full((len(reply[:-1]),), number))
        at, of = torch.cat(place), torch.cat(branch)
        back = at[shared:, None] - at
        sees = (back >= 0) & ((of == 0) | (of == of[shared:, None]))
        questions.append(Question(start, len(ids), back.where(sees, torch.tensor(-1)).to(device)))
        places.append(at[shared:])
    one_row = torch.tensor([ids], device=device), torch.cat(places)[None].to(device)
    return Call(
        *one_row, shared, questions, *(torch.tensor(one, dtype=torch.long, device=device) for one in (read, said))
    )


@contextmanager
def branching(core: Any, call: Call) -> Iterator[None]:
    """Let the model's attention go by this call, for the length of a `with`."""
    settings = core.config.get_text_config()
    before = settings._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, _mask)
    settings._attn_implementation = _NAME
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)
        settings._attn_implementation = before


def _mask(*arguments: Any, **options: Any) -> torch.Tensor | None:
    # Another thread that reads with the same model meanwhile has no call of its own, and gets what it always gets.
    return None if _call.get() else sdpa_mask(*arguments, **options)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers asks for it: query (1, heads, tokens, width), key and value with fewer heads and longer by what
    is shared. Returns (1, tokens, heads, width)."""
    call = _call.get()
    if call is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    found = []
    for one in call.questions:
        sees = one.back >= 0
        if sliding_window:
            sees &= one.back < sliding_window
        keys, values = (
            torch.cat([part[:, :, : call.shared], part[:, :, call.shared + one.start : call.shared + one.stop]], 2)
            for part in (key, value)
        )
        asked = query[:, :, one.start : one.stop]
        found.append(sdpa_attention_forward(module, asked, keys, values, sees[None, None], **options)[0])
    return torch.cat(found, 1), None
