"""`bedside dossier` and `bedside reproduce`: a model's release dossier, and the run made again from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.terminal import BadInput, Json, follow, say

if TYPE_CHECKING:
    from trainer.dossier.record import Record
    from trainer.model_refs import ModelRef
    from trainer.reproduce import Reproduction
    from trainer.runs import Run

Model = Annotated[
    str, typer.Argument(metavar="RUN|VERSION", help="A run's id, its beginning, 'latest', or a version: LINE@1.2.0.")
]


def dossier(
    model: Model,
    to: Annotated[Path | None, typer.Option(help="Folder to write into; else dossiers/RUN in the home.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model's release dossier: Markdown, HTML, PDF, model card, and a record to make the run again from."""
    from trainer.dossier.dossier import make

    found = make(_model(model), to)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for one in found.checklist:
        print(f"{one.state:10} {one.name}: {one.why}")
    for one in found.missing:
        say(f"Missing: {one.what} {one.how}")
    print(f"Release gates: {found.decision or 'nothing evaluated'}.")
    for path in found.files:
        print(path)


def reproduce(
    source: Annotated[str, typer.Argument(metavar="RUN|DOSSIER", help="A run, or the path of a dossier.json.")],
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Make the data again and compare it; no more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make data and training of a run again and say what is equal and what is not; status 1 where something is not."""
    from trainer import runs
    from trainer.reproduce import reproduce as make_again

    told: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        # The stages alone: how far each is comes too often for a terminal.
        if stage not in told:
            told.append(stage)
            say(f"  {stage}")

    def watched(run: Run) -> Run:
        say(f"Run {run.id} trains it again; it goes on if this terminal closes.")
        return follow(run, runs.get)

    found = make_again(_record(source), data_only, progress, watched)
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        print("\n".join(_lines(found)))
    raise typer.Exit(0 if found.verdict == "equal" else 1)


def _record(source: str) -> Record:
    from trainer.dossier import evidence, record

    path = Path(source).expanduser()
    if path.suffix == ".json" or path.is_dir():
        return record.read(path / record.FILE if path.is_dir() else path)
    return record.of(evidence.gather(_model(source)))


def _model(text: str) -> ModelRef:
    from trainer import serving

    found = serving.find(text).ref
    if found is None:
        raise BadInput(f"{text} is a path; name a run or a version.")
    return found


def _lines(found: Reproduction) -> list[str]:
    lines = [f"environment: {one.field} {one.second} instead of {one.first}" for one in found.environment]
    for name, checks in (("data", found.data), ("base", [found.base] if found.base else []), ("weights", found.weights),
                         ("score", found.scores)):  # fmt: skip
        for one in checks:
            said = "equal" if one.equal else f"NOT equal: {one.recorded} in the dossier, {one.found} now"
            lines.append(f"{name}: {one.what}: {said}")
    for name, steps in (("training", found.training), ("validation", found.validation)):
        if steps:
            where = f"differ from step {steps.first_difference} on, by at most {steps.largest_difference:.3g}"
            lines.append(f"{name} losses, {steps.compared}: {where if steps.first_difference is not None else 'equal'}")
    return [*lines, *found.notes, found.said]
