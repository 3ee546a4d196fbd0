"""A base model becomes one that is tuned in the way that the run file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.method_sections import (
    AdaLoraMethod,
    AdapterMethod,
    FullMethod,
    Ia3Method,
    LayerNormMethod,
    LoraMethod,
    PrefixMethod,
    PromptMethod,
    PTuningMethod,
)
from trainer.methods import adalora, bottleneck, full, ia3, layer_norm, lora, soft_prompts, transfer
from trainer.methods.groups import adapter_names
from trainer.sections import RunConfig

LECTURE_SHARES = {
    "lora": "0.1 % (lecture L1.2)",
    "prefix": "0.01 % (lecture L1.4)",
    "adapter": "1-5 % (lecture L1.5)",
}
"""What the lecture says of the trainable share, by kind of method; nothing of the others."""


def apply(
    base: Any,
    run: RunConfig,
    groups: list[str],
    total_steps: int,
    batches: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    start: Path | None = None,
    below: Sequence[Path] = (),
) -> Any:
    """Freeze what the method freezes, put on what it trains, in fp32 whatever the base's precision, and return both.

    `groups`: the rows' tasks or specialties, whichever method.per names; of no use where that is run. `batches`: rows
    of training data as `input_ids` and `attention_mask`, for EVA. `start` and `below`: the folders that
    method.start_from and method.below stand for. Raises `MethodError`.
    """
    method = run.method
    names = list(adapter_names(getattr(method, "per", "run"), groups).values())
    match method:
        case LoraMethod():
            model = lora.apply(base, method, batches)
        case AdaLoraMethod():
            model = adalora.apply(base, method, total_steps)
        case FullMethod():
            model = full.apply(base, method)
        case PrefixMethod():
            model = soft_prompts.prefix(base, method, names)
        case PromptMethod():
            model = soft_prompts.prompt(base, method)
        case PTuningMethod():
            model = soft_prompts.p_tuning(base, method)
        case Ia3Method():
            model = ia3.apply(base, method)
        case LayerNormMethod():
            model = layer_norm.apply(base, names)
        case AdapterMethod():
            model = bottleneck.apply(base, method, names, list(below))
    if start is not None:
        transfer.start_from(model, start)
    return model


def trainable_share(model: Any) -> float:
    """Trained parameters as a share of all, as PEFT counts them (4-bit weights by what they stand for)."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trained, everything = model.get_nb_trainable_parameters()
    else:
        numbers = [(one.numel(), one.requires_grad) for one in model.parameters()]
        trained, everything = sum(n for n, moves in numbers if moves), sum(n for n, _ in numbers)
    return trained / everything
