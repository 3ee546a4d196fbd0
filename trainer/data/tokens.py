"""Rows to tokens: the model's own chat template, with only the answer's tokens trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from trainer.data.records import DataError
from trainer.data.rows import Message, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # label of a token that is not trained (PyTorch's cross-entropy)


class Encoded(TypedDict):
    input_ids: list[int]
    labels: list[int]


def conversation(messages: list[Message], system_prompt: str) -> list[Message]:
    """The messages with the run's system prompt before them, unless they bring their own."""
    if messages and messages[0]["role"] == "system":
        return messages
    return [Message(role="system", content=system_prompt), *messages]


def encode(row: Row, tokenizer: PreTrainedTokenizerBase, system_prompt: str) -> Encoded:
    """Tokens of a row in the model's chat template; labels are `IGNORED` up to the answer's first token.

    Of a preference pair the chosen answer is learnt; plain text is learnt as a whole, with an end mark after it.

    The answer's part ends with the template's end-of-turn mark, which is trained: without it a model never stops.
    What a template puts after that mark (ChatML: a line break) is left out.

    Raises `DataError` where the template renders the prompt otherwise when an answer follows it: a label mask
    would then lie.
    """
    if "text" in row:
        tokens = tokenizer(row["text"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        return Encoded(input_ids=tokens, labels=list(tokens))
    answers = row["chosen"] if "chosen" in row else row["completion"]
    prompt = conversation(row["prompt"], system_prompt)
    asked = _render(tokenizer, prompt, add_generation_prompt=True)
    full = _render(tokenizer, [*prompt, *answers], add_generation_prompt=False)
    if not full.startswith(asked):
        raise DataError("The model's chat template changes the prompt once an answer follows; choose another model.")
    prompt_ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer(full[len(asked) :].rstrip(), add_special_tokens=False)["input_ids"]
    return Encoded(input_ids=prompt_ids + answer_ids, labels=[IGNORED] * len(prompt_ids) + answer_ids)


def _render(tokenizer: PreTrainedTokenizerBase, messages: list[Message], add_generation_prompt: bool) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    assert isinstance(text, str)
    return text
