"""What a model still knows and does apart from what it was tuned for: general questions, and plain instructions.

Forgetting is the difference of the two sides (lecture L2.9). Questions are answered by the likelihood of the options'
texts, as `evaluators.forgetting` does while a run trains; instructions are verified by `evaluators.instructions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.cases import Case, Item, Progress, Respondent, silent
from evaluators.instructions import failed, read_checks
from evaluators.scores import Score, mean, ratio
from evaluators.suites.multiple_choice import chance, chosen_case

TITLE = "General knowledge and instructions"
ANSWER_TOKENS = 160


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Put questions (items with `options`) and instructions (`reference` holds their checks) to a respondent.

    A question is right where the option with the highest mean log-probability a token is the key's: the mean, so that
    a long option is not at a disadvantage. An instruction is right where all of its checks hold.
    """
    questions = [item for item in items if item.options]
    instructions = [item for item in items if not item.options]
    likely = respondent.likelihoods(
        [item.prompt for item in questions],
        [item.options for item in questions],
        lambda done, _: progress(done, len(items)),
    )
    answers = respondent.answer(
        [item.prompt for item in instructions],
        ANSWER_TOKENS,
        lambda done, _: progress(len(questions) + done, len(items)),
    )
    cases = {
        item.id: chosen_case(item, [one.mean for one in each], item.options)
        for item, each in zip(questions, likely, strict=True)
    }
    cases |= {item.id: _followed(item, answer) for item, answer in zip(instructions, answers, strict=True)}
    return [cases[item.id] for item in items]


def scores(cases: Sequence[Case]) -> list[Score]:
    """Accuracy on the questions (main, where there are any), share of instructions followed, share of their checks."""
    import numpy as np

    units = [case.source for case in cases]
    asked = [case for case in cases if "key" in case.values]
    told = [case for case in cases if "checks" in case.values]
    found = []
    if asked or not told:
        note = f"Guessing gets {chance(asked):.1%}." if asked else ""
        found.append(mean("General questions right", [_right(case, "key") for case in cases], units, note=note))
    if told:
        strict = "All that was asked of the form holds of the answer as it was written."
        found.append(mean("Instructions followed", [_right(case, "checks") for case in cases], units, note=strict))
        rows = np.array([case.values.get("checks", [0.0, 0.0]) for case in cases])
        found.append(Score("Single requirements met", rows, ratio, units))
    return found


def _right(case: Case, name: str) -> float | None:
    return float(bool(case.right)) if name in case.values else None


def _followed(item: Item, answer: str) -> Case:
    checks = read_checks(item.reference)
    missed = failed(answer, checks)
    return Case.of(
        item,
        answer,
        reference="; ".join(map(str, checks)),
        right=not missed,
        values={"checks": [float(len(checks) - len(missed)), float(len(checks))]},
        remarks=[f"not met: {check}" for check in missed],
    )
