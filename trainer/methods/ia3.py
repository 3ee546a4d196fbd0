"""IA3: trained factors on keys, values and the MLP's inner activations (Liu et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.method_sections import Ia3Method
from trainer.methods import MethodError, groups

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

FACTORS_ON = ("k_proj", "v_proj", "down_proj")
"""Layers of Llama-like models whose outputs (the last one's inputs) are multiplied: Liu et al. 2022, section 3.3."""


def apply(model: PreTrainedModel, method: Ia3Method) -> PeftModel:
    """Freeze the model and put factors of one on it; until the first step it answers exactly as the base.

    Cost: 2 x width of the keys + inner width trained numbers a layer, in fp32: the fewest of all methods but prompts.
    Raises `MethodError` for a model whose layers have other names than Llama's and are not known to PEFT.
    """
    from peft import IA3Config
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as KNOWN

    there = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if set(FACTORS_ON) <= there:
        settings = IA3Config(
            task_type="CAUSAL_LM", target_modules=list(FACTORS_ON), feedforward_modules=[FACTORS_ON[-1]]
        )
    elif model.config.model_type in KNOWN:
        settings = IA3Config(task_type="CAUSAL_LM")
    else:
        raise MethodError(
            f"method.kind: ia3 acts on layers named {', '.join(FACTORS_ON)}, as in Llama; {type(model).__name__} has "
            "others. Use lora, which finds a model's linear layers by itself."
        )
    tuned = groups.put_on(model, lambda: settings, [groups.SINGLE])
    keep_precision(tuned)
    return tuned


def keep_precision(model: PeftModel) -> None:
    """Let factors on 4-bit layers give the precision they were given; PEFT's give fp32, which attention refuses."""
    from peft.tuners.ia3 import IA3Layer

    for layer in model.modules():
        if isinstance(layer, IA3Layer) and "4bit" in type(layer).__name__:
            layer.register_forward_hook(lambda _, inputs, output: output.to(inputs[0].dtype))
