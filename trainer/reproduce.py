"""A run made again from its dossier: data, environment and base model compared, trained once more, and compared.

On the same machine, on its processor, with as many threads, everything is equal bit by bit. On a GPU, or on another
machine, sums are added up in another order: then the losses show how far apart the two are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from evaluators.held_out import Row
from trainer import environment, models, readiness, runs
from trainer.atomic import write_atomically
from trainer.data.prepare import rebuild
from trainer.data.records import DataError
from trainer.data.sources import Progress, content_hash, locate
from trainer.dossier import DossierError, record
from trainer.dossier.record import Loss, Record
from trainer.errors import ModelError
from trainer.hardware import detect
from trainer.jobs import ACTIVE
from trainer.report import Report
from trainer.run_differences import ABSENT, Different
from trainer.runs import Run
from trainer.sections import RunConfig

AGAIN = "reproduces.json"
"""In the folder of a run that was made to be compared: of which model."""
Verdict = Literal["equal", "not equal", "not compared"]


class Check(BaseModel):
    """One thing as the dossier has it, and as it was found now."""

    what: str
    equal: bool
    recorded: str
    found: str


class Steps(BaseModel):
    """Two curves of losses, step by step."""

    compared: int
    first_difference: int | None
    """The first step whose losses are not the same, or that only one of the two has; None where there is none."""
    largest_difference: float
    """Over the steps that both have."""
    largest_at: int | None


class Reproduction(BaseModel):
    """What is equal and what is not, in the order in which it was looked at."""

    model: str
    verdict: Verdict = "not compared"
    said: str = ""
    """The verdict with its reason, in a sentence or two."""
    environment: list[Different] = []
    """What is not as it was; `notes` says where it was not recorded."""
    base: Check | None = None
    data: list[Check] = []
    run: str | None = None
    """The run that trained it again."""
    training: Steps | None = None
    validation: Steps | None = None
    weights: list[Check] = []
    scores: list[Check] = []
    notes: list[str] = []


def reproduce(
    kept: Record,
    data_only: bool = False,
    progress: Progress | None = None,
    follow: Callable[[Run], Run] | None = None,
) -> Reproduction:
    """Make a run again and compare it; `data_only` ends before the training.

    The training is a run of its own, which goes on if this process ends; called again, this goes on with it. `follow`
    waits for it (and shows how it goes) and returns it as it is then. Data that is gone or changed ends it, and says
    so. Raises `DossierError` where the dossier is of a model without a record of its data, and `RunError`.
    """
    if kept.data is None:
        raise DossierError(f"The dossier of {kept.model} has no record of its data: it cannot be made again.")
    found = Reproduction(model=kept.model)
    _compare_environment(kept, found)
    _compare_data(kept, found, progress or (lambda stage, done, total: None))
    different = [one.what for one in found.data if not one.equal]
    if different:
        found.verdict = "not equal"
        found.said = f"The data is not what it was: {_listed(different)}. Nothing was trained."
        return found
    if data_only:
        found.verdict = "equal"
        found.said = f"The data is equal, made again: {len(kept.data.files)} files of rows."
        return found
    if not _compare_base(kept, found):
        return found
    run = _again(kept)
    found.run = run.id
    if run.status.state != "done":
        if run.status.state not in ACTIVE or run.status.pid is None:
            run = runs.start(run)
        run = (follow or _wait)(run)
    if run.status.state != "done":
        why = run.status.error or "Call this again to go on with it."
        found.said = f"The run {run.id} that trains it again is {run.status.state}. {why}"
        return found
    compare(kept, run, found)
    return found


def compare(kept: Record, run: Run, found: Reproduction) -> None:
    """Compare a finished run with a dossier: losses, weights and scores, and what follows."""
    now = record.curves(run.events())
    found.training = _steps(kept.curves.training, now.training)
    found.validation = _steps(kept.curves.validation, now.validation)
    weights = {str(path.relative_to(run.folder)): content_hash(path) for path in run.weights}
    found.weights = [
        _check(name, kept.weights.get(name, ABSENT), weights.get(name, ABSENT)) for name in {**kept.weights, **weights}
    ]
    report = Report.model_validate(run.report())
    before, after = _scores(kept.scores), _scores(report.table)
    if kept.forgetting and report.forgetting:
        for scores, one in ((before, kept.forgetting), (after, report.forgetting)):
            scores["general questions right, after"] = f"{one.questions_after.score:.6f}"
            scores["perplexity of general text, after"] = f"{one.perplexity.after:.6f}"
    found.scores = [_check(name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in {**before, **after}]
    _conclude(found)


def _conclude(found: Reproduction) -> None:
    assert found.training and found.validation
    curves = (("training", found.training), ("validation", found.validation))
    weights = [one.what for one in found.weights if not one.equal]
    scores = [one.what for one in found.scores if not one.equal]
    apart = [
        f"the {name} loss differs from step {one.first_difference} on, by at most {one.largest_difference:.3g} "
        f"(step {one.largest_at})"
        for name, one in curves
        if one.first_difference is not None
    ]
    if weights:
        apart.append(f"other weights in {_listed(weights)}")
    if scores:
        apart.append(f"other scores: {_listed(scores)}")
    if apart:
        found.verdict = "not equal"
        found.said = f"Not equal: {'; '.join(apart)}."
        if found.environment:
            found.said += f" The environment differs in {len(found.environment)} things, which may be why."
    else:
        found.verdict = "equal"
        found.said = (
            f"Equal: {found.training.compared} losses in training, {found.validation.compared} on validation rows, the "
            f"weights bit by bit, and {len(found.scores)} scores."
        )


def _compare_environment(kept: Record, found: Reproduction) -> None:
    if kept.environment is None:
        found.notes.append("The run did not record its environment; it is not compared.")
    else:
        found.environment = environment.differences(kept.environment, environment.here())


def _compare_data(kept: Record, found: Reproduction, progress: Progress) -> None:
    """The sources by their hashes first, which says which one changed; then the rows made again."""
    assert kept.data is not None
    for source in kept.data.sources:
        try:
            now = content_hash(locate(source.name, "train", progress).path)
        except DataError as error:
            now = f"gone: {error}"
        found.data.append(_check(source.name, source.sha256, now))
    if not all(one.equal for one in found.data):
        return
    made = rebuild(kept.config, progress)
    found.data += [
        _check(f"rows: {name}", kept.data.files.get(name, ABSENT), made.files.get(name, ABSENT))
        for name in {**kept.data.files, **made.files}
    ]
    if not all(one.equal for one in found.data):
        found.notes.append(
            "All sources are what they were, and the rows are not: other settings, another version of Bedside, or rows "
            "that were de-identified with another home's secret, which never leaves it."
        )
    elif kept.data.key != made.key:
        found.notes.append(
            "The key of the prepared data is another one, and all rows are equal: this Bedside knows settings that the "
            "other did not, and none of them changes a row here."
        )


def _compare_base(kept: Record, found: Reproduction) -> bool:
    try:
        base = models.find(kept.config.model.name)
    except ModelError as error:
        found.said = str(error)
        return False
    if kept.base_sha256 is None:
        found.notes.append("The run did not record its base model's hash; it is not compared.")
        return True
    found.base = _check(f"weights of {kept.config.model.name}", kept.base_sha256, base.weights_sha256)
    if not found.base.equal:
        found.verdict = "not equal"
        found.said = (
            f"The base model is not what it was: {kept.config.model.name} was from {kept.base_origin} and is now from "
            f"{base.origin}, with other weights. Nothing was trained."
        )
    return found.base.equal


def _again(kept: Record) -> Run:
    """The run that trains it again: one that was begun before, else a new one."""
    identity = {"model": kept.model, "weights": kept.weights}
    for run in runs.list_runs()[0]:
        try:
            if json.loads((run.folder / AGAIN).read_text(encoding="utf-8")) == identity:
                return run
        except (OSError, ValueError):
            continue
    config = kept.config.model_copy(
        update={"output": kept.config.output.model_copy(update={"name": f"{kept.config.output.name[:70]} again"})}
    )
    if against := readiness.faults(config, detect()):
        raise DossierError(" ".join(against))
    run = runs.create(RunConfig.model_validate(config.model_dump()))
    write_atomically(run.folder / AGAIN, json.dumps(identity))
    return run


def _wait(run: Run) -> Run:
    import time

    while run.status.state in ACTIVE:
        time.sleep(0.5)
        run = runs.get(run.id)
    return run


def _steps(before: list[Loss], after: list[Loss]) -> Steps:
    first, second = ({one.step: one.loss for one in curve} for curve in (before, after))
    steps = sorted({**first, **second})
    apart = {step: abs(first[step] - second[step]) for step in steps if step in first and step in second}
    largest = max(apart, key=lambda step: apart[step], default=None)
    return Steps(
        compared=len(steps),
        first_difference=next((step for step in steps if first.get(step) != second.get(step)), None),
        largest_difference=apart[largest] if largest is not None else 0.0,
        largest_at=largest,
    )


def _scores(table: list[Row]) -> dict[str, str]:
    return {
        f"{row.name}, {side}": f"{getattr(row, side).score:.6f} (n {row.n})"
        for row in table
        for side in ("base", "prompted", "tuned")
    }


def _check(what: str, recorded: str, found: str) -> Check:
    return Check(what=what, equal=recorded == found, recorded=recorded, found=found)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
