"""Backward compatibility: cases that the last version passed and the new one fails (lecture L3.1).

Both versions' cases come from the evaluations that are there; they are matched by what was asked, so that two
evaluations of their own do as well as one that compares the two.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

from pydantic import BaseModel

from evaluators import scores
from evaluators.cases import Case
from evaluators.gates import FORGOTTEN
from evaluators.sample_size import bounds
from evaluators.scores import Difference
from trainer.evaluation import evaluations
from trainer.evaluation.evaluations import Evaluation, Side
from trainer.model_refs import TUNED, ModelRef

MOST_BROKEN = FORGOTTEN
"""Share of the questions that were passed which may fail now: what may be forgotten (lecture L2.9: 5 points)."""


class Broken(BaseModel):
    """A case that was passed and fails now."""

    suite: str
    group: str
    question: str
    reference: str
    before: str
    now: str


class Compatibility(BaseModel):
    """Two models on the same cases. Questions are source questions: passed where all variants of one are."""

    first: str
    second: str
    questions: int
    passed: int
    """Of them, by the first."""
    lost: int
    """Of those, no longer passed by the second; at least so many cases stand in `broken`."""
    won: int
    """Passed by the second alone."""
    low: float
    high: float
    """One-sided 95 % bounds of the share of passed questions that is lost (Clopper and Pearson)."""
    difference: Difference | None
    """Share of cases passed, second minus first, with its paired interval and test; None without common cases."""
    broken: list[Broken]

    @property
    def share(self) -> float | None:
        """Of the passed questions that are lost; None where the first passed none."""
        return self.lost / self.passed if self.passed else None

    def sentence(self) -> str:
        """What was found, in words."""
        if not self.passed:
            return (
                "Not enough evidence on backward compatibility: the two versions have no passed question in common; "
                "evaluate both on the same sets."
            )
        told = ""
        if self.difference and self.difference.low is not None and self.difference.high is not None:
            told = (
                f"; cases passed changed by {100 * (self.difference.value or 0):+.1f} points (95 % interval "
                f"{100 * self.difference.low:+.1f} to {100 * self.difference.high:+.1f})"
            )
        return (
            f"Of {self.passed:,} questions that were passed {self.lost:,} fail now ({100 * self.lost / self.passed:.1f}"
            f" %; 95 % confidence: up to {100 * self.high:.1f} %), {self.won:,} others are passed now{told}."
        )


def compare(first: ModelRef, second: ModelRef) -> Compatibility:
    """The two models on all cases that both answered in evaluations; the newest answer to a question counts."""
    before, after = _cases(first), _cases(second)
    common = [key for key in before if key in after]
    pairs = [(key.partition("/")[0], before[key], after[key]) for key in common]
    units: dict[str, tuple[list[bool], list[bool]]] = defaultdict(lambda: ([], []))
    for suite, one, other in pairs:
        units[f"{suite}/{one.source}"][0].append(bool(one.right))
        units[f"{suite}/{one.source}"][1].append(bool(other.right))
    whole = [(all(was), all(now)) for was, now in units.values()]
    passed = sum(was for was, _ in whole)
    lost = sum(was and not now for was, now in whole)
    low, high = bounds(lost, passed)
    names = [f"{suite}/{one.source}" for suite, one, _ in pairs]
    was = scores.mean("cases passed", [bool(one.right) for _, one, _ in pairs], names)
    now = scores.mean("cases passed", [bool(other.right) for _, _, other in pairs], names)
    return Compatibility(
        first=str(first),
        second=str(second),
        questions=len(whole),
        passed=passed,
        lost=lost,
        won=sum(now and not was for was, now in whole),
        low=low,
        high=high,
        difference=scores.compare(was, now) if pairs else None,
        broken=[
            Broken(
                suite=suite.replace("_", " "),
                group=one.group,
                question=one.question,
                reference=one.reference,
                before=one.answer,
                now=other.answer,
            )
            for suite, one, other in pairs
            if one.right and not other.right
        ],
    )


def _cases(ref: ModelRef) -> dict[str, Case]:
    """What a model answered and passed or failed, by suite and a hash of what was asked."""
    found: dict[str, Case] = {}
    for evaluation, side in _evaluations(ref):
        report = evaluation.report()
        for suite in report.suites if report else []:
            for case in evaluations.read_cases(evaluation.folder, suite.cases, side):
                if case.right is not None:
                    found.setdefault(f"{suite.suite}/{_asked(case)}", case)
    return found


def _evaluations(ref: ModelRef) -> list[tuple[Evaluation, Side]]:
    """Those in which the model answered, the newest first, and the side that it was."""
    found: list[tuple[Evaluation, Side]] = []
    for one in evaluations.list_evaluations():
        request = one.request
        if request.run == ref.run and ref.part == TUNED:
            found.append((one, "tuned"))
        elif (request.against == ref.run and ref.part == TUNED) or (
            request.run == ref.run and ref.is_base and request.against is None
        ):
            found.append((one, "base"))
    return found


def _asked(case: Case) -> str:
    """The content of a case: files name their rows as they like, and a new file may name the same row otherwise."""
    return hashlib.sha256(f"{case.question}\0{case.reference}".encode()).hexdigest()
