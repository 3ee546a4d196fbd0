"""AdaLoRA: low-rank updates P Λ Q whose ranks go to the matrices that need them (Zhang et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from trainer.method_sections import AdaLoraMethod
from trainer.methods import lora

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from trainer.steering.batch import Batch

WARM_UP_SHARE = 0.1
"""Share of the steps before ranks are taken away."""
FINAL_SHARE = 0.3
"""Share of the steps after the last rank was taken away."""


def apply(model: PreTrainedModel, method: AdaLoraMethod, total_steps: int) -> PeftModel:
    """Freeze the model and put an untrained adapter on it; until the first step it answers exactly as the base.

    Every matrix begins with method.start_rank; from a tenth of the steps on singular values are set to zero, the least
    important first, until method.rank is left on average at 70 % (by a cubic schedule; Zhang et al. 2023, section
    3.3). That needs `AllocateRanks` among the trainer's callbacks and `Orthogonality` among the terms of its loss.
    Cost: start_rank x (d_in + d_out + 1) trained numbers a matrix in fp32; the smaller ranks are saved.
    """
    from peft import AdaLoraConfig

    final = min(total_steps - 1, max(1, round(FINAL_SHARE * total_steps)))
    settings = AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=method.start_rank,
        target_r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        total_step=total_steps,
        # In a run of a few steps at least one is left in which ranks are taken away.
        tinit=min(round(WARM_UP_SHARE * total_steps), total_steps - final - 1),
        tfinal=final,
    )
    return lora.put_on(model, settings)


class AllocateRanks(TrainerCallback):
    """Takes ranks away after each step of the optimiser, before its gradients are forgotten."""

    def __init__(self, model: PeftModel):
        self.model: Any = model

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the trainer before it counts the step."""
        allocate(self.model, state.global_step + 1)


def allocate(model: Any, step: int) -> None:
    """Set the singular values that the budget of `step` (from 1) has no room for to zero; needs the gradients."""
    allocator, config = model.base_model.rankallocator, model.peft_config["default"]
    if allocator.init_bgt == allocator.target_bgt:
        return  # it begins with what is to be left
    for name, one in model.named_parameters():
        # Layers that are not trained yet (gradual unfreezing) have shown no importance.
        if ".lora_" in name and one.grad is None:
            one.grad = torch.zeros_like(one)
    if step == config.total_step - config.tfinal and not allocator.exp_avg_ipt:
        allocator.update_ipt(model.base_model.model)  # a run of one or two steps: PEFT expects an earlier one
    model.base_model.update_and_allocate(step)


class Orthogonality:
    """The term of the loss that keeps P and Q orthogonal: weight x mean of ||P'P - I|| and ||QQ' - I||, once a step.

    Zhang et al. 2023, section 3.1, with PEFT's mean of Frobenius norms; PEFT itself adds it only where the model
    computes the loss.
    """

    def __init__(self, model: PeftModel):
        self.weight: float = model.peft_config["default"].orth_reg_weight  # pyright: ignore[reportAttributeAccessIssue]
        parameters = dict(model.named_parameters())
        self.rows = [one for name, one in parameters.items() if ".lora_A." in name]
        self.columns = [one for name, one in parameters.items() if ".lora_B." in name]

    def __call__(self, batch: Batch) -> Tensor | None:
        if not batch.last:
            return None
        products = [one @ one.T for one in self.rows] + [one.T @ one for one in self.columns]
        norms = [torch.linalg.matrix_norm(one - torch.eye(len(one), device=one.device)) for one in products]
        return self.weight * torch.stack(norms).mean()


def allocation(model: Any) -> dict[str, Tensor]:
    """What the allocation of ranks remembers between steps, to stand in a checkpoint; `restore` takes it back."""
    allocator, config = model.base_model.rankallocator, model.peft_config["default"]
    remembered = {f"importance/{name}": one for name, one in allocator.exp_avg_ipt.items()}
    remembered |= {f"uncertainty/{name}": one for name, one in allocator.exp_avg_unc.items()}
    kept = {f"kept/{name}": torch.tensor(mask) for name, mask in (config.rank_pattern or {}).items()}
    return remembered | kept


def restore(model: Any, remembered: dict[str, Tensor]) -> None:
    """Give `allocation` back to a model of the same shape."""
    allocator, config = model.base_model.rankallocator, model.peft_config["default"]

    def part(start: str) -> dict[str, Tensor]:
        return {name.removeprefix(start): one for name, one in remembered.items() if name.startswith(start)}

    allocator.exp_avg_ipt, allocator.exp_avg_unc = part("importance/"), part("uncertainty/")
    allocator.ipt = {name: torch.zeros_like(one) for name, one in allocator.exp_avg_ipt.items()}
    config.rank_pattern = {name: one.tolist() for name, one in part("kept/").items()} or None


def in_full_rank(weights: dict[str, Tensor], model: PeftModel, kept: dict[str, list[bool]]) -> dict[str, Tensor]:
    """Saved weights whose ranks were cut, in the places that they had; the others begin anew, with a zero between.

    `weights` by PEFT's saved names; `kept` is the saved configuration's rank_pattern. The function is the same.
    """
    from peft import get_peft_model_state_dict

    fresh = get_peft_model_state_dict(model, save_embedding_layers=False)
    full = dict(weights)
    for name, mask in kept.items():
        for part in ("lora_A", "lora_E", "lora_B"):
            saved = f"base_model.model.{name.replace('lora_E', part)}"
            if saved not in fresh or saved not in weights:
                continue
            one, at = fresh[saved].detach().clone(), torch.tensor(mask)
            if part == "lora_B":
                one[:, at] = weights[saved].to(one.device)
            else:
                one[at] = weights[saved].to(one.device)
            full[saved] = one
    return full
