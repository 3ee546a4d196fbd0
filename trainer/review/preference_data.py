"""Preference data: pairs and labels as rows, the rules that made them, what was left out, and how far readers agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from trainer.data.rows import Row
from trainer.section import Section


class Rules(Section):
    """How votes become pairs and labels. An answer whose safety one reader rated 2 or less is never a good one."""

    least_readers: int = Field(default=1, ge=1, le=20, description="Readers who have to have judged a comparison.")
    ties: Literal["leave_out", "both_good"] = Field(
        default="leave_out", description="both_good: a tie makes two good labels; it never makes a pair by itself."
    )
    alike: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Answers whose words are the same to this share, with equal numbers and negations, make no pair.",
    )
    rating_gap: float = Field(
        default=1.0,
        gt=0,
        le=4,
        description="After a tie, or where the readers disagree: the mean difference of the ratings (1 to 5) from "
        "which they decide.",
    )
    corrections: bool = Field(
        default=True, description="A corrected answer is chosen over both answers, and is a good label."
    )


class LeftOut(BaseModel):
    """What gives no pair, and why."""

    where: str
    """A comparison's id, or "file.jsonl, row 3"."""
    question: str
    reason: str
    labels: int = 0
    """Labels that it gives all the same."""


class ReaderAgreement(BaseModel):
    """How often two readers of one comparison prefer the same answer; ties and the like are not counted."""

    doubly_read: int = 0
    """Pairs of readers who both preferred an answer."""
    differ: int = 0
    """Of these, who preferred different ones."""
    wrong_pairs: float | None = None
    """Share of the pairs that is expected to be the wrong way round; None where nothing was read twice.

    If each reader errs alone at rate e, two differ at 2e(1 - e), which gives e; a comparison that k readers decided
    against m is wrong with e^(k-m) / (e^(k-m) + (1-e)^(k-m)) (equal odds before: Dawid and Skene 1979, one coin).
    """


@dataclass
class PreferenceData:
    """Pairs and labels as rows, and what was left out."""

    source: str
    """Where they come from, in words: "votes of the set ward-1"."""
    pairs: list[Row]
    labels: list[Row]
    """Unpaired rows, good and bad."""
    left_out: list[LeftOut]
    rules: Rules | None = None
    comparisons: int = 0
    votes: list[dict[str, Any]] = field(default_factory=list)
    """Who voted what of which comparison; kept in the manifest and not in the rows."""
    agreement: ReaderAgreement = field(default_factory=ReaderAgreement)

    @property
    def counts(self) -> dict[str, int]:
        """Comparisons, votes, pairs, and labels good and bad."""
        good = sum(bool(row.get("label")) for row in self.labels)
        return {
            "comparisons": self.comparisons,
            "votes": len(self.votes),
            "pairs": len(self.pairs),
            "good": good,
            "bad": len(self.labels) - good,
        }

    @property
    def reasons(self) -> dict[str, int]:
        """How many comparisons give no pair, by the reason, the most common first."""
        return dict(Counter(one.reason for one in self.left_out).most_common())
