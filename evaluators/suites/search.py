"""Accuracy when somebody searches for the spelling that flips an answer: the worst of many typos (lecture L3.7)."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.attacks.ocr import misreadings
from evaluators.attacks.search import attack
from evaluators.attacks.typos import misspellings
from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.scores import Score, mean

TITLE = "Search for a spelling that flips the answer"
BUDGET = 40
"""Questions to the model for each item: half to rank the words, half to try edits. More finds more."""
EDITS = 8
"""Spellings that are tried of a word, spread over all that there are."""


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Attack each multiple-choice item by search; a case is right where no edit that was tried flips the answer.

    Raises `ValueError` for an item without options or right answer.
    """
    cases = []
    for number, item in enumerate(items):
        found = attack(item, respondent, _spellings, BUDGET)
        clean, held = found.margin_before >= 0, found.margin_after >= 0
        values: dict[str, float | list[float]] = {"clean": float(clean), "queries": float(found.queries)}
        if clean:
            values["flipped"] = float(found.flipped)
        assert item.answer is not None
        cases.append(
            Case.of(
                item,
                found.item.question,
                reference=item.options[item.answer],
                right=clean and held,
                values=values,
                remarks=found.edits,
            )
        )
        progress(number + 1, len(items))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """Accuracy under search (main), clean, the share of right answers that it flips, and what it costs."""
    units = [case.source for case in cases]

    def values(name: str) -> list[float | None]:
        return [case.number(name) for case in cases]

    note = f"At most {BUDGET} questions to the model for each item."
    return [
        mean("Accuracy under search", [float(bool(case.right)) for case in cases], units, note=note),
        mean("Accuracy, clean", values("clean"), units),
        mean("Right answers flipped", values("flipped"), units, higher_is_better=False),
        mean("Questions asked for each item", values("queries"), units, "number"),
    ]


def _spellings(word: str) -> list[str]:
    found = [*misspellings(word), *misreadings(word)]
    step = max(1, len(found) // EDITS)
    return found[::step][:EDITS]
