"""LoRA, and with a 4-bit base QLoRA: low-rank adapters beside frozen weights (lecture L1.2, L1.3).

Its variants are PEFT's: rsLoRA, DoRA, and the starts PiSSA and EVA.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from evaluators.sides import last_position
from trainer.method_sections import LoraMethod
from trainer.methods import MethodError

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

EVA_PASSES = 200
"""Forward passes after which EVA's directions have to be settled; they usually are after ten to thirty."""


def apply(
    model: PreTrainedModel, method: LoraMethod, batches: Callable[[], Iterable[Mapping[str, Any]]] | None = None
) -> PeftModel:
    """Freeze the model and put an untrained adapter on it; until the first step it answers as the base.

    Cost: for each adapted layer of d_in x d_out, rank x (d_in + d_out) trained numbers in fp32, whatever the base's
    precision, since bf16 rounds small updates away. DoRA adds d_out.

    PiSSA moves the largest directions out of the frozen weights into the adapter, so that while it trains the model
    with its adapter off is not the base; `plain` makes an ordinary adapter of it. EVA needs `batches`: training rows
    as `input_ids` and `attention_mask` (n, t); every layer keeps method.rank (rho = 1 in Paischer et al. 2024).
    Raises `MethodError` where none of the named layers is in the model, or EVA does not settle.
    """
    import torch
    from peft import EvaConfig, LoraConfig

    # The exact decomposition took seven times as long (20 s for the embedded model on one core); what is not taken out
    # of the weights just stays in them.
    init: Any = {"zero": True, "pissa": "pissa_niter_16", "eva": "eva"}[method.init]
    settings = LoraConfig(
        # A reward model's head is trained and saved with the adapter.
        task_type="SEQ_CLS" if hasattr(model, "score") else "CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        use_rslora=method.scaling == "rank_stabilised",
        use_dora=method.dora,
        init_lora_weights=init,
        eva_config=EvaConfig(rho=1.0) if method.init == "eva" else None,
    )
    with torch.random.fork_rng(enabled=method.init == "pissa"):
        if method.init == "pissa":
            # Its decomposition draws numbers; a run that is resumed has to split the weights in the same way.
            torch.manual_seed(0)
        tuned = put_on(model, settings)
    if method.init == "pissa":
        cast(Any, tuned).pissa_start = {name: one.detach().clone() for name, one in _factors(tuned).items()}
    if method.init == "eva":
        found = list(batches()) if batches else []
        if not found:
            raise MethodError("method.init: eva starts from the training rows, and there are none; set it to zero.")
        _start_from_activations(tuned, found)
    return tuned


def put_on(model: PreTrainedModel, settings: PeftConfig) -> PeftModel:
    """Freeze the model and put PEFT's adapter on its linear layers; raises `MethodError` where it names none."""
    from peft import get_peft_model

    try:
        return get_peft_model(model, settings)  # pyright: ignore[reportReturnType]
    except ValueError as error:
        if "arget modules" not in str(error):
            raise
        names = sorted(
            {name.rpartition(".")[2] for name, part in model.named_modules() if hasattr(part, "in_features")}
        )
        raise MethodError(
            f"method.target_modules: {sorted(getattr(settings, 'target_modules', None) or [])} are not in this model; "
            f"it has {', '.join(names)}."
        ) from None


def plain(model: PeftModel) -> tuple[dict[str, Tensor], PeftConfig]:
    """A PiSSA adapter as an ordinary LoRA of the original base, of twice the rank: its weights and configuration.

    The frozen weights are W - s B0 A0, so that W + s (B A - B0 A0) = W + s [B, -B0] [A; A0] (Meng et al. 2024,
    appendix). s stays as it was. Of a bf16 base, what was rounded off when A0 and B0 were taken out stays off.
    """
    import torch

    joined = {}
    for name, trained in _factors(model).items():
        start = cast(Any, model).pissa_start[name]
        first = ".lora_A." in name
        joined[name] = torch.cat([trained.detach(), start if first else -start], 0 if first else 1).contiguous()
    config: Any = copy.deepcopy(model.peft_config["default"])
    config.lora_alpha *= 2**0.5 if config.use_rslora else 2
    config.r *= 2
    config.init_lora_weights = True
    config.inference_mode = True
    return joined, config


def _factors(model: PeftModel) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(model, save_embedding_layers=False)


class _Passes:
    """Runs the model for EVA, and ends what would otherwise go on for ever."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self, model: Any, inputs: dict[str, Any]) -> None:
        self.done += 1
        if self.done > EVA_PASSES:
            raise MethodError(
                f"method.init: eva found no stable directions in {EVA_PASSES} batches; its batches need more tokens "
                f"than method.rank ({model.peft_config['default'].r}). Take longer or more rows, or set it to zero."
            )
        model(**inputs, logits_to_keep=last_position(model))


def _start_from_activations(model: PeftModel, batches: list[Mapping[str, Any]]) -> None:
    from peft.tuners.lora import initialize_lora_eva_weights

    # Without labels: the directions are those of all tokens, where the answers' alone may be fewer than the rank.
    inputs = [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in batches]
    initialize_lora_eva_weights(model, inputs, forward_fn=_Passes(), show_progress_bar=False)
