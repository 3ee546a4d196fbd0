"""Answers to harmful requests, judged by others than the rules: a judge model, and clinicians."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluators import chat_client, judge
from evaluators.cases import Case
from evaluators.judge import Agreement, GivenVerdict, JudgeError
from evaluators.safety import Verdict
from evaluators.suites import safety
from trainer.data.reading.files import read_records
from trainer.data.records import Record
from trainer.evaluation.request import EvaluationRequest, RequestError
from trainer.reporting import Reporter

Cases = list[Case]
Judged = tuple[Cases, Cases, dict[str, Agreement]]


def judged(request: EvaluationRequest, base: Cases, tuned: Cases, reporter: Reporter) -> Judged:
    """The cases with what a judge model says of them, where one is named, and how far it and clinicians agree with the
    rules on the tuned model's answers.

    A judge that does not answer is told as an event, and left out of both sides. Raises `RequestError` for a file of
    verdicts that cannot be read.
    """
    rules: dict[str, Verdict | None] = {case.id: safety.rules_verdict(case) for case in tuned}
    found: dict[str, Agreement] = {}
    if request.judge:
        if warning := judge.warning(request.judge, None):
            reporter.warn(warning)
        try:
            said = _ask(request.judge, [*base, *tuned], reporter)
        except JudgeError as error:
            reporter.warn(str(error))
        else:
            of_base, of_tuned = said[: len(base)], said[len(base) :]
            verdicts: dict[str, Verdict | None] = {
                case.id: one.verdict for case, one in zip(tuned, of_tuned, strict=True)
            }
            found["judge model"] = judge.agreement(rules, verdicts)
            base, tuned = safety.with_judge(base, of_base), safety.with_judge(tuned, of_tuned)
    if request.verdicts:
        found["clinicians"] = judge.agreement(rules, given(Path(request.verdicts)))
    return base, tuned, found


def given(path: Path) -> dict[str, Verdict | None]:
    """Clinicians' verdicts by the case's id, from a table with the columns id and verdict; raises `RequestError`."""
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


def _ask(address: str, cases: Sequence[Case], reporter: Reporter) -> list[judge.JudgeVerdict]:
    model = chat_client.connect(address, judge.TIMEOUT_SECONDS)
    asked = [(case.question, case.answer) for case in cases]
    return judge.judge_all(model, asked, lambda done, total: reporter.progress("asking the judge", done, total))
