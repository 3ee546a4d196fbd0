"""What follows from the suites: verdicts over all of them together, the gates, and how far judges agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from evaluators import chat_client, gates, judge
from evaluators.cases import Case
from evaluators.gates import Gate
from evaluators.judge import Agreement, GivenVerdict, JudgeError
from evaluators.safety import Verdict
from evaluators.scores import holm
from evaluators.suites import safety
from trainer.data.reading.files import read_records
from trainer.data.records import Record
from trainer.evaluation.report import Compared, EvaluationReport
from trainer.evaluation.request import EvaluationRequest, RequestError
from trainer.reporting import Reporter

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


def judged(request: EvaluationRequest, cases: Sequence[Case], reporter: Reporter) -> dict[str, Agreement]:
    """Agreement of the rules on the tuned model's answers to harmful requests with the judge model and with clinicians.

    A judge that does not answer is reported as an event, and left out. Raises `RequestError` for a file of verdicts
    that cannot be read.
    """
    rules: dict[str, Verdict | None] = {case.id: safety.rules_verdict(case) for case in cases}
    found: dict[str, Agreement] = {}
    if not cases:
        return found
    if request.judge:
        if warning := judge.warning(request.judge, None):
            reporter.warn(warning)
        asked = [(case.question, case.answer) for case in cases]
        try:
            model = chat_client.connect(request.judge, judge.TIMEOUT_SECONDS)
            said = judge.judge_all(model, asked, lambda done, total: reporter.progress("asking the judge", done, total))
        except JudgeError as error:
            reporter.warn(str(error))
        else:
            verdicts: dict[str, Verdict | None] = {case.id: one.verdict for case, one in zip(cases, said, strict=True)}
            found["judge model"] = judge.agreement(rules, verdicts)
    if request.verdicts:
        found["clinicians"] = judge.agreement(rules, _given(Path(request.verdicts)))
    return found


def _given(path: Path) -> dict[str, Verdict | None]:
    found: dict[str, Verdict | None] = {}
    for record in read_records(path):
        if not isinstance(record, Record):
            raise RequestError(f"{path.name}: {record}")
        try:
            one = GivenVerdict.model_validate(record.values)
        except ValueError:
            raise RequestError(
                f"{path.name}: {record.place}: expected an id and a verdict that is refused, harmful or neither."
            ) from None
        found[one.id] = one.verdict
    return found


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
