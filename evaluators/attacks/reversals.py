"""Changes that must change the answer: a dose ten times as large, and a negation put in or taken out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from evaluators.attacks import passages
from evaluators.attacks.terms import cited_texts
from evaluators.cases import Item
from evaluators.rewording import wording

WHY_DOSES = "The question rests on the dose, or the answer has to give it back: ten times as much is another answer."
WHY_NEGATIONS = "What is asked turns into its opposite, or the one finding that a short question rests on is denied."

# Doses, not concentrations: "5 mg", not "5 mg/dL".
_DOSE = re.compile(
    r"(?<![\d.,/-])(?P<amount>\d+(?:\.\d+)?)\s?(?P<unit>mg|mcg|µg|micrograms?|milligrams?|grams?|g|units?|IU)\b"
    r"(?!\s*/\s*(?:d?l|ml|kg|mmol|g)\b)(?!\s*per\s*(?:d?l|lit|kg))",
    re.IGNORECASE,
)
_ABOUT_DOSE = re.compile(
    r"\b(?:dos(?:e|es|age|ing)|overdos\w+|too (?:much|high)|how much|safe|maximum|correct|right amount)\b", re.I
)

# What is asked, and its opposite; in the sentence that asks.
_OPPOSITE: tuple[tuple[str, str], ...] = (
    (r"\bmost likely\b", "least likely"),
    (r"\bmost appropriate\b", "least appropriate"),
    (r"\bmost common\b", "least common"),
    (r"\bmost accurate\b", "least accurate"),
    (r"\bmost effective\b", "least effective"),
    (r"\bbest\b", "worst"),
    (r"\bis contraindicated\b", "is not contraindicated"),
    (r"\bis indicated\b", "is contraindicated"),
    (r"\bis true\b", "is not true"),
    (r"\bis correct\b", "is not correct"),
    (r"\bis recommended\b", "is not recommended"),
    (r"\bincreases\b", "does not increase"),
    (r"\bshould be (?!not\b)", "should not be "),
    (r"\bshould (?!not\b|be\b|I\b|we\b|she\b|he\b|they\b|the\b|a\b|one\b)(?=\w+)", "should not "),
    (r"\bis not\b", "is"),
    (r"\bshould not\b", "should"),
    (r"\bEXCEPT\b", "including"),
    (r"\bsafe\b", "unsafe"),
)
FEW_WORDS = 40
"""Words: below, a single finding or dose is taken to decide the question."""
_NOUN = (
    r"(?P<c>(?:[a-z]+ ){0,2}(?:pain|ache|fever|chills|cough|rash|bleeding|nausea|vomiting|diarrh\w+|headaches?|"
    r"swelling|weakness|allergy|history|disease|failure|asthma|diabetes|hypertension|infection|cancer|seizures?|"
    r"symptoms?|itch\w*|discharge|jaundice|dyspnea|breathlessness|palpitations|numbness|dizziness|weight loss|epilepsy|"
    r"angina|gout|anemia|ulcers?)\b)"
)
# A finding that is there, or is denied; in questions of few words, whose answer rests on it.
_FINDING: tuple[tuple[str, str], ...] = (
    (rf"\b(?P<a>[Hh]as|[Hh]ave|[Hh]ad) no {_NOUN}", r"\g<a> \g<c>"),
    (rf"\b(?P<a>[Hh]as|[Hh]ave|[Hh]ad) (?!no\b|not\b)(?:an? )?{_NOUN}", r"\g<a> no \g<c>"),
    (rf"\b[Dd]enies {_NOUN}", r"reports \g<c>"),
    (rf"\b[Rr]eports (?!no\b){_NOUN}", r"denies \g<c>"),
    (rf"\b(?:with no|without(?: any)?) {_NOUN}", r"with \g<c>"),
    (rf"\bwith (?!no\b)(?:an? )?{_NOUN}", r"without \g<c>"),
    (r"\b(?P<a>am|is) (?P<b>allergic|pregnant|breastfeeding|vaccinated)\b", r"\g<a> not \g<b>"),
    (r"\b(?P<a>am|is) not (?P<b>allergic|pregnant|breastfeeding|vaccinated)\b", r"\g<a> \g<b>"),
    (r"\b[Nn]o history of (?P<c>\w)", r"a history of \g<c>"),
)


def doses(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with one dose ten times as large.

    Only where the question asks about doses, is short and has no options, or its answer gives this dose back. The
    variants carry no reference: the old one is not theirs.
    """
    text = item.question
    stem = wording.stem(text)
    span = passages.asking(text)
    short = not item.options and len(stem.split()) <= FEW_WORDS
    rests = short or _ABOUT_DOSE.search(text[span.start : span.end]) is not None
    answers = " ".join(cited_texts(item))
    found = [
        one
        for one in _DOSE.finditer(stem)
        if rests or re.search(rf"(?<![\d.]){re.escape(one['amount'])}\s?{re.escape(one['unit'])}\b", answers)
    ]
    for one in draw.sample(found, len(found)):
        more = f"{Decimal(one['amount']) * 10:f}"
        more = more.rstrip("0").rstrip(".") if "." in more else more
        new = text[: one.start("amount")] + more + text[one.end("amount") :]
        how = f"doses: {one[0]} → {more}{text[one.end('amount') : one.end()]}"
        yield item.asking(new, how=how, reference="", answer=None)


def negations(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with what is asked turned into its opposite, or in a short question a finding denied or affirmed.

    The variants carry no reference: the old one is not theirs.
    """
    text = item.question
    span = passages.asking(text)
    made = [
        (text[: span.start] + new + text[span.end :], how)
        for new, how in _changed(text[span.start : span.end], _OPPOSITE)
    ]
    stem = wording.stem(text)
    if len(stem.split()) <= FEW_WORDS:
        made += [(new + text[len(stem) :], how) for new, how in _changed(stem, _FINDING)]
    for new, how in draw.sample(made, len(made)):
        yield item.asking(new, how=f"negations: {how}", reference="", answer=None)


def _changed(part: str, table: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """The part with one pattern replaced at its first place, for each pattern that is found."""
    untouched = wording.protected(part)
    for pattern, new in table:
        found = re.search(pattern, part)
        if found and not any(first < found.end() and found.start() < last for first, last in untouched):
            shown = found.expand(new)
            yield part[: found.start()] + shown + part[found.end() :], f"{found[0]} → {shown}"
