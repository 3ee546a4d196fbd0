"""Hard-case mining: training rows like the questions that the last evaluation failed on (lecture L3.7).

A failed case is an item of an evaluation and must never be trained on, or the next evaluation would measure memory.
What is trained on more often are rows of one's own that are like it: nearest in words, by the cosine of their idf
weights (Spärck Jones 1972), numbers left out. A row that is the item itself, or nearly, is passed over and told.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from evaluators.cases import Case
from trainer.data.mixing import MOST_REPEATS
from trainer.data.near_duplicates import ALIKE, decisive, shingles, words
from trainer.data.records import DataError

NEAREST = 5
"""Rows for each failed source question."""
LEAST = 0.2
"""Cosine below which a row is like no case. Ours: rows that share nothing but the words of every question lie below."""


class Mined(NamedTuple):
    """Rows by their number, and how often each is to be added: at most `MOST_REPEATS` times in all."""

    more: Counter[int]
    cases: int
    """Failed source questions that have a row like them."""
    passed_over: list[int]
    """Rows that are an evaluation's item themselves."""


def read(path: Path) -> list[Case]:
    """The failed cases of a file (JSON lines), one for each source question.

    Raises `DataError` in one sentence where the file is not there or holds something else.
    """
    if not path.is_file():
        raise DataError(f"adversarial.hard_cases: there is no file {path}; name one that an evaluation wrote.")
    found: dict[str, Case] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            case = Case.model_validate_json(line)
        except ValidationError:
            raise DataError(
                f"adversarial.hard_cases: line {number} of {path} is no case; name a file that an evaluation wrote."
            ) from None
        if case.right is not True:
            found.setdefault(case.source or case.id, case)
    return list(found.values())


def mine(cases: Sequence[Case], questions: Callable[[], Iterable[str]]) -> Mined:
    """The rows most like each case; `questions` gives the training rows' questions in order, each time anew.

    Goes through the rows twice, and takes memory for the cases alone.
    """
    known: Counter[str] = Counter()
    rows = 0
    for text in questions():
        rows += 1
        known.update(_content(text))
    idf = {word: math.log(rows / count) for word, count in known.items() if count < rows}
    postings: dict[str, list[int]] = {}
    norms = []
    for number, case in enumerate(cases):
        parts = _content(case.question)
        for word in parts:
            postings.setdefault(word, []).append(number)
        norms.append(_norm(parts, idf))
    nearest: list[list[tuple[float, int]]] = [[] for _ in cases]
    passed_over = []
    for row, text in enumerate(questions()):
        parts = _content(text)
        shared: Counter[int] = Counter()
        for word in parts & idf.keys():
            for number in postings.get(word, ()):
                shared[number] += idf[word] ** 2  # pyright: ignore[reportArgumentType]  # counts of a Counter
        likeness = {number: product / (norms[number] * _norm(parts, idf)) for number, product in shared.items()}
        close = {number: value for number, value in likeness.items() if value >= LEAST}
        if any(_same(text, cases[number].question) for number in close):
            passed_over.append(row)
            continue
        for number, value in close.items():
            heapq.heappush(nearest[number], (value, -row))
            if len(nearest[number]) > NEAREST:
                heapq.heappop(nearest[number])
    times = Counter(-row for found in nearest for _, row in found)
    more = Counter({row: min(count, MOST_REPEATS - 1) for row, count in times.items()})
    assert not more.keys() & set(passed_over), "an evaluation's item would be trained on"
    return Mined(more, sum(bool(found) for found in nearest), passed_over)


def _content(text: str) -> set[str]:
    return {word for word in words(text) if not word[0].isdigit()}


def _norm(parts: set[str], idf: dict[str, float]) -> float:
    return math.sqrt(sum(idf.get(word, 0.0) ** 2 for word in parts))


def _same(row: str, case: str) -> bool:
    """Whether two questions are near-duplicates, as the data desk tells them, exactly."""
    mine, other = words(row), words(case)
    if decisive(mine) != decisive(other):
        return False
    one, two = shingles(row, mine), shingles(case, other)
    return len(one & two) >= ALIKE * len(one | two)
