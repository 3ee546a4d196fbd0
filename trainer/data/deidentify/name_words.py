"""What a word with a capital may be: a name, a clinical term, a word of English, or in no list at all."""

from __future__ import annotations

import re
from functools import cache

from trainer.data.deidentify import allow_list, lexicon
from trainer.data.deidentify.name_patterns import PARTICLE

# Endings of terms that no list holds; a name with one of them is in the lists of names.
TERM = re.compile(
    r"[a-z]{3}(?:ia|oid|ial|al|ic|ous|ism|ide|ate|ive|ary|tion|ment|lysis|gram|graphy|metry|meter|boli|ase)$"
)


def plain_of(part: str) -> str:
    return re.sub(r"['’]s?$", "", part).strip(".,")


def is_initial(part: str) -> bool:
    return re.fullmatch(r"[A-Z]\.?", part) is not None


@cache
def standing_of(part: str) -> str:
    """What a capitalised word may be: first, last, unknown (to every list), clinical, or word (of English).

    Names that are words too ("Grace", "Brown") are words here: what stands around them has to speak for a name.
    """
    plain = plain_of(part).lower()
    if len(plain) < 2 or plain in lexicon.word_list("no_name_after_title"):
        return "word"
    if allow_list.is_listed(plain):
        return "clinical"
    first, last = plain in lexicon.first_names(), plain in lexicon.last_names()
    if lexicon.is_plain_word(plain):
        return "word"
    if plain in lexicon.word_list("states"):
        return "word"
    if first:
        return "first"
    if "-" in plain and all(standing_of(piece.capitalize()) != "word" for piece in plain.split("-")):
        return "last"
    if last:
        return "clinical" if allow_list.is_eponym(plain) and not first else "last"
    if allow_list.is_clinical(plain):
        return "clinical"
    return (
        "word"
        if re.search(r"[\d_]|[a-z][A-Z]", re.sub(r"^(?:Mc|Mac|De|La|Di|Van|Fitz)", "", plain_of(part)))
        else "unknown"
    )


@cache
def could_be_name(part: str) -> bool:
    """Is it in a list of names, whatever else it may be?"""
    plain = plain_of(part).lower()
    return plain in lexicon.first_names() or plain in lexicon.last_names() or allow_list.is_eponym(plain)


def may_be(word: str) -> bool:
    """Is it a noun with a capital that may be a name where one is expected: no kin, no role, nothing clinical?"""
    plain = plain_of(word)
    return (
        plain[:1].isupper()
        and plain[1:].islower()
        and lexicon.only_noun(plain)
        and not allow_list.is_clinical(plain)
        and plain.lower() not in lexicon.word_list("persons") | lexicon.word_list("no_name_after_title")
    )


def parts_of(run: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"{PARTICLE}(?=\s)|[A-Z]\.(?=[A-Z])|[^\s,]+", run))


def cut(run: str, lenient_first: bool) -> int:
    """How much of a run of capitalised words is a name, from its start: an end, 0 for none of it.

    With `lenient_first` (after a title or a sure label) the first word may be any but a word of function or a role.
    """
    end, named = 0, 0
    for n, match in enumerate(parts_of(run)):
        part = match[0].rstrip(",")
        plain = plain_of(part)
        if plain.lower() in lexicon.word_list("no_name_after_title") and len(plain) > 1:
            break
        if is_initial(part) or re.fullmatch(PARTICLE, part):
            if not re.fullmatch(PARTICLE, part):
                end = match.end()
            continue
        standing = standing_of(part)
        if (
            (named == 0 and lenient_first and not (allow_list.is_listed(plain) and not could_be_name(part)))
            or standing in ("first", "last", "unknown")
            or (
                could_be_name(part)
                and not (named and lexicon.is_plain_word(plain) and plain.lower() not in lexicon.last_names())
            )
        ):
            named += 1
        elif named and part[1:].islower() and lexicon.only_noun(plain) and not allow_list.is_clinical(plain):
            named += 1  # "Marcus Ibrahim": WordNet's nouns have many a name that the lists lack
        else:
            break
        end = match.start() + len(part)
        if n >= 4:
            break
    while end and run[end - 1] in ".," and not re.search(r"\b[A-Z]\.$", run[:end]):
        end -= 1
    return end
