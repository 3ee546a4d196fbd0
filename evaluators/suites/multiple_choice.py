"""Multiple choice, by the likelihood of each option's letter and by the answer that the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from evaluators.cases import Item, Messages, Progress, Respondent, silent

TITLE = "Multiple choice"


def lettered(item: Item) -> Messages:
    """The item's conversation with its options as lettered lines below the question, as training rows have them."""
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, item.options, strict=False))
    return item.asking(f"{item.question}\n\n{listed}\n\nAnswer with the letter of the one best option.").prompt


def choose(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[list[float]]:
    """For each item, the log-likelihood (nats) of each option's letter as the reply; the largest is the choice."""
    replies = [ascii_uppercase[: len(item.options)] for item in items]
    found = respondent.likelihoods([lettered(item) for item in items], replies, progress)
    return [[one.total for one in each] for each in found]
