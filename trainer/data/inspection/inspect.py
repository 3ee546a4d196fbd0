"""The data as it is: lengths, mix, imbalance, rows that stand twice, contradictory answers, and what to do about it.

Rows are added one by one and none is kept, so that a million pass in bounded memory.
"""

from __future__ import annotations

from collections import Counter

from evaluators.metrics import has_structure
from trainer.catalogue.specialties import specialty_name
from trainer.data.inspection.assignment import METHOD, assign
from trainer.data.inspection.balance import balance_effect, class_mix
from trainer.data.inspection.findings import LECTURE_ANSWER, LECTURE_MIX, AnswerRange, Inspection, MixShare
from trainer.data.inspection.lengths import lengths, words_in
from trainer.data.inspection.remarks import warnings_of
from trainer.data.inspection.same_questions import SameQuestions, decision
from trainer.data.rows import About, Row, answer, kind_of

VERY_SHORT = 3
"""Words; a shorter answer that is no class may be cut off."""
LISTED = 20
_FIELDS = ("specialty", "task", "language", "level")
_SHORT_TASKS = {"ner", "classification"}


class Inspector:
    """Takes rows in one by one; `report` may be asked at any time."""

    def __init__(self, max_length: int | None = None):
        """`max_length`: tokens that the run takes of a row."""
        self._max_length = max_length
        self._rows = self._too_long = self._nothing_trained = self._validated = self._structured = 0
        self._kinds: Counter[str] = Counter()
        self._tokens: Counter[int] = Counter()
        self._answer_tokens: Counter[int] = Counter()
        self._answer_words: Counter[int] = Counter()
        self._values: dict[str, Counter[str]] = {name: Counter() for name in (*_FIELDS, "label")}
        self._assigned: Counter[str] = Counter()
        self._same = SameQuestions()
        self._empty = self._short = 0
        self._empty_listed: list[str] = []
        self._short_listed: list[str] = []

    def add(self, row: Row, trained_tokens: int | None, all_tokens: int | None) -> None:
        """Take a row in, with its number of trained tokens and of all tokens where they were counted.

        What `about` does not say of specialty, task, language and level is told from the text; the row stays as it is.
        """
        self._rows += 1
        self._kinds[kind_of(row)] += 1
        self._same.add(row)
        about = self._labelled(row)
        said = answer(row)
        words = words_in(said)
        if "prompt" in row:  # a plain text answers nothing
            self._answer_words[words] += 1
        if words == 0:
            self._empty += 1
            self._list(self._empty_listed)
        elif words < VERY_SHORT and not about.get("label") and about.get("task") not in _SHORT_TASKS:
            self._short_answer(row)
        self._validated += about.get("expert_validated") is True
        self._structured += has_structure(said)
        if trained_tokens is not None and all_tokens is not None:
            self._count(trained_tokens, all_tokens, "prompt" in row)

    def report(self) -> Inspection:
        """What was found in the rows so far."""
        mixes = {name: class_mix(counts, self._rows - counts.total()) for name, counts in self._values.items()}
        tasks = self._values["task"]
        three = sum(tasks[name] for name in LECTURE_MIX)
        low, high = LECTURE_ANSWER
        counted = self._answer_tokens
        found = Inspection(
            rows=self._rows,
            kinds=dict(sorted(self._kinds.items())),
            max_length=self._max_length,
            tokens=lengths(self._tokens),
            too_long=self._too_long,
            nothing_trained=self._nothing_trained,
            answer_tokens=lengths(counted),
            answer_range=AnswerRange(
                below=sum(rows for length, rows in counted.items() if length < low),
                within=sum(rows for length, rows in counted.items() if low <= length <= high),
                above=sum(rows for length, rows in counted.items() if length > high),
            )
            if counted
            else None,
            answer_words=lengths(self._answer_words),
            specialty=mixes["specialty"],
            task=mixes["task"],
            language=mixes["language"],
            level=mixes["level"],
            label=mixes["label"],
            assigned={name: self._assigned[name] for name in _FIELDS},
            method=METHOD,
            lecture_mix=[
                MixShare(task=name, rows=tasks[name], share=tasks[name] / three, lecture=share)
                for name, share in LECTURE_MIX.items()
            ]
            if three
            else [],
            balance={
                name: balance_effect(self._values[name])
                for name in ("specialty", "task", "label")
                if mixes[name].classes > 1
            },
            doubled=self._same.doubled,
            doubled_listed=self._same.doubled_listed,
            contradicting=dict(self._same.contradicting),
            contradictions=self._same.contradictions,
            empty=self._empty,
            empty_listed=self._empty_listed,
            short=self._short,
            short_listed=self._short_listed,
            validated=self._validated,
            structured=self._structured,
            validated_rate=self._validated / self._rows if self._rows else 0.0,
            warnings=[],
        )
        found.warnings = warnings_of(found)
        return found

    def _labelled(self, row: Row) -> About:
        about = row.get("about", {})
        if not all(about.get(name) for name in _FIELDS):
            copy = row.copy()
            copy["about"] = about.copy()
            for name in assign(copy):
                self._assigned[name] += 1
            about = copy["about"]
        for name, counts in self._values.items():
            if value := about.get(name):
                counts[specialty_name(value) if name == "specialty" else str(value)] += 1
        return about

    def _short_answer(self, row: Row) -> None:
        if not decision(row):
            self._short += 1
            self._list(self._short_listed)

    def _count(self, trained: int, tokens: int, answers: bool) -> None:
        self._tokens[tokens] += 1
        if answers:
            self._answer_tokens[trained] += 1
        limit = self._max_length if self._max_length is not None else tokens
        self._too_long += tokens > limit
        # What is trained is the end of a row, so that nothing is left where the rest alone fills the limit.
        self._nothing_trained += trained == 0 or tokens - trained >= limit

    def _list(self, places: list[str]) -> None:
        if len(places) < LISTED:
            places.append(self._same.place(self._rows - 1))
