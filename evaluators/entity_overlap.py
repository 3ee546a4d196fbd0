"""Entity precision, recall and F1: strict (same place, same kind) and partial (a place that overlaps counts a half).

Data sets and answers name entities without saying where they stand, so each is looked for in its sentence first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from evaluators.cases import Entity
from evaluators.scores import Score, divide

if TYPE_CHECKING:
    import numpy as np


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a sentence, and what they name."""

    start: int
    end: int
    kind: str


def locate(sentence: str, *sides: Sequence[Entity]) -> list[list[Span]]:
    """Where the entities of each side (gold, predicted) stand: the n-th of a text and kind at its n-th occurrence.

    Occurrences are whole words, whatever their letter case and white space. What the sentence lacks, or has less often,
    is put behind its end, the same on all sides: an invention overlaps nothing, and data without a sentence is compared
    by its texts.
    """
    occurrences: dict[str, list[tuple[int, int]]] = {}
    behind: dict[tuple[str, int], int] = {}
    located = []
    for side in sides:
        seen: Counter[tuple[str, str]] = Counter()
        spans = []
        for entity in side:
            text = _plain(entity.text)
            if text not in occurrences:
                occurrences[text] = _occurrences(sentence, text)
            number = seen[text, entity.kind]
            seen[text, entity.kind] += 1
            if number < len(occurrences[text]):
                start, end = occurrences[text][number]
            else:
                start = len(sentence) + 2 * behind.setdefault((text, number), len(behind))
                end = start + 1
            spans.append(Span(start, end, entity.kind))
        located.append(spans)
    return located


def counts(sentence: str, gold: Sequence[Entity], predicted: Sequence[Entity], kinds: Sequence[str]) -> list[float]:
    """What one sentence adds to `entity_scores`: 4 numbers for all entities, 4 for each of `kinds`, and 1.

    The four: right strictly, right partially, predicted, gold. A predicted entity of another kind than `kinds` counts
    as predicted among all.
    """
    places, guesses = locate(sentence, gold, predicted)
    row: list[float] = []
    for kind in (None, *kinds):
        wanted = [span for span in places if kind in (None, span.kind)]
        found = [span for span in guesses if kind in (None, span.kind)]
        strict = (Counter(wanted) & Counter(found)).total()
        row += [strict, partially_right(wanted, found), len(found), len(wanted)]
    return [*row, 1.0]


def partially_right(gold: Sequence[Span], predicted: Sequence[Span]) -> float:
    """Spans that are right whatever their kind: 1 for the same place, 0.5 for one that overlaps, each gold span once.

    The partial match of SemEval 2013 task 9, as nervaluate counts it on spans that do not overlap within a side. Where
    they do (a list of entities may name "renal failure" and "acute renal failure"), places that agree are matched
    first, so that no wrong guess takes the gold span of a right one.
    """
    same = Counter(span[:2] for span in gold) & Counter(span[:2] for span in predicted)
    left = sorted((Counter(span[:2] for span in gold) - same).elements())
    partial = 0
    for start, end in sorted((Counter(span[:2] for span in predicted) - same).elements()):
        match = next((place for place in left if place[0] < end and start < place[1]), None)
        if match is not None:
            left.remove(match)
            partial += 1
    return same.total() + 0.5 * partial


def entity_scores(rows: Sequence[Sequence[float]], kinds: Sequence[str], units: Sequence[str]) -> list[Score]:
    """F1, precision and recall from the `counts` of each sentence: of all entities (micro), then of each kind.

    Strict before partial; the first is the strict F1 of all. Precision says nothing (nan) where nothing was predicted,
    recall where there is nothing to find, F1 where both hold. Raises `ValueError` for rows of other `kinds`.
    """
    import numpy as np

    width = 4 * (1 + len(kinds)) + 1
    if any(len(row) != width for row in rows):
        raise ValueError(f"entity counts need {width} numbers for the kinds {list(kinds)}; count with the same kinds")
    summed = np.array(rows, dtype=float).reshape(len(rows), width)

    def of(first: int, match: int, what: str, sums: np.ndarray) -> np.ndarray:
        right, predicted, gold = (sums[..., first + offset] for offset in (match, 2, 3))
        if what == "F1":
            return divide(2 * right, predicted + gold)
        return divide(right, predicted if what == "precision" else gold)

    notes = {
        "strict": "The same words at the same place, and the same kind.",
        "partial": "The same place counts 1, one that overlaps 0.5.",
    }
    scores = []
    for number, kind in enumerate(("", *kinds)):
        for match, (name, note) in enumerate(notes.items()):
            for what in ("F1", "precision", "recall"):
                title = f"Entity {what}{f' of {kind}' if kind else ''}, {name}"
                said = f"{note} The kind does not matter." if name == "partial" and not kind else note
                scores.append(Score(title, summed, partial(of, 4 * number, match, what), units, "score", note=said))
    return scores


def _plain(text: str) -> str:
    return " ".join(_words(text)).lower()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _occurrences(sentence: str, text: str) -> list[tuple[int, int]]:
    """Places of a plain text: white space is needed between two words, and free beside a sign (N - acetyl)."""
    words = text.split()
    if not words:
        return []
    pattern = re.escape(words[0])
    for before, word in pairwise(words):
        pattern += (r"\s+" if _is_word(before) and _is_word(word) else r"\s*") + re.escape(word)
    opening, ending = r"(?<!\w)" * _is_word(words[0]), r"(?!\w)" * _is_word(words[-1])
    return [found.span() for found in re.finditer(opening + pattern + ending, sentence, flags=re.IGNORECASE)]


def _is_word(text: str) -> bool:
    return re.match(r"\w", text) is not None
