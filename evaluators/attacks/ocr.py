"""What a scanner makes of a printed page: 0 for o, 1 for l, m for rn; in letters of medical terms, never in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evaluators.attacks import terms
from evaluators.cases import Item

WHY = "Only letters of long words are read for shapes alike; no number changes, and the term can still be read."
# Shapes that scanners take for each other; from letters to something else, never from a digit.
CONFUSED = {
    "o": ("0",), "O": ("0",), "l": ("1", "I"), "i": ("1", "l"), "I": ("1", "l"), "s": ("5",), "S": ("5",), "B": ("8",),
    "b": ("6",), "g": ("9",), "z": ("2",), "Z": ("2",), "m": ("rn",), "rn": ("m",), "cl": ("d",), "d": ("cl",),
    "w": ("vv",), "h": ("b",), "e": ("c",), "u": ("ii",), "n": ("ri",), "t": ("f",),
}  # fmt: skip


def misreadings(word: str) -> list[str]:
    """Every way to misread one place of a word that leaves it no other term, in the order of its letters."""
    made: dict[str, None] = {}
    places = terms.middle(word)
    for place in places:
        for old, news in CONFUSED.items():
            if word.startswith(old, place) and place + len(old) - 1 in places:
                for new in news:
                    made[word[:place] + new + word[place + len(old) :]] = None
    return [new for new in made if not terms.is_another_word(new)]


def ocr(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with one to three terms misread."""
    return terms.misspelt(item, draw, misreadings, "ocr")
