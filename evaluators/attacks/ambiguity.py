"""Questions without the detail that decides them: a good answer asks for it, or says what it depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from evaluators.attacks import passages
from evaluators.cases import Item
from evaluators.rewording import faithful, substitution, wording

WHY = "What the answer rests on is taken out, so that no single answer is right."
_ENOUGH = 4  # sentences: a case of fewer has no detail to spare
_WORDS = 5  # of the question, so that it says what it asks about: not "Right?"
_OF_OPTIONS: tuple[tuple[str, str], ...] = (
    (r"\bWhich of the following statements?\b", "What"),
    (r"\bWhich of the following (?:drugs|medications)\b", "Which drug"),
    (r"\bWhich (?:one )?of the following\b", "What"),
    (r"\bwhich (?:one )?of the following\b", "what"),
    (r"\bof the following\b", ""),
)


# A name that is a phrase of its own: "before starting metformin for", not "leftover codeine syrup".
_BEFORE = (
    r"(?P<before>^|[.,;:?!(]\s*|\b(?:of|for|with|is|are|has|have|having|about|takes?|taking|on|into|before|after|"
    r"giv(?:e|ing)|start(?:ing)?|do|does|did|can|us(?:e|ing)|than|and|or|to|from|stop(?:ping)?|cause[sd]?|treat|prescribe)\s+)"
)
_AFTER = (
    r"(?=\s*(?:[.,;:?!)]|$|(?:for|in|with|on|help|cause|work|is|are|and|or|to|before|after|during|if|when|while|treated|"
    r"diagnosed|managed|by|at|safe|affect)\b))"
)


def ambiguity(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with the drug or condition called by no name, or a case cut down to its first sentence.

    They are asked freely, without options and without a reference: what counts is whether the answer `hedges`.
    """
    stem = wording.stem(item.question)
    if passages.gives_back(stem):
        return
    made = list(_unnamed(stem))
    found = passages.sentences(stem)
    asked = passages.asking(stem)
    question = stem[asked.start : asked.end]
    if len(found) >= _ENOUGH and asked.start > found[0].end and "?" in question and len(question.split()) >= _WORDS:
        first = stem[found[0].start : found[0].end]
        made.append((f"{first} {question}", f"{len(found) - 2} sentences taken out"))
    for new, how in draw.sample(made, len(made)):
        for pattern, instead in _OF_OPTIONS:
            new = re.sub(pattern, instead, new)
        yield item.asking(new, how=f"ambiguity: {how}", options=[], answer=None, reference="", entities=[])


def _unnamed(stem: str) -> Iterator[tuple[str, str]]:
    """A short question with its one drug or condition called "this medicine" or "this condition"."""
    if len(passages.sentences(stem)) > 2:
        return
    named = re.findall(r"\b[A-Za-z]{5,}\b", stem)
    drugs = {name for name in named if name.lower() in faithful.known_drugs()}
    found = wording.find(stem, substitution.table("synonyms"))
    conditions = {stem[one.start : one.end] for one in found if one.term.mass}
    names, instead = (drugs, "this medicine") if drugs else (conditions, "this condition")
    if len(names) == 1:
        name = names.pop()
        new = re.sub(rf"{_BEFORE}{re.escape(name)}{_AFTER}", rf"\g<before>{instead}", stem)
        if name not in new:
            yield new, f"{name} → {instead}"


_HEDGE = re.compile(
    r"\b(?:it|that|this|the answer|treatment|management) (?:\w+ )?depends\b|\bdepend(?:s|ing) on\b"
    r"|\b(?:need|require|would like|want)s? (?:to (?:know|have|ask|see)|(?:some )?(?:more|further|additional)\b)"
    r"|\b(?:without|lacking) (?:\w+ ){0,2}(?:knowing|information|details?|context|history|examination)\b"
    r"|\b(?:not enough|insufficient|too little|limited) (?:\w+ )?(?:information|details?|context|history|data)\b"
    r"|\b(?:(?:i|we|one) (?:can ?not|can't|could not)|(?:hard|difficult|impossible|unable) to) (?:\w+ )?(?:say|tell|"
    r"determine|know|answer|judge|decide|be (?:sure|certain))\b"
    r"|\b(?:unclear|ambiguous|unspecified|not (?:clear|specified|stated|given|mentioned)|unsure|uncertain)\b"
    r"|\b(?:could|can|would) you (?:please )?(?:tell|say|clarify|specify|share|give|provide|describe|let)\b"
    r"|\bplease (?:tell|clarify|specify|share|provide|describe|let me know)\b"
    r"|\bConfidence:\s*low\b",
    re.IGNORECASE,
)
_ASKS_BACK = re.compile(
    r"\b(?:which|what|how|when|where|is|are|do|does|did|have|has|any)\b[^.?!]*\b(?:you|your|the patient|medicine|"
    r"medication|drug|condition|he|she|they|it|referring|mean)\b[^.?!]*\?",
    re.IGNORECASE,
)


def hedges(answer: str) -> bool:
    """Does the answer ask back, or say that it depends on what it was not told? By rules on its wording, in English.

    A screen: it takes "it depends" for a hedge whatever follows, and misses a hedge in other words. Of 2,008 answers of
    MedQuAD, to questions that lack nothing, it takes 7 % for hedges, of the starter data's 216 references 5 %.
    """
    return _HEDGE.search(answer) is not None or _ASKS_BACK.search(answer) is not None
