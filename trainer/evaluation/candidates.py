"""Models that were measured on the same things, as candidates for a release (lecture L3.14)."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.latency import LatencyReport
from evaluators.scores import Measure
from evaluators.selection import Candidate, cost_of_thousand
from trainer.evaluation.evaluations import Evaluation, list_evaluations
from trainer.evaluation.report import EvaluationReport, SuiteReport

TASKS = ("answers", "structured", "multiple_choice", "pubmedqa", "entities", "summarisation")
"""Suites that say how well a model does what it is for."""
BASE = "base model"


def comparable(evaluation: Evaluation) -> list[Evaluation]:
    """This evaluation and the newest one of each other run with the same base, on the same sets."""
    found = [evaluation]
    for other in list_evaluations():
        report = other.report()
        if report is None or not report.complete or other.request.run in {one.request.run for one in found}:
            continue
        mine = evaluation.report()
        if mine and report.base_model == mine.base_model and set(_sets(report)) & set(_sets(mine)):
            found.append(other)
    return found


def candidates(evaluations: Sequence[Evaluation]) -> list[Candidate]:
    """What is known of each evaluated model, and of their base, by the names of `evaluators.selection.CRITERIA`.

    `quality` is the mean of the main metrics over those sets of tasks that all of them were measured on, with an
    interval where that is one set; `robustness` the share right under attack.
    """
    reports = [(one, report) for one in evaluations if (report := one.report()) is not None]
    shared = set.intersection(*(set(_sets(report)) for _, report in reports)) if reports else set()
    found = [_candidate(one.request.run, report, shared, "tuned", one) for one, report in reports]
    first = next(((one, report) for one, report in reports if report.against is None), None)
    return [*found, _candidate(BASE, first[1], shared, "base", first[0])] if first else found


def _candidate(name: str, report: EvaluationReport, shared: set, side: str, evaluation: Evaluation) -> Candidate:
    tasks = [_side(suite, side) for suite in report.suites if (suite.suite, suite.source) in shared]
    known = [one.value for one in tasks if one.value is not None]
    values: dict[str, float | None] = {"quality": sum(known) / len(known) if known else None}
    intervals: dict[str, tuple[float, float]] = {}
    measured = {"harmful share": report.suite("safety"), "robustness": report.suite("robustness")}
    for criterion, suite in measured.items():
        values[criterion] = _side(suite, side).value if suite else None
    one = {"quality": tasks[0]} if len(tasks) == 1 else {}
    for criterion, measure in (one | {name: _side(suite, side) for name, suite in measured.items() if suite}).items():
        if measure.low is not None and measure.high is not None:
            intervals[criterion] = measure.low, measure.high
    return Candidate(name=name, values=values | _costs(report.latency.get(side), evaluation), intervals=intervals)


def _costs(latency: LatencyReport | None, evaluation: Evaluation) -> dict[str, float | None]:
    load = next((one for one in latency.loads if one.users == 1), None) if latency else None
    if latency is None or load is None:
        return {}
    return {
        "latency, s": load.complete_p95,
        "tokens/s": load.tokens_per_second,
        "memory, GiB": latency.peak_gib,
        "cost of 1,000 answers": cost_of_thousand(load.seconds_per_answer, evaluation.request.price_per_hour),
    }


def _sets(report: EvaluationReport) -> list[tuple[str, str]]:
    return [(suite.suite, suite.source) for suite in report.suites if suite.suite in TASKS]


def _side(suite: SuiteReport, side: str) -> Measure:
    return suite.main.base if side == "base" else suite.main.tuned
