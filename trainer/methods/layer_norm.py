"""Layer norm tuning: the norms' scales alone are trained (Zhao et al. 2024).

With one copy for each task it is a decoder's counterpart of task-specific batch norm (lecture L2.6).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from trainer.methods import MethodError, groups

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def apply(model: PreTrainedModel, names: list[str]) -> PeftModel:
    """Freeze the model and put a trained copy of every norm beside it, for each name one.

    Cost: two widths a layer and one more, twice that where a norm has a bias, in fp32. In a bf16 model the copies'
    products are rounded later than the base's, so that it answers as the base but for that rounding.
    Raises `MethodError` for a model without norms.
    """
    from peft import LNTuningConfig

    norms = [
        name
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower() and isinstance(getattr(module, "weight", None), torch.nn.Parameter)
    ]
    if not norms:
        raise MethodError(f"method.kind: layer_norm trains a model's norms, and {type(model).__name__} has none.")
    tuned = groups.put_on(model, lambda: LNTuningConfig(task_type="CAUSAL_LM", target_modules=norms), names)
    keep_in_fp32(tuned)
    return tuned


def keep_in_fp32(model: PeftModel) -> None:
    """Hold the copies in fp32, whatever the base's precision: they compute in it and give what the base's norm gives.

    PEFT leaves them in the base's, and a step of 2e-4 on a scale of one is lost in bf16.
    """
    from peft.tuners.ln_tuning import LNTuningModel
    from peft.tuners.ln_tuning.layer import LNTuningLayer

    if not isinstance(model.base_model, LNTuningModel):
        return
    for layer in model.modules():
        if not isinstance(layer, LNTuningLayer):
            continue
        precision: Any = layer.base_layer.weight.dtype
        for copy in layer.ln_tuning_layers.values():
            if next(copy.parameters()).dtype == torch.float32:
                continue
            copy.float()
            copy.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))
            copy.register_forward_hook(partial(_back, precision))


def _back(precision: torch.dtype, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.to(precision)
