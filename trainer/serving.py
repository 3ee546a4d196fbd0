"""One model behind an OpenAI-compatible API. The servers are others' (transformers, vLLM, llama.cpp); here they are
told which model it is, what clients call it, and how it answers where a request does not say.

Answers are greedy unless a request gives a temperature, as everything that was measured; and the run's system prompt
stands in the merged model's chat template (`trainer.export.default_system`), so that a client need not know it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel

from evaluators.chat_client import remote_host
from evaluators.gates import Gate
from trainer import config
from trainer.model_refs import TUNED, ModelRef, parse
from trainer.models import Progress
from trainer.server_process import Engine, ServingError, address

if TYPE_CHECKING:
    from trainer.export.record import Export

INSTALL: dict[Engine, str] = {
    "transformers": 'pip install "transformers[serving]"',
    "vllm": "pip install vllm, on a machine with a GPU",
    "llama.cpp": "pip install xllamacpp",
}
_MODULES: dict[Engine, tuple[str, ...]] = {
    "transformers": ("fastapi", "uvicorn", "openai"),
    "vllm": ("vllm",),
    "llama.cpp": ("xllamacpp",),
}
GGUF = ".gguf"
NEARLY_GREEDY = 1e-4
"""Temperature where a request gives none. Not 0: transformers' server then never samples, whatever a request says."""
_READ = {".json", ".safetensors", ".jinja", ".model", ".txt"}  # no code, and no pickles
_PLACE = "serving-"  # in the home, for as long as a process serves from it
_COMMIT = "0" * 40  # of a Hub cache's only snapshot


class Chosen(BaseModel):
    """What is to be served, and what the release gates say of it."""

    name: str
    """What clients call it: `clinic@1.2.0`, a run's id, `RUN@base`, or a folder's name."""
    ref: ModelRef | None = None
    folder: Path | None = None
    """An exported folder or a GGUF file, where no run or version is meant."""
    said: str
    """What the gates say, in a sentence."""
    failing: list[str] = []
    """Those that fail, each in a sentence."""


def find(text: str) -> Chosen:
    """What a user means: LINE@NUMBER, LINE (its version in use), RUN, RUN:base, RUN:checkpoint-N, latest, or a path.

    A path has a slash in it, or ends with .gguf. Raises `ServingError`, `VersionError`, `RunError` and `ModelError`.
    """
    from trainer.export import exports
    from trainer.export.card import failing
    from trainer.versions import registry

    path = config.path_of(text)
    if path.suffix == GGUF or os.sep in text:
        return _at(path)
    line, _, number = text.partition("@")
    if number or line in registry.lines():
        version = registry.get(line, number) if number else registry.in_use(line)
        if version is None:
            raise ServingError(
                f"No version of {line} is in use; name one ({line}@NUMBER), or put one into use (bedside versions use)."
            )
        gates = [Gate.model_validate(gate) for gate in version.gates]
        said = registry.DECISIONS[registry.decision(version)] + "."
        name = _plain(f"{line}@{version.number}")
        return Chosen(name=name, ref=parse(version.model), said=said, failing=failing(gates))
    ref = parse(text)
    name = _plain(ref.run if ref.part == TUNED else f"{ref.run}@{ref.part}")
    if ref.is_base:
        return Chosen(name=name, ref=ref, said="This is the base, which release gates are not for.")
    told = exports.gates(ref)
    return Chosen(name=name, ref=ref, said=told["sentence"], failing=told["failing"])


def _at(path: Path) -> Chosen:
    from trainer.export import exports

    if not (path.is_file() if path.suffix == GGUF else path.is_dir()):
        raise ServingError(f"There is no {path}; `bedside export` makes such models.")
    path = path.absolute()
    name = _plain(path.stem if path.suffix == GGUF else path.name)
    folder = path if path.is_dir() else path.parent
    if not (folder / exports.RECORD).exists():
        return Chosen(
            name=name, folder=path, said="Bedside did not export this model: its release gates are not known."
        )
    made = exports.read(folder)
    return Chosen(name=name, folder=path, said=made.gates, failing=made.failing)


def warnings(chosen: Chosen, host: str) -> list[str]:
    """What whoever starts it has to know: gates that fail, and who can reach it."""
    found = [f"Warning: a release gate fails. {gate}" for gate in chosen.failing]
    if remote_host(address(host, 0)):
        found.append(
            f"Warning: whoever reaches this machine at {host} can ask the model and read its answers: there is no "
            "sign-in, and nothing is encrypted."
        )
    return found


def engine_for(chosen: Chosen, wanted: Engine | None) -> Engine:
    """The server that is to run it: the one that was asked for, else llama.cpp for GGUF and transformers for the rest.

    Raises `ServingError` where it is not installed, or cannot read this model.
    """
    is_gguf = chosen.folder is not None and bool(_gguf_files(chosen.folder))
    engine = wanted or ("llama.cpp" if is_gguf else "transformers")
    if is_gguf and engine != "llama.cpp":
        raise ServingError(f"{chosen.folder} is GGUF, which {engine} does not serve here; leave --engine away.")
    if missing := [name for name in _MODULES[engine] if find_spec(name) is None]:
        raise ServingError(f"{engine} is not installed here ({missing[0]} is missing): {INSTALL[engine]}.")
    return engine


@contextlib.contextmanager
def laid_out(
    chosen: Chosen, engine: Engine, progress: Progress, adapter: str | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """What the server reads, and what has to be known of it, in sentences.

    That is a GGUF file, or a folder with the model and its settings, which is removed at the end. `adapter`: which one,
    where the run has one for each task or specialty. Raises `ServingError`, `ExportError` and `ModelError`.
    """
    if engine == "llama.cpp":
        yield _gguf(chosen, adapter)
        return
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{_PLACE}{os.getpid()}-", dir=config.home()) as place:
        folder, notes = _merged(chosen, Path(place) / "merged", progress, adapter)
        yield _as_hub_cache(folder, Path(place) / "hub", chosen.name), notes


def _sweep() -> None:
    """Remove what a process that was killed could not: a merged model is large."""
    for left in config.home().glob(f"{_PLACE}*"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            shutil.rmtree(left, ignore_errors=True)


def _merged(chosen: Chosen, folder: Path, progress: Progress, adapter: str | None) -> tuple[Path, list[str]]:
    """The model's folder: the one that was named, that of its export, which was checked, or one that is merged now."""
    from trainer.export.merge import merge

    if chosen.folder is not None:
        return chosen.folder, []
    ref = chosen.ref
    assert ref is not None
    if kept := [one for one in _exports(ref, adapter) if one.what == "merged"]:
        return kept[0].folder, kept[0].notes
    made = merge(ref, folder, progress, adapter=adapter)
    return made.folder, made.notes


def _exports(ref: ModelRef, adapter: str | None) -> list[Export]:
    """What was exported of a model, the newest first."""
    from trainer.export import exports

    return [one for one in exports.list_exports(ref.run) if (one.model, one.adapter) == (str(ref), adapter)]


def _as_hub_cache(folder: Path, hub: Path, name: str) -> Path:
    """A cache of the Hugging Face Hub that holds this model alone, by links, under the name that clients use.

    transformers' server lists what is in that cache, and takes a request for it by this name only: a plain folder would
    be listed nowhere, and its path would be its name.
    """
    repository, _, revision = name.partition("@")
    place = hub / f"models--{repository}"
    snapshot = place / "snapshots" / _COMMIT
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        if file.suffix in _READ:
            (snapshot / file.name).symlink_to(file.absolute())
    if not (snapshot / "config.json").exists() or not list(snapshot.glob("*.safetensors")):
        raise ServingError(
            f"{folder} holds no whole model (config.json and .safetensors); name a run, or what `bedside export --as "
            "merged` made."
        )
    (place / "refs").mkdir()
    (place / "refs" / (revision or "main")).write_text(_COMMIT)
    settings = snapshot / "generation_config.json"
    found = json.loads(settings.read_text()) if settings.exists() else {}
    settings.unlink(missing_ok=True)
    settings.write_text(json.dumps(_generation(found, folder)))
    return snapshot


def _generation(found: dict[str, object], folder: Path) -> dict[str, object]:
    """The settings of an answer: greedy as far as a request does not say, and ended by the chat template's end mark."""
    from transformers import AutoTokenizer

    ends = found.get("eos_token_id")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    known = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
    kept = {field: found[field] for field in ("bos_token_id", "pad_token_id") if found.get(field) is not None}
    return kept | {"eos_token_id": sorted(known), "do_sample": True, "temperature": NEARLY_GREEDY, "top_k": 0}


def _gguf(chosen: Chosen, adapter: str | None) -> tuple[Path, list[str]]:
    """The GGUF file that is meant, and its notes; raises `ServingError` where there is none, or more than one."""
    found = [(file, []) for file in _gguf_files(chosen.folder)] if chosen.folder else []
    way_out = ""
    if chosen.ref is not None:
        found = [(file, one.notes) for one in _exports(chosen.ref, adapter) for file in _gguf_files(one.folder)]
        way_out = f" `bedside export {chosen.ref} --as gguf` makes one."
    if not found:
        raise ServingError(f"There is no GGUF file of {chosen.name}, and llama.cpp serves nothing else.{way_out}")
    if len(found) > 1:
        raise ServingError(f"There are several GGUF files; name one: {', '.join(str(file) for file, _ in found)}.")
    return found[0]


def _gguf_files(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{GGUF}")) if path.is_dir() else [path] if path.suffix == GGUF else []


def _plain(name: str) -> str:
    """A name that the Hub would take for a model, with a revision behind the @."""
    repository, at, revision = name.partition("@")
    repository = re.sub(r"[-.]{2,}", "-", re.sub(r"[^\w.-]+", "-", repository, flags=re.ASCII)).strip("-.")
    return f"{repository or 'model'}{at}{revision}"
