"""How many numbers each way of tuning trains, by arithmetic on the model's shape: nothing is loaded."""

from __future__ import annotations

from typing import Literal

from trainer.catalogue import BaseModelRow
from trainer.method_sections import (
    AdaLoraMethod,
    AdapterMethod,
    AnyMethod,
    FullMethod,
    Ia3Method,
    LayerNormMethod,
    LoraMethod,
    PrefixMethod,
    PromptMethod,
    PTuningMethod,
)


def trained_numbers(method: AnyMethod, model: BaseModelRow) -> int:
    """Numbers that the optimiser moves, for a model built like Llama (all of the catalogue; Phi's joined matrices are
    counted apart, as q, k, v, gate and up).

    Where there is one for each task or specialty, this is the count of one. EVA shifts rank between matrices and so
    the count by a little; its start is counted. Sources: LoRA, Hu et al. 2021, section 4; DoRA, Liu et al. 2024,
    section 4 (a length for each output); AdaLoRA, Zhang et al. 2023, section 3.1 (a singular value for each rank, at
    the ranks that it begins with); prefix tuning, Li & Liang 2021, section 4; prompt tuning, Lester et al. 2021,
    section 2; P-tuning, Liu et al. 2021 (an encoder of three layers, as PEFT builds it); IA3, Liu et al. 2022, section
    3.3; norms, Zhao et al. 2024; bottlenecks, Houlsby et al. 2019, section 2.1.
    """
    hidden, layers = model.hidden, model.layers
    shapes = linear_shapes(model)
    keys = shapes["k_proj"][1]
    match method:
        case LoraMethod():
            each = [
                method.rank * (inside + outside) + (outside if method.dora else 0)
                for inside, outside in _adapted(method.target_modules, model)
            ]
            return layers * sum(each)
        case AdaLoraMethod():
            each = [
                method.start_rank * (inside + outside + 1) for inside, outside in _adapted(method.target_modules, model)
            ]
            return layers * sum(each)
        case FullMethod():
            return round(model.params_b * 1e9)
        case PrefixMethod():
            pairs = 2 * layers * keys
            if not method.projection:
                return method.length * pairs
            # Embeddings as wide as a layer's keys, and a network of two layers, as PEFT builds it.
            return method.length * keys + _linear(keys, keys) + _linear(keys, pairs)
        case PromptMethod():
            return method.length * hidden
        case PTuningMethod():
            width = method.encoder_width
            encoder = _linear(hidden, width) + _linear(width, width) + _linear(width, hidden)
            return method.length * hidden + encoder
        case Ia3Method():
            return layers * (2 * keys + model.intermediate)
        case LayerNormMethod():
            return layers * 2 * hidden + hidden
        case AdapterMethod():
            return layers * 2 * (_linear(hidden, method.width) + _linear(method.width, hidden))


def linear_shapes(model: BaseModelRow) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of one layer's matrices, by their names in Llama-like models (all of the catalogue)."""
    hidden, queries, keys = model.hidden, model.heads * model.head_dim, model.kv_heads * model.head_dim
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, model.intermediate),
        "up_proj": (hidden, model.intermediate),
        "down_proj": (model.intermediate, hidden),
    }


def _adapted(names: Literal["all-linear"] | list[str], model: BaseModelRow) -> list[tuple[int, int]]:
    shapes = linear_shapes(model)
    return [shape for name, shape in shapes.items() if names == "all-linear" or name in names]


def _linear(inside: int, outside: int) -> int:
    """A matrix and its bias."""
    return inside * outside + outside
