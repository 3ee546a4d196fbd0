"""A screen for critical errors: doses out of range, contraindicated pairs, missed red flags, negations turned round."""

from __future__ import annotations

from evaluators.screens.findings import Screened


def screen(question: str, answer: str, context: str = "") -> Screened:
    """What a rule finds wrong in `answer`, and what no table could say anything of.

    `context` is the note or dialogue that the answer rests on, where there is one.
    """
    raise NotImplementedError
