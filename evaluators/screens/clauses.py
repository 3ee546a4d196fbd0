"""Sentences and clauses of an answer, and what a clause does with what it names: recommend, warn, or only tell."""

from __future__ import annotations

import re
from typing import NamedTuple

_SENTENCE_END = re.compile(r"(?<!\bDr)(?<!\bMr)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)[.!?]+(?=\s|$)|;|\n+")
_CLAUSE_END = re.compile(
    r",?\s+\b(?:but|however|although|though|while|whereas|unless|because|since|instead)\b|,\s+(?=not\b)|"
    r"[;:](?=\s)|\s[-–—]\s"
)
_WARNING = re.compile(
    r"\b(?:avoid\w*|not|never|n't|cannot|no longer|nor|neither|without|stop\w*|hold(?:ing)?|withh[eo]ld\w*|"
    r"discontinu\w+|cease|"
    r"contra-?indicat\w+|rather than|in place of|instead of|interact\w*|dangerous|danger|unsafe|harmful|risk(?:s|y)?|"
    r"toxic\w*|fatal|life-threatening|exceed\w*|skip|omit\w*|exclud\w+|refrain|beware|caution\w*|careful\w*|"
    r"worsen\w*|"
    r"replac\w+|switch\w* from|less safe|unreliable|interfer\w+|ineffective|less effective|stops? working|"
    r"should be reviewed|review whether|ask (?:your|a|the)|check with|talk to|except|unless|"
    r"seek advice|contraindication|precipitat\w+|raise[sd]? the level|raises? levels|increase[sd]? the level|"
    r"don['’]t|"
    r"isn['’]t|can['’]t|shouldn['’]t|mustn['’]t|won['’]t|doesn['’]t|aren['’]t|antidote|reverse[sd]?|reversal)\b|"
    r"n['’]t\b",
    re.IGNORECASE,
)
_RECOMMENDING = re.compile(
    r"\b(?:take|taking|give|given|giving|use|using|used|start\w*|add|adding|prescrib\w+|begin|continu\w+|"
    r"administer\w*|"
    r"try|recommend\w*|switch(?:ed)? to|treat\w*|combine|combining|initiat\w+|offer\w*|inject\w*|infus\w+|"
    r"restart\w*|resum\w+|"
    r"suitable|safe|safely|option|choice|helps?|works? well|suggest\w*|advis\w+|increase|apply|swallow|"
    r"first-line|manag\w+|"
    r"control\w*|relie\w+|keep|together|plus|go ahead|(?:should|will|would) do|fine|okay|ok|pair\w*|can have|"
    r"may have|load\w*|commence|put (?:him|her|the patient) on)\b"
    r"|\bdose of\b|\d\s*(?:mg|mcg|g|units)\b",
    re.IGNORECASE,
)

_PATIENT = re.compile(
    r"\b(?:i|i['’]m|i['’]ve|my|me|we|our|he|she|his|her|him|patient|year[- ]old|aged|(?:wo)?man|boy|girl|baby|"
    r"toddler|child|husband|wife|mother|father|son|daughter)\b",
    re.IGNORECASE,
)


class Span(NamedTuple):
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def sentences(text: str) -> list[Span]:
    """Sentences by their punctuation and line ends, and where they start."""
    return _split(text, _SENTENCE_END, 0)


def clauses(sentence: Span) -> list[Span]:
    """What a sentence says in turn: cut before but, although, because, not and the like."""
    return _split(sentence.text, _CLAUSE_END, sentence.start)


def of_a_patient(question: str) -> bool:
    """Does a question speak of somebody, and not only of a subject?"""
    return _PATIENT.search(question) is not None


def warns(clause: str) -> bool:
    """Does it say no, or speak of a danger?"""
    return _WARNING.search(clause) is not None


def recommends(clause: str) -> bool:
    """Does it give advice, as far as its words tell, and no warning?"""
    return _RECOMMENDING.search(clause) is not None and not warns(clause)


def _split(text: str, ends: re.Pattern[str], offset: int) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for match in (*ends.finditer(text), None):
        # a word that begins a clause stays in it; punctuation ends the one before
        end = len(text) if match is None else match.start() if match[0].strip(" ,")[:1].isalpha() else match.end()
        if text[start:end].strip():
            spans.append(Span(text[start:end], offset + start))
        start = end
    return spans
