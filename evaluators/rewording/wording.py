"""How a term is found in a text and another put in its place: whole words, case, articles, and what is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Quoted words, placeholders of de-identification, links and code are somebody's exact words. The options of a multiple
# choice stay too: the right one stands in the answer and may not change, so a changed one would be known to be wrong.
_PROTECTED = re.compile(
    r'"[^"\n]*"|“[^”\n]*”|«[^»\n]*»|‘[^’\n]*’(?!\w)|`[^`\n]*`|\[[^\]\n]*\]|<[^>\n]*>|'
    r"^[ \t]*\(?[A-H][.):][ \t].*$|https?://\S+|www\.\S+|[\w.+-]{1,64}@\S+",
    re.MULTILINE,
)
_OPTIONS = re.compile(r"\s*^[ \t]*\(?A[.):][ \t].*\n[ \t]*\(?B[.):][ \t]", re.MULTILINE)
_WORD_START = re.compile(r"(?<![\w'’/&@#.-])\w")
_NO_WORD_END = re.compile(r"[\w/&@-]|['’]\w|\.\w")
_ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)
# "a severe …": an article and up to two words of which none begins a new phrase
_ARTICLE_NEAR = re.compile(
    r"\ban?\s+(?:(?!(?:of|for|with|and|or|in|on|from|to|by|as|due|has|had|is|was|having)\b)[\w-]+\s+){0,2}$",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(r"(?:^|[.?!:]|\n[\s*•-]*|^[\s*•-]+)\s*$")
_NAME_BEFORE = re.compile(r"(?<![.?!:\n])(?<!^)\b([A-Z][a-z]+) $")
_NAME_AFTER = re.compile(r" [A-Z][a-z]")
_PHRASE_ENDS = re.compile(
    r"\s*(?:$|[.,;:?!()\n]|(?:and|or|in|on|at|with|without|for|from|after|before|during|since|because|due|is|are|was|were|"
    r"has|have|had|who|that|which|when|while|as|but|if|to|by|than|can|may|should|could|would|will|do|does|did)\b)",
    re.IGNORECASE,
)
_PHRASE_BEGINS = re.compile(
    r"(?:^|[.,;:?!()\n-]|\b(?:and|or|of|in|for|with|without|from|by|to|as|is|are|was|has|have|had|having|the|his|her|their|"
    r"my|your|any|no|about|acute|chronic|severe|mild|causes?|develops?|developed|denie[sd]|reports?|reported|includ\w+))\s*$",
    re.IGNORECASE,
)
_SMALL_WORDS = {"of", "on", "in", "the", "and", "with"}
_SAID_AS_WORD = {"LEEP", "MRSA", "NICU", "PICU", "SIDS", "PET", "GIST", "TAVR", "HAART", "LAMA", "LABA", "SABA", "DOAC"}


class Term(NamedTuple):
    """A word or phrase of a table, and what it may be replaced with (nothing where it has to stay as it is)."""

    text: str
    others: tuple[str, ...]
    exact: bool = False
    """Found in exactly this case: HTN, and not htn."""
    mass: bool = False
    """Has no plural: left alone where an article stands before it."""


class Found(NamedTuple):
    term: Term
    start: int
    end: int


Lookup = dict[str, list[Term]]
"""Terms by their first word in lower case, the longest first."""


def lookup(terms: Iterable[Term]) -> Lookup:
    """A table by first words, so that one pass over a text finds all of its terms."""
    table: Lookup = {}
    for term in terms:
        table.setdefault(_first_word(term.text), []).append(term)
    for same in table.values():
        same.sort(key=lambda term: -len(term.text))
    return table


def find(text: str, table: Lookup) -> Iterator[Found]:
    """Terms in a text from left to right, the longest at each place, whole words only, none in protected text."""
    untouched = protected(text)
    lower = text.lower()
    if len(lower) != len(text):  # a few letters change length; their places would no longer agree
        return
    end = 0
    for word in _WORD_START.finditer(text):
        start = word.start()
        if start < end:
            continue
        for term in table.get(_first_word(lower[start : start + 40]), ()):
            stop = start + len(term.text)
            found = text[start:stop] == term.text if term.exact else lower[start:stop] == term.text.lower()
            if found and not _NO_WORD_END.match(text, stop):
                end = stop
                if not any(first < stop and start < last for first, last in untouched):
                    yield Found(term, start, stop)
                break


def protected(text: str) -> list[tuple[int, int]]:
    """Where a text may not change: quoted words, placeholders, links, code, lines that are options."""
    return [match.span() for match in _PROTECTED.finditer(text)]


def fits(text: str, found: Found, new: str) -> bool:
    """Can `new` stand there without breaking the sentence, or a name such as "National Stroke Association"?"""
    before, after, old = before_it(text, found), text[found.end :], text[found.start : found.end]
    if found.term.mass and _ARTICLE_NEAR.search(before):
        return False
    if not found.term.exact and old[0].isupper() and (_NAME_AFTER.match(after) or _NAME_BEFORE.search(before)):
        return False
    # "myocardial infarction (AMI)": the brackets define the words before them, or after
    if re.match(r"\s*\((?:[A-Z]\.?){2,}s?\)", after) or re.search(r"\b[A-Z]{2,}s?\s*\($", before):
        return False
    # "hematuria workup" is English and "blood in the urine workup" is not; nor is "limbic inflammation of the brain"
    phrase = re.search(r" (?:of|in|on|with) ", new) is not None
    return not phrase or bool(_PHRASE_ENDS.match(after) and _PHRASE_BEGINS.search(before))


def stem(text: str) -> str:
    """A question without the options of its multiple choice, which stand in lines of their own at its end."""
    options = _OPTIONS.search(text)
    return text[: options.start()] if options else text


def before_it(text: str, found: Found) -> str:
    """What stands just before a term: as much as any rule looks at."""
    return text[max(0, found.start - 80) : found.start]


def has_term(text: str, term: str) -> bool:
    """Does the text have the term as whole words, in any case?"""
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE) is not None


def put(text: str, places: list[Found], new: str) -> str:
    """The text with `new` at these places, in the case of what stood there, and "a" or "an" before it set right."""
    parts, end = [], 0
    for found in places:
        before = text[end : found.start]
        shown = cased(text, found, new)
        article = _ARTICLE.search(before)
        if article:
            right = "an" if vowel_sound(shown) else "a"
            if article[1].lower() != right:
                right = right.capitalize() if article[1][0].isupper() else right
                before = before[: article.start()] + right + article[2]
        parts += [before, shown]
        end = found.end
    return "".join(parts) + text[end:]


def cased(text: str, found: Found, new: str) -> str:
    """`new` in the case of what it replaces: capitals, a title, a sentence's start, or plain."""
    old = text[found.start : found.end]
    starts = _SENTENCE_START.search(before_it(text, found)) is not None
    if found.term.exact:  # an abbreviation's capitals are its own
        return _capital(new) if starts else new
    letters = [letter for letter in old if letter.isalpha()]
    if len(letters) > 4 and all(letter.isupper() for letter in letters):
        return new.upper()
    own = [word for word in found.term.text.split() if word.lower() not in _SMALL_WORDS]
    words = [word for word in old.split() if word.lower() not in _SMALL_WORDS]
    # a word that the table itself writes with a capital (Bell's, Tylenol) says nothing of the text's style
    raised = [word[0].isupper() for word, usual in zip(words, own, strict=False) if not usual[0].isupper()]
    if raised and all(raised) and not (starts and len(raised) == 1):
        return " ".join(word if word in _SMALL_WORDS else _capital(word) for word in new.split(" "))
    return _capital(new) if starts and old[0].isupper() else new


def vowel_sound(text: str) -> bool:
    """Does it take "an"? By sound: an MRI, a urinary infection, an ulcer, a European."""
    word = re.split(r"[\s-]", text.strip())[0]
    if len(re.findall("[A-Z]", word)) > 1 and word not in _SAID_AS_WORD:
        return word[0] in "AEFHILMNORSXaefhilmnorsx"
    if re.match(r"(?:eu|uni[^nm]|us|ut|ure|uri|uro|ura|one\b|once)", word, re.IGNORECASE):
        return False
    return bool(re.match(r"(?:[aeiou]|hour|honest|heir)", word, re.IGNORECASE))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _first_word(text: str) -> str:
    match = re.match(r"\w+", text.lower())
    return match[0] if match else ""
