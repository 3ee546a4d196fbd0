"""`bedside data`: look at data, prepare it, see what is kept of it, and delete it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.terminal import BadInput, Json, as_settings, say

if TYPE_CHECKING:
    from trainer.data.sources import Progress
    from trainer.data_sections import DataSource
    from trainer.sections import RunConfig

data_app = typer.Typer(help="Bring data in, look at it, prepare it, and delete it.", no_args_is_help=True)
Source = Annotated[
    str, typer.Argument(help="A file, a folder, a starter set, a published set, or owner/name of the Hub.")
]

SHOWN = 10  # rows that cannot be used, in a terminal
EVERY = 2.0  # seconds between two lines on the progress of one stage


@data_app.command()
def inspect(
    source: Source,
    format: Annotated[str | None, typer.Option(help="How a row is written, where it is not recognised.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="What a column is, as Frage=question or MRN=patient; may be repeated.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Look at the first so many rows only.")] = None,
    model: Annotated[str, typer.Option(help="Base model whose tokens are counted.")] = "smollm2-135m-instruct",
    max_length: Annotated[int, typer.Option(min=16, help="Longest row in tokens.")] = 1024,
    rejected: Annotated[
        Path | None, typer.Option(help="Write the rows that cannot be used here, to be mended.")
    ] = None,
    as_json: Json = False,
) -> None:
    """See data as it is: format, lengths, mix, imbalance, contradictions, and every row that cannot be used."""
    from trainer.data.inspection.summary import summary_lines
    from trainer.data.loading import DUPLICATE
    from trainer.data.reading.rejected import write_rejected
    from trainer.data.survey import survey
    from trainer.data.tokenised import token_counter

    chosen = _source(source, format, column or [])
    if rejected is not None and (rejected.is_dir() or not rejected.absolute().parent.is_dir()):
        raise BadInput(f"--rejected {rejected}: name a file in a folder that is there.")
    tell = _teller()
    found = survey(chosen, token_counter(model, tell), max_length, rows, tell)
    if rejected is not None:
        write_rejected(rejected, found.faults)
        say(f"{len(found.faults)} rows written to {rejected}; mend them there and name that file.")
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    print(f"{found.name}: {found.licence}. {found.restriction}".strip())
    for sentence in found.evidence:
        print(f"  {sentence}")
    for line in summary_lines(found.inspection):
        print(line)
    near = found.near_duplicates
    print(f"  nearly equal {near.rows:,} rows in {near.groups:,} group{'' if near.groups == 1 else 's'}")
    unusable = [fault for fault in found.faults if fault.message != DUPLICATE]
    if equal := len(found.faults) - len(unusable):
        print(f"  equal        {equal:,} row{' is' if equal == 1 else 's are'} equal to an earlier one, and left out")
    for fault in unusable[:SHOWN]:
        print(f"  left out: {fault}")
    if len(unusable) > SHOWN:
        print(f"  and {len(unusable) - SHOWN:,} more; --rejected FILE writes them all.")


@data_app.command()
def prepare(
    source: Annotated[str, typer.Argument(help="A run file, a recipe of the Data page, or any source of rows.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.field=value, as in the run file; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Copy the files of rows into this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Read, de-identify, split, grow, balance and mix; the same inputs give the same bytes."""
    from assistant.results import PreparedData
    from trainer import config as run_config
    from trainer.data.prepare import prepare as prepare_data

    run = run_config.with_values(_run(source), as_settings(settings or []))
    if out is not None:
        if out.exists() and not out.is_dir():
            raise BadInput(f"--out {out} is a file; name a folder.")
        # Before the hours that preparing may take, not after them.
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = prepare_data(run, _teller())
    if out is not None:
        shutil.copytree(made.folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tokens"))
    folder = out or made.folder
    if as_json:
        print(PreparedData(folder=str(folder), manifest=made.manifest).model_dump_json(indent=1))
        return
    for step in made.manifest.steps:
        print(f"{step.name:12} {step.rows_before:>9,} → {step.rows_after:>9,}  {step.detail}".rstrip())
    for sentence in [*made.manifest.deidentification.limits, *made.manifest.notes]:
        print(f"  note: {sentence}")
    print(made.manifest.leakage)
    print(f"Prepared in {folder}")


@data_app.command("sets")
def published(as_json: Json = False) -> None:
    """The published sets that can be named, each with its licence, size and what it may be used for."""
    from assistant.results import PublishedSet, PublishedSets
    from trainer.catalogue.datasets import data_sets

    rows = [
        PublishedSet(name=row.name, rows=row.rows, licence=row.licence, restriction=row.restriction(), notes=row.notes)
        for row in data_sets()
    ]
    if as_json:
        print(PublishedSets(sets=rows).model_dump_json(indent=1))
        return
    for row in rows:
        print(f"{row.name:16} {row.rows:>9,} rows  {row.licence:22} {row.notes}")
        if row.restriction:
            print(f"{'':16} {row.restriction}")


@data_app.command("list")
def list_all(as_json: Json = False) -> None:
    """What is kept of your data: uploads, recipes, fetched sets and prepared data, each with its size."""
    from assistant.results import DataKept, KeptData
    from trainer.data import kept

    found = [KeptData(id=one.id, kind=one.kind, megabytes=one.megabytes) for one in kept.all_kept()]
    if as_json:
        print(DataKept(kept=found).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id:50} {one.kind:10} {one.megabytes:>9.1f} MB")
    if not found:
        print("Nothing is kept yet. `bedside data prepare FILE` prepares data; the Data page takes uploads.")


@data_app.command()
def delete(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `bedside data list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove an upload, a recipe, a fetched set or prepared data for good."""
    import sys

    from assistant.results import Deleted
    from trainer.data import kept

    one = kept.find(identity)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {one.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {one.id} for good.")
    kept.delete(one)
    print(Deleted(deleted=one.id).model_dump_json(indent=1) if as_json else f"Deleted {one.id}.")


def _source(name: str, format: str | None, columns: list[str]) -> DataSource:
    from trainer import config as run_config

    wrong = [pair for pair in columns if not all(pair.partition("="))]
    if wrong:
        raise BadInput(f"--column {wrong[0]}: expected its name and what it is, such as Frage=question.")
    source = {"name": name, "format": format, "columns": dict(pair.split("=", 1) for pair in columns)}
    return run_config.parse({"data": {"sources": [source]}}).data.sources[0]


def _run(name: str) -> RunConfig:
    """The run that a name stands for: a run file's own, or one on this data with everything else at its default."""
    from trainer import config as run_config
    from trainer.data import recipes
    from trainer.sections import RunConfig

    if recipes.is_recipe(name):
        return RunConfig(data=recipes.load(Path(name)))
    if name.endswith((".yaml", ".yml")):
        return run_config.load(Path(name))
    return run_config.parse({"data": {"sources": [{"name": name}]}, "evaluation": {"forgetting": False}})


def _teller() -> Progress:
    """Says how far the work is: when a stage begins or ends, and every few seconds meanwhile."""
    last, said_at = "", 0.0

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal last, said_at
        now = time.monotonic()
        if stage == last and done != total and now - said_at < EVERY:
            return
        last, said_at = stage, now
        say(f"  {stage}: {done:,}{f' of {total:,}' if total else ''}")

    return tell
