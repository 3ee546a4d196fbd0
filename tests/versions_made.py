"""Runs and evaluations as they would be after long work, for tests of what is made of them."""

from __future__ import annotations

import shutil

from evaluators import scores
from evaluators.cases import Case
from evaluators.gates import Gate, decide
from evaluators.suites import answers
from trainer import config as run_config
from trainer import runs
from trainer.atomic import write_atomically
from trainer.evaluation import evaluations
from trainer.evaluation.evaluations import Evaluation, Side
from trainer.evaluation.report import Compared, EvaluationReport, SuiteReport
from trainer.evaluation.request import EvaluationRequest, SuiteChoice
from trainer.runs import Run
from trainer.sections import RunConfig


def run_like(run: Run, name: str, config: RunConfig | None = None) -> Run:
    """A copy of a finished run as another one, with a run file of its own."""
    wanted = (config or run.config).model_copy(deep=True)
    wanted.output.name = name
    folder = runs.runs_folder() / f"{run.id[:15]}-{name}"
    shutil.copytree(run.folder, folder)
    write_atomically(folder / "run.yaml", run_config.to_yaml(wanted))
    return runs.get(folder.name)


def evaluated(
    run: Run,
    tuned: list[Case],
    base: list[Case] | None = None,
    against: str | None = None,
    gates: list[Gate] | None = None,
) -> Evaluation:
    """An evaluation that found these cases; the base's are the tuned's where they are left out."""
    request = EvaluationRequest(
        run=run.id, against=against, suites=[SuiteChoice(suite="answers", source="asked")], latency=False
    )
    made = evaluations.create(request)
    sides: dict[Side, list[Case]] = {"base": base if base is not None else tuned, "tuned": tuned}
    (made.folder / evaluations.CASES).mkdir()
    for side, cases in sides.items():
        lines = "".join(case.model_dump_json(exclude_defaults=True) + "\n" for case in cases)
        write_atomically(made.folder / evaluations.CASES / f"01-answers.{side}.jsonl", lines)
    first, second = (
        scores.mean(
            "Exact match",
            [None if one.right is None else float(one.right) for one in cases],
            [one.source for one in cases],
        )
        for cases in sides.values()
    )
    main = Compared(base=scores.measure(first), tuned=scores.measure(second), difference=scores.compare(first, second))
    suite = SuiteReport(
        suite="answers", title=answers.TITLE, source="asked", items=len(tuned), metrics=[main], verdict="unknown",
        cases="01-answers",
    )  # fmt: skip
    report = EvaluationReport(
        run=run.id, base_model=run.config.model.name, against=against, complete=True, suites=[suite]
    )
    report.gates = gates or []
    report.decision = decide(report.gates)
    write_atomically(made.folder / evaluations.REPORT, report.model_dump_json())
    return evaluations.get(made.id)
