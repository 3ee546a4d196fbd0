"""Benchmark questions found in training data: whoever has seen the questions scores too well on them.

The rule of Brown et al. 2020 ("Language models are few-shot learners", appendix C): a question is contaminated where
one of its 13-grams of words, or the whole of a shorter question, occurs in the training data, case and punctuation
aside; phrases that many texts have in common do not count. Questions of 8 to 12 words are found where `CONTAINED` of
their 3-shingles occur in one text, questions of fewer than 8 words only where a text is nothing but the question.

The rule would rather name a row too many: `overlap` says whether it is a turn of phrase or the question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from trainer.data.near_duplicates import ALIKE, shingles, words

GRAM = 13
SHORT = 8
"""Words under which only the whole counts: Brown et al.'s least n."""
CONTAINED = ALIKE
PHRASE = 10
"""A 13-gram in more texts than this is a phrase (Brown et al.): "which of the following is the most likely …"."""


class Contaminated(NamedTuple):
    """A training row that holds a benchmark's question."""

    row: str
    place: str
    benchmark: str
    question: int
    """Which of the benchmark's questions, from 1, in the order they were given."""
    overlap: float
    """Share of the question's 13-grams (3-shingles, where it is shorter) in the row, phrases of the benchmark aside."""
    how: Literal["whole question", "13 words in a row", "most of a short question"]


class Benchmarks:
    """The questions to look for: pairs of a benchmark's name and a question's text."""

    def __init__(self, questions: Iterable[tuple[str, str]]):
        self._names: list[tuple[str, int]] = []
        self._sizes: list[int] = []  # parts of each question that are in the index: 13-grams or shingles
        self._whole: dict[str, list[int]] = {}
        self._grams: dict[str, list[int]] = {}
        self._shingles: dict[str, list[int]] = {}
        numbers: Counter[str] = Counter()
        for at, (name, text) in enumerate(questions):
            numbers[name] += 1
            self._names.append((name, numbers[name]))
            spoken = words(text)
            parts, index = (_grams(spoken), self._grams) if len(spoken) >= GRAM else (set[str](), self._shingles)
            if SHORT <= len(spoken) < GRAM:
                parts = shingles(text, spoken)
            self._sizes.append(len(parts))
            for part in parts:
                index.setdefault(part, []).append(at)
            if spoken:
                self._whole.setdefault(" ".join(spoken), []).append(at)
        for gram in [gram for gram, at in self._grams.items() if len(at) > PHRASE]:
            for at in self._grams.pop(gram):
                self._sizes[at] -= 1

    def __len__(self) -> int:
        return len(self._names)

    def flag(self, rows: Iterable[tuple[str, str, Sequence[str]]]) -> list[Contaminated]:
        """The training rows that hold a question, once for each row and question, in the rows' order.

        A row is its id, its place and its texts (`trainer.data.rows.texts`); each is looked at once, and only those
        with something in common are kept. A 13-gram that more than `PHRASE` rows have counts where the row has
        `CONTAINED` of the question, which may well have been copied as often.
        """
        suspects: list[tuple[str, str, dict[int, Contaminated], list[str]]] = []
        rows_with: Counter[str] = Counter()
        for row, place, texts in rows:
            sure: dict[int, Contaminated] = {}
            grams: set[str] = set()
            for text in texts:
                spoken = words(text)
                grams |= _grams(spoken) & self._grams.keys()
                short = shingles(text, spoken) & self._shingles.keys() if self._shingles else ()
                for at, count in Counter(at for one in short for at in self._shingles[one]).items():
                    share = count / self._sizes[at]
                    if share >= CONTAINED:
                        sure[at] = Contaminated(row, place, *self._names[at], share, "most of a short question")
                for at in self._whole.get(" ".join(spoken), ()):
                    sure[at] = Contaminated(row, place, *self._names[at], 1.0, "whole question")
            rows_with.update(grams)
            if sure or grams:
                suspects.append((row, place, sure, sorted(grams)))
        found: list[Contaminated] = []
        for row, place, sure, common in suspects:
            hits = Counter(at for gram in common for at in self._grams[gram])
            rare = {at for gram in common if rows_with[gram] <= PHRASE for at in self._grams[gram]}
            for at, count in hits.items():
                share = count / self._sizes[at]
                if at not in sure and (at in rare or share >= CONTAINED):
                    sure[at] = Contaminated(row, place, *self._names[at], share, "13 words in a row")
            found += [sure[at] for at in sorted(sure)]
        return found


def _grams(spoken: Sequence[str]) -> set[str]:
    return {" ".join(spoken[start : start + GRAM]) for start in range(len(spoken) - GRAM + 1)}
