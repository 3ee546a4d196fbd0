"""Written numbers and their values: "5,000", "1,5k", "twelve hundred", "a couple of hundred", "half a million"."""

from __future__ import annotations

import re

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
    "quarter": 0.25,
}
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "grand": 1000,
    "k": 1000,
    "million": 10**6,
    "mio": 10**6,
    "mn": 10**6,
    "mil": 10**6,
    "m": 10**6,
}
WORD = "|".join(sorted((word for word in _WORDS if len(word) > 2), key=len, reverse=True))
# "5.000" and "5,000" are five thousand; "1,5k" is fifteen hundred.
DIGITS = (
    r"\d+k\d(?![\d\w])"
    r"|[1-9]\d{0,2}(?:[, .]\d{3})+(?![\d])|\d+,\d{1,2}(?=\s?(?:k|m|mn|mio|mil|thousand|million)\b)|\d+(?:\.\d+)?"
)
SCALE = r"(?:\s*(?:k|m|mn|mio|mil)\b|\s*(?:hundred|thousand|million|grand|dozen)s?\b)"
_BIG = r"(?:hundred|thousand|million|grand|dozen)s?"
_PART = rf"(?:{WORD})(?:[\s-](?:{WORD}))?"
_SPELT = (
    rf"(?:an?\s+(?:good\s+)?)?(?:{_PART}(?:\s+and\s+an?\s+(?:half|quarter))?(?:\s+of)?(?:\s+an?)?\s+)?"
    rf"(?<=\s){_BIG}(?:\s+{_BIG})?\b"
    # "two thousand five hundred", "a hundred and fifty"; not "a hundred and a 4090".
    rf"(?:\s+(?:and\s+)?{_PART}\s+hundred\b)?(?:\s+and\s+{_PART}(?![\w-])|(?<=hundred)\s+{_PART}(?![\w-]))?"
)
# Tens without a larger scale: "fifty notes". Smaller ones are mostly no counts ("one report", "two sites").
_TENS = (
    r"(?:ten|eleven|twelve|fifteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?)\b"
)
NUMBER = rf"(?:{_SPELT}|(?:{DIGITS}){SCALE}?|{_TENS})"


def number_value(text: str) -> float:
    """The value of a written number, digits and words alike; 1 where "hundred" or the like stands alone."""
    # "1k3" is 1.3k.
    plain = re.sub(r"(\d+)k(\d)\b", r"\1.\2k", text.lower())
    if re.search(r"\d\.\d{3}\s*(?:m|mn|mio|mil|million)\b", plain) is None:
        plain = re.sub(r"(?<=\d)[, .](?=\d{3}(?!\d))", "", plain)
    plain = re.sub(r"(?<=\d),(?=\d)", ".", plain)
    total, current, seen = 0.0, 0.0, False
    for word in re.findall(r"[a-z]+|\d+(?:\.\d+)?", plain):
        singular = word.removesuffix("s")
        if word[0].isdigit():
            current, seen = current + float(word), True
        elif singular in ("hundred", "dozen"):
            current = (current if seen else 1) * _SCALES[singular]
            seen = True
        elif singular in _SCALES:
            total, current, seen = total + (current if seen else 1) * _SCALES[singular], 0.0, False
        elif word in ("a", "an"):
            # "half a million": the article is not a one of its own.
            current, seen = current or 1, True
        elif word in ("half", "quarter"):
            # "two and a half" adds, "a quarter" is that alone.
            current, seen = (current if " and " in plain and current else 0) + _WORDS[word], True
        elif word in _WORDS:
            # "a couple", "a few": that, and not one more. A hundred and "one" is one more.
            article = current == 1 and re.match(r"\s*an?\b", plain) is not None and total == 0
            current, seen = (0 if article else current) + _WORDS[word], True
    return total + current
