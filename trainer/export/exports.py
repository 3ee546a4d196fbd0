"""Exports as folders in `$BEDSIDE_HOME/exports`: made, checked, put in place when whole; listed and deleted.

In one stand the model's files, its card `README.md`, and `export.json`, which says what they are and how they were
checked. An export is made in a folder with a dot before its name, which is renamed at the end: what was interrupted
leaves nothing that could be taken for a model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer import actor, audit, catalogue, jobs, models, room, runs
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.expected_memory import answering_gib
from trainer.export import ExportError
from trainer.export.card import card, failing
from trainer.export.default_system import with_default_system
from trainer.export.gguf import Type
from trainer.export.merge import Precision, cannot_merge, in_full, merge, own_precision
from trainer.export.parity import check
from trainer.export.prompts import own_tokenizer
from trainer.export.record import CARD, RECORD, Export, File, What
from trainer.methods import MethodError, saved
from trainer.model_refs import TUNED, ModelRef
from trainer.models import Progress
from trainer.runs import Run, RunError
from trainer.tuned import adapter_folder

GGUF_TYPE: Type = "q8_0"
"""What is written where no type is named: half of f16, and the least loss of those that are smaller."""
_COPIES: dict[What, float] = {"merged": 1.0, "gguf": 2.0, "ollama": 2.0, "adapter": 0.1}
"""How many times the base's size an export needs on the disk while it is made."""
_LOADED = 2
"""Copies of the base in memory."""


def folder() -> Path:
    """Where exports live."""
    found = run_config.home() / "exports"
    found.mkdir(exist_ok=True, mode=0o700)
    return found


def make(
    model: ModelRef,
    what: What,
    *,
    adapter: str | None = None,
    precision: Precision | None = None,
    types: Sequence[Type] = (GGUF_TYPE,),
    items: int = 40,
    to: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Export:
    """Export a model, check it, and put it in place; an earlier export of the same is replaced when this one is whole.

    `adapter` and `precision`: as in `merge`. `types`: of the GGUF files; one for Ollama. `items`: held-out questions
    that their loss is measured on, none for 0. `to`: a folder of its own instead of the home's. Raises `ExportError`
    where it cannot be exported, or does not answer as the run does, and `NoRoomError` where it does not fit beside a
    job that is at work; nothing is in place then.
    """
    run = runs.get(model.run)
    target = (to.expanduser().absolute() if to else folder() / _name(model, what, adapter)).resolve()
    _check(run, model, what, types, target)
    told = gates(model)
    # The run's model and what is written of it stand in memory beside each other while their answers are compared.
    whole = in_full(run.config, precision or own_precision(run))
    room_for = {"cpu": answering_gib(whole, copies=_LOADED)}
    with room.loading(room_for) as held:
        pass  # they are loaded one after the other, in minutes: others need not wait for that
    with closing(held), _placed(target) as place:
        made = Export(
            id=target.name,
            folder=place,
            model=str(model),
            what=what,
            adapter=adapter,
            base=run.config.model.name,
            licence=licence(run),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            gates=told["sentence"],
            failing=told["failing"],
        )
        if what == "adapter":
            _alone(made, run, model, progress)
        else:
            _whole(made, run, model, precision, list(dict.fromkeys(types)), items, progress)
        (place / CARD).write_text(card(made, run), encoding="utf-8")
        made.files = _files(place)
        write_atomically(place / RECORD, made.model_dump_json(indent=1))
        made.folder = target
    audit.record("exported", f"{what} of {model} as {made.id}")
    return made


def get(identity: str) -> Export:
    """The export of this id, or of the one id that starts so; raises `RunError` and `ExportError`."""
    found = folder() / jobs.find(_ids(), identity, "export", "bedside exports list")
    return read(found)


def read(place: Path) -> Export:
    """The export in this folder; raises `ExportError` where there is none."""
    try:
        said = json.loads((place / RECORD).read_text(encoding="utf-8"))
        return Export.model_validate({**said, "folder": place})
    except (OSError, ValueError, ValidationError) as error:
        raise ExportError(f"{place} cannot be read as an export: {str(error).splitlines()[0]}") from None


def list_exports(run: str | None = None) -> list[Export]:
    """Those that can be read, the newest first; of one run where its id is given."""
    found = []
    for identity in _ids():
        try:
            export = read(folder() / identity)
        except ExportError:
            continue  # `get` says why to whoever asks for it by name
        if run is None or export.model.partition(":")[0] == run:
            found.append(export)
    return sorted(found, key=lambda one: one.created, reverse=True)


def under_way(run: str) -> list[str]:
    """Ids of a run's exports that are being made now, by whichever process."""
    from filelock import FileLock, Timeout

    found = []
    for part in folder().glob(f".{run}*.part"):
        identity = part.name.removeprefix(".").removesuffix(".part")
        try:
            with FileLock(_lock(folder() / identity), timeout=0):
                continue  # of one that was killed
        except Timeout:
            found.append(identity)
    return found


def delete(export: Export) -> None:
    """Remove an export for good; only whoever made its run, or an administrator."""
    try:
        owner = runs.get(export.model.partition(":")[0]).status.owner
    except RunError:  # its run is gone
        owner = ""
    actor.must_own(owner, f"Export {export.id}")
    shutil.rmtree(export.folder)
    audit.record("deleted", f"export {export.id}")


def licence(run: Run) -> str:
    """The base model's licence, as far as the catalogue knows it."""
    row = catalogue.base_model(run.config.model.name)
    return row.licence if row else "unknown"


def _check(run: Run, model: ModelRef, what: What, types: Sequence[Type], target: Path) -> None:
    if what == "adapter":
        if run.config.method.kind == "full" or model.is_base:
            raise ExportError(f"{model} has no adapter: its weights are whole. Export it with --as merged.")
        if run.config.objective.kind == "reward" or not run.weights:
            raise ExportError(cannot_merge(run, model))
    elif why_not := cannot_merge(run, model):
        raise ExportError(why_not)
    if what == "ollama" and len(set(types)) != 1:
        raise ExportError("A Modelfile names one GGUF file; give one --type.")
    if target.exists() and any(target.iterdir()) and not (target / RECORD).exists():
        raise ExportError(f"{target} holds something else; name a folder that is empty or not there yet.")
    base = models.find(run.config.model.name).folder
    needed = _COPIES[what] * sum(file.stat().st_size for file in base.glob("*.safetensors"))
    beside = next(one for one in target.parents if one.exists())
    if (free := shutil.disk_usage(beside).free) < needed:
        raise ExportError(
            f"This export takes up to {needed / 2**30:.1f} GiB while it is made, and {beside} has "
            f"{free / 2**30:.1f} GiB left. Free some space, or name another folder with --to."
        )


@contextmanager
def _placed(target: Path) -> Iterator[Path]:
    """A folder to write to that takes the place of `target` when all is written; nothing is left where it is not."""
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock(target), timeout=0)
    try:
        with lock, saved.whole(target) as place:
            try:
                place.chmod(0o700)
                yield place
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
    except Timeout:
        raise ExportError(f"{target.name} is being made already; wait until it is done.") from None


def _lock(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _whole(
    made: Export,
    run: Run,
    model: ModelRef,
    precision: Precision | None,
    types: list[Type],
    items: int,
    progress: Progress,
) -> None:
    """A merged model, checked; for GGUF and Ollama that is written from it, and it does not stay."""
    from trainer.export import gguf, ollama, quantisation

    place = made.folder if made.what == "merged" else made.folder / "merged"
    merged = merge(model, place, progress, adapter=made.adapter, precision=precision)
    made.notes += merged.notes
    made.parity = check(model, place, progress, adapter=made.adapter, saved_in=merged.precision)
    if made.what == "merged":
        made.precision = merged.precision
        return
    files: dict[Type, Path] = {kind: made.folder / f"{run.config.output.name}-{kind}.gguf" for kind in types}
    for kind, file in files.items():
        gguf.write(place, file, kind, run.config.output.name, progress)
    made.losses, notes = quantisation.quantisation_loss(run.config, place, files, items, progress)
    made.notes += notes
    if made.what == "ollama":
        made.notes += ollama.write(
            made.folder, files[types[0]].name, own_tokenizer(run), run.config.task.system_prompt, _licence_note(made)
        )
    shutil.rmtree(place)


def _alone(made: Export, run: Run, model: ModelRef, progress: Progress) -> None:
    """The adapter as PEFT reads it, with the tokenizer and its chat template beside it."""
    progress("copying the adapter", 0, 1)
    try:
        with adapter_folder(run, model.part) as source:
            names = saved.names(source)
            if made.adapter is not None and made.adapter not in names:
                raise ExportError(f"There is no adapter {made.adapter!r} in {run.id}; it has {', '.join(names)}.")
            chosen = source / made.adapter if made.adapter and len(names) > 1 else source
            shutil.copytree(chosen, made.folder, dirs_exist_ok=True)
    except MethodError as error:
        raise ExportError(str(error)) from None
    row = catalogue.base_model(run.config.model.name)
    base = row.hub_id if row else run.config.model.name
    for path in made.folder.glob(f"**/{saved.CONFIG}"):
        said = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": base}
        path.write_text(json.dumps(said, indent=2, sort_keys=True), encoding="utf-8")
    tokenizer = own_tokenizer(run)
    tokenizer.chat_template = with_default_system(str(tokenizer.chat_template), run.config.task.system_prompt)
    tokenizer.save_pretrained(made.folder)
    found = models.find(run.config.model.name)
    made.notes.append(
        f"It was trained on {run.config.model.name} ({found.origin}, weights {found.weights_sha256[:12]}); on other "
        "weights it answers otherwise."
    )
    if run.config.method.kind == "adapter":
        made.notes.append(
            "Bottleneck adapters are Bedside's own kind: PEFT loads them once trainer.methods is imported."
        )
    if made.adapter is None and len(names) > 1:
        made.notes.append(f"It holds an adapter for each of {', '.join(names)}, in a folder of its own.")
    made.parity = check(model, made.folder, progress, adapter=made.adapter or names[0])


def gates(model: ModelRef) -> dict[str, Any]:
    """What the release gates say of a model in a `sentence`, and which of them are `failing`."""
    from evaluators.gates import decide
    from trainer.versions import registry

    found, _ = registry.gates_of(model)
    return {"sentence": f"{registry.DECISIONS[decide(found) if found else None]}.", "failing": failing(found)}


def _licence_note(made: Export) -> str:
    return f"The base {made.base} is under {made.licence}; its terms go with this model. {made.gates}"


def _files(place: Path) -> list[File]:
    found = []
    for path in sorted(one for one in place.rglob("*") if one.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(File(name=path.relative_to(place).as_posix(), bytes=path.stat().st_size, sha256=digest))
    return found


def _name(model: ModelRef, what: What, adapter: str | None) -> str:
    parts = [model.run, *([model.part] if model.part != TUNED else []), *([adapter] if adapter else []), what]
    return "-".join(parts)


def _ids() -> list[str]:
    return sorted(one.name for one in folder().iterdir() if not one.name.startswith(".") and (one / RECORD).exists())
