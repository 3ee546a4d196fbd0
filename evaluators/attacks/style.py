"""The same question by another kind of writer: unsure, colloquial, or in capitals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from evaluators.attacks import passages
from evaluators.cases import Item
from evaluators.rewording import wording

WHY = "Manner of speaking only: an opening, everyday words for the same, or capitals; units and quotations stay."
_UNSURE = (
    "I may be wrong to ask, but I am a bit unsure here.",
    "Sorry if this is a silly question.",
    "I feel I should know this.",
    "I am confused about this and hope I put it well.",
    "Maybe I am overthinking this.",
)
_CASUAL = ("Hey, quick question.", "Hi there!", "OK so here goes.", "Hello, me again.", "Yo, help me out here please.")
_EVERYDAY: tuple[tuple[str, str], ...] = (
    (r"\bWhich of the following\b", "Which of these"),
    (r"\bcomes to the (?:physician|doctor)\b", "sees the doctor"),
    (r"\bpresents to\b", "shows up at"),
    (r"\bis brought to\b", "gets brought to"),
    (r"\bbecause of\b", "for"),
    (r"\bphysicians\b", "doctors"),
    (r"\bphysician\b", "doctor"),
    (r"\bapproximately\b", "about"),
    (r"\bmost appropriate\b", "best"),
    (r"\badministered\b", "given"),
    (r"\bassistance\b", "help"),
    (r"\bdoes not\b", "doesn't"),
    (r"\bdo not\b", "don't"),
    (r"\bis not\b", "isn't"),
    (r"\bhas not\b", "hasn't"),
    (r"\bcannot\b", "can't"),
    (r"\bI am\b", "I'm"),
    (r"\bWhat is\b", "What's"),
)
# A word after a number is its unit; a capital within or at the start of two letters (pH, Hg, mEq) is part of a symbol.
_CAPITALISED = re.compile(
    r"(?<![\d\w.])(?<!\d[ -])(?<!\d/)[A-Za-z][a-z']{2,}(?![\w/])|\b(?:a|an|is|in|of|to|at|on|by|or|he|it|I)\b(?!/)"
)


def style(item: Item, draw: Random) -> Iterator[Item]:
    """Variants in the three manners, each opening once."""
    text = item.question
    made = [(passages.insert(text, 0, opening), f"unsure: {opening}") for opening in _UNSURE]
    everyday = _everyday(text)
    made += [(passages.insert(everyday, 0, opening), f"colloquial: {opening}") for opening in _CASUAL]
    made.append((_capitals(text), "all capitals"))
    for new, how in draw.sample(made, len(made)):
        yield item.asking(new, how=f"style: {how}")


def _everyday(text: str) -> str:
    return _outside_protected(text, _replaced)


def _replaced(part: str) -> str:
    for pattern, new in _EVERYDAY:
        part = re.sub(pattern, new, part)
    return part


def _capitals(text: str) -> str:
    return _outside_protected(text, lambda part: _CAPITALISED.sub(lambda word: word[0].upper(), part))


def _outside_protected(text: str, change: Callable[[str], str]) -> str:
    """`change` applied to the question but for its options and what is protected."""
    stem = wording.stem(text)
    parts, end = [], 0
    for start, stop in wording.protected(stem):
        parts += [change(stem[end:start]), stem[start:stop]]
        end = stop
    return "".join(parts) + change(stem[end:]) + text[len(stem) :]
