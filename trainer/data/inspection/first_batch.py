"""The first rows as the model sees them: the tokens of its own chat template, the trained ones marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trainer.data.inspection.same_questions import place_in
from trainer.data.records import DataError
from trainer.data.rows import Row
from trainer.data.tokens import IGNORED, Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenRun(BaseModel):
    """Neighbouring tokens that are all trained, or all not."""

    text: str
    trained: bool
    tokens: int


class TokenView(BaseModel):
    """A row as it goes into training. The texts of `runs`, joined, are the decoded row, special tokens included."""

    place: str
    runs: list[TokenRun]
    trained_tokens: int
    all_tokens: int
    cut_tokens: int
    """Tokens of the row beyond the longest length; they are neither shown nor trained."""


def token_view(
    rows: Iterable[Row],
    tokenizer: PreTrainedTokenizerBase,
    encode: Callable[[Row], Encoded],
    max_length: int | None = None,
) -> list[TokenView]:
    """Tokens of each row as the trainer takes them: encoded by `encode` and cut to `max_length`.

    Raises `DataError` naming the first row of which no token is trained, or of which none is left after the cut.
    """
    views = []
    for number, row in enumerate(rows, start=1):
        about = row.get("about", {})
        place = place_in(about.get("source", ""), about.get("place", f"row {number}"))
        encoded = encode(row)
        ids, labels = encoded["input_ids"][:max_length], encoded["labels"][:max_length]
        trained = sum(label != IGNORED for label in labels)
        if not trained:
            raise DataError(_nothing_trained(place, encoded, max_length))
        views.append(
            TokenView(
                place=place,
                runs=_runs(tokenizer, ids, [label != IGNORED for label in labels]),
                trained_tokens=trained,
                all_tokens=len(ids),
                cut_tokens=len(encoded["input_ids"]) - len(ids),
            )
        )
    return views


def _nothing_trained(place: str, encoded: Encoded, max_length: int | None) -> str:
    question = sum(label == IGNORED for label in encoded["labels"])
    if question == len(encoded["labels"]):
        return f"{place}: none of its {question} tokens is trained. Fill in the answer or remove the row."
    return (
        f"{place}: the question alone has {question} tokens and fills schedule.max_length ({max_length}), so that no "
        "token of the answer is trained. Raise it, or shorten the question."
    )


def _runs(tokenizer: PreTrainedTokenizerBase, ids: list[int], trained: list[bool]) -> list[TokenRun]:
    whole = _decoded(tokenizer, ids)
    runs: list[TokenRun] = []
    start = place = 0
    for end in range(1, len(ids) + 1):
        if end < len(ids) and trained[end] == trained[start]:
            continue
        # Slices of the whole text, so that joining them gives it back. A character whose bytes lie in tokens of two
        # runs is not in the common beginning yet and goes to the later one.
        reached = len(whole) if end == len(ids) else _common(_decoded(tokenizer, ids[:end]), whole)
        runs.append(TokenRun(text=whole[place:reached], trained=trained[start], tokens=end - start))
        start, place = end, max(place, reached)
    return runs


def _common(beginning: str, whole: str) -> int:
    """Characters that two texts begin with alike."""
    pairs = enumerate(zip(beginning, whole, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(beginning), len(whole)))


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
