"""Which phrases of a table a text has, fast enough for a million rows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Letters and digits in lower case, every other ASCII character a space.
_PLAIN = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128))
_ACCENT = re.compile("[\u0300-\u036f]")
CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
"""A kana, a Han character or a Hangul syllable."""


class Wording(NamedTuple):
    """A text, ready for a search."""

    words: frozenset[str]
    line: str
    """Its words in order, with a space before and behind each."""
    original: str
    """The text itself where it holds Chinese, else empty."""


def wording(text: str) -> Wording:
    """Words in lower case, without accents; British and American spelling are made one (ae, oe → e; our → or)."""
    latin = text if text.isascii() else _ascii(text)
    words = latin.translate(_PLAIN).replace("ae", "e").replace("oe", "e").replace("our", "or").split()
    return Wording(
        frozenset(words), f" {' '.join(words)} ", text if latin is not text and CJK.search(text) is not None else ""
    )


def _ascii(text: str) -> str:
    letters = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    return letters.encode("ascii", "replace").decode("ascii")


class Phrases:
    """Phrases, each with the labels that it speaks for and how much (points)."""

    def __init__(self, table: Mapping[str, Sequence[tuple[str, int]]]):
        """`table`: label → its phrases with their points. Phrases with Chinese characters are looked for anywhere."""
        self._by_first_word: dict[str, list[tuple[str, str]]] = {}
        self._chinese: list[str] = []
        self._labels: dict[str, list[tuple[str, int]]] = {}
        for label, phrases in table.items():
            forms = set()
            for phrase, points in phrases:
                form = wording(phrase).line if not CJK.search(phrase) else phrase
                if form in forms:  # "cancer" and "cáncer" are one
                    continue
                forms.add(form)
                if phrase not in self._labels:
                    self._labels[phrase] = []
                    self._index(phrase)
                self._labels[phrase].append((label, points))
        self._first_words = frozenset(self._by_first_word)

    def _index(self, phrase: str) -> None:
        if CJK.search(phrase):
            self._chinese.append(phrase)
            return
        line = wording(phrase).line.strip()
        last = line.rsplit(" ", 1)[-1]
        plurals = [line + "s"] if len(last) > 3 and last[-1] not in "sx" else []
        if len(last) > 3 and last[-1] == "y" and last[-2] not in "aeiou":
            plurals.append(line[:-1] + "ies")
        for form in (line, *plurals):
            first, _, rest = form.partition(" ")
            self._by_first_word.setdefault(first, []).append((f" {form} " if rest else "", phrase))

    def found(self, text: Wording) -> dict[str, dict[str, int]]:
        """Label → the phrases that speak for it, with their points; phrases in alphabetical order."""
        hits: set[str] = set()
        for first in text.words & self._first_words:
            for line, phrase in self._by_first_word[first]:
                if not line or line in text.line:
                    hits.add(phrase)
        if text.original:
            hits.update(phrase for phrase in self._chinese if phrase in text.original)
        labels: dict[str, dict[str, int]] = {}
        for phrase in sorted(hits):
            for label, points in self._labels[phrase]:
                labels.setdefault(label, {})[phrase] = points
        return labels
