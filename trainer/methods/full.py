"""Full tuning: all weights are trained (lecture L1.1), with their home in the computer's memory where asked (L1.11)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from trainer import models
from trainer.method_sections import FullMethod
from trainer.methods.saved import whole
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def apply(model: PreTrainedModel, method: FullMethod) -> PreTrainedModel:
    """Make all weights trainable, in fp32, as they were loaded; with method.offload, see `offload`.

    In bf16 most steps would be lost: at the rates of full tuning (1e-5 to 5e-5, lecture L1.1) AdamW moves a weight by
    about the rate, and between 0.03 and 0.06 two neighbouring bf16 numbers lie 2.4e-4 apart, so that the sum is rounded
    back to what it was.

    Cost: 16 bytes a weight: itself, its gradient and AdamW's two moments, 4 each; for 7 billion weights 112 GB
    (Rajbhandari et al. 2020, section 3.1). On a GPU the products are best computed under bf16 autocast.
    """
    if method.offload:
        model.to("cpu")  # pyright: ignore[reportArgumentType]
    model.float().requires_grad_(True)
    if method.offload:
        offload(model, "cuda")
    return model


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, state: Any = None) -> None:
    """Write the weights (fp32, safetensors) and the tokenizer with its chat template; whole or not at all.

    `state` are the weights (`saved.training_state`) where the model cannot be asked, because they are shared out.
    """
    with whole(folder) as place:
        model.save_pretrained(place, state_dict=state)
        tokenizer.save_pretrained(place)


def load(folder: Path, run: RunConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fully tuned model, ready to answer, in the run's precision and on its device; and its tokenizer.

    Raises `ModelError` where the folder holds no whole model.
    """
    tuned = run.model_copy(update={"model": run.model.model_copy(update={"name": str(folder), "quantization": "none"})})
    model, tokenizer, _ = models.load_base(tuned)
    return model.eval(), tokenizer


def offload(model: PreTrainedModel, device: str) -> None:
    """Let a model whose weights are in the computer's memory compute on `device`, one layer at a time (lecture L1.11).

    Each decoder layer's weights are copied to the device when it is computed, forward and once more backward: nothing
    of it is kept in between but its input. Copying is differentiable, so gradients arrive in the computer's memory,
    where the optimiser works. Of the embeddings only the rows that are read are copied. `model.device` is then where it
    computes, and `model.to` does nothing, so that no trainer moves the weights.

    The device holds the largest of layer and output layer with its gradient, the layers' inputs and one layer's
    activations. Every batch costs two copies of all weights there and one of the gradients back, which larger batches
    make up for, and every token of a generated answer one copy. The layers are checkpointed by this already: leave
    gradient_checkpointing off. Written here because torch's own (`fully_shard` with `CPUOffloadPolicy`) wants a process
    group, and makes parameters of a kind that `torch.autograd.grad`, and so EWC's Fisher information, cannot read.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    within = {id(part) for layer in layers for part in layer.modules()}
    others = [
        module
        for module in model.modules()
        if id(module) not in within and next(module.parameters(recurse=False), None) is not None
    ]
    for module in layers + others:
        if isinstance(module, nn.Embedding):
            _look_up(module, device)
        else:
            _visit(module, device)
    _stay(model, device)


class _Computation(nn.Module):
    """A module's original forward, as something whose parameters `functional_call` can replace."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.original = module.forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.original(*args, **kwargs)


def _visit(module: nn.Module, device: str) -> None:
    computation = _Computation(module)

    def compute(*args: Any, **kwargs: Any) -> Any:
        tensors = [*computation.named_parameters(), *computation.named_buffers()]
        return functional_call(computation, {name: _copy(one, device) for name, one in tensors}, args, kwargs)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return compute(*args, **kwargs)
        # What is computed again in the backward pass would be written to a cache twice.
        kept: dict[str, Any] = {name: None if name == "past_key_values" else value for name, value in kwargs.items()}
        return checkpoint(partial(compute, **kept), *args, use_reentrant=False)

    module.forward = forward


def _look_up(embedding: nn.Embedding, device: str) -> None:
    original = embedding.forward

    def forward(input: torch.Tensor) -> torch.Tensor:
        return _copy(original(input.to(embedding.weight.device)), device)

    embedding.forward = forward


def _copy(tensor: torch.Tensor, device: str) -> torch.Tensor:
    return tensor.to(device)


def _stay(model: PreTrainedModel, device: str) -> None:
    kind = type(model)
    members = {"device": property(lambda self: torch.device(device)), "to": lambda self, *args, **kwargs: self}
    # Of the same name, which stands in a saved model's config.json.
    model.__class__ = type(kind.__name__, (kind,), members)
