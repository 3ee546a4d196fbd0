"""A run's model as one plain model: what was trained is added to the base's weights, in full precision.

The base is loaded anew and never in 4 bits: merging into 4-bit weights rounds the sum to 4 bits again (logits 0.04
apart, against 3e-7 in fp32). Each layer is widened to fp32, merged, and brought back to the precision that is saved, so
that a model of 7 billion weights in bf16 needs 14 GB and one layer more.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from trainer import models, runs
from trainer.export import ExportError
from trainer.export.default_system import with_default_system
from trainer.methods import MethodError, saved
from trainer.model_refs import BASE, ModelRef
from trainer.models import Progress
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.tuned import Tuned, adapter_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Precision = Literal["bf16", "fp16", "fp32"]
_UNMERGED = {
    "prefix": "A prefix stands before every layer's keys and values",
    "prompt": "A trained prompt stands before the input",
    "p_tuning": "A trained prompt stands before the input",
    "adapter": "A bottleneck adapter has a ReLU inside",
}
"""Kinds of method that no weight of the base can take up, and why."""
_LARGEST_FILE = "4GB"  # what any file system and any host of models takes


class Merged(BaseModel):
    """A merged model's folder, and how it was made."""

    folder: Path
    precision: Precision
    parameters: int
    weights_sha256: str
    adapter: str | None = None
    """The one of several that was merged."""
    notes: list[str] = []
    """What has to be known of it, in sentences."""


def merge(
    model: ModelRef,
    folder: Path,
    progress: Progress = lambda stage, done, total: None,
    *,
    adapter: str | None = None,
    precision: Precision | None = None,
) -> Merged:
    """Write a plain model into `folder`: safetensors, tokenizer with chat template, generation settings.

    `adapter`: which one, where the run has one for each task or specialty. `precision`: of the saved weights; that of
    the base's own files where it is left out. Raises `ExportError` where the method cannot be merged, or no or an
    unknown adapter of several is named, and `ModelError` where the base cannot be had.
    """
    run = runs.get(model.run)
    if why_not := cannot_merge(run, model):
        raise ExportError(why_not)
    saved_in = precision or own_precision(run)
    progress("loading the base in full precision", 0, 1)
    merged, tokenizer = load_adapted(run, model, saved_in, adapter)
    notes = []
    if hasattr(merged, "peft_config"):
        merged = _merged(merged, progress)
    if run.config.model.quantization != "none" and not model.is_base:
        notes.append(
            "The run trained on a 4-bit base and was measured with it; the merged model has the base's own weights in "
            "place of their 4-bit copies. Evaluate it before it is used."
        )
    progress("writing the merged model", 0, 1)
    merged.to(_dtype(saved_in))
    merged.save_pretrained(folder, max_shard_size=_LARGEST_FILE)
    tokenizer.chat_template = with_default_system(str(tokenizer.chat_template), run.config.task.system_prompt)
    tokenizer.save_pretrained(folder)
    count = sum(one.numel() for one in merged.parameters())
    del merged
    gc.collect()
    return Merged(
        folder=folder,
        precision=saved_in,
        parameters=count,
        weights_sha256=models.find(str(folder)).weights_sha256,
        adapter=adapter,
        notes=notes,
    )


def cannot_merge(run: Run, model: ModelRef) -> str:
    """Why this cannot be one plain model, and what can be done instead; empty where it can."""
    if run.config.objective.kind == "reward":
        return f"{run.id} is a reward model: it rates answers and gives none. Name it in a run's objective."
    if not run.weights:
        return f"{run.id} has trained nothing yet; resume it, and export it when its training has ended."
    if why := "" if model.is_base else _UNMERGED.get(run.config.method.kind, ""):
        return (
            f"{why}, which no weight of the base can take up: {run.id} cannot be merged. Export the adapter alone "
            "(--as adapter), which is loaded beside the base; or train with LoRA, which can be merged."
        )
    return ""


def own_precision(run: Run) -> Precision:
    """The number format of the base's own files: what a merged model is saved in."""
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(models.find(run.config.model.name).folder, trust_remote_code=False).dtype
    return {"torch.bfloat16": "bf16", "torch.float16": "fp16"}.get(str(found), "fp32")  # pyright: ignore


def load_adapted(
    run: Run, model: ModelRef, precision: Precision, adapter: str | None = None, device: str = "cpu"
) -> tuple[Any, PreTrainedTokenizerBase]:
    """The tuned model on its unquantised base, with the chosen adapter active and not merged; and the run's tokenizer.

    A base as it is for `RUN:base`. Raises `ExportError` where an adapter has to be chosen and is not.
    """
    config = in_full(run.config, precision, device)
    if run.config.method.kind == "full" and not model.is_base:
        whole = Tuned(run.model_copy(update={"config": config}), part=model.part)
        return whole.side(tuned=True), whole.tokenizer
    base, tokenizer, _ = models.load_base(config)
    if model.part == BASE:
        return base.eval(), tokenizer
    try:
        # Of a checkpoint it is made with the run's own settings: PiSSA splits the weights that it trained on.
        with adapter_folder(run, model.part) as place:
            loaded = saved.load(base, place)
            known = saved.names(place)
    except MethodError as error:
        raise ExportError(str(error)) from None
    if adapter is None and len(known) > 1:
        raise ExportError(
            f"{run.id} has an adapter for each {getattr(run.config.method, 'per', 'task')}: {', '.join(known)}. Name "
            "the one that is meant (--adapter)."
        )
    if adapter is not None and adapter not in known:
        raise ExportError(f"There is no adapter {adapter!r} in {run.id}; it has {', '.join(known)}.")
    saved.choose(loaded, [adapter or known[0]])
    return loaded, tokenizer


def in_full(config: RunConfig, precision: Precision, device: str = "cpu") -> RunConfig:
    """The same run file with its base unquantised, in this precision, on this device."""
    config = config.model_copy(deep=True)
    config.model.quantization = "none"
    config.hardware.precision = precision
    config.hardware.device = "cuda" if device == "cuda" else "cpu"
    return config


def _merged(model: Any, progress: Progress) -> Any:
    """The base with the active adapter in its weights, each layer merged in fp32."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    _untie(model)
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    for number, layer in enumerate(layers, 1):
        inner = layer.get_base_layer()
        kept = next(inner.parameters()).dtype
        inner.to(torch.float32)
        layer.merge(safe_merge=True)
        # Layer norm tuning puts its trained copy in the place of the base's.
        layer.get_base_layer().to(kept)
        if number % 10 == 0 or number == len(layers):
            progress("merging layers", number, len(layers))
    return model.unload()


def _untie(model: Any) -> None:
    """Give the output layer weights of its own where it shares the embeddings' and one of the two has an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn

    plain = model.get_base_model()
    ends = [plain.get_input_embeddings(), plain.get_output_embeddings()]
    adapted = [isinstance(end, BaseTunerLayer) for end in ends]
    inner = [end.get_base_layer() if has_one else end for end, has_one in zip(ends, adapted, strict=True)]
    if any(adapted) and inner[0].weight is inner[1].weight:
        inner[1].weight = nn.Parameter(inner[1].weight.detach().clone(), requires_grad=False)
        plain.config.tie_word_embeddings = False


def _dtype(precision: Precision) -> Any:
    return models.resolve_dtype(precision, "cpu")
