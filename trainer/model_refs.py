"""Which model is meant: a run's tuned model, its base, or one of its checkpoints, in one short text."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from trainer import runs
from trainer.errors import ModelError
from trainer.runs import CHECKPOINTS, COMPLETE, Run, RunError

BASE, TUNED = "base", "tuned"


class ModelRef(BaseModel):
    """Written as `RUN`, `RUN:base` or `RUN:checkpoint-120`, where RUN is a run's id.

    `part` is tuned, base or the name of a checkpoint.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    part: str = TUNED

    def __str__(self) -> str:
        return self.run if self.part == TUNED else f"{self.run}:{self.part}"

    @property
    def is_base(self) -> bool:
        return self.part == BASE


def parse(text: str) -> ModelRef:
    """The model that is meant: the run's id may be cut short, or `latest`. Raises `RunError` and `ModelError`."""
    identity, _, part = text.strip().partition(":")
    if identity == "latest":
        trained = [run for run in runs.list_runs()[0] if run.weights]
        if not trained:
            raise RunError("There is no trained run yet; `bedside train` makes one.")
        run = trained[0]
    else:
        run = runs.get(identity)
    found = ModelRef(run=run.id, part=part or TUNED)
    if found not in of_run(run):
        parts = ", ".join(one.part for one in of_run(run)) or "nothing yet"
        raise ModelError(f"There is no {found.part!r} in the run {run.id}; it has {parts}.")
    return found


def of_run(run: Run) -> list[ModelRef]:
    """What can answer of a run, the tuned model first, then its base and its checkpoints, the newest first."""
    if not run.weights:
        return []
    found = (path.parent.name for path in (run.folder / CHECKPOINTS).glob(f"checkpoint-*/{COMPLETE}"))
    checkpoints = sorted(found, key=lambda name: -int(name.rpartition("-")[2]))
    return [ModelRef(run=run.id, part=part) for part in (TUNED, BASE, *checkpoints)]


def known() -> list[ModelRef]:
    """Everything that can answer, the newest run first."""
    return [ref for run in runs.list_runs()[0] for ref in of_run(run)]


def label(ref: ModelRef) -> str:
    """What a list shows: "checkpoint 120 · lab-tests · 25 Nov 2026, 07:44". Raises `RunError` where the run is gone."""
    return part_label(ref.part, runs.get(ref.run))


def part_label(part: str, run: Run) -> str:
    """The same of a run at hand; the part comes first, since lists cut off what is long on a telephone."""
    return f"{part.replace('-', ' ')} · {runs.label(run)}"
