"""`bedside export` and `bedside exports`: a model out of Bedside, checked; look at exports, push and delete them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from assistant.terminal import BadInput, Json, say

if TYPE_CHECKING:
    from trainer.export.record import Export
    from trainer.model_refs import ModelRef

exports_app = typer.Typer(help="Look at exports, push and delete them.", no_args_is_help=True)
ExportId = Annotated[str, typer.Argument(help="Id of an export, or its beginning.")]
# As in `trainer.export`, without loading it here.
What = Literal["merged", "gguf", "adapter", "ollama"]
Precision = Literal["bf16", "fp16", "fp32"]


def export(
    model: Annotated[
        str, typer.Argument(metavar="RUN|VERSION", help="RUN, RUN:checkpoint-120, latest, or LINE@1.2.0.")
    ],
    what: Annotated[
        What,
        typer.Option("--as", help="A plain model (safetensors), GGUF for llama.cpp, the adapter alone, or for Ollama."),
    ] = "merged",
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", help="Of GGUF: f16, q8_0, q5_0 or q4_0; may be repeated. q8_0 if left out."),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Which adapter, where each task or specialty has its own.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of the merged weights; the base's own if left out.")
    ] = None,
    items: Annotated[
        int, typer.Option(min=0, max=5000, help="Held-out questions that a GGUF file's loss is measured on.")
    ] = 40,
    to: Annotated[Path | None, typer.Option(help="Write it to this folder; else into the home.")] = None,
    as_json: Json = False,
) -> None:
    """Export a model, and check that it answers as the run does; what fails the check is not put in place."""
    from trainer.export import exports
    from trainer.export.gguf import TYPES

    wanted = {*(kind or [exports.GGUF_TYPE])}
    if unknown := sorted(wanted - {*TYPES}):
        raise BadInput(f"--type {unknown[0]}: there is no such type; there are {', '.join(TYPES)}.")
    made = exports.make(
        _model(model),
        what,
        adapter=adapter,
        precision=precision,
        types=[one for one in TYPES if one in wanted],
        items=items,
        to=to,
        progress=_Told().tell,
    )
    _print(made, as_json)


@exports_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All exports, newest first."""
    from assistant.export_words import ExportDetails, ExportList
    from trainer.export import exports

    found = exports.list_exports()
    if as_json:
        print(ExportList(exports=[ExportDetails.of(one) for one in found]).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id:60} {one.what:8} {sum(file.bytes for file in one.files) / 1e6:10,.0f} MB  {one.created[:10]}")
    if not found:
        print("No exports yet. `bedside export latest` makes one of the newest run.")


@exports_app.command()
def show(export_id: ExportId, as_json: Json = False) -> None:
    """One export: its files, how it was checked, what its quantised files lose."""
    from trainer.export import exports

    _print(exports.get(export_id), as_json)


@exports_app.command()
def push(
    export_id: ExportId,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="For everybody to see; else it is private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be pushed; ask no Hub.")] = False,
    as_json: Json = False,
) -> None:
    """Push an export with its card to the Hugging Face Hub, as whoever is logged in there (`hf auth login`)."""
    from assistant.export_words import push_lines
    from trainer.export import exports, hub

    done = hub.push(exports.get(export_id), repo, private=not public, dry_run=dry_run, progress=_Told().tell)
    print(done.model_dump_json(indent=1) if as_json else "\n".join(push_lines(done)))


@exports_app.command()
def delete(
    export_id: ExportId, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Remove an export for good; its run stays."""
    from assistant.results import Deleted
    from trainer.export import exports

    found = exports.get(export_id)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {found.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {found.id} for good.")
    exports.delete(found)
    print(Deleted(deleted=found.id).model_dump_json(indent=1) if as_json else f"Deleted {found.id}.")


class _Told:
    """Progress on stderr: each stage as it begins, and now and then how far it is."""

    def __init__(self) -> None:
        self._stage, self._when = "", 0.0

    def tell(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._when < 5 and done < total:
            return
        if stage != self._stage or total > 1:
            say(f"  {stage}: {done} of {total}" if total > 1 else f"  {stage}")
        self._stage, self._when = stage, now


def _model(text: str) -> ModelRef:
    """The model of a run or a version; raises `BadInput` for a path."""
    from trainer import serving

    found = serving.find(text).ref
    if found is None:
        raise BadInput(f"{text} is a path; name a run or a version, which is what can be exported.")
    return found


def _print(made: Export, as_json: bool) -> None:
    from assistant.export_words import ExportDetails, export_lines

    print(ExportDetails.of(made).model_dump_json(indent=1) if as_json else "\n".join(export_lines(made)))
