"""Questions of every sort, with their variants, put to a respondent in few calls; what each answer settles on."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal, NamedTuple

from evaluators.attacks.passages import lists_classes
from evaluators.cases import Item, Progress, Respondent, silent
from evaluators.consistency import Embed, same_text
from evaluators.metrics import exact_match, named_label
from evaluators.suites.answers import MOST_TOKENS, SHORT, answer_tokens
from evaluators.suites.multiple_choice import choose, likeliest

Sort = Literal["option", "class", "short", "free"]
"""How a question is answered: by the likeliest letter; freely, naming one of the classes that the question lists;
freely in few words that are right or wrong as a whole; freely at length."""
NO_CLASS = "none of the classes"


class Reply(NamedTuple):
    text: str
    settled: str | None
    """The letter, class or short answer; None of free text."""
    right: bool | None
    """None where the item has no key, or a long reference."""


def sources_of(items: Sequence[Item]) -> dict[str, Item]:
    """The source questions among the items, by id. Raises `ValueError` for a variant without its source."""
    sources = {item.id: item for item in items if not item.how}
    for item in items:
        if item.unit not in sources:
            raise ValueError(f"{item.id} is a variant of {item.unit}, which is not among the items; give both")
    return sources


def replies(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Reply]:
    """The answer to each item, in order. A variant is answered as its source is, unless it has lost its options."""
    sources = sources_of(items)
    sorts: list[Sort] = [_sort(sources[item.unit], item) for item in items]
    by_letter = [number for number, sort in enumerate(sorts) if sort == "option"]
    written = [number for number, sort in enumerate(sorts) if sort != "option"]
    found: dict[int, Reply] = {}
    likelihoods = choose(
        [items[number] for number in by_letter], respondent, lambda done, _: progress(done, len(items))
    )
    for number, each in zip(by_letter, likelihoods, strict=True):
        item, choice = items[number], likeliest(each)
        letter = ascii_uppercase[choice]
        right = None if item.answer is None else choice == item.answer
        found[number] = Reply(f"{letter}. {item.options[choice]}", letter, right)
    asked = [items[number] for number in written]
    answers = respondent.answer(
        [item.prompt for item in asked],
        answer_tokens([sources[item.unit] for item in asked], MOST_TOKENS),
        lambda done, _: progress(len(by_letter) + done, len(items)),
    )
    for number, answer in zip(written, answers, strict=True):
        found[number] = _written(items[number], sorts[number], answer)
    return [found[number] for number in range(len(items))]


def same_replies(first: Sequence[Reply], second: Sequence[Reply], embed: Embed) -> list[bool]:
    """Of each pair, whether the two say the same (`evaluators.consistency`); only free texts are embedded."""
    free = {
        text
        for pair in zip(first, second, strict=True)
        if None in (pair[0].settled, pair[1].settled)
        for text in (pair[0].text, pair[1].text)
    }
    texts = sorted(free)
    vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    found = []
    for one, other in zip(first, second, strict=True):
        if one.settled is not None and other.settled is not None:
            found.append(exact_match(one.settled, other.settled))
        else:
            found.append(same_text(one.text, other.text, float(vectors[one.text] @ vectors[other.text])))
    return found


def _sort(source: Item, item: Item) -> Sort:
    if source.options and item.options:
        return "class" if lists_classes(source) else "option"
    return "short" if not source.options and 0 < len(source.reference.split()) <= SHORT else "free"


def _written(item: Item, sort: Sort, answer: str) -> Reply:
    if sort == "class":
        named = named_label(answer, item.options)
        right = None if item.answer is None else named == item.options[item.answer]
        return Reply(answer, named or NO_CLASS, right)
    if sort == "short":
        return Reply(answer, answer, exact_match(answer, item.reference) if item.reference else None)
    return Reply(answer, None, None)
