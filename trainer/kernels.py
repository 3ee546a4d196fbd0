"""Faster ways to compute the same on a GPU (`hardware.kernels`): how a model takes them on, and what a machine lacks.

FlashAttention 2 (Dao 2023) keeps no attention matrix and reads rows one behind the other, without padding; Liger's
kernels (Hsu et al. 2024) compute norms, gates and rotary positions in one pass each; `torch.compile` joins the small
operations of a layer. What a machine lacks is left out, and said. The fused AdamW needs no choice
(`steering.optimiser`). None of them has run on a GPU yet: on a CPU they do not pay, or do not run.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from trainer.methods import MethodError
from trainer.sections import Kernel, RunConfig

FLASH = "flash_attention_2"
"""What transformers calls it."""
_PACKAGES: dict[Kernel, tuple[str, str]] = {
    "flash_attention": ("flash_attn", "flash-attn"),
    "liger": ("liger_kernel", "liger-kernel"),
}
_CAPABILITY: dict[Kernel, tuple[int, int]] = {"flash_attention": (8, 0), "liger": (7, 0), "compile": (7, 0)}
"""Of the GPU, at the least: Ampere for FlashAttention 2 (its README), Volta for Triton, which makes the others."""


def lacking(run: RunConfig) -> dict[Kernel, str]:
    """Why a kernel that the run names cannot be used on this machine, for each such one; a sentence for the user."""
    found: dict[Kernel, str] = {}
    for kernel in run.hardware.kernels:
        module, package = _PACKAGES.get(kernel, ("", ""))
        major, minor = torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)
        if module and importlib.util.find_spec(module) is None:
            why = f"the package {package} is not installed (`pip install {package}` in Bedside's environment)"
        elif (major, minor) < _CAPABILITY[kernel]:
            least = ".".join(map(str, _CAPABILITY[kernel]))
            why = f"this GPU's compute capability is {major}.{minor}, and {kernel} needs {least}"
        else:
            continue
        found[kernel] = f"hardware.kernels: {kernel} is left out, since {why}. The run computes the same without it."
    return found


def attention(run: RunConfig) -> dict[str, str]:
    """Which attention the base is loaded with, as `from_pretrained` is told; nothing where it is PyTorch's own."""
    wanted = "flash_attention" in run.hardware.kernels and "flash_attention" not in lacking(run)
    return {"attn_implementation": FLASH} if wanted else {}


def reads_without_padding(model: Any, core: Any) -> bool:
    """Whether rows may stand one behind the other for `model`, of which `core` is the transformers model itself.

    FlashAttention tells them apart by their positions. Virtual tokens stand in front of each row, which needs a batch.
    """
    return core.config._attn_implementation == FLASH and not any(
        settings.is_prompt_learning for settings in getattr(model, "peft_config", {}).values()
    )


def take(core: Any, run: RunConfig) -> None:
    """Let transformers' own model, which is about to be trained, use the run's kernels; it is changed in place.

    Raises `MethodError` where Liger does not know this type of model.
    """
    missing = lacking(run)
    kernels = [one for one in run.hardware.kernels if one not in missing]
    if "liger" in kernels:
        from liger_kernel.transformers import monkey_patch  # pyright: ignore[reportMissingImports]

        if core.config.model_type not in monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN:
            raise MethodError(
                f"hardware.kernels: liger has no kernels for models of the type {core.config.model_type}; take it out."
            )
        # The loss is our own (`objectives.answer_loss`), which holds no logits either.
        monkey_patch._apply_liger_kernel_to_instance(core, cross_entropy=False, fused_linear_cross_entropy=False)
    if "compile" in kernels:
        # Layer by layer: they are alike, so that what is compiled for one serves all. Rows differ in length.
        layers = next(part for part in core.modules() if isinstance(part, torch.nn.ModuleList))
        for layer in layers:
            layer.compile(dynamic=True)
