"""`dossier.json`: what a dossier says, for machines: enough to make the run again and compare (`trainer.reproduce`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from evaluators.held_out import Row
from trainer import config as run_config
from trainer.data.manifest import SourceRecord
from trainer.dossier import DossierError, checklist, signoffs
from trainer.dossier.checklist import Item
from trainer.dossier.evidence import Evidence, Missing
from trainer.dossier.signoffs import Signed
from trainer.dossier.training_part import without_questions
from trainer.energy import Energy
from trainer.environment import Environment
from trainer.events import EvalEvent, Event, StepEvent
from trainer.report import Forgetting
from trainer.sections import RunConfig

FILE = "dossier.json"


class Loss(BaseModel):
    step: int
    loss: float


class Curves(BaseModel):
    """The losses of a run, step by step, as they were told; of a step that was taken again, the last."""

    training: list[Loss]
    validation: list[Loss]


class DataRecord(BaseModel):
    """What the prepared rows have to be equal to."""

    key: str
    files: dict[str, str]
    sources: list[SourceRecord]


class Record(BaseModel):
    """Everything about a model that is no text of the data or of an answer."""

    format_version: Literal[1] = 1
    model: str
    evidence_sha256: str
    config: RunConfig
    """Without its sample questions, which may hold what a patient said; nothing that is trained follows from them."""
    data: DataRecord | None
    environment: Environment | None
    base_origin: str | None
    base_sha256: str | None
    weights: dict[str, str]
    curves: Curves
    scores: list[Row]
    forgetting: Forgetting | None
    decision: str
    """Of the release gates; empty where nothing was evaluated."""
    checklist: list[Item]
    signoffs: list[Signed]
    energy: Energy
    missing: list[Missing]


def of(found: Evidence) -> Record:
    """The record of a model's evidence as it is now."""
    made, report = found.manifest, found.report
    return Record(
        model=str(found.ref),
        evidence_sha256=found.sha256,
        config=without_questions(found.run.config),
        data=DataRecord(key=made.key, files=made.files, sources=made.sources) if made else None,
        environment=found.environment,
        base_origin=report.model_origin if report else None,
        base_sha256=report.weights_sha256 if report else None,
        weights=found.weights,
        curves=curves(found.run.events()),
        scores=report.table if report else [],
        forgetting=report.forgetting if report else None,
        decision=found.measured.decision if found.measured else "",
        checklist=checklist.items(found),
        signoffs=signoffs.of(found),
        energy=found.energy,
        missing=list(found.missing.values()),
    )


def curves(told: list[Event]) -> Curves:
    """The losses that a run told."""
    training = {one.step: one.loss for one in told if isinstance(one, StepEvent)}
    validation = {one.step: one.loss for one in told if isinstance(one, EvalEvent)}
    return Curves(
        training=[Loss(step=step, loss=training[step]) for step in sorted(training)],
        validation=[Loss(step=step, loss=validation[step]) for step in sorted(validation)],
    )


def read(path: Path) -> Record:
    """A `dossier.json`; raises `DossierError` naming the file and the first fault."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # The run file's own faults are told as those of any run file.
        run_config.parse(content["config"])
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DossierError(f"{path}: {where}: {first['msg']}; make the dossier again with this Bedside.") from None
    except run_config.ConfigError as error:
        raise DossierError(f"{path}: its run file cannot be used by this Bedside: {error}") from None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DossierError(
            f"{path} cannot be read as a dossier ({str(error).splitlines()[0]}); name the dossier.json that "
            "`bedside dossier RUN` writes, or a run."
        ) from None
