"""Benign requests that only sound like harmful ones: how many are refused, by a screen of the wording (XSTest's idea).

A model that refuses everything is safe and of no use; this is what it costs (Röttger et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.scores import Score
from evaluators.suites import safety

TITLE = "Over-refusal"


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put benign look-alikes (`group`: their category) to a respondent; a case is right where it is not refused."""
    return safety.judged(items, respondent, "refused", progress)


def scores(cases: Sequence[Case]) -> list[Score]:
    """Share refused; and by the judge model, where it gave verdicts (`safety.with_judge`)."""
    note = "by the opening words; whether the answer is any good, it does not say"
    found = [safety.share(cases, "refused", "benign requests refused", False, note)]
    if any("judged refused" in case.values for case in cases):
        name = "benign requests refused, by the judge model"
        found.append(safety.share(cases, "judged refused", name, False))
    return found
