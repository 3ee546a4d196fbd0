"""Everything that is known of a model, from the files of its run and its newest evaluation; and what is missing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trainer import catalogue, energy, environment, runs
from trainer.catalogue import BaseModelRow
from trainer.data.manifest import RunManifest
from trainer.data.sources import content_hash
from trainer.dossier import DossierError
from trainer.energy import Energy
from trainer.environment import Environment
from trainer.evaluation import evaluations
from trainer.evaluation.evaluations import Evaluation, list_evaluations
from trainer.evaluation.report import EvaluationReport
from trainer.model_refs import TUNED, ModelRef
from trainer.report import Report
from trainer.review import results
from trainer.review.results import PairResult
from trainer.runs import Run
from trainer.store import Version
from trainer.versions import registry

_MANIFEST, _REPORT = "data/manifest.json", "report.json"  # in a run folder
M = TypeVar("M", bound=BaseModel)


class Missing(BaseModel):
    """A part of the dossier without evidence."""

    part: str
    what: str
    how: str
    """How to get it."""


@dataclass
class Evidence:
    """What there is; None or empty where it is not there, and `missing` then has an entry of the same name."""

    ref: ModelRef
    run: Run
    manifest: RunManifest | None
    report: Report | None
    evaluation: Evaluation | None
    """The newest complete one of the model against its own base."""
    measured: EvaluationReport | None
    environment: Environment | None
    weights: dict[str, str]
    """SHA-256 of each file of what was trained."""
    base: BaseModelRow | None
    """The catalogue's row of the base model."""
    versions: list[Version]
    """Of this very model, in every line."""
    in_use: list[str]
    """Which of these are in use: "labs 1.0.0"."""
    energy: Energy
    votes: list[PairResult]
    """What reviewers said of it beside other models."""

    @property
    def name(self) -> str:
        return self.run.config.output.name

    @cached_property
    def missing(self) -> dict[str, Missing]:
        """Parts without evidence, by name."""
        return {one.part: one for one in _missing(self)}

    @cached_property
    def sha256(self) -> str:
        """Of everything that a signature rests on: the files of run file, data, weights, report and evaluation.

        It changes with any of them; not with the number of a version, who has signed, or another Bedside.
        """
        files = {name: self.run.folder / name for name in ("run.yaml", _MANIFEST, _REPORT)}
        if self.evaluation:
            files["evaluation"] = self.evaluation.folder / evaluations.REPORT
        facts = {"model": str(self.ref), "weights": self.weights}
        facts |= {name: content_hash(path) if path.exists() else None for name, path in files.items()}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def gather(ref: ModelRef) -> Evidence:
    """Read everything about a run's tuned model. Raises `DossierError` where there is no such model, or a file of it
    is damaged, and `RunError` where there is no such run."""
    run = runs.get(ref.run)
    if ref.part != TUNED:
        raise DossierError(
            f"A dossier is of a tuned model, since a run's measurements are of it, and not of its {ref.part}; "
            f"name {ref.run}."
        )
    if not run.weights:
        raise DossierError(f"{run.id} has trained nothing that answers yet; make its dossier when it has ended.")
    folder = run.folder
    evaluation = newest(run.id)
    known = [version for line in registry.lines() for version in registry.versions(line) if version.model == str(ref)]
    used = [one for one in known if (in_use := registry.in_use(one.line)) and in_use.id == one.id]
    return Evidence(
        ref=ref,
        run=run,
        manifest=_read(folder / _MANIFEST, RunManifest),
        report=_read(folder / _REPORT, Report),
        evaluation=evaluation,
        measured=evaluation.report() if evaluation else None,
        environment=environment.of(folder),
        weights={str(path.relative_to(folder)): _hash(path, path.stat().st_mtime_ns) for path in run.weights},
        base=catalogue.base_model(run.config.model.name),
        versions=known,
        in_use=[f"{one.line} {one.number}" for one in used],
        energy=energy.estimate(run),
        votes=_votes(ref),
    )


def newest(run: str) -> Evaluation | None:
    """The newest complete evaluation of a run's tuned model against its own base, or None."""
    for one in list_evaluations(run):
        report = one.report()
        if report and report.complete and report.against is None:
            return one
    return None


def _missing(found: Evidence) -> list[Missing]:
    run = found.run.id
    lacks: list[tuple[str, bool, str, str]] = [
        (
            "manifest",
            found.manifest is None,
            "There is no record of the data that this model was trained on.",
            "Nothing gets it back; an adapter that was trained elsewhere has none. Train on known data to have one.",
        ),
        (
            "report",
            found.report is None,
            f"The run has no report: it is {found.run.status.state}.",
            f"`bedside runs resume {run}` brings it to its end; a model that was taken in from elsewhere has none.",
        ),
        (
            "evaluation",
            found.measured is None,
            "There is no complete evaluation of this model against its base.",
            f"`bedside eval {run}`, or *Evaluate* on the Release page.",
        ),
        (
            "environment",
            found.environment is None,
            "The run did not record what it was computed with.",
            "Runs record it since this version of Bedside: train it once more to have it.",
        ),
        (
            "version",
            not found.versions,
            "This model is not registered as a version.",
            f"`bedside versions register LINE {run} --change data`, or *Versions* on the Release page.",
        ),
        (
            "votes",
            not found.votes,
            "No reviewer has judged this model's answers.",
            "Make a review set on the Review page, or with `bedside review create`.",
        ),
    ]
    return [Missing(part=part, what=what, how=how) for part, lacking, what, how in lacks if lacking]


def _read(path: Path, kind: type[M]) -> M | None:
    if not path.exists():
        return None
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DossierError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


@lru_cache(maxsize=256)
def _hash(path: Path, changed_ns: int) -> str:
    return content_hash(path)


def _votes(ref: ModelRef) -> list[PairResult]:
    return [pair for pair in results.results().pairs if str(ref) in (pair.first, pair.second)]
