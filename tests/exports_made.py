"""Runs whose adapters hold random numbers, far enough from nothing to be seen: what an export has to carry over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trainer import jobs, models, runs
from trainer.jobs import RunState
from trainer.methods import full, saved
from trainer.methods.apply import apply
from trainer.runs import MODEL, Run
from trainer.sections import RunConfig


def made_run(config: RunConfig, method: dict[str, Any], groups: Sequence[str] = (), quantization: str = "none") -> Run:
    """A run in state `done` of this method; `groups`: the tasks or specialties, where each has an adapter."""
    config = RunConfig.model_validate(
        config.model_dump()
        | {"method": method, "model": {"name": config.model.name, "quantization": quantization}}
        | ({"hardware": {"precision": "auto"}} if quantization != "none" else {})
    )
    run = runs.create(config)
    base, tokenizer, _ = models.load_base(config)
    model = apply(base, config, list(groups), total_steps=10)
    torch.manual_seed(1)
    with torch.no_grad():
        for one in model.parameters():
            if one.requires_grad:
                one.add_(0.1 * torch.randn_like(one))
    if config.method.kind == "full":
        full.save(model, tokenizer, run.folder / MODEL)
    else:
        saved.save(model, config, run.adapter)
    jobs.write_state(run.folder, RunState(state="done"))
    return runs.get(run.id)
