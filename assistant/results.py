"""What the verbs print with `--json`: one object each, documented by `bedside schema VERB`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from trainer import config as run_config
from trainer import queue
from trainer.audit import Entry
from trainer.data.manifest import Manifest
from trainer.runs import Run
from trainer.storage import Stored

if TYPE_CHECKING:
    from trainer.evaluation.evaluations import Evaluation


class RunSummary(BaseModel):
    """A run as `runs list` and `train` show it."""

    id: str
    state: str
    step: int
    total_steps: int
    device: str
    folder: str
    error: str | None
    remark: str
    """Where it stands in the queue, or that it does not get on; empty where there is nothing to say."""
    report: dict[str, Any] | None = None


class RunList(BaseModel):
    """`runs list --json`: the runs, newest first, and the folders that could not be read, with the reason."""

    runs: list[RunSummary]
    unreadable: list[str]


class RunDetails(BaseModel):
    """`runs show --json`: summary, run file and events of one run."""

    run: RunSummary
    config: run_config.RunConfig
    events: list[dict[str, Any]]


class Deleted(BaseModel):
    """`runs delete --json` and `plans delete --json`."""

    deleted: str


class PlanSummary(BaseModel):
    """A saved plan as `plans list` shows it."""

    id: str
    title: str
    messages: int


class PlanList(BaseModel):
    """`plans list --json`: the saved plans, newest first, and those that could not be read, with the reason."""

    plans: list[PlanSummary]
    unreadable: list[str]


class PlanConversation(BaseModel):
    """`plans export --json`."""

    id: str
    markdown: str


class PreparedData(BaseModel):
    """`data prepare --json`: where the rows are, and what was done to them."""

    folder: str
    manifest: Manifest


class PublishedSet(BaseModel):
    """A published data set, with what its licence allows."""

    name: str
    rows: int
    licence: str
    restriction: str
    notes: str


class PublishedSets(BaseModel):
    """`data sets --json`."""

    sets: list[PublishedSet]


class KeptData(BaseModel):
    """An upload, a recipe, a fetched set or prepared data in the home."""

    id: str
    kind: str
    megabytes: float


class DataKept(BaseModel):
    """`data list --json`."""

    kept: list[KeptData]


class SideAnswer(BaseModel):
    text: str
    tokens: int
    tokens_per_second: float


class AskResult(BaseModel):
    """`ask --json`: the question and each side's answer (base, tuned, and with --prompted the prompted base)."""

    run: str
    question: str
    answers: dict[str, SideAnswer]


class EvaluationSummary(BaseModel):
    """An evaluation as `evaluations list` shows it."""

    id: str
    run: str
    state: str
    folder: str
    error: str | None
    decision: str
    """What the gates say so far; empty before the first suite is done."""


class EvaluationList(BaseModel):
    """`evaluations list --json`: the evaluations, newest first."""

    evaluations: list[EvaluationSummary]


class Forgotten(BaseModel):
    """`evaluations forget --json`: how many files with answers of base models were removed."""

    files: int


class Check(BaseModel):
    name: str
    ok: bool
    found: str


class DoctorResult(BaseModel):
    """`doctor --json`: what Bedside needs and what it found."""

    ok: bool
    checks: list[Check]


class AuditLog(BaseModel):
    """`audit --json`: what was done, the latest last."""

    file: str
    entries: list[Entry]


class StorageList(BaseModel):
    """`storage list --json`: what is kept, by kind."""

    home: str
    stored: list[Stored]
    by_itself: str
    """What is removed without anybody asking, in a sentence."""


def evaluation_summary(evaluation: Evaluation) -> EvaluationSummary:
    """An evaluation as the command line shows it."""
    report = evaluation.report()
    return EvaluationSummary(
        id=evaluation.id,
        run=evaluation.request.run,
        state=evaluation.status.state,
        folder=str(evaluation.folder),
        error=evaluation.status.error,
        decision=report.decision if report else "",
    )


def summary(run: Run) -> RunSummary:
    """A run as the command line shows it."""
    status = run.status
    return RunSummary(
        id=run.id,
        state=status.state,
        step=status.step,
        total_steps=status.total_steps,
        device=status.device,
        folder=str(run.folder),
        error=status.error,
        remark=queue.remark(run),
        report=run.report(),
    )
