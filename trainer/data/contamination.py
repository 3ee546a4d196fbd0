"""Benchmark questions found in training data: whoever has seen the questions scores too well on them.

What matches is the rule of Brown et al. 2020 ("Language models are few-shot learners", appendix C): a 13-gram of words,
case and punctuation aside, unless many texts have it, which makes it a phrase. How much has to match is that of Touvron
et al. 2023 ("Llama 2", appendix A.6): a fifth of the question's words. By the first alone, the questions of MedQA's
test are "found" in other questions of the same test 1,164 times, for a turn of phrase; by both, 54 times. Questions of
8 to 12 words are found where `CONTAINED` of their 3-shingles occur in one text, questions of fewer than 8 words only
where a text is nothing but the question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from trainer.data.near_duplicates import ALIKE, shingles, words

GRAM = 13
SHORT = 8
"""Words under which only the whole counts: Brown et al.'s least n."""
COVERED = 0.2
"""Share of a question's words in matching 13-grams from which it is contaminated (Touvron et al.)."""
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
    """Share of the question's words that stand in matching 13-grams, phrases aside; of a shorter question, share of its
    3-shingles."""
    how: Literal["whole question", "13 words in a row", "most of a short question"]


class Benchmarks:
    """The questions to look for: pairs of a benchmark's name and a question's text."""

    def __init__(self, questions: Iterable[tuple[str, str]]):
        self._names: list[tuple[str, int]] = []
        self._whole: dict[str, list[int]] = {}
        self._shingles: dict[str, list[int]] = {}
        self._sizes: list[int] = []  # shingles of each question
        self._grams: dict[str, list[tuple[int, int]]] = {}  # in which question, and from which word on
        numbers: Counter[str] = Counter()
        for at, (name, text) in enumerate(questions):
            numbers[name] += 1
            self._names.append((name, numbers[name]))
            spoken = words(text)
            parts = shingles(text, spoken) if SHORT <= len(spoken) < GRAM else set[str]()
            self._sizes.append(len(parts))
            for part in parts:
                self._shingles.setdefault(part, []).append(at)
            for start, gram in enumerate(_grams(spoken)):
                self._grams.setdefault(gram, []).append((at, start))
            if spoken:
                self._whole.setdefault(" ".join(spoken), []).append(at)
        self._grams = {gram: places for gram, places in self._grams.items() if len(places) <= PHRASE}
        self._all_words = _covered(self._grams.values())

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
                grams.update(gram for gram in _grams(spoken) if gram in self._grams)
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
            seen = _covered(self._grams[gram] for gram in common)
            rare = _covered(self._grams[gram] for gram in common if rows_with[gram] <= PHRASE)
            for at, covered in seen.items():
                size = self._all_words[at].bit_count()
                share, without_phrases = covered.bit_count() / size, rare.get(at, 0).bit_count() / size
                if at not in sure and (without_phrases >= COVERED or share >= CONTAINED):
                    sure[at] = Contaminated(row, place, *self._names[at], share, "13 words in a row")
            found += [sure[at] for at in sorted(sure)]
        return found


def _grams(spoken: Sequence[str]) -> list[str]:
    return [" ".join(spoken[start : start + GRAM]) for start in range(len(spoken) - GRAM + 1)]


def _covered(grams: Iterable[list[tuple[int, int]]]) -> dict[int, int]:
    """Which words of each question 13-grams cover, one bit a word."""
    covered: dict[int, int] = {}
    for places in grams:
        for at, start in places:
            covered[at] = covered.get(at, 0) | ((1 << GRAM) - 1) << start
    return covered
