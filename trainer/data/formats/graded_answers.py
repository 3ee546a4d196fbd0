"""Several answers to one question with grades: each question's best answer against each that is clearly worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trainer.data.formats.conversations import question_answer
from trainer.data.formats.values import Convert, Fields, found, is_empty
from trainer.data.rows import Row, RowError

CLEARLY_WORSE = 0.25
"""Of the span between the lowest and the highest grade: one step of a scale from 1 to 5, and of good or bad."""


def graded_answer(columns: Fields) -> Convert:
    """A question, one of its answers, and its grade (higher is better), which becomes `about.label`."""
    grade = columns["grade"]
    answered = question_answer(columns)

    def convert(record: dict[str, Any]) -> Row:
        row = answered(record)
        value = number(record.get(grade))
        if value is None:
            shown = "nothing" if is_empty(record.get(grade)) else found(record.get(grade))
            raise RowError(grade, f"found {shown}; expected a number, higher for a better answer")
        row["about"] = {"label": f"{value:g}"}
        return row

    return convert


def number(value: Any) -> float | None:
    """A grade; None where it is no number."""
    if isinstance(value, bool) or is_empty(value) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def repeat(records: Sequence[dict[str, Any]], columns: Fields) -> bool:
    """Whether questions come back with another answer, as graded answers do: twice or more in the mean."""
    asked, answered = columns["question"], columns["answer"]
    counts = Counter(
        str(question) for question, _ in {(str(record.get(asked)), str(record.get(answered))) for record in records}
    )
    return len(counts) * 2 <= sum(counts.values())


def pairs_from_graded(rows: Iterable[Row]) -> Iterator[Row]:
    """Preference pairs out of graded rows (`about.label` is the grade): the best answer, and each clearly worse one.

    Clearly worse means by at least `CLEARLY_WORSE` of the span of all grades; equal and nearly equal grades make no
    pair, nor do questions with one answer. Pairs come in the order in which their questions first appear, and keep what
    is known of the best answer's row. All rows are held in memory.
    """
    questions: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        assert "prompt" in row and "about" in row and "label" in row["about"]  # as `graded_answer` made it
        key = "\0".join(f"{message['role']}\1{message['content']}" for message in row["prompt"])
        questions.setdefault(key, []).append((float(row["about"]["label"]), row))
    grades = [grade for answers in questions.values() for grade, _ in answers]
    if not grades:
        return
    margin = CLEARLY_WORSE * (max(grades) - min(grades))
    for answers in questions.values():
        best, chosen = max(answers, key=lambda answer: answer[0])
        for grade, worse in answers:
            # The margin is compared with a little less, so that 0.3 - 0.2 counts as a step of 0.1.
            if grade < best and best - grade >= margin * (1 - 1e-9):
                yield _pair(chosen, worse)


def _pair(best: Row, worse: Row) -> Row:
    assert "prompt" in best and "completion" in best and "completion" in worse
    pair = Row(prompt=best["prompt"], chosen=best["completion"], rejected=worse["completion"])
    known: Any = {name: value for name, value in best.get("about", {}).items() if name not in {"label", "id"}}
    if known:
        pair["about"] = known
    return pair
