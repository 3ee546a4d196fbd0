"""The same question in another frame ("What is X?", "Could you tell me what X is?"), by rules or by a local model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from evaluators.attacks import passages
from evaluators.cases import Item
from evaluators.rewording import faithful, wording

WHY = "Only the frame of what is asked changes; the case, and every word that says what is asked about, stays."
Rewrite = Callable[[list[str]], list[str]]
"""Texts in other words, in the same order: a paraphrasing model of the user's."""

_OPENERS = (
    "Could you tell me: {}",
    "Please answer this: {}",
    "I would like to know: {}",
    "My question is this: {}",
    "Here is what I want to find out: {}",
    "Please help me with this: {}",
)
_OPENERS_OF_NO_QUESTION = (
    "Please help me with the following.",
    "Here is what I need help with.",
    "This is what I am asking you.",
    "I would like your help with this.",
)
_CASE = "(?P<x>[^,;:?]{2,60})"  # short enough to be moved within the sentence
_FRAMES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(rf"^{pattern}\?$"), frames)
    for pattern, frames in {
        r"Which of the following is (?P<x>.+)": (
            "Of the following, which is {x}?",
            "Among the options that follow, which is {x}?",
            "Choose from the following: which is {x}?",
        ),
        r"Which of the following (?P<x>(?!is\b|are\b).+)": (
            "Of the following, which {x}?",
            "Among the options that follow, which {x}?",
        ),
        r"What is the most (?P<x>.+)": ("Which is the most {x}?", "What would be the most {x}?"),
        rf"What is {_CASE}": ("Could you tell me what {x} is?", "Please explain what {x} is.", "What, please, is {x}?"),
        rf"What are the symptoms of {_CASE}": ("Which symptoms does {x} cause?", "How does {x} show in symptoms?"),
        rf"What are {_CASE}": ("Could you tell me what {x} are?", "Please say what {x} are.", "What, please, are {x}?"),
        rf"What causes {_CASE}": ("What is the cause of {x}?", "What is {x} caused by?"),
        rf"How is {_CASE} (?P<y>treated|diagnosed|managed|prevented)": ("In what way is {x} {y}?",),
        rf"How to (?P<y>diagnose|treat|prevent) {_CASE}": ("How does one {y} {x}?", "What is the way to {y} {x}?"),
        r"Can I (?P<x>.+)": ("Would it be all right for me to {x}?", "Is it all right if I {x}?"),
        r"Should I (?P<x>.+)": ("Would you advise me to {x}?", "Is it wise for me to {x}?"),
        r"Is it safe to (?P<x>.+)": ("Can one safely {x}?", "Would it be safe to {x}?"),
    }.items()
)  # fmt: skip
_EQUAL = (
    ("most likely", "most probable"),
    ("most appropriate", "most suitable"),
    ("in this patient", "in this person"),
)
_QUOTES = '"” \n'
_QUESTION_WORD = re.compile(
    r"^(?:What|Which|How|Why|When|Where|Who|Whose|Is|Are|Was|Were|Do|Does|Did|Can|Could|Should|Would|Will|May|Has|Have|In|Of|At)\b"
)


def paraphrase(item: Item, draw: Random, rewrite: Rewrite | None = None) -> Iterator[Item]:
    """Variants with what is asked in another frame, and where a case is told first, with the question before it.

    With `rewrite`, its version of the whole question comes first, if nothing that `faithful.lost` knows of is lost.
    """
    text = item.question
    stem = wording.stem(text)
    if rewrite:
        new = rewrite([stem])[0].strip()
        if new and new != stem and not faithful.lost(stem, new):
            yield item.asking(new + text[len(stem) :], how="paraphrase: by a model")
    span = passages.asking(text)
    asked = text[span.start : span.end]
    options = text[len(stem) :]
    made = [(text[: span.start] + new + text[span.end :], how) for new, how in _framed(asked)]
    if not asked.rstrip(_QUOTES).endswith("?"):
        made += [(passages.insert(text, 0, opener), opener) for opener in _OPENERS_OF_NO_QUESTION]
    case = stem[: span.start].strip()
    if case and asked.endswith("?") and not stem[span.end :].strip(_QUOTES):
        made.append((f"{asked}\n\n{case}{options}", "question first"))
        made.append((f"{asked} Here is the case: {case}{options}", "question first, case named"))
    for new, how in draw.sample(made, len(made)):
        yield item.asking(new, how=f"paraphrase: {how}")


def _framed(asked: str) -> Iterator[tuple[str, str]]:
    bare = asked.rstrip(_QUOTES)
    end = asked[len(bare) :]
    for pattern, frames in _FRAMES:
        found = pattern.match(bare)
        if found:
            for frame in frames:
                yield frame.format(**found.groupdict()) + end, frame
            break
    if bare.endswith("?"):
        lowered = bare[0].lower() + bare[1:] if _QUESTION_WORD.match(bare) else bare
        for opener in _OPENERS:
            yield opener.format(lowered) + end, opener
    for old, new in _EQUAL:
        if old in bare:
            yield bare.replace(old, new) + end, f"{old} → {new}"
