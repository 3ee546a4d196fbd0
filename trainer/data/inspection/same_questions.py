"""Rows that stand twice, and questions that have two answers which cannot both be right, in bounded memory.

What is kept of a row is a hash of it, a hash of its question, and a sketch of its answer: about 500 bytes a row.
"""

from __future__ import annotations

import re
import struct
from hashlib import blake2b
from itertools import pairwise
from typing import Literal, NamedTuple

from pydantic import BaseModel

from trainer.data.inspection.lengths import words_in
from trainer.data.inspection.phrases import CJK
from trainer.data.rows import Row, answer, kind_of, question, row_id

LISTED = 50
"""Pairs that are listed; all are counted."""
SIMILAR = 0.3
"""Share of common words (Jaccard) under which two free answers are called different. Two sound answers to one question
in their authors' own words share about a fifth to a half: a lower limit finds those that speak of something else."""
SAME_TEXT = 0.6
"""Share of common words above which answers are one text, so that other numbers in it are an error in one of them."""
_PERMUTATIONS = 64
_FIRST = re.compile(
    r"\W*(?:(?:assessment|answer|respuesta|答案)\W+)?(yes|no|maybe|sí|是|否)\s*(?:[.,;:!，。；]|$)", re.IGNORECASE
)
_LAST = re.compile(r"\banswer: (yes|no|maybe)\W*$", re.IGNORECASE)
_OPTION = re.compile(r"\(?([A-J])[.):]\s+(.+)", re.DOTALL)
_FIRST_OPTION, _SECOND_OPTION = (re.compile(rf"\n[ \t]*\(?{letter}[.):] ") for letter in "AB")
_NUMBER = re.compile(r"[0-9][0-9.,]*")
_PACKED = struct.Struct("<I8s8s8s")

How = Literal["class", "numbers", "text"]


class Doubled(BaseModel):
    """The same row twice."""

    first: str
    again: str


class Contradiction(BaseModel):
    """Two answers to one question.

    class: another class (yes and no, another option, another label); numbers: one text with other numbers in it;
    text: free answers with few words in common, which may both be right and must be read.
    """

    question: str
    """Its first characters."""
    first: str
    again: str
    how: How


def place_in(source: str, place: str) -> str:
    """A row's place with the name of its source, without the folders before that."""
    return f"{source.rsplit('/', 1)[-1]}, {place}" if source else place


class _Sketch(NamedTuple):
    row: int
    label: bytes
    numbers: bytes
    whole: bytes
    words: bytes


class SameQuestions:
    """Rows are added one by one; each is compared with the first row that has the same question."""

    def __init__(self) -> None:
        self.doubled, self.contradicting = 0, {"class": 0, "numbers": 0, "text": 0}
        self.doubled_listed: list[Doubled] = []
        self.contradictions: list[Contradiction] = []
        self._places: list[str] = []
        self._sources: list[str] = []
        self._rows: dict[int, int] = {}
        self._questions: dict[int, bytes] = {}

    def add(self, row: Row) -> None:
        """Take a row in; plain text asks nothing and is only compared as a whole."""
        about = row.get("about", {})
        number = len(self._places)
        self._places.append(about.get("place", f"row {number + 1}"))
        self._sources.append(about.get("source", ""))
        contradicts = kind_of(row) != "text" and self._contradicts(row, number)
        first = self._rows.setdefault(int(row_id(row), 16), number)
        if first != number and not contradicts:  # the same words under another label do contradict
            self.doubled += 1
            if len(self.doubled_listed) < LISTED:
                self.doubled_listed.append(Doubled(first=self.place(first), again=self.place(number)))

    def place(self, number: int) -> str:
        """Where a row stands: "visits.csv, row 12"."""
        return place_in(self._sources[number], self._places[number])

    def _contradicts(self, row: Row, number: int) -> bool:
        asked = _asked(row)
        key = int.from_bytes(blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        sketch = _sketch(row, number)
        kept = self._questions.get(key)
        if kept is None:
            self._questions[key] = _PACKED.pack(*sketch[:4]) + sketch.words
            return False
        row_number, label, numbers, whole = _PACKED.unpack(kept[: _PACKED.size])
        first = _Sketch(row_number, label, numbers, whole, kept[_PACKED.size :])
        how = _difference(first, sketch)
        if how is None:
            return False
        self.contradicting[how] += 1
        # Another class is the surest sign, so that it is listed before those that must be read.
        listed = sum(one.how == how for one in self.contradictions)
        if listed < LISTED:
            self.contradictions.append(
                Contradiction(
                    question=question(row)[:200], first=self.place(first.row), again=self.place(number), how=how
                )
            )
        return True


def decision(row: Row) -> str:
    """What an answer decides, where it does: its label, yes, no or maybe, or the text of its option; else empty."""
    if label := row.get("about", {}).get("label"):
        return _plain(label)
    said = answer(row).strip()
    if (option := _OPTION.match(said)) and _has_options(question(row)):
        return _plain(option[2])
    word = _FIRST.match(said[:60]) or _LAST.search(said[-30:])
    return word[1].lower() if word else ""


def _has_options(asked: str) -> bool:
    first = _FIRST_OPTION.search(asked)
    return first is not None and _SECOND_OPTION.search(asked, first.end()) is not None


def _class(row: Row) -> str:
    """What must be the same where a question is asked again; empty for a free answer.

    An answer of at most three words is a class of its own ("low", "warfarin").
    """
    kind = kind_of(row)
    if kind == "unpaired_preference":
        return "good" if row.get("label") else "bad"
    said = answer(row)
    if kind == "preference":
        return _plain(said)
    return decision(row) or (_plain(said) if len(said) < 60 and words_in(said) <= 3 else "")


def _asked(row: Row) -> str:
    """All that comes before the answer, without the system's message; for judged answers, those that are judged too."""
    parts = [f"{message['role']}: {message['content']}" for message in row.get("prompt", [])]
    parts = [part for part in parts if not part.startswith("system: ")]
    kind = kind_of(row)
    if kind == "preference":
        parts += sorted(message["content"] for name in ("chosen", "rejected") for message in row.get(name, []))
    elif kind == "unpaired_preference":
        parts.append(answer(row))
    return "\n".join(_plain(part) for part in parts)


def _sketch(row: Row, number: int) -> _Sketch:
    said = answer(row)
    words = said.lower().split()
    numbers = " ".join(sorted({found.rstrip(".,") for found in _NUMBER.findall(said)}))
    return _Sketch(number, _hash(_class(row)), _hash(numbers), _hash(_joined(words)), _word_sketch(said, words))


def _difference(first: _Sketch, again: _Sketch) -> How | None:
    if first.whole == again.whole:
        return None if first.label == again.label else "class"
    if first.label != _NONE and again.label != _NONE:
        return None if first.label == again.label else "class"
    common = sum(one == other for one, other in zip(first.words, again.words, strict=True)) / _PERMUTATIONS
    if common < SIMILAR:
        return "text"
    return "numbers" if common >= SAME_TEXT and first.numbers != again.numbers else None


def _word_sketch(text: str, words: list[str]) -> bytes:
    """MinHash of the words, one byte a permutation (Li and König 2010: b-bit minwise hashing): 64 bytes, error 0.06."""
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]  (a compiled module)

    if not text.isascii() and (characters := CJK.findall(text)):
        words = words + [one + other for one, other in pairwise(characters)]
    sketch = RMinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update(words)
    return bytes([value & 255 for value in sketch.digest()])


def _plain(text: str) -> str:
    return _joined(text.lower().split())


def _joined(words: list[str]) -> str:
    return " ".join(words).rstrip(" .?!。？！")


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() if text else _NONE


_NONE = bytes(8)
