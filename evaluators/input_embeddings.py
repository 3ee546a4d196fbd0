"""A conversation as input embeddings, which can be changed and differentiated where a question's own words stand.

What stands before the question (virtual tokens, the template, the system prompt) does not depend on it: it is read once
without gradient and becomes the cache that every reading begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluators.cases import Messages
from evaluators.generation import Tokenizer
from evaluators.prefix import Prefix, read_shared
from evaluators.sides import Side

if TYPE_CHECKING:
    import torch

_MARK = "\ue000\ue001\ue000"  # of Unicode's private use: stands in no question and in no template


@dataclass(frozen=True)
class Prompt:
    """A conversation up to the reply as tokens, and where in it a text stands."""

    ids: list[int]
    places: list[tuple[int, int] | None]
    """For each token the characters of the text that it covers; None for what is not wholly the text's."""

    @property
    def first(self) -> int:
        """Index of the text's first token."""
        return next(index for index, place in enumerate(self.places) if place)


def locate(tokenizer: Tokenizer, messages: Messages, text: str) -> Prompt:
    """The conversation in the model's chat template, and which of its tokens are those of `text` in its last message.

    Tokens are those of `apply_chat_template`. Raises `ValueError` where the template shows the message otherwise than
    it was written, or where the text is not in it.
    """

    def render(last: str) -> str:
        chat = [*messages[:-1], {**messages[-1], "content": last}]
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    whole = render(messages[-1]["content"])
    before, mark, after = render(_MARK).partition(_MARK)
    text = text.strip()  # many templates take away the white space around a message
    if not mark or not whole.startswith(before) or not whole.endswith(after):
        raise ValueError("the chat template does not show the last message as it was written; choose another model")
    begin = whole.find(text, len(before), len(whole) - len(after))
    if not text or begin < 0:
        raise ValueError(f"the last message does not contain the text {text[:60]!r}, which has to be found in it")
    found = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    inside = [begin <= start < stop <= begin + len(text) for start, stop in found["offset_mapping"]]
    if not any(inside):
        raise ValueError(f"the text {text[:60]!r} has no token of its own in this model's chat template")
    places = [
        (start - begin, stop - begin) if own else None
        for own, (start, stop) in zip(inside, found["offset_mapping"], strict=True)
    ]
    return Prompt(found["input_ids"], places)


def read_before(answering: Side, prompts: Sequence[Prompt]) -> tuple[Prefix, int]:
    """What all prompts begin with, at most up to the first token of their texts, read once without gradient.

    Returns it and how many of the prompts' tokens it holds (without virtual ones).
    """
    import torch

    with torch.no_grad():
        prefix, _ = read_shared(answering, [prompt.ids[: prompt.first + 1] for prompt in prompts])
    return prefix, len(prefix.tokens) - answering.virtual


def logits(
    answering: Side, prefix: Prefix, rows: Sequence[Sequence[int]], embeds: torch.Tensor, keep: torch.Tensor
) -> torch.Tensor:
    """Logits (rows, kept, vocabulary; fp32) after `prefix`, with embeddings (rows, tokens, d) in place of the rows'.

    Rows are left-padded; `keep` are the positions wanted, counted from the end (negative). What surplus padding the
    embeddings have on the left is cut off, so that some of a batch's rows can be read without the longest.
    """
    batch = prefix.to_read([list(row) for row in rows], 0)
    width = batch.pop("input_ids").shape[1]
    return answering.core(inputs_embeds=embeds[:, -width:], **batch, logits_to_keep=keep).logits.float()
