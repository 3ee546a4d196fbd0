"""How far training has moved each weight of the base, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.ln_tuning.layer import LNTuningLayer
from peft.tuners.lora import LoraLayer


@dataclass(frozen=True)
class Change:
    """A weight of the base that training moves; `by()` is how far, in its shape, differentiable, in fp32."""

    name: str
    layer: torch.nn.Module
    """What holds the base's own weight: a linear layer, frozen and perhaps in 4 bits, or the owner of `parameter`."""
    parameter: torch.nn.Parameter | None
    """The base's weight; None where a linear layer's change stands in an adapter."""
    by: Callable[[], torch.Tensor]


def changes(model: Any) -> list[Change]:
    """Every weight that is moved: by LoRA and AdaLoRA, layer norm tuning, or full tuning.

    To be called before training: of a fully tuned model the weights at the start are copied, in fp32. A PiSSA adapter
    that is not trained yet changes nothing (`trainer.methods.lora`); an adapter that is gone on from is a change.
    """
    if isinstance(model, PeftModel):
        return list(_of_adapters(model))
    owners = {id(one): module for module in model.modules() for one in module.parameters(recurse=False)}
    return [Change(name, owners[id(one)], one, _since(one)) for name, one in model.named_parameters()]


def _of_adapters(model: PeftModel) -> Iterator[Change]:
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for adapter in [*layer.lora_A, *layer.lora_embedding_A]:
                yield Change(f"{name}.weight", layer.get_base_layer(), None, _of_lora(model, name, layer, adapter))
        elif isinstance(layer, LNTuningLayer):
            base = layer.get_base_layer()
            for adapter in layer.ln_tuning_layers.values():
                own = dict(adapter.named_parameters())
                for part, one in base.named_parameters():
                    yield Change(f"{name}.{part}", base, one, _between(own[part], one))


def _of_lora(model: PeftModel, name: str, layer: Any, adapter: str) -> Callable[[], torch.Tensor]:
    start = getattr(model, "pissa_start", None)
    if start is None:
        return lambda: layer.get_delta_weight(adapter).float()
    before, after = start[f"{name}.lora_A.weight"], start[f"{name}.lora_B.weight"]
    return lambda: layer.get_delta_weight(adapter).float() - layer.scaling[adapter] * (after.float() @ before.float())


def _since(weight: torch.nn.Parameter) -> Callable[[], torch.Tensor]:
    start = weight.detach().to(torch.float32, copy=True)
    return lambda: weight.float() - start


def _between(own: torch.Tensor, base: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: own.float() - base.detach().float()
