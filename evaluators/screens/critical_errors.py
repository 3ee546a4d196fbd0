"""A screen for critical errors: doses out of range, contraindicated pairs, missed red flags, negations turned round."""

from __future__ import annotations

from evaluators.screens.dose_limits import screen_doses
from evaluators.screens.findings import Screened
from evaluators.screens.negation import screen_negations
from evaluators.screens.pairs import screen_pairs
from evaluators.screens.red_flags import missed_red_flags, presentations_in


def screen(question: str, answer: str, context: str = "") -> Screened:
    """What rules find wrong in `answer`, and what no table could say anything of.

    `context` is the note or dialogue that the answer rests on, where there is one; else negations are held against the
    question. A screen and not a judgement: an answer without findings may be wrong, above all where `not_screened` says
    that no table covers it.
    """
    found = screen_doses(answer)
    pairs = screen_pairs(question, answer, context)
    flags = [f"red flag: {one.name}" for one in presentations_in(question)]
    return Screened(
        findings=[
            *found.findings,
            *pairs.findings,
            *missed_red_flags(question, answer),
            *screen_negations(answer, context or question),
        ],
        screened=[*found.screened, *pairs.screened, *flags],
        not_screened=[*found.not_screened, *pairs.not_screened]
        + ([] if flags else ["red flags: no presentation of the table"]),
    )
