# ruff: noqa: E501 - a pattern reads better whole
"""Dates and ages over 89 as notes write them, and a date read and moved by days.

Each pattern has the groups it can fill: y, m, d (numbers), mon (a month's name), w (a weekday), so that the same
patterns find a date and read it.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"]  # fmt: skip
SPELLED_DAYS: dict[str, int] = {word: n for n, word in enumerate(_UNITS, 1)} | {
    word: n for n, word in enumerate(_ORDINALS, 1)
}
SPELLED_DAYS |= {"twentieth": 20, "thirtieth": 30, "twenty": 20, "thirty": 30}
SPELLED_DAYS |= {f"{tens} {word}": n + m for tens, n in (("twenty", 20), ("thirty", 30))
                 for words in (_UNITS, _ORDINALS) for m, word in enumerate(words[:9], 1) if n + m <= 31}  # fmt: skip
HOLIDAYS: dict[str, tuple[int, int]] = {
    "christmas": (12, 25), "new year": (1, 1), "thanksgiving": (11, 26), "easter": (4, 10), "halloween": (10, 31),
    "valentine": (2, 14), "independence day": (7, 4), "labor day": (9, 4), "labour day": (9, 4), "memorial day": (5, 28),
    "veterans": (11, 11), "st. patrick": (3, 17), "hanukkah": (12, 15), "ramadan": (4, 1), "mother's day": (5, 12),
    "father's day": (6, 16), "martin luther king day": (1, 17), "juneteenth": (6, 19), "columbus day": (10, 12),
    "passover": (4, 15), "diwali": (11, 1),
}  # fmt: skip
"""Month and day on which a holiday falls, about: its true day moves where it has no fixed one."""

_M, _D = r"(?P<m>0?[1-9]|1[0-2])", r"(?P<d>0?[1-9]|[12]\d|3[01])"
_Y = r"(?P<y>1[89]\d\d|20\d\d)"
_Y2 = r"(?P<y>1[89]\d\d|20\d\d|\d\d)"
# May, March and Mar are words too; in running text they count with a capital only.
_MON = (
    r"(?P<mon>jan(?:uary)?|feb(?:ruary)?|(?-i:Mar(?:ch)?|MAR(?:CH)?)|apr(?:il)?|(?-i:May|MAY)|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|(?-i:Dec|DEC|dec(?=\.?\s?\d))(?:ember|EMBER)?|december)\.?(?![a-z])"
)
_W = r"(?:(?P<w>mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+(?:the\s+)?)?"
_NTH = r"(?:st|nd|rd|th)?"
_SPELLED = "|".join(sorted((word.replace(" ", r"[\s\-]") for word in SPELLED_DAYS), key=len, reverse=True))
_UNDER_100 = (
    r"(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[\s\-](?:one|two|three|four|five|six|seven|eight|nine))?|"
    + "|".join(_UNITS[::-1])
    + ")"
)
# "two thousand (and) seven", "twenty ten", "nineteen ninety five", "O eight", "ninety nine"
_YEAR_WORDS = (
    rf"(?P<yw>two\s+thousand(?:\s+(?:and\s+)?{_UNDER_100})?|(?:twenty|nineteen|eighteen)[\s\-](?:(?:oh|o)[\s\-])?{_UNDER_100}|"
    rf"(?:oh?)\s+(?:one|two|three|four|five|six|seven|eight|nine)|(?:forty|fifty|sixty|seventy|eighty|ninety)[\s\-]{_UNDER_100})\b"
)
_YEAR_TAIL = rf"(?:,?\s+(?:of\s+|in\s+)?(?:{_Y}|{_YEAR_WORDS}))?"
_START, _STOP = r"(?<![\w./\-])", r"(?![\w/]|[.\-]\d)"
_WHEN = (
    r"(?:on|since|until|till|dated?|thru|seen|admitted|discharged|visit|appointment|dose|labs?|ct|mri|x-?ray|echo|ekg|ecg|scan|"
    r"film|surgery|lmp|dob|dos|due|born|starting|started|began|beginning|ending|week\s+of|mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|"
    r"(?:ct|mri|x-?rays?|labs?|scan|film|echo|ekg|note|visit|report|study)\s+(?:of|from))"
)
_NOT_SCORE = (
    r"(?!\s*(?:for\s+(?:her|his|the|least|worst)|at\s+(?:its|worst|best|rest|the\s+worst)|when|currently|strength|power|pain|in\s+(?:severity|intensity|all|both|strength|pain|the\s+(?:upper|lower|left|right))|tab|tablet|pill|caps?|murmur|systolic|"
    r"diastolic|cup|pack|pulses?|reflex|scale|out|of\s+the|dose|inch|mile|hour|day|week|month|year|teaspoon|tsp|the\s+(?:dose|way|"
    r"time)|bilaterally|throughout|bottles?|mg|ml|cm|mm|stage|grade|motor|muscle|on\s+(?:the|a)\s+(?:pain|scale)|ppd|packs?|times|nodes?|stools?|\d))"
)
_PREP = r"(?:in|since|until|till|by|last|this|next|during|of|from|through|before|after|mid|early|late|end\s+of|beginning\s+of|middle\s+of|around|every|each|and|to)"
_HOLIDAY = (
    r"(?:christmas(?:\s+(?:day|eve))?|new\s+year'?s?(?:\s+(?:day|eve))?|thanksgiving(?:\s+day)?|easter(?:\s+sunday)?|halloween|"
    r"valentine'?s(?:\s+day)?|(?:the\s+)?(?:4th|fourth)\s+of\s+july|july\s+(?:4th|fourth)|independence\s+day|labou?r\s+day(?=\W)|memorial\s+day|"
    r"veterans'?\s+day|st\.?\s+patrick'?s\s+day|hanukkah|ramadan|passover|diwali|juneteenth|columbus\s+day|(?:mother|father)'?s\s+day|martin\s+luther\s+king\s+day)"
)

# (pattern, score), most telling first; letter case does not matter but where a group says so.
DATES: list[tuple[str, float]] = [
    (rf"{_START}{_W}{_M}\s?(?P<s>[/.\-])\s?{_D}\s?(?P=s)\s?{_Y2}{_STOP}", 0.93),
    (rf"{_START}{_W}{_D}\s?(?P<s>[/.\-])\s?{_M}\s?(?P=s)\s?{_Y2}{_STOP}", 0.92),
    (rf"{_START}{_Y}\s?(?P<s>[/.\-])\s?{_M}\s?(?P=s)\s?{_D}(?:T\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?(?:Z|[+\-]\d\d:?\d\d)?)?(?!\w|[.\-/]\d)", 0.93),
    (rf"(?<![\w./\-]){_Y}[\s\-]{_MON}[\s\-]{_D}(?![\w/:]|\.\d)", 0.92),
    (r"(?<![\w./\-])(?P<y>19\d\d|20\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?![\w./\-])", 0.6),
    (rf"(?<![\w]){_W}{_D}{_NTH}(?:\s+(?:day\s+)?of)?[\s\-]{{0,2}}{_MON}(?:[\s,\-/]{{0,3}}(?:of\s+)?(?:{_Y}|'?(?P<y2>\d\d)(?![\w/:]|\s*(?:mg|year|y/?o|am\b|pm\b|hours|%|-))))?(?![\w])", 0.9),
    (rf"(?<![\w]){_W}{_MON}[\s\-]{{0,2}}(?:the\s+)?{_D}{_NTH}(?![\w/:]|\.\d)(?!\s*(?:mg|mcg|ml|%))(?:\s?,?\s*(?:of\s+)?(?:{_Y}|(?<=,\s)(?P<y2>\d\d)(?![\w/:])|'(?P<y3>\d\d)))?(?![\w])", 0.9),
    (rf"(?<![\w]){_W}{_MON}\s+(?:the\s+)?(?P<spelled>{_SPELLED})\b(?!\s+(?:thousand|and\s+half)){_YEAR_TAIL}", 0.88),
    (rf"(?<![\w]){_W}(?:the\s+)?(?P<spelled>{_SPELLED})\s+(?:day\s+)?of\s+{_MON}{_YEAR_TAIL}", 0.89),
    (rf"(?<![\w]){_MON}[\s,\-/]{{1,2}}(?:of\s+)?(?:{_Y}|'(?P<y2>\d\d))(?![\w])", 0.85),
    (rf"(?<![\w]){_MON}[\s,]{{1,2}}(?:of\s+)?{_YEAR_WORDS}", 0.87),
    (rf"{_START}{_M}\s?[/\-]\s?(?P<y>19\d\d|20\d\d){_STOP}", 0.8),
    (rf"(?<![\w])(?P<holiday>{_HOLIDAY})(?:\s+(?:of\s+)?{_Y})?(?![\w])", 0.7),
    (rf"\b(?:{_WHEN})\b[\s:.,#]{{1,3}}(?:the\s+)?\K{_M}/{_D}(?![\w/%]|\.\d|-\d*[a-z]){_NOT_SCORE}", 0.7),
    # "of 5/10" is a score as often as a date: not with the usual scores' denominators.
    (rf"\b(?:of|from|to|by|before|after|around|about|between|last|through)\b[\s:]{{1,2}}(?:the\s+)?\K{_M}/(?!(?:5|6|10|12|20)\b){_D}(?![\w/%]|\.\d|-\d*[a-z]){_NOT_SCORE}", 0.65),
    (rf"{_START}{_M}/{_D}(?=\s?[\-–]\s?\d\d?/\d\d?(?![\d/]))", 0.7),
    (rf"\b(?:between|from)\s+\d\d?/\d\d?\s+(?:and|to|through|until)\s+\K{_M}/{_D}{_STOP}{_NOT_SCORE}", 0.7),
    (rf"(?<=\d/\d\d?\s?[\-–]\s?){_M}/{_D}{_STOP}", 0.7),
    (rf"{_START}(?:(?P<m>0[1-9])/{_D}|(?P<m2>1[0-2]|[1-9])/(?P<d2>0[1-9])){_STOP}{_NOT_SCORE}", 0.6),
    (r"(?<![\w])(?:on|by|until|since)\s+(?:the\s+)?(?:week\s+of\s+)?\K(?P<d>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)(?=\s*(?:[.,;?!]|$|and\s|at\s|of\s+(?:this|last|next)|she\b|he\b|I\b))", 0.6),
    (rf"\b{_PREP}[\s\-]+(?:the\s+)?\K(?!(?-i:OCT|DEC|MAR|SEP|JAN|APR|JUN|NOV|FEB|AUG|JUL)\b){_MON}(?!\s+\d)", 0.6),
    (r"(?<![\w])(?P<mon>(?-i:January|February|July|September|October|November|December|JANUARY|FEBRUARY|JULY|SEPTEMBER|OCTOBER|NOVEMBER|DECEMBER))(?!\w)", 0.55),
    # A year alone stays, but for a birth long enough ago to give away an age over 89.
    (r"\bborn\s+(?:in|about|circa|around)\s+(?:the\s+year\s+)?\K(?P<y>18\d\d|19[0-3]\d)\b", 0.6),
    # Spanish and Chinese
    (r"(?<![\w])(?P<d>0?[1-9]|[12]\d|3[01])\s+de\s+(?P<es>enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre)(?:\s+(?:de|del)\s+(?P<y>\d{4}))?(?![\w])", 0.9),
    (r"(?:(?P<y>1[89]\d\d|20\d\d)\s?年\s?)?(?P<m>1[0-2]|0?[1-9])\s?月\s?(?P<d>3[01]|[12]\d|0?[1-9])\s?[日号]", 0.9),
    (r"(?P<y>1[89]\d\d|20\d\d)\s?年\s?(?P<m>1[0-2]|0?[1-9])\s?月", 0.85),
]  # fmt: skip

_OLD = r"(?:9\d|1[01]\d)"
_YEARS = r"y\.?\s?/?\s?o(?![a-z])\.?|yo(?![a-z])|(?:years?|yrs?\.?|yr\.?|y)(?![a-z])(?:[\s\-]*(?:old|of\s+age|young)(?![a-z]))?"
_NINETY = r"(?:ninety(?:[\s\-](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one|a)\s+hundred(?:\s+and)?(?:[\s\-](?:one|two|three|four|five|six|seven|eight|nine|ten))?)"
_NO_UNIT = r"(?![\w.%/°]*\d)(?!\s*(?:%|mg|mcg|ml|kg|lb|pound|kilo|percent|degree|bpm|beats|over\b|/\s?\d|mm|cm|days?|weeks?|months?|hours?|minutes?|pack|times|feet|inch|units))"
AGES: list[tuple[str, float]] = [
    (rf"(?<![\w./\-]){_OLD}[\s\-]*(?:{_YEARS})(?!\s*(?:ago|history|of\s+(?!age)))", 0.88),
    (rf"(?<!\b(?:t|tm|tmax|temp|temperature)\b[^.\n]{{0,15}})(?<![\w./\-]){_OLD}\s?/?\s?(?:(?-i:[MF])(?![\w/])|(?:male|female|man|woman|lady|gentleman)\b)", 0.8),
    (rf"\bage(?:d|s)?(?:\s*/\s*(?:sex|gender))?[\s:=\-]*(?:of|is|was|about|approximately|at|in)?\s*\K{_OLD}(?!\d|\.\d|%)", 0.88),
    (rf"\b(?:died|dead|passed(?:\s+away)?|alive|living|lived|deceased|turn(?:ed|ing|s))\b[^.\n\d]{{0,25}}?\s\K{_OLD}s?(?!\d|\.\d){_NO_UNIT}", 0.7),
    (rf"\b(?:in|into|to)\s+(?:(?:his|her|their|my|the)\s+)?(?:(?:early|mid|late)[\s\-]+)?\K(?:{_OLD}['’]?s|nineties)\b", 0.8),
    (rf"\b(?:(?:mother|father|grandmother|grandfather|aunt|uncle|sister|brother|wife|husband|he|she|I|you|who)\s*(?:'?s|'?m|'?re|is|am|are|was)\s+(?:(?:now|about|almost|nearly|already|over)\s+)?)\K{_OLD}(?!\d|\.\d){_NO_UNIT}(?=\s*(?:[.,;?!]|and\b|now\b|$|years?\b|with\b|but\b))", 0.65),
    (rf"\b{_NINETY}[\s\-]+(?:{_YEARS})(?!\s*ago)", 0.88),
    (r"\b(?:I\s?'?\s?a?m|(?:he|she)\s?(?:'s|is|was)|you\s?(?:'re|are)|age(?:d|\s+of)?|turn(?:ed|ing|s)?|at|be|is|was)\s+(?:now\s+|about\s+|almost\s+|nearly\s+)?\Kninety(?:[\s\-](?:one|two|three|four|five|six|seven|eight|nine))?\b(?=\s*(?:[.,;?!]|$|and\b|now\b|when\b|years?\b|but\b|with\b|due\b|of\b|from\b))", 0.8),
    (r"\b(?:nonagenarian|centenarian)s?\b", 0.8),
    (rf"(?<!\d){_OLD}\s?(?:años|岁|歲)", 0.9),
]  # fmt: skip

_SPANISH = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
]


class When:
    """What a date's text says: each part as a number, or None where it is not said."""

    def __init__(self, groups: dict[str, str | None]):
        self.weekday = groups.get("w")
        day, month, year = (groups.get(name) for name in ("d", "m", "y"))
        day, month = day or groups.get("d2"), month or groups.get("m2")
        self.day = int(day) if day else None
        self.month = int(month) if month else None
        self.year = int(year) if year else None
        short = groups.get("y2") or groups.get("y3")
        if short:
            self.year = int(short)
        if self.year is not None and self.year < 100:
            # A two-digit year: notes look back, so 40 to 99 is the last century (as POSIX has it from 69 on).
            self.year += 2000 if self.year < 40 else 1900
        if name := groups.get("mon"):
            self.month = next(n for n, full in enumerate(MONTHS, 1) if full.startswith(name.lower().rstrip(".")[:3]))
        if name := groups.get("es"):
            self.month = next(n for n, full in enumerate(_SPANISH, 1) if full[:3] == name.lower()[:3])
        if spelled := groups.get("spelled"):
            self.day = SPELLED_DAYS[spelled.lower().replace("-", " ")]
        if words := groups.get("yw"):
            self.year = _spelled_year(words)
        if holiday := groups.get("holiday"):
            plain = " ".join(holiday.lower().replace("’", "'").split())
            plain = "independence day" if "july" in plain else plain
            self.month, self.day = next((at for name, at in HOLIDAYS.items() if plain.startswith(name)), (1, 1))


def _spelled_year(words: str) -> int:
    """ "two thousand and seven" is 2007, "ninety nine" 1999, "O eight" 2008."""
    tens = dict(
        zip(
            ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
            range(20, 100, 10),
            strict=True,
        )
    )
    parts = words.lower().replace("-", " ").split()
    values = [tens.get(part) or SPELLED_DAYS.get(part, 0) for part in parts]
    if "thousand" in parts:
        return 2000 + sum(values[2:])
    if parts[0] in ("twenty", "nineteen", "eighteen"):
        return values[0] * 100 + sum(values[1:])
    return sum(values) + (2000 if sum(values) < 40 else 1900)


@cache
def _compiled() -> list[Any]:
    import regex

    # Without the context that finding needs: what is read here is the date alone.
    strip = [
        regex.sub(r"^.*?\\K", "", pattern).split("(?=\\s?[\\-–]")[0].replace("(?<=\\d/\\d\\d?\\s?[\\-–]\\s?)", "")
        for pattern, _ in DATES
    ]
    return [regex.compile(pattern, regex.IGNORECASE) for pattern in strip]


def read(text: str) -> tuple[When, Any] | None:
    """The date that the text is, with the match that says where its parts stand; None where it cannot be read."""
    for pattern in _compiled():
        if match := pattern.fullmatch(text):
            return When(match.groupdict()), match
    return None


def year_of(text: str) -> int | None:
    """The year that a date's text names, if it names one."""
    found = read(text)
    return found[0].year if found else None


def _like(old: str, new: int) -> str:
    """The number written as the old one was: with a leading zero, or without."""
    return f"{new:0{len(old)}d}"


def _name_like(old: str, full: str) -> str:
    """The name as long (full or three letters), and in the letter case, of the old one."""
    dotted = old.endswith(".")
    bare = old.rstrip(".")
    new = full if len(bare) > 4 or bare.lower() in MONTHS else full[:3]
    new = new.upper() if bare.isupper() else new.capitalize() if bare[0].isupper() else new
    return new + ("." if dotted and len(new) == 3 else "")


def moved(text: str, days: int, oldest_year: int | None = None) -> str | None:
    """The date `days` later, in the same format; None where the text cannot be read as a date.

    A date without a year is moved as in a year without a leap day, a month without a day from its 15th, so that the
    written month moves like the dates in it. No year before `oldest_year` is written (it would tell an age over 89).
    """
    found = read(text)
    if found is None:
        return None
    when, match = found
    if when.month is None and when.day is None:  # the year of a birth
        return None if when.year is None else str(max((date(when.year, 7, 1) + timedelta(days)).year, oldest_year or 0))
    year, month = when.year or 2001, when.month or 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(1)).day
    new = date(year, month, min(when.day or 15, last)) + timedelta(days)
    if oldest_year and new.year < oldest_year:
        new = new.replace(year=oldest_year, day=min(new.day, 28))
    if any(match.groupdict().get(words) for words in ("holiday", "spelled", "yw")):
        day = f" {new.day}" if when.day else ""
        return MONTHS[new.month - 1].capitalize() + day + (f", {new.year}" if when.year else "")
    parts: list[tuple[int, int, str]] = []
    for group, old in match.groupdict().items():
        if old is None or group == "s":
            continue
        start, end = match.span(group)
        if group in ("d", "d2"):
            value = _like(old, new.day)
        elif group in ("m", "m2"):
            value = _like(old, new.month)
        elif group == "mon":
            value = _name_like(old, MONTHS[new.month - 1])
        elif group == "es":
            value = _SPANISH[new.month - 1]
        elif group == "w":
            weekday = WEEKDAYS[new.weekday()] if when.year else WEEKDAYS[(_weekday(old) + days) % 7]
            stem = "day" if text[end : end + 3].lower() == "day" else ""
            value, end = _name_like(old + stem, weekday), end + len(stem)
        else:
            value = str(new.year) if len(old) == 4 else f"{new.year % 100:02d}"
        parts.append((start, end, value))
    written, last_end = "", 0
    for start, end, value in sorted(parts):
        written += text[last_end:start] + value
        last_end = end
    return _ordinals_mended(written + text[last_end:])


def _weekday(name: str) -> int:
    return next(n for n, full in enumerate(WEEKDAYS) if full.startswith(name.lower()[:3]))


def _ordinals_mended(text: str) -> str:
    """ "3th" becomes "3rd" after a day was moved."""
    import re

    def right(match: re.Match[str]) -> str:
        day = int(match[1])
        ending = "th" if 10 < day % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        return match[1] + (ending.upper() if match[2].isupper() else ending)

    return re.sub(r"\b(\d{1,2})(st|nd|rd|th)\b", right, text, flags=re.IGNORECASE)
