"""PubMedQA: does an abstract, without its conclusion, answer its title's question with yes, no or maybe?

The protocol is that of its authors with the abstract given ("reasoning-required", Jin et al. 2019, arXiv 1909.06146):
accuracy and macro-F1 over the three labels, on their test split of 500. What is taken as the answer is the label that
is likeliest after "Answer:", which is how the answer is written in training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluators.calibration import Bin
from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.classification import accuracy, f1_scores
from evaluators.scores import Score
from evaluators.suites import multiple_choice

TITLE = "PubMedQA"
LABELS = ("yes", "no", "maybe")


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put questions on abstracts to a respondent; `options` are the three labels, in the order of `LABELS`."""
    if wrong := next((item for item in items if tuple(item.options) != LABELS), None):
        raise ValueError(f"{wrong.id} has the options {wrong.options}; PubMedQA's are {', '.join(LABELS)}")
    replies = [[f"Answer: {label}" for label in LABELS]] * len(items)
    found = respondent.likelihoods([item.prompt for item in items], replies, progress)
    return [
        multiple_choice.chosen_case(item, [one.total for one in each], LABELS)
        for item, each in zip(items, found, strict=True)
    ]


def scores(cases: Sequence[Case]) -> list[Score]:
    """Accuracy (main), F1 macro, micro and of each label, and calibration."""
    units = [case.source for case in cases]
    right = accuracy([case.right for case in cases], units)
    gold, chosen = [case.reference for case in cases], [case.answer for case in cases]
    macro, _, *each = f1_scores(gold, chosen, units, LABELS)
    return [
        replace(right, note=multiple_choice.guessing(cases)),
        macro,
        *each,
        *multiple_choice.calibration(cases),
    ]


def reliability(cases: Sequence[Case]) -> list[Bin]:
    """Confidence in the likeliest label against how often it is right, for a plot."""
    return multiple_choice.reliability(cases)
