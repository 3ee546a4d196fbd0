"""Slips of the keyboard on medical terms: a neighbouring key, two letters swapped, one left out, one typed twice."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evaluators.attacks import terms
from evaluators.cases import Item

WHY = "A misspelt term keeps its first and last letters and its prefix, and is no other drug's or term's name."
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """Keys beside each other on an American keyboard: in the row, and in the rows above and below."""
    places = {key: (column + 0.5 * row, row) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other
            for other, (column, row) in places.items()
            if other != key and abs(column - places[key][0]) <= 1 and abs(row - places[key][1]) <= 1
        )
        for key in places
    }


NEIGHBOURS = _neighbours()


def misspellings(word: str) -> list[str]:
    """Every way to misspell a word by one slip that leaves it no other term, in the order of its letters.

    The first and last letters, a prefix (hyper-) and a suffix (-ectomy) stay; see `terms.middle`.
    """
    made: dict[str, None] = {}
    places = terms.middle(word)
    for place in places:
        letter, before, after = word[place], word[:place], word[place + 1 :]
        if place + 1 in places:
            made[before + word[place + 1] + letter + after[1:]] = None
        made[before + after] = None
        made[before + letter + letter.lower() + after] = None
        for near in NEIGHBOURS.get(letter.lower(), ""):
            made[before + (near.upper() if letter.isupper() else near) + after] = None
    return [new for new in made if new != word and not terms.is_another_word(new)]


def typos(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with one to three terms misspelt."""
    return terms.misspelt(item, draw, misspellings, "typos")
