"""What a look at the data found, beside the lecture's figures (L2.2)."""

from __future__ import annotations

from pydantic import BaseModel

from trainer.data.inspection.balance import BalanceEffect, ClassMix
from trainer.data.inspection.lengths import Lengths
from trainer.data.inspection.same_questions import Contradiction, Doubled

LECTURE_MIX = {"diagnosis": 0.40, "treatment": 0.30, "patient_education": 0.30}
"""Lecture L2.2."""
LECTURE_ANSWER = (150, 300)
"""Tokens; lecture L2.2: average response length."""
LECTURE_SPECIALTIES = 50
LECTURE_VALIDATED = (0.85, 0.95)
"""Lecture L2.2: expert validation rate."""


class MixShare(BaseModel):
    """Share of a task among the rows of the lecture's three, beside the lecture's figure."""

    task: str
    rows: int
    share: float
    lecture: float


class AnswerRange(BaseModel):
    """Trained answers against the lecture's 150 to 300 tokens (L2.2, a figure for the average)."""

    below: int
    within: int
    above: int


class Inspection(BaseModel):
    """What a look at all rows found."""

    rows: int
    kinds: dict[str, int]
    max_length: int | None
    """Tokens that the run takes of a row."""
    tokens: Lengths | None
    """Whole rows in tokens; None where they were not counted."""
    too_long: int
    """Rows longer than `max_length`: their end is cut off."""
    nothing_trained: int
    """Rows whose question alone fills `max_length`, or whose answer is empty: none of their tokens would be trained."""
    answer_tokens: Lengths | None
    answer_range: AnswerRange | None
    answer_words: Lengths | None
    specialty: ClassMix
    task: ClassMix
    language: ClassMix
    level: ClassMix
    label: ClassMix
    assigned: dict[str, int]
    """Rows in which a field was not given and was told from the text."""
    method: str
    """How it is told, and how often that is right."""
    lecture_mix: list[MixShare]
    """Diagnosis, treatment and education against 40, 30 and 30 % (L2.2)."""
    balance: dict[str, BalanceEffect]
    """What balancing by specialty, task or label would change, where there are two classes or more."""
    doubled: int
    doubled_listed: list[Doubled]
    contradicting: dict[str, int]
    """Questions answered differently, by kind: class, numbers, text (see `Contradiction`)."""
    contradictions: list[Contradiction]
    empty: int
    empty_listed: list[str]
    short: int
    """Answers under three words that are no class, entity list or label."""
    short_listed: list[str]
    validated: int
    """Rows that are marked as checked by an expert."""
    validated_rate: float
    structured: int
    """Answers with all parts of the structure that the lecture asks for (L2.4): reasoning, confidence and the rest."""
    warnings: list[str]
    """In the order of their weight, each with what to do."""
