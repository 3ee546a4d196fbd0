"""Numbers in a text, in figures or words, with their units: 0.5 mg, twice, 1/2, forty-nine years, nineteen sixty."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


def _counted(words: str, values: range) -> dict[str, int]:
    return dict(zip(words.split(), values, strict=True))


_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ONES = _counted(f"zero one two three four five six seven eight nine {_TEENS}", range(20)) | {"oh": 0, "o": 0}
_TENS = _counted("twenty thirty forty fifty sixty seventy eighty ninety", range(20, 100, 10))
_ORDINALS = _counted(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth",
    range(1, 20),
) | {"twentieth": 20, "thirtieth": 30}
_DECADES = {f"{word[:-1]}ies": value for word, value in _TENS.items()}  # "in his seventies"
_OTHERS = {"twice": 2.0, "thrice": 3.0, "dozen": 12.0, "half": 0.5}
_SAID_AS = {"once": 1.0, "single": 1.0, "double": 2.0, "couple": 2.0, "pair": 2.0, "both": 2.0, "triple": 3.0} | {
    "quarter": 0.25,
    "bid": 2.0,
    "b.i.d": 2.0,
    "tid": 3.0,
    "t.i.d": 3.0,
    "qid": 4.0,
    "q.i.d": 4.0,
}
_MONTHS = _counted(
    "january february march april may june july august september october november december", range(1, 13)
)
_WORDS = _ONES | _TENS | _ORDINALS | _DECADES | {"hundred": 100, "hundreds": 100, "thousand": 1000, "thousands": 1000}
_ALL = "|".join(sorted(_WORDS, key=len, reverse=True))
_RUN = re.compile(rf"\b(?:point\s+)?(?:{_ALL})(?:[\s-]+(?:(?:and|point)\s+)?(?:{_ALL}))*\b", re.IGNORECASE)
_SINGLE = re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in _OTHERS | _SAID_AS)})\b", re.IGNORECASE)
_MONTH = re.compile(rf"\b(?:{'|'.join(month.capitalize() for month in _MONTHS)})\b(?!\s+(?:be|have|not|also)\b)")
_FRACTION = re.compile(r"(?<![\d/.])(?:(\d+)[\s-]+)?(?:([1-9])\s?/\s?([2-9])(?![\d/])|([½¼¾⅓⅔]))")
_VULGAR = {"½": 1 / 2, "¼": 1 / 4, "¾": 3 / 4, "⅓": 1 / 3, "⅔": 2 / 3}
# not within a word or code (B12, L4-L5, COVID-19); "x3" is a number
_FIGURE = re.compile(
    r"(?:(?<![A-Za-z\d.,])(?<![A-Za-z]-)|(?<=\b[xX]))(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])\.\d+"
)
_AND_A_HALF = re.compile(r"\s+and\s+(?:a|one)\s+half\b", re.IGNORECASE)
_BULLET = re.compile(r"(?:^|\n|[.;:,!?]\s|\s{2,})\s*\(?\d{1,2}[.)](?=\s|$)")
_CODE = re.compile(r"(?<=[A-Za-z])-?(\d+(?:\.\d+)?)")

# unit: its dimension, and how much of the dimension's own unit it is (mg, hours, mL)
UNITS: dict[str, tuple[str, float]] = {
    spelling: (dimension, factor)
    for spellings, dimension, factor in (
        ("mcg µg μg ug microgram micrograms", "mg", 0.001),
        ("mg mgs milligram milligrams", "mg", 1.0),
        ("g gm gms gram grams", "mg", 1000.0),
        ("ml mls cc milliliter milliliters millilitre millilitres", "ml", 1.0),
        ("l liter liters litre litres", "ml", 1000.0),
        ("unit units iu", "units", 1.0),
        ("hour hours hr hrs", "hours", 1.0),
        ("day days", "hours", 24.0),
        ("week weeks wk wks", "hours", 168.0),
        ("month months", "hours", 730.0),
        ("year years yr yrs", "hours", 8760.0),
        ("minute minutes min mins", "hours", 1 / 60),
        ("kg kgs kilo kilos kilogram kilograms", "kg", 1.0),
        ("lb lbs pound pounds", "lb", 1.0),
        ("% percent", "%", 1.0),
    )
    for spelling in spellings.split()
}
_SPELLINGS = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
# the first number of a range has the unit of the second
_UNIT = re.compile(rf"(?:\s*(?:to|or|-|–)\s*(?:\d[\d.,]*|{_ALL}))?[\s-]*({_SPELLINGS})(?![A-Za-z])", re.IGNORECASE)


class Quantity(NamedTuple):
    """A number as it stands in a text; `amount` is in its `dimension`: mg, ml, hours, kg, lb, %, units, or none."""

    value: float
    amount: float
    dimension: str
    text: str
    start: int
    end: int


def find_quantities(text: str) -> list[Quantity]:
    """Numbers of a text from left to right; both ends of a range, every part of a date in figures.

    Left out are the numbers of a list ("1. Rest"), of codes (B12, L4), and words that seldom count: one, first, second.
    """
    plain = _BULLET.sub(lambda found: " " * len(found[0]), text)
    found: list[Quantity] = []
    taken = [False] * (len(text) + 1)
    for value, start, end in (*_fractions(plain), *_figures(plain), *_in_words(plain)):
        if not any(taken[start:end]):
            taken[start:end] = [True] * (end - start)
            found.append(_with_unit(plain, text, value, start, end))
    return sorted(found, key=lambda one: one.start)


class Known(NamedTuple):
    """Every number that a text can be read to hold; of those with a unit, the amounts."""

    values: frozenset[float]
    bare: frozenset[float]
    """Values that stand somewhere without a unit."""
    amounts: frozenset[tuple[str, float]]

    def holds(self, one: Quantity) -> bool:
        """Is the quantity there: the same amount in any unit, or the same value where one of both has no unit?"""
        if one.value == 0 or (1900 <= one.value < 2100 and one.value % 100 in self.bare):
            return True  # "Ab 0" is said as none; "in ninety-six"
        if not one.dimension:
            return one.value in self.values
        return (one.dimension, round(one.amount, 6)) in self.amounts or one.value in self.bare


def known(text: str) -> Known:
    """The numbers of a text, read generously: "one twenty" is 1, 20, 21 and 120, June is 6, type II is 2, L4 is 4."""
    found = find_quantities(text)
    bare = {one.value for one in found if not one.dimension}
    bare |= {float(match[1]) for match in _CODE.finditer(text)}
    counted = {one.start for one in found if one.dimension}
    for run in _RUN.finditer(text):
        if run.start() not in counted or len(_groups(run[0])) > 1:  # the unit of "one twenty pounds" is its last part's
            bare |= _readings(run[0])
    bare |= {(_OTHERS | _SAID_AS)[match[0].lower()] for match in _SINGLE.finditer(text)}
    bare |= {float(_MONTHS[match[0].lower()]) for match in _MONTH.finditer(text)}
    bare |= {
        {"I": 1.0, "II": 2.0, "III": 3.0, "IV": 4.0}[numeral] for numeral in re.findall(r"\b(?:I{1,3}|IV)\b", text)
    }
    for first, second in re.findall(r"(?<!\d)(\d{1,2})/(\d{1,2})(?!\d)", text):  # a ratio or a date, if no fraction
        bare |= {float(first), float(second)}
    for year in re.findall(r"\b\d{1,2}[/-]\d{1,2}[/-](\d{2})\b", text):
        bare |= {1900.0 + int(year), 2000.0 + int(year)}
    bare |= {value % 100 for value in (*bare, *(one.value for one in found)) if 1900 <= value < 2100}
    if re.search(r"\band\s+(?:a|one)\s+half\b", text):  # "a pack and a half"
        bare |= {0.5, 1.5} | {value + 0.5 for value in bare if 1 < value < 10}
    amounts = {(one.dimension, round(one.amount, 6)) for one in found if one.dimension}
    for unit in re.findall(r"\b(?:an?|per|every|each|one|the last|the past|this past|for the)\s+(\w+)", text.lower()):
        if unit in UNITS:
            amounts.add((UNITS[unit][0], round(UNITS[unit][1], 6)))
    return Known(frozenset(bare | {one.value for one in found}), frozenset(bare), frozenset(amounts))


def _fractions(text: str) -> Iterator[tuple[float, int, int]]:
    for match in _FRACTION.finditer(text):
        part = _VULGAR[match[4]] if match[4] else int(match[2]) / int(match[3])
        if part < 1:  # 3/2 is no half
            yield (int(match[1]) if match[1] else 0) + part, match.start(), match.end()


def _figures(text: str) -> Iterator[tuple[float, int, int]]:
    for match in _FIGURE.finditer(text):
        yield float(match[0].replace(",", "")), match.start(), match.end()


def _in_words(text: str) -> Iterator[tuple[float, int, int]]:
    for match in _RUN.finditer(text):
        words = re.split(r"[\s-]+", match[0].lower())
        ordinals = any(word in _ORDINALS for word in words)
        if words[0] not in _SELDOM_COUNT if len(words) == 1 else not ordinals or len(_groups(match[0])) == 1:
            half = _AND_A_HALF.match(text, match.end())
            yield max(_readings(match[0])) + (0.5 if half else 0), match.start(), half.end() if half else match.end()
    for match in _SINGLE.finditer(text):
        if match[0].lower() in _OTHERS:
            yield _OTHERS[match[0].lower()], match.start(), match.end()


_SELDOM_COUNT = {"one", "oh", "o", "first", "second", "third", "zero", "hundred", "hundreds", "thousand", "thousands"}


def _with_unit(plain: str, text: str, value: float, start: int, end: int) -> Quantity:
    unit = _UNIT.match(plain, end)
    value = round(value, 6)
    if unit is None:
        return Quantity(value, value, "", text[start:end], start, end)
    dimension, factor = UNITS[unit[1].lower()]
    shown = re.sub(r"\s+", " ", text[start : unit.end()])
    return Quantity(value, value * factor, dimension, shown, start, end)


def _groups(words: str) -> list[float]:
    """Numbers one after the other in a run of words ("nineteen sixty one": 19, 61); -1 stands for "point"."""
    groups: list[float] = []
    last = ""
    for word in re.split(r"[\s-]+", words.lower()):
        if word == "and":
            continue
        if word == "point":
            last = word
            groups.append(-1.0)
            continue
        value = float(_WORDS[word])
        if _WORDS[word] in (100, 1000) and groups and groups[-1] > 0:
            groups[-1] *= value
        elif groups and (
            (last in _TENS and 0 < value < 10)
            or (_WORDS.get(last) in (100, 1000) and value < groups[-1] and groups[-1] >= 100)
        ):
            groups[-1] += value
        else:
            groups.append(value)
        last = word
    return groups


def _readings(words: str) -> set[float]:
    """Everything that a run of words may mean: its parts, and its parts said one after the other (one twenty: 120)."""
    groups = _groups(words)
    values = {value for value in groups if value >= 0}
    values |= {float(_WORDS[word]) for word in re.split(r"[\s-]+", words.lower()) if word in _WORDS}
    for first in range(len(groups)):
        for last in range(first + 2, min(len(groups), first + 6) + 1):
            digits = "".join("." if value < 0 else f"{value:g}" for value in groups[first:last])
            if re.fullmatch(r"\d*(\.\d+)?", digits):
                values.add(float(digits))
    return values
