"""How many examples there are, in the words that people use; and the numbers that mean something else."""

from __future__ import annotations

import re
from re import Match

from assistant.planner.reading_text import CORRECTION, Message

_WORDS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "couple": 2,
    "few": 3,
    "several": 5,
    "half": 0.5,
}
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "grand": 1000,
    "k": 1000,
    "million": 10**6,
    "mio": 10**6,
    "mil": 10**6,
    "m": 10**6,
}
_WORD = "|".join(sorted((word for word in _WORDS if len(word) > 2), key=len, reverse=True))
_DIGITS = r"\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+(?:\.\d+)?"
_SCALE = r"(?:\s*(?:k|m|mio|mil)\b|\s*(?:hundred|thousand|million|grand|dozen)s?\b)"
_SPELT = (
    rf"(?:(?:an?\s+)?(?:{_WORD})(?:[\s-](?:{_WORD}))?(?:\s+and\s+a\s+half)?(?:\s+of)?(?:\s+an?)?|an?)"
    r"\s+(?:hundred|thousand|million|grand|dozen)s?(?:\s+thousand)?\b(?:\s+and\s+(?:twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety))?"
)
NUMBER = rf"(?:{_SPELT}|(?:{_DIGITS}){_SCALE}?)"
_NOUN = (
    r"(?:training |labell?ed |annotated )?(?:examples?|exampels|samples?|rows?|records?|notes?"
    r"|reports?|cases?|questions?"
    r"|pairs?|q ?& ?as?|qas?|conversations?|dialogu?es?|chats?|messages?|letters?|summar(?:y|ies)|documents?|docs?"
    r"|files?|entries|items?|instances?|instructions?|abstracts?|articles?|patients?|studies|scans?"
    r"|exams?|encounters?"
    r"|visits?|charts?|prescriptions?|orders?|discharges?|answers?|sentences?|texts?|data ?points?"
    r"|lines?|annotations?"
    r"|admissions?|consults?|emails?|transcripts?|referrals?|impressions?|findings"
    r"|training|train|test|testing|validation)\b"
)
_EDGE = r"(?<![\w.,/$€£#-])"
_RANGE = re.compile(
    rf"{_EDGE}(?:between\s+)?(?P<low>{_DIGITS})(?P<low_scale>{_SCALE})?\s*(?:-|to|or|and)\s*(?P<high>{_DIGITS})"
    rf"(?P<scale>{_SCALE})?(?=\s|[.,;!?)]|$)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    rf"{_EDGE}(?P<number>{NUMBER})(?![\w%])(?!\.\d)(?P<noun>(?:\s+(?!and\b|or\b|with\b|on\b|for\b"
    rf"|to\b)[a-z'&-]+){{0,3}}?\s+{_NOUN}|\s+{_NOUN}|\s+of\s+(?:them|those|these)\b)?",
    re.IGNORECASE,
)
_PER_CLASS = re.compile(
    rf"{_EDGE}(?P<each>\d+)\s+(?:[a-z]+\s+)?(?:per|for each|in each|each)\s+(?:class|category|label)\b.{{0,20}}?"
    rf"(?P<classes>{_DIGITS}|{_WORD})\s+(?:classes|categories|labels)"
    rf"|{_EDGE}(?P<classes2>{_DIGITS}|{_WORD})\s+(?:classes|categories|labels)\b.{{0,20}}?(?P<each2>\d+)\s+(?:[a-z]+\s+)?(?:per"
    r"|for each|in each|each)\b",
    re.IGNORECASE,
)
# Numbers that are something else: settings, sizes, doses, ages, dates, people, rates, codes.
_OTHER = re.compile(
    rf"""
      {_EDGE}(?:{NUMBER})\s*-?\s*(?:%|per\s?cent\b|tokens?\b|words?\b|characters?\b|years?\b|yrs?\b|yo\b|months?\b|days?\b|hours?\b|hrs?\b|h\b
        |min(?:ute)?s?\b|weeks?\b|epochs?\b|steps?\b|classes\b|categories\b|labels\b|cores?\b|threads?\b|[kmgt]i?b\b|gigs?\b
        |gigabytes?\b|megabytes?\b|mg\b|mcg\b|ml\b|mmhg\b|bpm\b|pages?\b|doctors?\b|clinicians?\b|nurses?\b|physicians?\b
        |radiologists?\b|reviewers?\b|experts?\b|hospitals?\b|sites?\b|clinics?\b|centres?\b|centers?\b|people\b|users?\b
        |departments?\b|specialt(?:y|ies)\b|languages?\b|-?fold\b|-?shots?\b|[ap]m\b|dollars?\b|euros?\b|context\b|bits?\b
        |(?:[a-z]+\s+)?(?:a|per|each|every)\s+(?:day|week|month|year|patient|hour))
    | \b(?:rank|r|alpha|lr|learning\srate|batch(?:\ssize)?|epochs?|seed|version|v|step|type|grade
        |stage|phase|level|covid|icd|aged?
        |top|usmle|chapter|page|room|ward|temperature|cuda|python)\s*[=:-]?\s*(?:of\s+|is\s+|to\s+)?\d[\d.e-]*
    | \bbetween\s+(?:19[5-9]\d|20[0-4]\d)\s+and\s+(?:19[5-9]\d|20[0-4]\d)\b
        (?!\s+[a-z]*\s?(?:notes|reports|rows|examples|cases|records))
    | [$€£]\s?\d[\d,.]*k?
    | \b(?:in|from|since|until|till|during|year|before|after)\s+(?:19[5-9]\d|20[0-4]\d)\b
        (?:\s*(?:-|to|and|until)\s*(?:19[5-9]\d|20[0-4]\d)\b)?
    | \b\d+/\d+(?:/\d+)?\b | \b\d{{4}}-\d\d-\d\d\b | \b\d+e-?\d+\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DATA_SIZE = re.compile(
    rf"{_EDGE}(?:{_DIGITS})\s*(?:[kmgt]i?b|gigs?|gigabytes?|megabytes?)\s+(?:of\s+)?(?:data|text"
    r"|notes?|reports?|records?)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"(?:\babout|\baround|\broughly|\bapprox(?:imately|\.)?|~|\bsome|\bonly|\bhave|\bgot|\bgot only"
    r"|\bnearly|\balmost|\bover|\bmaybe|\bhas)\s*$",
    re.IGNORECASE,
)
_HELD_BACK = re.compile(
    r"^\s*(?:\w+\s+)?(?:for|as|to)\s+(?:test|valid|evaluat|hold)|^\s*(?:test|validation|held)", re.IGNORECASE
)
_TEST_NOUN = re.compile(r"\b(?:test|validation|evaluation|held[- ]out)\b", re.IGNORECASE)


MOST_EXAMPLES = 10**10
"""A larger number is no number of examples."""


def number_value(text: str) -> float:
    """The value of a written number: "5,000", "1.2M", "twelve hundred", "a couple of hundred", "half a million"."""
    plain = re.sub(r"(?<=\d)[, ](?=\d{3})", "", text.lower())
    plain = re.sub(r"(?<=\d)(?=[a-z])", " ", plain)
    tail = re.search(r"(?:hundred|thousand)s?\s+and\s+([a-z]+)$", plain)
    added = _WORDS.get(tail[1], 0) if tail else 0
    plain = plain[: tail.start(1)] if tail and added else plain
    total, scale = 0.0, 1
    for word in re.findall(r"[a-z]+|\d+(?:\.\d+)?", plain):
        singular = word.removesuffix("s") if word != "several" else word
        if word[0].isdigit():
            total += float(word)
        elif singular in _SCALES:
            scale *= _SCALES[singular]
        elif word == "half" and total:
            total += 0.5
        elif word == "half":
            total = 0.5
        elif word in _WORDS and (word not in ("a", "an") or not total):
            # "a couple", "a few": the article is not a one of its own.
            total = _WORDS[word] if total == 1 and _WORDS[word] < 10 else total + _WORDS[word]
    # "hundred" alone is one hundred, but 0 stays 0.
    return (total if re.search(r"\d", plain) else total or 1) * scale + added


def read_examples(message: Message, asked: bool, counting: bool) -> int | None:
    """The number of examples, or None where the message gives none.

    `asked`: the message answers "how many?". `counting`: a number of examples is known, so that a correction
    ("actually 8000") may leave the noun out.
    """
    for _ in message.take(_DATA_SIZE):
        pass
    for match in message.take(_PER_CLASS):
        each, classes = match["each"] or match["each2"], match["classes"] or match["classes2"]
        return round(min(number_value(each) * number_value(classes), MOST_EXAMPLES)) or None
    _blank_others(message)
    for match in message.take(_RANGE):
        scale = match["low_scale"] or match["scale"] or ""
        value = number_value(match["low"] + scale)
        # The low end: a plan must not count on rows that may not be there.
        if (20 if not asked else 1) <= value <= MOST_EXAMPLES:
            return int(value)
    found = [
        (match, value)
        for match in message.take(_COUNT)
        if (value := _value(message, match, asked, counting)) is not None
    ]
    kept = [(match, value) for match, value in found if not message.negated(match.start())]
    training = [(match, value) for match, value in kept if not _is_held_back(message, match)] or kept
    if not training:
        return None
    first, last = training[0][0], training[-1][0]
    if len(training) > 1 and not CORRECTION.search(message.original[first.end() : last.start()]):
        named = [(match, value) for match, value in training if match["noun"]]
        # "2,000 notes and 1,000 letters": together.
        if len(named) > 1:
            return sum(value for _, value in named)
        if named:
            return named[0][1]
    return training[-1][1]


def _blank_others(message: Message) -> None:
    for match in list(_OTHER.finditer(message.rest)):
        # "50 patients a year" is a rate, but "1.2M rows" and "3 k" are counts.
        message.blank(match)


def _value(message: Message, match: Match[str], asked: bool, counting: bool) -> int | None:
    value = number_value(match["number"])
    if not 1 <= value <= MOST_EXAMPLES:
        return None
    scaled = re.search(r"[a-z]", match["number"], re.IGNORECASE) is not None
    alone = re.fullmatch(r"[\s\x1f]*(?:about|around|~|roughly)?\s*[\s\x1f.!]*", message.rest.replace(match[0], " "))
    before = message.original[: match.start()]
    corrected = counting and message.corrects() and value >= 5
    hedged = _HEDGE.search(before) is not None and value >= 20
    if match["noun"] or scaled or asked or hedged or corrected or (alone and value >= 20):
        return round(value)
    return None


def _is_held_back(message: Message, match: Match[str]) -> bool:
    noun = match["noun"] or ""
    return bool(_TEST_NOUN.search(noun) or _HELD_BACK.search(message.original[match.end() : match.end() + 30]))
