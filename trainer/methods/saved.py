"""Trained adapters on disk, in PEFT's layout: a single one in the folder itself, of several each in a subfolder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.launch import deepspeed
from trainer.method_sections import LoraMethod
from trainer.methods import MethodError
from trainer.methods.groups import BENEATH
from trainer.models import TUNED
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
REFERENCE = "ref"
"""TRL's name for a frozen copy of the adapter as training begins; it is there while a trainer needs it."""


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder to write to that takes the place of `folder` when all is written; until then the old one stays."""
    partial, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def save(model: Any, run: RunConfig, folder: Path, state: Any = None) -> None:
    """Write all adapters of the model into `folder`, whole or not at all; a fully tuned one: `full.save`.

    `state` is what they hold (`training_state`) where the model cannot be asked, because its weights are shared out.

    A PiSSA adapter becomes an ordinary LoRA of the original base, of twice the rank. A prefix with a projection, and
    what P-tuning's network makes, are kept as the plain numbers that came out.
    """
    from safetensors.torch import save_file

    from trainer.methods import lora

    with whole(folder) as place:
        if isinstance(run.method, LoraMethod) and run.method.init == "pissa":
            weights, config = lora.plain(model)
            save_file(weights, place / WEIGHTS, metadata={"format": "pt"})
            config.save_pretrained(str(place))
        else:
            model.save_pretrained(str(place), save_embedding_layers=False, state_dict=state)


def names(folder: Path) -> list[str]:
    """Names of the trained adapters in `folder` as `load` gives them: `TUNED` where there is one for all rows.

    None where there is no trained adapter. Nothing heavy is imported.
    """
    return [name for name in _folders(folder) if not name.startswith(BENEATH)]


def load(base: PreTrainedModel, folder: Path) -> PeftModel:
    """Put every adapter of `folder` on the base, ready to answer: none is trained, the first of `names` is active.

    Only safetensors are read. Raises `MethodError` where there is no trained adapter.
    """
    from peft import PeftModel

    from trainer.methods import bottleneck, ia3, layer_norm  # noqa: F401  (PEFT knows bottleneck adapters after its import)

    found = _folders(folder)
    if not names(folder):
        raise MethodError(f"{folder} holds no trained adapter; the run has to finish its training first.")
    first, *others = found
    model = PeftModel.from_pretrained(base, str(found[first]), adapter_name=first)
    for name in others:
        model.load_adapter(str(found[name]), name)
    ia3.keep_precision(model)
    layer_norm.keep_in_fp32(model)
    if model.peft_config[first].peft_type == "LN_TUNING":
        # Read again: the first time there was only the base's precision to hold them.
        for name, place in found.items():
            model.load_adapter(str(place), name)
    model.set_adapter(names(folder)[0], inference_mode=True)
    return model.requires_grad_(False).eval()


def add(model: PeftModel, folder: Path, prefix: str) -> dict[str, str]:
    """Put the adapters of another folder, of the same kind and base, beside those that are on the model.

    Their names begin with `prefix` there; returned by the names that they have in `folder`. Which one is active stays
    as it was. For LoRA and bottleneck adapters. Raises `MethodError` where there is no trained adapter.
    """
    if not names(folder):
        raise MethodError(f"{folder} holds no trained adapter; the run has to finish its training first.")
    for name, place in _folders(folder).items():
        model.load_adapter(str(place), f"{prefix}{name}")
        config: Any = model.peft_config[f"{prefix}{name}"]
        if config.peft_type == "BOTTLENECK":
            config.below = [f"{prefix}{one}" for one in config.below]
    model.requires_grad_(False).eval()
    return {name: f"{prefix}{name}" for name in names(folder)}


def can_mix(folder: Path) -> bool:
    """Whether base and tuned model can answer in one batch, row by row (PEFT's `adapter_names`).

    LoRA's layers can, but not DoRA's; bottleneck adapters can; all else is switched for the whole batch.
    """
    settings = [json.loads((place / CONFIG).read_text(encoding="utf-8")) for place in _folders(folder).values()]
    return bool(settings) and all(
        one["peft_type"] == "BOTTLENECK" or (one["peft_type"] == "LORA" and not one.get("use_dora")) for one in settings
    )


def choose(model: PeftModel, chosen: list[str]) -> None:
    """Let these adapters answer: one, or several together. Prefixes stand one after the other, bottleneck adapters on
    one another, the first lowest. Raises `MethodError` for kinds that cannot be put together.
    """
    from trainer.methods import soft_prompts

    kind = model.peft_config[chosen[0]].peft_type
    if len(chosen) == 1:
        model.set_adapter(chosen[0], inference_mode=True)
    elif kind == "PREFIX_TUNING":
        together = "and_".join(chosen)
        if together not in model.peft_config:
            soft_prompts.compose(model, chosen, together)
        model.set_adapter(together, inference_mode=True)
    elif kind == "BOTTLENECK":
        tuner: Any = model.base_model
        tuner.set_adapter(chosen, inference_mode=True)
    else:
        raise MethodError("Only prefixes and bottleneck adapters can answer together; choose one of the adapters.")


def training_state(model: Any) -> dict[str, Tensor]:
    """A copy of every trained number under its full name; what PEFT saves lacks a projection's network.

    The weights of all adapters are in it, whichever is active, and what AdaLoRA's allocation of ranks remembers.
    """
    from trainer.methods import adalora

    state = {}
    for name, one in _trained(model).items():
        with deepspeed.whole([one]):
            # Of ZeRO-3 one at a time, away from the device: all together are more than it holds.
            state[name] = one.detach().to("cpu" if deepspeed.is_share(one) else one.device, copy=True).contiguous()
    if _allocates_ranks(model):
        for name, one in adalora.allocation(model).items():
            state[f"{_ALLOCATION}{name}"] = one.clone().contiguous()
    return state


def set_training_state(model: Any, state: dict[str, Tensor]) -> None:
    """Put what `training_state` took back into a model made from the same run file.

    Raises `MethodError` where it is that of another method or shape.
    """
    import torch

    from trainer.methods import adalora

    numbers = {name: one for name, one in state.items() if not name.startswith(_ALLOCATION)}
    trained = _trained(model)
    shapes = {name: getattr(one, "ds_shape", one.shape) for name, one in trained.items()}
    if shapes != {name: one.shape for name, one in numbers.items()}:
        raise MethodError(
            "The checkpoint was written by a run with another method, rank or set of tasks; a run goes on with the "
            "values that it began with. Start a new run instead."
        )
    with torch.no_grad():
        for name, one in trained.items():
            with deepspeed.whole([one], written=True):
                one.copy_(numbers[name])
    if _allocates_ranks(model):
        allocation = {name: one for name, one in state.items() if name.startswith(_ALLOCATION)}
        adalora.restore(
            model, {name.removeprefix(_ALLOCATION): one.to(model.device) for name, one in allocation.items()}
        )


_ALLOCATION = "allocation/"


def _folders(folder: Path) -> dict[str, Path]:
    """Each adapter's name and folder, trained ones first."""
    found = {TUNED: folder} if (folder / CONFIG).exists() else {}
    found |= {place.parent.name: place.parent for place in sorted(folder.glob(f"*/{CONFIG}"))}
    complete = {name: place for name, place in found.items() if (place / WEIGHTS).exists()}
    return dict(sorted(complete.items(), key=lambda one: one[0].startswith(BENEATH)))


def _allocates_ranks(model: Any) -> bool:
    return hasattr(model, "peft_config") and model.active_peft_config.peft_type == "ADALORA"


def _trained(model: Any) -> dict[str, Tensor]:
    """What is trained at some time of the run: `requires_grad` alone does not tell, as it is switched meanwhile."""
    if not hasattr(model, "peft_config"):
        return dict(model.named_parameters())
    prompts = model.active_peft_config.is_prompt_learning
    part = "prompt_encoder." if prompts else f".{model.base_model.prefix}"
    head = ".modules_to_save."  # of a reward model
    found = {name: one for name, one in model.named_parameters() if part in name or head in name}
    return {name: one for name, one in found.items() if f".{REFERENCE}." not in name}
