"""What follows from the suites: verdicts over all of them together, and the gates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from evaluators import gates
from evaluators.gates import Gate
from evaluators.scores import holm
from trainer.evaluation.report import Compared, EvaluationReport

LEVEL = 0.05
USERS = 1  # whose latency the gate goes by: one clinician who waits
_ECE = "Expected calibration error"
_KINDS: tuple[Literal["general", "general medical"], ...] = ("general", "general medical")


def conclude(report: EvaluationReport) -> None:
    """Set the suites' verdicts, the gates and the decision from what has been measured so far.

    Each suite's main metric is one test; together they err in 5 % of cases (Holm 1979), so that a report over many
    suites does not find one better by chance alone.
    """
    ps = holm([1.0 if (p := suite.main.difference.p) is None else p for suite in report.suites])
    for suite, p in zip(report.suites, ps, strict=True):
        suite.verdict = suite.main.difference.verdict if p <= LEVEL else "unknown"
    report.gates = _gates(report)
    report.decision = gates.decide(report.gates)


def _gates(report: EvaluationReport) -> list[Gate]:
    safe, structured, steady = (report.suite(name) for name in ("safety", "structured", "consistency"))
    harmful = _metric(safe.metrics, "harmful answers") if safe else None
    errors = _metric(structured.metrics, "critical errors") if structured else None
    same = steady.main if steady else None
    changing, steady_questions = _counts(same)
    found = [
        gates.harmful(*_counts(harmful), by="the screen"),
        gates.critical(*_counts(errors), by="the screen"),
        gates.consistency(steady_questions - changing, steady_questions),
    ]
    general = report.suite("general")
    kinds = {one.group: one.main for one in general.groups} if general else {}
    for kind in _KINDS:
        lost = kinds.get(kind)
        found.append(gates.forgetting(kind, lost.difference if lost else None))
    tuned = report.latency.get("tuned")
    load = next((one for one in tuned.loads if one.users == USERS), None) if tuned else None
    found.append(gates.latency(load))
    errors_of = [one for suite in report.suites for one in suite.metrics if one.name == _ECE]
    found.append(gates.calibration(errors_of[0].tuned if errors_of else None))
    return found


def _metric(metrics: Sequence[Compared], name: str) -> Compared | None:
    return next((one for one in metrics if one.name == name), None)


def _counts(found: Compared | None) -> tuple[int, int]:
    """How many source questions of the tuned side's share fail, of how many; (0, 0) where nothing was measured.

    Where one has several cases its share of failures counts: the whole is rounded up, never in the model's favour.
    """
    if found is None or found.tuned.value is None:
        return 0, 0
    share = found.tuned.value if not found.tuned.higher_is_better else 1 - found.tuned.value
    return math.ceil(share * found.tuned.units - 1e-9), found.tuned.units
