"""An adapter that was trained elsewhere becomes a run that is done, so that it can be asked, compared and judged.

Taken is what PEFT saves of a LoRA or IA3: adapter_config.json and adapter_model.safetensors. Nothing of it is executed:
no pickle is opened, the settings are checked one by one, and every number has to fit a layer of the base.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trainer import actor, audit, events, hardware, jobs, models, reach, runs
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.data.records import DataError, Fault
from trainer.errors import ModelError
from trainer.methods.saved import CONFIG, WEIGHTS
from trainer.runs import ADAPTER, Run
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from peft import PeftConfig

LARGEST = 8 << 30  # bytes of an adapter's weights
_LARGEST_CONFIG = 1 << 20  # bytes
KINDS = {"LORA": "lora", "IA3": "ia3"}
"""PEFT's names of what can be imported, and the run file's."""
_LEFT_OUT = (
    "modules_to_save",
    "trainable_token_indices",
    "layer_replication",
    "megatron_config",
    "alora_invocation_tokens",
    "target_parameters",
)
"""Settings that train or change more than the layers' factors."""
_PATTERNS = ("target_modules", "exclude_modules", "layers_pattern", "rank_pattern", "alpha_pattern")
"""Settings that PEFT takes as regular expressions where they are texts."""
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")
"""What init_lora_weights may say: other starts change the base's weights when the adapter is loaded."""


def import_adapter(folder: Path, base_model: str, name: str) -> Run:
    """Make a run, in state `done`, of an adapter in a folder or a zip archive.

    `base_model`: the model that it is for, as in a run file's model.name; its layers are compared with the adapter's,
    number by number, so that another model of the same shape is not told from it: what the adapter says its base was
    stands in the run's events. Raises `ModelError` with one sentence where it cannot be taken, and `NotAllowed` for a
    base that whoever acts may not name.
    """
    reach.check(base_model)
    if not name.strip():
        raise ModelError("The adapter has no name; give it one that lists will show.")
    with _opened(folder) as place:
        said, weights = _settings(place), place / WEIGHTS
        _check_base(place, said, base_model, weights)
        try:
            config = RunConfig.model_validate(
                {
                    "model": {"name": base_model},
                    "method": _method(said, weights),
                    "hardware": {"device": "cuda" if hardware.detect().gpus else "cpu"},
                    "output": {"name": name},
                }
            )
        except ValidationError as error:
            raise ModelError(f"{CONFIG} says what Bedside cannot write down: {_first(error)}.") from None
        return _write(config, said, weights, folder.name)


def _write(config: RunConfig, said: dict[str, Any], weights: Path, came_from: str) -> Run:
    folder = jobs.new_folder(runs.runs_folder(), config.output.name)
    try:
        adapter = folder / ADAPTER
        adapter.mkdir(mode=0o700)
        shutil.copyfile(weights, adapter / WEIGHTS)
        starts = {"init_lora_weights": True} if said["peft_type"] == "LORA" else {}
        kept = said | starts | {"base_model_name_or_path": config.model.name, "inference_mode": True}
        kept.pop("auto_mapping", None)
        write_atomically(adapter / CONFIG, json.dumps(kept, indent=1))
        state = jobs.RunState(state="done", device=config.hardware.device, owner=actor.now().name)
        jobs.write_state(folder, state)
        with (adapter / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        told = (
            f"Trained elsewhere and imported from {came_from} (SHA-256 of its weights {digest[:16]}…); "
            f"it says that its base was {said.get('base_model_name_or_path') or 'unknown'}."
        )
        for one in (events.WarningEvent(message=told), events.StateEvent(state="done")):
            events.append(folder / "events.jsonl", one)
        # Last, since a folder is a run from here on.
        write_atomically(folder / "run.yaml", run_config.to_yaml(config))
    except OSError:
        shutil.rmtree(folder)
        raise
    audit.record("brought in", f"run {folder.name}")
    return runs.get(folder.name)


@contextmanager
def _opened(folder: Path) -> Iterator[Path]:
    """The folder with the adapter's two files; of an archive, a temporary one with these two alone."""
    if folder.is_dir():
        yield folder
        return
    if not zipfile.is_zipfile(folder):
        raise ModelError(f"{folder} is no folder and no zip archive; give a folder with {CONFIG} and {WEIGHTS}.")
    from trainer.data.reading.archives import unpacked

    with run_config.temporary() as place:
        try:
            for member, file in unpacked(folder):
                if Path(member).name not in (CONFIG, WEIGHTS):
                    continue
                if isinstance(file, Fault):
                    raise ModelError(f"{folder.name}: {file}.")
                target = Path(place) / Path(member).name
                if target.exists():
                    raise ModelError(f"{folder.name} holds {target.name} twice; pack one adapter alone.")
                shutil.move(file, target)
        except (DataError, zipfile.BadZipFile) as error:
            raise ModelError(str(error)) from None
        yield Path(place)


def _settings(folder: Path) -> dict[str, Any]:
    """What adapter_config.json says, once it is of a kind that can be taken."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder.name} holds no {CONFIG}; give the folder that PEFT saved an adapter in.")
    if not (folder / WEIGHTS).is_file():
        pickled = next((one.name for one in folder.glob("adapter_model.*") if one.suffix in (".bin", ".pt")), None)
        if pickled:
            raise ModelError(
                f"{pickled} is a pickle, which may run whatever it likes when it is opened; save the adapter as "
                f"{WEIGHTS} (PEFT's safe_serialization) where it was trained."
            )
        raise ModelError(f"{folder.name} holds no {WEIGHTS}; save the adapter as safetensors where it was trained.")
    if path.stat().st_size > _LARGEST_CONFIG or (folder / WEIGHTS).stat().st_size > LARGEST:
        raise ModelError(
            f"The adapter is larger than {LARGEST >> 30} GiB, or its {CONFIG} than 1 MiB; it is not taken."
        )
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CONFIG} is no JSON: {error}; save the adapter again.") from None
    kind = said.get("peft_type") if isinstance(said, dict) else None
    if kind not in KINDS:
        raise ModelError(f"{CONFIG}: peft_type is {kind!r}; {' and '.join(KINDS)} can be imported.")
    if said.get("task_type") not in ("CAUSAL_LM", None):
        raise ModelError(f"{CONFIG}: task_type is {said['task_type']!r}; only CAUSAL_LM gives answers.")
    for field in _LEFT_OUT:
        if said.get(field):
            raise ModelError(f"{CONFIG}: {field} is set, which cannot be imported; train the adapter without it.")
    if kind == "LORA" and said.get("bias", "none") != "none":
        raise ModelError(f"{CONFIG}: bias is {said['bias']!r}; the base would be another one without the adapter.")
    for field in _PATTERNS:
        found = said.get(field)
        for pattern in found if isinstance(found, dict) else [found]:
            if isinstance(pattern, str) and _may_not_end(pattern):
                raise ModelError(
                    f"{CONFIG}: {field} is a pattern that may be looked for without end; list the layers by name."
                )
    start = said.get("init_lora_weights", True)
    if kind == "LORA" and start not in _PLAIN_STARTS:
        raise ModelError(
            f"{CONFIG}: init_lora_weights is {start!r}, which changes the base's weights; save it as an ordinary LoRA "
            "(PEFT's path_initial_model_for_weight_conversion) where it was trained."
        )
    return said


def _may_not_end(pattern: str) -> bool:
    """Whether a group is repeated in a regular expression, or much is: there may be no end of the ways to fit it."""
    return len(pattern) > 500 or bool(re.search(r"\)[*+{]", pattern)) or sum(map(pattern.count, "*+}")) > 4


def _check_base(folder: Path, said: dict[str, Any], base_model: str, weights: Path) -> None:
    """Raises `ModelError` unless the adapter's numbers are, in name and shape, those of such an adapter of the base."""
    from peft import PeftConfig
    from safetensors import SafetensorError

    found = models.find(base_model)
    try:
        shapes = _shapes(weights)
    except SafetensorError as error:
        raise ModelError(f"{WEIGHTS} is damaged: {error}; copy it again.") from None
    try:
        settings = PeftConfig.from_pretrained(str(folder))
        wanted = _wanted(found.folder, settings)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"{CONFIG} does not fit {base_model}: {str(error).splitlines()[0]}") from None
    if shapes == wanted:
        return
    for one in sorted({*shapes, *wanted}):
        if shapes.get(one) != wanted.get(one):
            here, there = shapes.get(one, "nothing"), wanted.get(one, "nothing")
            raise ModelError(
                f"The adapter does not fit {base_model}: {one} is {here}, and the base needs {there}. Name the model "
                f"that it was trained on ({said.get('base_model_name_or_path') or 'its settings do not say which'})."
            )


def _shapes(weights: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (no mapping)


def _wanted(base: Path, settings: PeftConfig) -> dict[str, list[int]]:
    """Names and shapes of such an adapter of this base. Made without any memory for the weights."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    if hasattr(settings, "init_lora_weights"):
        settings.init_lora_weights = True  # pyright: ignore[reportAttributeAccessIssue]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base, trust_remote_code=False))
        adapted: Any = get_peft_model(model, settings)
    return {
        name: list(one.shape) for name, one in get_peft_model_state_dict(adapted, save_embedding_layers=False).items()
    }


def _method(said: dict[str, Any], weights: Path) -> dict[str, Any]:
    if said["peft_type"] == "IA3":
        return {"kind": "ia3"}
    # Named by the layers that have factors: in its settings they may be a pattern.
    layers = {name.partition(".lora_")[0].rpartition(".")[2] for name in _shapes(weights)}
    return {
        "kind": "lora",
        "rank": said.get("r", 8),
        "alpha": max(1, round(said.get("lora_alpha", 8))),
        "target_modules": sorted(layers),
        "scaling": "rank_stabilised" if said.get("use_rslora") else "standard",
        "dora": bool(said.get("use_dora")),
    }


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
