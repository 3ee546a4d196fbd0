"""The parts of a question: its sentences, the one that asks, and where a sentence of one's own may be put in."""

from __future__ import annotations

import re
from typing import NamedTuple

from evaluators.cases import Item
from evaluators.metrics import named_label
from evaluators.rewording import wording

_END = re.compile(r"(?<=[.!?])([\"”')\]]*)(?:\s+(?=[A-Z0-9\"“(\[])|$)|\n+")
# a full stop that ends no sentence: "Dr. Ito", "120/80 mm Hg. The" does end one
_NO_END = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|vs|e\.g|i\.e|approx|no|No|Fig|[A-Z])\.$")
_GIVES_BACK = re.compile(
    r"\b(?:summar\w+|rewrite|translate|write (?:a|the)|take out|extract|list (?:all|the|every))\b", re.IGNORECASE
)
_ASKS = re.compile(r"\?[\"”')\]]*\s*$")


class Span(NamedTuple):
    start: int
    end: int


def sentences(text: str) -> list[Span]:
    """The sentences of a question without the options of its multiple choice, lines being sentences of their own."""
    stem = wording.stem(text)
    spans, start = [], 0
    for end in _END.finditer(stem):
        if _NO_END.search(stem[start : end.start()]):
            continue
        spans.append(_trimmed(stem, start, end.start() if end[1] is None else end.end(1)))
        start = end.end()
    spans.append(_trimmed(stem, start, len(stem)))
    return [span for span in spans if span.start < span.end]


def asking(text: str) -> Span:
    """The sentence that asks: the last one with a question mark, or the first or last sentence where none has one.

    Without a question mark the first sentence gives the task ("Take out the drug: ...") where it ends in a colon or is
    followed by a line of its own; else the last one does.
    """
    found = sentences(text)
    if not found:
        return Span(0, len(text))
    asked = [span for span in found if _ASKS.search(text[span.start : span.end])]
    if asked:
        return asked[-1]
    first = found[0]
    return (
        first if text[first.start : first.end].endswith(":") or "\n" in text[first.end : first.end + 2] else found[-1]
    )


def gives_back(text: str) -> bool:
    """Does it ask for its own text again, whole or in parts (a summary, the drugs in it)?

    What is added to such a text, or taken out of it, belongs to the answer.
    """
    return _GIVES_BACK.search(text) is not None


def lists_classes(item: Item) -> bool:
    """Does the question name all of the item's options itself ("low, normal or high?")?"""
    return bool(item.options) and all(named_label(item.question, [option]) for option in item.options)


def gaps(text: str) -> list[int]:
    """Where a sentence of its own may be put in: before the text, between full sentences, and before what is asked."""
    found = sentences(text)
    whole = [span for span in found[:-1] if text[span.end - 1] in ".!?"]
    places = {0, asking(text).start} | {span.end for span in whole}
    return sorted(place for place in places if place == 0 or text[:place].rstrip()[-1:] in ".!?:\n")


def insert(text: str, place: int, sentence: str) -> str:
    """The text with a sentence at one of its `gaps`, with a space where one is needed."""
    before, after = text[:place], text[place:]
    left = "" if not before or before[-1].isspace() else " "
    right = "" if not after or after[0].isspace() else " "
    return before + left + sentence + right + after


def _trimmed(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return Span(start + len(part) - len(part.lstrip()), start + len(part.rstrip()))
