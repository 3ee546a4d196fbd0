"""Transfer: what an earlier run trained becomes the start of a new one of the same method (lecture L3.3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from trainer.methods import MethodError, adalora, saved
from trainer.methods.groups import BENEATH

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

_FIELDS = {
    "r": "method.rank",
    "init_r": "method.start_rank",
    "lora_alpha": "method.alpha",
    "use_rslora": "method.scaling",
    "use_dora": "method.dora",
    "num_virtual_tokens": "method.length",
    "width": "method.width",
    "placement": "method.placement",
    "below": "method.below",
}
"""PEFT's settings that change what the same weights do, and our names for them."""


def start_from(model: Any, folder: Path) -> None:
    """Load the trained weights in `folder` into the model's untrained adapters, or into a model to be fully tuned.

    An adapter starts from the one of its own name, or where only one was saved, from that one. Raises `MethodError`
    that says what differs where kind, shape or scale is not the same.
    """
    if not hasattr(model, "peft_config"):
        _start_whole(model, folder)
        return
    there = saved.names(folder)
    if not there:
        raise MethodError(f"method.start_from: {folder} holds no trained adapter; name a run that finished training.")
    for name in [name for name in model.peft_config if not name.startswith(BENEATH)]:
        if len(there) > 1 and name not in there:
            raise MethodError(
                f"method.start_from: {folder} has {', '.join(there)}, and no {name}; name the subfolder of one of "
                "them, which all will start from."
            )
        _start_adapter(
            model, name, folder if there == [saved.TUNED] else folder / (name if name in there else there[0])
        )


def _start_adapter(model: Any, name: str, folder: Path) -> None:
    from peft import PeftConfig, get_peft_model_state_dict, set_peft_model_state_dict

    earlier, now = PeftConfig.from_pretrained(str(folder)), model.peft_config[name]
    if differing := _differences(earlier, now):
        raise MethodError(f"method.start_from: {folder} does not fit: {'; '.join(differing)}. Set both alike.")
    if now.peft_type == "P_TUNING" or getattr(now, "prefix_projection", False):
        raise MethodError(
            "method.start_from: a trained prompt is kept without the network that made it, so that training cannot "
            "go on from it; leave it empty, or take method.kind prompt or prefix without projection."
        )
    weights = load_file(folder / saved.WEIGHTS)
    if getattr(earlier, "init_r", None):
        weights = adalora.in_full_rank(weights, model, getattr(earlier, "rank_pattern", None) or {})
    fresh = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    if set(fresh) != set(weights):
        raise MethodError(
            f"method.start_from: {folder} does not fit: it is on {_layers(weights)}, and this run's on "
            f"{_layers(fresh)}. Set method.target_modules and model.name as they were."
        )
    for key, one in fresh.items():
        if one.shape != weights[key].shape:
            raise MethodError(
                f"method.start_from: {folder} does not fit: {key} is {_shape(weights[key])} there and {_shape(one)} "
                "here. Take the base model that it was trained on."
            )
    set_peft_model_state_dict(model, weights, adapter_name=name)


def _differences(earlier: PeftConfig, now: PeftConfig) -> list[str]:
    """In words, or an empty list. A PiSSA run's adapter was saved as plain LoRA, which is what counts."""
    if earlier.peft_type != now.peft_type:
        kinds = [str(getattr(one.peft_type, "value", one.peft_type)).lower() for one in (earlier, now)]
        return [f"it is of kind {kinds[0]}, and this run's method of kind {kinds[1]}"]
    return [
        f"{field} is {getattr(earlier, name)} there and {getattr(now, name)} here"
        for name, field in _FIELDS.items()
        if getattr(earlier, name, None) != getattr(now, name, None)
    ]


def _layers(weights: dict[str, Tensor]) -> str:
    parts = {part for name in weights for part in name.split(".") if part.endswith(("_proj", "norm"))}
    return ", ".join(sorted(parts)) or "other layers"


def _shape(one: Tensor) -> str:
    return " x ".join(str(size) for size in one.shape)


def _start_whole(model: Any, folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").exists() or not files:
        raise MethodError(f"method.start_from: {folder} holds no fully tuned model; name a run of method.kind full.")
    expected = dict(model.named_parameters())
    missing = set(expected)
    for file in files:
        weights = load_file(file)
        for name, one in weights.items():
            if name in expected and expected[name].shape != one.shape:
                raise MethodError(
                    f"method.start_from: {folder} does not fit: {name} is {_shape(one)} there and "
                    f"{_shape(expected[name])} here. Set model.name as it was."
                )
        model.load_state_dict(weights, strict=False)
        missing -= set(weights)
    if missing:
        raise MethodError(f"method.start_from: {folder} lacks {min(missing)}; set model.name as it was.")
