"""How many examples there are, in the words that people use; and the numbers that mean something else."""

from __future__ import annotations

import re
from re import Match

from assistant.planner.reading_number_words import DIGITS, NUMBER, SCALE, WORD, number_value
from assistant.planner.reading_text import Message

_NOUN = (
    r"(?:training |labell?ed |annotated )?(?:discharge (?:summar(?:y|ies)|notes|letters)|examples?|samples?"
    r"|rows?|records?|notes?"
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
    rf"{_EDGE}(?:between\s+)?(?P<low>{DIGITS})(?P<low_scale>{SCALE})?\s*(?:-|to|or|and)\s*(?P<high>{DIGITS})"
    rf"(?P<scale>{SCALE})?(?=\s|[.,;!?)]|$)(?:\s+(?:[a-z'&-]+\s+)?{_NOUN})?",
    re.IGNORECASE,
)
_SPELT_RANGE = re.compile(
    rf"\b(?P<low>{WORD})\s*(?:-|to|or)\s*(?:{WORD})\s+(?P<scale>hundred|thousand|million|dozen)\b(?:\s+{_NOUN})?",
    re.IGNORECASE,
)
_COUNT = re.compile(
    rf"{_EDGE}(?P<number>{NUMBER})(?![\w%])(?!\.\d)(?P<noun>(?:\s+(?!and\b|or\b|with\b|on\b|for\b"
    rf"|to\b)[a-z'&-]+){{0,3}}?\s+{_NOUN}|\s+{_NOUN}|\s+of\s+(?:them|those|these)\b)?",
    re.IGNORECASE,
)
_PER_CLASS = re.compile(
    rf"{_EDGE}(?P<each>\d+)\s+(?:[a-z]+\s+)?(?:(?:per|for each|in each|each)\s+(?:class|category|label)\b.{{0,20}}?"
    r"|each\s+(?:for|in|of)\s+)"
    rf"(?P<classes>{DIGITS}|{WORD})\s+(?:classes|categories|labels)"
    rf"|{_EDGE}(?P<classes2>{DIGITS}|{WORD})\s+(?:classes|categories"
    rf"|labels)\b.{{0,20}}?(?P<each2>\d+)\s+(?:[a-z]+\s+)?(?:per"
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
        |departments?\b|specialt(?:y|ies)\b|languages?\b|-?fold\b|times\b|-?shots?\b|[ap]m\b|dollars?\b|euros?\b|context\b|bits?\b
        |(?:[a-z]+\s+)?(?:a|per|each|every)\s+(?:day|week|month|year|patient|hour))
    | \b(?:rank|r|alpha|lr|learning\srate|batch(?:\ssize)?|epochs?|seed|version|v|step|type|grade
        |stage|phase|level|covid|aged?
        |top|usmle|chapter|page|room|ward|temperature|cuda|python)\s*[=:-]?\s*(?:of\s+|is\s+|to\s+)?\d[\d.e-]*
    | \bbetween\s+(?:19[5-9]\d|20[0-4]\d)\s+and\s+(?:19[5-9]\d|20[0-4]\d)\b
        (?!\s+[a-z]*\s?(?:notes|reports|rows|examples|cases|records))
    | (?<=\bicd)[\s-]*\d[\d.]*
    | [$€£]\s?\d[\d,.]*k?
    | \b(?:in|from|since|until|till|during|year|before|after)\s+(?:19[5-9]\d|20[0-4]\d)\b
        (?:\s*(?:-|to|and|until)\s*(?:19[5-9]\d|20[0-4]\d)\b)?
    | \b\d+/\d+(?:/\d+)?\b | \b\d{{4}}-\d\d-\d\d\b | \b\d+e-?\d+\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DATA_SIZE = re.compile(
    rf"{_EDGE}(?P<size>{DIGITS})\s*(?P<unit>[kmgt]i?b|gigs?|gigabytes?|megabytes?|terabytes?)\s+(?:worth\s+)?(?:of\s+)?"
    r"(?:[a-z]+\s+){0,2}?(?:data|text|notes?|reports?|records?|letters?|documents?)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"(?:\babout|\baround|\broughly|\bapprox(?:imately|\.)?|~|\bsome|\bonly|\bhave|\bgot|\bgot only"
    r"|\bnearly|\balmost|\bover|\bmaybe|\bhas|\bn\s*=)\s*$",
    re.IGNORECASE,
)
_HELD_BACK = re.compile(
    r"^\s*(?:\w+\s+)?(?:for|as|to)\s+(?:test|valid|evaluat|hold)|^\s*(?:test|validation|held)", re.IGNORECASE
)
_IN_ALL = re.compile(r"\b(?:in total|total(?:ly)?|altogether|all together|in all|overall|sum)\b", re.IGNORECASE)
_ADDED = re.compile(r"\b(?:and|plus|as well|another|more|also|with|further|additional)\b|[+,&]", re.IGNORECASE)
_TEST_NOUN = re.compile(r"\b(?:test|validation|evaluation|held[- ]out)\b", re.IGNORECASE)


MOST_EXAMPLES = 10**10
"""A larger number is no number of examples."""
CHARACTERS_PER_NOTE = 2000
"""Taken for a clinical note where only the size of the text was said; told, so that it can be corrected."""


def read_examples(message: Message, asked: bool, counting: bool) -> tuple[int | None, list[str]]:
    """The number of examples (None where the message gives none), and remarks.

    `asked`: the message answers "how many?". `counting`: a number of examples is known, so that a correction
    ("actually 8000") may leave the noun out. Two totals that cannot both be meant are asked about.
    """
    sizes = list(message.take(_DATA_SIZE))
    for match in message.take(_PER_CLASS):
        each, classes = match["each"] or match["each2"], match["classes"] or match["classes2"]
        return round(min(number_value(each) * number_value(classes), MOST_EXAMPLES)) or None, []
    _blank_others(message)
    for match in message.take(_SPELT_RANGE):
        return int(number_value(f"{match['low']} {match['scale']}")), []
    for match in message.take(_RANGE):
        low, high = _ends(match)
        if not (20 if not asked else 1) <= low <= MOST_EXAMPLES:
            continue
        if high > 2 * low and re.search(r"\bor\b", match[0]):
            return None, [_which(message, [low, high])]
        # The low end: a plan must not count on rows that may not be there.
        return low, []
    found = [
        (match, value)
        for match in message.take(_COUNT)
        if (value := _value(message, match, asked, counting)) is not None
    ]
    kept = [(match, value) for match, value in found if not message.negated(match.start())]
    training = [(match, value) for match, value in kept if not _is_held_back(message, match)] or kept
    if training:
        return _total(message, training)
    return _from_size(sizes)


def _ends(match: Match[str]) -> tuple[int, int]:
    low_scale, scale = match["low_scale"] or "", match["scale"] or ""
    return int(number_value(match["low"] + (low_scale or scale))), int(number_value(match["high"] + scale))


def _total(message: Message, counts: list[tuple[Match[str], int]]) -> tuple[int | None, list[str]]:
    """One number of several: the last of a correction, a sum that is given, else the parts added up."""
    (first, _), (last, newest) = counts[0], counts[-1]
    if len(counts) == 1 or message.replaces(first, last):
        return newest, []
    for match, value in counts:
        around = message.original[max(0, match.start() - 25) : match.end() + 25]
        if _IN_ALL.search(around):
            return value, []
    named = [(match, value) for match, value in counts if match["noun"]]
    if not named:
        return newest, []
    between = message.original[named[0][0].end() : named[-1][0].start()]
    same_things = len({_noun(match) for match, _ in named}) < len(named)
    if not same_things or _ADDED.search(between):
        # "2,000 notes and 1,000 letters": together.
        return sum(value for _, value in named), []
    different = list(dict.fromkeys(value for _, value in named))
    return (None, [_which(message, different)]) if len(different) > 1 else (different[0], [])


def _which(message: Message, values: list[int]) -> str:
    return message.either_or("numbers of examples", [f"{value:,} examples" for value in values], "Which one is it?")


def _noun(match: Match[str]) -> str:
    return match["noun"].split()[-1].lower().removesuffix("s")


def _from_size(sizes: list[Match[str]]) -> tuple[int | None, list[str]]:
    """A number of notes from a size in bytes, which is a guess and said to be one."""
    if not sizes:
        return None, []
    scale = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}[sizes[-1]["unit"][0].lower()]
    notes = max(1, round(number_value(sizes[-1]["size"]) * scale / CHARACTERS_PER_NOTE))
    if notes > MOST_EXAMPLES:
        return None, []
    said = f"I take {sizes[-1][0].strip()} for about {notes:,} notes of {CHARACTERS_PER_NOTE:,} characters each; "
    return notes, [said + "say the number if you know it."]


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
    counted = counting or re.search(r"\d", before) is not None
    corrected = counted and message.corrects() and value >= 5
    hedged = _HEDGE.search(before) is not None and value >= 20
    # "triage messages, 500, on a T4": a number that is a whole item of a list, and no year.
    listed = re.search(r"[,;/]\s*$", before) and re.match(r"\s*(?:$|[,;/.])", message.original[match.end() :])
    counted_in_list = listed and value >= 20 and not 1950 <= value <= 2049
    if match["noun"] or scaled or asked or hedged or corrected or counted_in_list or (alone and value >= 20):
        return round(value)
    return None


def _is_held_back(message: Message, match: Match[str]) -> bool:
    noun = match["noun"] or ""
    return bool(_TEST_NOUN.search(noun) or _HELD_BACK.search(message.original[match.end() : match.end() + 30]))
