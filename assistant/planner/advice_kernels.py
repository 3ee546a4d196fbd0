"""Which of the faster kernels a plan for a GPU names (`trainer.kernels`)."""

from __future__ import annotations

from assistant.planner.advice_models import Reason
from trainer import catalogue
from trainer.method_sections import LoraMethod
from trainer.sections import Kernel, RunConfig
from trainer.sizing import Estimate

WORTH_COMPILING_HOURS = 1.0
"""A run as long as this gains more than the minutes in which its layers are compiled. Not measured: no GPU was had."""


def kernels(config: RunConfig, estimate: Estimate | None) -> list[Reason]:
    """Name those that this GPU and method can use; nothing for GPUs before Ampere, and for a CPU."""
    row = catalogue.gpu(config.hardware.gpu) if config.hardware.gpu else None
    if config.hardware.device == "cpu" or row is None or not row.cuda or not row.bf16:
        return []
    chosen: list[Kernel] = ["liger"]
    why = "Liger computes norms, gates and positions in one pass each"
    if isinstance(config.method, LoraMethod) and config.hardware.precision != "fp32":
        chosen.insert(0, "flash_attention")
        why = f"FlashAttention reads rows without padding and keeps no matrix of them; {why}"
    long = estimate is not None and estimate.hours is not None and estimate.hours.low >= WORTH_COMPILING_HOURS
    if long and config.model.quantization == "none" and config.hardware.strategy == "ddp":
        chosen.append("compile")
        why += "; in hours of training the minutes that compiling takes come back"
    config.hardware.kernels = chosen
    why += ". What the machine lacks is left out, and the run says so."
    return [Reason(field="hardware.kernels", value=chosen, why=why, source="Dao 2023; Hsu et al. 2024")]
