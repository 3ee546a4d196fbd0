"""A screen for hallucination: numbers, drugs and conditions that an answer has and its context lacks."""

from __future__ import annotations

from evaluators.screens.findings import Finding


def unsupported(answer: str, context: str) -> list[Finding]:
    """Numbers, drugs and conditions in `answer` that `context` does not have, in the order of the answer."""
    raise NotImplementedError
