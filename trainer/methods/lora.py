"""LoRA, and with a 4-bit base QLoRA: low-rank adapters beside frozen weights (lecture L1.2, L1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.method_sections import LoraMethod

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


class MethodError(Exception):
    """The method does not fit the model; the text names the field and the way out."""


def apply(model: PreTrainedModel, method: LoraMethod) -> PeftModel:
    """Freeze the model and put an untrained adapter on it; until the first step it answers exactly as the base.

    Cost: for each adapted layer of d_in x d_out, rank x (d_in + d_out) trained numbers in fp32, whatever the base's
    precision; a bf16 factor was measured ten times slower on a CPU and rounds small updates away.
    Raises `MethodError` where none of the named layers is in the model.
    """
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
    )
    try:
        return get_peft_model(model, settings)  # pyright: ignore[reportReturnType]
    except ValueError as error:
        if "arget modules" not in str(error):
            raise
        names = sorted(
            {name.rpartition(".")[2] for name, part in model.named_modules() if hasattr(part, "in_features")}
        )
        raise MethodError(
            f"method.target_modules: {method.target_modules} are not in this model; it has {', '.join(names)}."
        ) from None


def trainable_share(model: PeftModel) -> float:
    """Trained parameters as a share of all, as PEFT counts them (4-bit weights by what they stand for)."""
    trained, everything = model.get_nb_trainable_parameters()
    return trained / everything
