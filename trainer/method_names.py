"""How a run's way of tuning is called, in the words of the papers: LoRA, QLoRA with DoRA, prefix tuning."""

from __future__ import annotations

from trainer.features import METHODS
from trainer.method_sections import AdaLoraMethod, AdapterMethod, LoraMethod
from trainer.sections import RunConfig


def method_name(config: RunConfig) -> str:
    """The method with its variants: "QLoRA with DoRA", "bottleneck adapters, one for each task"."""
    name, *others = [feature.name for feature in METHODS if feature.on(config)]
    variants = [other for other in others if not other.endswith("for each task")]
    if name == "LoRA" and config.model.quantization == "nf4":
        name = "QLoRA"
    if isinstance(config.method, AdapterMethod) and config.method.placement == "parallel":
        name += ", parallel"
    per = getattr(config.method, "per", "run")
    if variants:
        name += f" with {' and '.join(variants)}"
    return name if per == "run" else f"{name}, one for each {per}"


def kind_name(kind: str) -> str:
    """What a kind of method is called: "prefix tuning"; the kind itself where it is none."""
    return next((feature.name for feature in METHODS if feature.settings == {"method.kind": kind}), kind)


def method_size(config: RunConfig) -> str:
    """What its size is called and how large it is: "rank 16", "30 virtual tokens"; empty where it has none."""
    method = config.method
    if isinstance(method, LoraMethod | AdaLoraMethod):
        return f"rank {method.rank}"
    if isinstance(method, AdapterMethod):
        return f"width {method.width}"
    length = getattr(method, "length", None)
    return f"{length} virtual tokens" if length else ""
