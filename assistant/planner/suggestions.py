"""What one might say next: offered as chips on the page, numbered in a terminal, and chosen by "the second one"."""

from __future__ import annotations

from assistant.planner.advice_alternatives import Alternative

MOST = 4
FIRST = ["Use the starter data on this machine, to answer clinical questions", "Interpret test results"]
_ANSWERS = {
    "task": ["Interpret test results", "Summarise discharge notes", "Pull drugs and doses out of orders"],
    "examples": ["Use the starter data", "About 1,000 examples", "About 10,000 examples"],
    "gpu": ["This machine", "An RTX 4090", "An A100 80GB"],
    "contains_phi": ["No patient data", "Yes, it holds patient data", "I am not sure"],
}


def next_answers(missing: list[str], alternatives: list[Alternative]) -> list[str]:
    """At most `MOST` things to say: answers to the open question, or changes to the plan that stands."""
    if missing:
        return _ANSWERS[missing[0]]
    return [*(one.say for one in alternatives if one.changes), "Why this model?", "Use rank 32"][:MOST]
