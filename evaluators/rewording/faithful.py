"""What a rewriting of a clinical question must not lose: numbers, units, negations, sides, drugs, placeholders."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from evaluators.rewording.drug_index import common_names
from evaluators.rewording.substitution import drug_names

_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
} | {"once": "1", "twice": "2"}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*|\b(?:" + "|".join(_NUMBER_WORDS) + r")\b", re.IGNORECASE)
_UNIT = re.compile(
    r"\d\s*(mmol/l|mmol|µmol/l|umol/l|mg/dl|mg/kg|mcg/kg|µg/l|ng/ml|pg/ml|g/dl|g/l|mg/l|miu/l|u/l|iu/l|meq/l|cells/\w+|"
    r"mm\s?hg|mmhg|kg/m2|kg|mcg|µg|mg|ml|dl|iu|units?|bpm|cm|mm|mv|°\s?[cf]|%|percent|g|l|m)(?![a-z])",
    re.IGNORECASE,
)
_TIME = re.compile(r"\b(second|minute|hour|day|week|month|year|hora|día|dia|semana|mes|año)(?:s|es)?\b", re.IGNORECASE)
_SIDE = re.compile(
    r"\b(left|right|bilateral|upper|lower|anterior|posterior|medial|lateral|proximal|distal|izquierd[oa]s?|derech[oa]s?)\b|[左右]",
    re.IGNORECASE,
)
_NEGATION = {
    "en": re.compile(
        r"\b(?:no|not|never|none|neither|nor|without|cannot|denie[sd]|deny|denying|absent|absence|negative|except)\b|n['’]t\b",
        re.IGNORECASE,
    ),
    "es": re.compile(
        r"\b(?:no|nunca|jamás|ningun[oa]?|ningún|ni|sin|niega|negó|ausencia|negativ[oa]|excepto)\b", re.IGNORECASE
    ),
    "zh": re.compile("[不无無没沒未非否]"),
}
_SAME_UNIT = {"percent": "%", "µg": "mcg", "unit": "units", "umol/l": "µmol/l"}


def lost(before: str, after: str, language: str = "en") -> list[str]:
    """What differs between a text and its rewriting, each in words ("number 500"); empty where nothing does.

    Compared are numbers ("two" is 2) in any order, units as they follow a number, times, sides of the body, how often
    something is negated, names of drugs, and what stands in square brackets ([NAME]). A language without a list of
    negations is compared without them.
    """
    found: list[str] = []
    for kind, count in (
        ("number", _numbers),
        ("unit", _units),
        ("time", _times),
        ("side", _sides),
        ("drug", _drugs),
        ("placeholder", _placeholders),
    ):
        old, new = count(before), count(after)
        found += [f"{kind} {value}" for value in sorted((old - new) + (new - old))]
    if language in _NEGATION:
        cue = _NEGATION[language]
        if len(cue.findall(before)) != len(cue.findall(after)):
            found.append("negation")
    return found


def _numbers(text: str) -> Counter[str]:
    values = []
    for match in _NUMBER.finditer(text):
        value = match[0].lower()
        value = _NUMBER_WORDS.get(value, value)
        values.append(value.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", value) else value)
    return Counter(values)


def _units(text: str) -> Counter[str]:
    units = (re.sub(r"\s", "", match[1].lower()) for match in _UNIT.finditer(text))
    return Counter(_SAME_UNIT.get(unit, unit) for unit in units)


def _times(text: str) -> Counter[str]:
    return Counter(match[1].lower() for match in _TIME.finditer(text))


def _sides(text: str) -> Counter[str]:
    return Counter(match[0].lower() for match in _SIDE.finditer(text))


def _drugs(text: str) -> Counter[str]:
    names = known_drugs()
    return Counter(word for word in re.findall(r"[a-z][a-z-]+[a-z]", text.lower()) if word in names)


def _placeholders(text: str) -> Counter[str]:
    return Counter(re.findall(r"\[[^\]\n]*\]", text))


@cache
def known_drugs() -> frozenset[str]:
    """The brand table's names and the common drugs of the public index that the starter data is made from."""
    return drug_names() | common_names()
