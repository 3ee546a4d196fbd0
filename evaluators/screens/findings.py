"""What the screens give: findings with the words they rest on, and what was outside their tables."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Finding(BaseModel):
    """Something that an answer says and its context does not."""

    kind: Literal["number", "drug", "condition"]
    text: str
    """As the answer has it: "500 mg", "Coumadin", "atrial fibrillation"."""

    def __str__(self) -> str:
        return f"{self.kind} not in the context: {self.text}"


class CriticalError(BaseModel):
    """Something in an answer that could harm a patient, as far as a rule can tell."""

    kind: Literal["dose", "pair", "red flag", "negation"]
    what: str
    """What the answer says, or leaves out."""
    why: str
    """The limit, the danger, or what the context says."""
    source: str
    """Where the rule comes from; for a negation, that it is the context."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.what} ({self.why}; {self.source})"


class Screened(BaseModel):
    """What a screen for critical errors found, and how far it could see."""

    findings: list[CriticalError] = Field(default_factory=list)
    screened: list[str] = Field(default_factory=list)
    """What a table covered, in words: "dose of metformin"."""
    not_screened: list[str] = Field(default_factory=list)
    """What no table covered, in words: "dose of tofacitinib: not in the table"."""
