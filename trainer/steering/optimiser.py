"""The optimiser of a run: AdamW with a rate for each group of weights, and layers that join in one after another.

`trainer.steering.rates` says what the rates are.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.methods.lora import MethodError
from trainer.sections import RunConfig
from trainer.steering import rates

# The usual 0.999 remembers the large first gradients for a thousand steps; runs here may have two hundred.
BETAS = (0.9, 0.95)
_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")  # GPT-2's layers are called h
_EMBEDDING = re.compile(r"embed|\.wte\.|\.wpe\.")
_B = re.compile(r"\.lora_(?:embedding_)?B\.")


def groups(model: Any, run: RunConfig) -> list[dict[str, Any]]:
    """What is trained (`requires_grad`) as parameter groups: name, params, lr (its peak), weight_decay, layer, layers.

    From the top down, so that the rate that transformers logs, the first group's, is the run's `learning_rate`.
    Biases and norms do not decay, as in transformers. LoRA+ (Hayou et al. 2024): `learning_rate` is A's, and B's is
    `rate_ratio` times that; DoRA's lengths learn as A does. `layer` counts from the bottom; an embedding that is also
    the output layer counts as bottom. Raises `MethodError` where layers are to differ and no weight's name tells one.
    """
    decayed = set(Trainer.get_decay_parameter_names(cast(Any, None), model))
    layers = model.config.get_text_config().num_hidden_layers
    ratio, by_layer = rates.b_ratio(run), rates.by_layer(run)
    trained = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    if by_layer and not any(_LAYER.search(name) for name, _ in trained):
        field = "layer_rate_ratio" if run.schedule.layer_rate_ratio > 1 else "unfreezing_share"
        raise MethodError(
            f"schedule.{field}: the layers cannot differ, because no trained weight belongs to a numbered layer "
            f"(the first is {trained[0][0]}); leave it at its default."
        )
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for name, parameter in trained:
        height, layer, where = _place(name, layers) if by_layer else (0, layers - 1, "all weights")
        is_b = ratio > 1 and _B.search(name) is not None
        part = "" if ratio == 1 else ", B" if is_b else ", A"
        called = f"{where}{part}{'' if name in decayed else ', no decay'}"
        group = {
            "name": called,
            "params": [],
            "lr": rates.peak(run, layer, layers) * (ratio if is_b else 1.0),
            "weight_decay": run.schedule.weight_decay if name in decayed else 0.0,
            "layer": layer,
            "layers": layers,
        }
        found.setdefault((-height, called), group)["params"].append(parameter)
    return [found[key] for key in sorted(found)]


def optimizer(model: Any, run: RunConfig) -> torch.optim.Optimizer:
    """AdamW over `groups`; with a 4-bit base the paged 8-bit one, whose states leave a GPU that is full (L1.3)."""
    chosen = groups(model, run)
    if run.model.quantization == "none":
        # One kernel for all weights of a group; it does not know weights that are shared out.
        fused = run.hardware.strategy == "ddp"
        return torch.optim.AdamW(chosen, lr=run.schedule.learning_rate, betas=BETAS, fused=fused or None)
    from bitsandbytes.optim.adamw import PagedAdamW8bit
    from bitsandbytes.optim.optimizer import GlobalOptimManager

    manager = GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            # As transformers does: the rare large gradients of embeddings do not survive 8 bits.
            manager.register_module_override(module, "weight", {"optim_bits": 32})
    return PagedAdamW8bit(chosen, lr=run.schedule.learning_rate, betas=BETAS)


def scheduler(optimizer: torch.optim.Optimizer, run: RunConfig, total_steps: int) -> LambdaLR:
    """The rates of `rates.schedule` for each group that `optimizer` made; 0 before its layer trains."""
    share = rates.schedule(run, total_steps)

    def of(begins: int) -> Any:
        return lambda step: share(step) if step >= begins else 0.0

    return LambdaLR(optimizer, [of(begins) for begins in _beginnings(optimizer, run, total_steps)])


class GroupRates(TrainerCallback):
    """Keeps layers that do not train yet from moving, and a checkpoint from bringing other rates than the run's.

    Before a layer's first step (`rates.unfreezing`) its gradients are taken away just before the optimiser steps: it
    gets no decay and no momentum, and stays equal to the bit. `requires_grad` is left alone, because what a checkpoint
    holds and which adapter is active go by it; so a step costs as much as later, and the gradient norm, which clipping
    goes by, counts the waiting layers too.

    A checkpoint carries the rates that it was written with; going on from it with others (half of them, once the
    loss was no number) needs them put back, which is done as training begins.
    """

    def __init__(self, run: RunConfig, optimizer: torch.optim.Optimizer, scheduler: LambdaLR, total_steps: int):
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.peaks = list(scheduler.base_lrs)
        self.begins = _beginnings(optimizer, run, total_steps)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        now = [
            peak * share(self.scheduler.last_epoch)
            for peak, share in zip(self.peaks, self.scheduler.lr_lambdas, strict=True)
        ]
        for group, peak, rate in zip(self.optimizer.param_groups, self.peaks, now, strict=True):
            group["initial_lr"], group["lr"] = peak, rate
        self.scheduler.base_lrs = list(self.peaks)
        self.scheduler._last_lr = now

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        for group, begins in zip(self.optimizer.param_groups, self.begins, strict=True):
            if state.global_step < begins:
                for parameter in group["params"]:
                    parameter.grad = None


def _beginnings(optimizer: torch.optim.Optimizer, run: RunConfig, total_steps: int) -> list[int]:
    return [rates.unfreezing(run, group["layer"], group["layers"], total_steps) for group in optimizer.param_groups]


def _place(name: str, layers: int) -> tuple[int, int, str]:
    """How high a weight stands, whose rate it has, and what to call that."""
    match = _LAYER.search(name)
    if match:
        return int(match[1]), int(match[1]), f"layer {int(match[1]) + 1}"
    if _EMBEDDING.search(name):
        return -1, 0, "embeddings"
    return layers, layers - 1, "last norm and output layer"
