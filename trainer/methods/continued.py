"""A run's method for another run that goes on from what it trained: as that was saved, where it is of another shape."""

from __future__ import annotations

import json

from trainer import runs
from trainer.method_sections import AnyMethod, LoraMethod, PrefixMethod, PromptMethod, PTuningMethod
from trainer.model_refs import TUNED, ModelRef
from trainer.runs import Run


def cannot(method: AnyMethod) -> str:
    """Why nothing can go on from what this method trains, in words; empty where it can."""
    if isinstance(method, PTuningMethod):
        return "what P-tuning trains is kept without the network that made it"
    return ""


def continued(run: Run, ref: ModelRef) -> AnyMethod:
    """The method of a run that goes on from this part of `run`; for its base, the same method from its beginning."""
    method = run.config.method.model_copy(deep=True)
    method.start_from = None
    if ref.is_base:
        return method
    method.start_from = ref.run if ref.part == TUNED else str(run.folder / runs.CHECKPOINTS / ref.part)
    if isinstance(method, LoraMethod):
        # PiSSA is saved as plain LoRA of twice the rank, and a search has found its own.
        first = next(iter(sorted(run.adapter.rglob("adapter_config.json"))))
        saved = json.loads(first.read_text(encoding="utf-8"))
        method.rank, method.alpha = saved["r"], saved["lora_alpha"]
        method.init, method.search_rank = "zero", False
    if isinstance(method, PrefixMethod):
        method.projection = False
    if isinstance(method, PromptMethod):
        method.init_text = None
    return method
