"""Evaluations as folders in `$BEDSIDE_HOME/evaluations`: create, start, watch, stop, delete.

In one stand `request.yaml`, `state.json`, `events.jsonl`, `log.txt`, `cases/` (each suite's cases, one file a side) and
`report.json`, which grows suite by suite. Like a run it has a process of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ValidationError

from evaluators.cases import Case
from trainer import actor, events, jobs, reach, runs, starting
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.evaluation import request as requests
from trainer.evaluation.report import EvaluationReport
from trainer.evaluation.request import EvaluationRequest, RequestError
from trainer.jobs import ACTIVE, Job, RunError, RunState

if TYPE_CHECKING:
    from trainer.duration import Range

REQUEST, REPORT, CASES = "request.yaml", "report.json", "cases"
Side = Literal["base", "tuned"]


class Evaluation(Job):
    """An evaluation's folder and what stands in it now."""

    noun: ClassVar[str] = "Evaluation"
    again: ClassVar[str] = "start a new one; what was answered is not asked again"
    goes_on: ClassVar[str] = "Start it again: what was answered is kept."

    request: EvaluationRequest

    @property
    def devices(self) -> int:
        """As many as its run's model is shared out to while it answers."""
        hardware = runs.get(self.request.run).config.hardware
        return hardware.processes if hardware.strategy in ("fsdp", "zero3") else 1

    @property
    def after(self) -> Path | None:
        """Its run, which may still be training."""
        return runs.runs_folder() / self.request.run

    def expected_gib(self) -> Range | None:
        """Of its run's model while it answers many questions at once."""
        from trainer import expected_memory
        from trainer.evaluation.respondent import BATCH

        return expected_memory.answering_gib(runs.get(self.request.run).config, BATCH)

    def report(self) -> EvaluationReport | None:
        """What has been measured so far; None before the first suite is done."""
        path = self.folder / REPORT
        return EvaluationReport.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def folder() -> Path:
    """Where evaluations live."""
    found = run_config.home() / "evaluations"
    found.mkdir(exist_ok=True, mode=0o700)
    return found


def create(request: EvaluationRequest) -> Evaluation:
    """Make an evaluation in state `queued`; `start` sets it going.

    It waits for a run that is still training. Raises `RunError` where there is no such run, or it ended without having
    trained anything, and `NotAllowed` for a file that whoever acts may not name.
    """
    reach.check_all(request)
    run = runs.get(request.run)
    if not run.weights and run.status.state not in ACTIVE:
        raise RunError(f"{run.id} is {run.status.state} and has trained nothing; resume it, and evaluate it then.")
    against = runs.get(request.against).id if request.against else None
    request = request.model_copy(update={"run": run.id, "against": against})
    made = jobs.new_folder(folder(), run.config.output.name)
    try:
        jobs.write_state(made, RunState(device=run.config.hardware.device, owner=actor.now().name))
        events.append(made / "events.jsonl", events.StateEvent(state="queued"))
        # Last, since a folder is an evaluation from here on.
        write_atomically(made / REQUEST, requests.to_yaml(request))
    except OSError:
        shutil.rmtree(made)
        raise
    return get(made.name)


def get(identity: str) -> Evaluation:
    """The evaluation of this id, or of the one id that starts so; raises `RunError`."""
    found = folder() / jobs.find(_ids(), identity, "evaluation", "bedside eval list")
    try:
        status, request = jobs.read_state(found), requests.load(found / REQUEST)
    except (OSError, ValidationError, RequestError) as error:
        reason = "it has a damaged state.json" if isinstance(error, ValidationError) else str(error)
        raise RunError(
            f"Evaluation {found.name} cannot be read: {reason}. Nothing in it was changed: {found}"
        ) from None
    return jobs.settled(Evaluation(id=found.name, folder=found, request=request, status=status))


def list_evaluations(run: str | None = None) -> list[Evaluation]:
    """Those that can be read, the newest first; of one run where its id is given."""
    found = []
    for identity in sorted(_ids(), reverse=True):
        try:
            evaluation = get(identity)
        except RunError:
            continue  # `get` says why to whoever asks for it by name
        if run is None or evaluation.request.run == run:
            found.append(evaluation)
    return found


def start(evaluation: Evaluation) -> Evaluation:
    """Set it going, or on where it was stopped; raises `RunError` where it is active or done."""
    return starting.start(evaluation, get)


def stop(evaluation: Evaluation) -> None:
    """Ask an active one to stop after the answers that it is at."""
    jobs.stop(get(evaluation.id))


def delete(evaluation: Evaluation) -> None:
    """Remove it and its cases for good; raises `RunError` while it is active."""
    jobs.delete(get(evaluation.id))


def read_cases(folder: Path, cases: str, side: Side) -> list[Case]:
    """A suite's cases of one side, as the evaluation in `folder` kept them."""
    lines = (folder / CASES / f"{cases}.{side}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Case.model_validate_json(line) for line in lines]


def _ids() -> list[str]:
    return jobs.ids(folder(), REQUEST)
