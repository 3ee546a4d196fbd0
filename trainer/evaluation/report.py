"""`report.json` of an evaluation: base against tuned, suite by suite, with what follows for the gates."""

from __future__ import annotations

from pydantic import BaseModel

from evaluators.attacks.gradient import GradientCurve
from evaluators.calibration import Bin
from evaluators.gates import Gate
from evaluators.judge import Agreement
from evaluators.latency import LatencyReport
from evaluators.scores import Difference, Measure, Verdict


class Compared(BaseModel):
    """One metric: base, tuned, and their difference on the same items."""

    base: Measure
    tuned: Measure
    difference: Difference

    @property
    def name(self) -> str:
        return self.tuned.name

    @property
    def sides(self) -> tuple[Measure, Measure]:
        return self.base, self.tuned


class Group(BaseModel):
    """A suite's main metric on one of its groups: a category, specialty or kind of attack."""

    group: str
    main: Compared


class SuiteReport(BaseModel):
    """What a suite found. The first metric is the one that the verdict goes by."""

    suite: str
    title: str
    source: str
    items: int
    metrics: list[Compared]
    verdict: Verdict
    """Of the main metric, at 5 % over all suites of the report together (Holm 1979)."""
    groups: list[Group] = []
    chance: float | None = None
    """What guessing would score on the main metric, where that can be said."""
    reliability: dict[str, list[Bin]] = {}
    """Confidence against accuracy, by side (base, tuned)."""
    notes: list[str] = []
    cases: str
    """The cases' files in the folder are `cases/<this>.base.jsonl` and `.tuned.jsonl`."""

    @property
    def main(self) -> Compared:
        return self.metrics[0]


class EvaluationReport(BaseModel):
    """All that an evaluation has measured so far; `complete` says whether that is all that was asked for."""

    run: str
    base_model: str
    against: str | None = None
    """The run whose tuned model stands in the base's place, where two versions are compared."""
    complete: bool = False
    suites: list[SuiteReport] = []
    latency: dict[str, LatencyReport] = {}
    """By side (base, tuned)."""
    gradient: dict[str, GradientCurve] = {}
    """Accuracy against the size of a disturbance of the input embeddings, by side (lecture L3.6)."""
    judged: dict[str, Agreement] = {}
    """Agreement of the harm rules with a judge model and with clinicians, where there are any."""
    gates: list[Gate] = []
    decision: str = ""
    minutes: float = 0.0
    notes: list[str] = []
    """What went another way than asked for."""

    def suite(self, name: str) -> SuiteReport | None:
        """The first suite of this name, or None."""
        return next((one for one in self.suites if one.suite == name), None)
