"""What a run builds on: the folders of what earlier runs trained (method.start_from, below, objective.reward_model)."""

from __future__ import annotations

from pathlib import Path

from trainer import reward_models, runs
from trainer.errors import ModelError
from trainer.method_sections import AdapterMethod
from trainer.methods import MethodError
from trainer.sections import RunConfig


def start(run: RunConfig) -> Path | None:
    """The folder that `method.start_from` stands for; raises `MethodError` where there is none."""
    name = run.method.start_from
    return _trained(name, "method.start_from") if name else None


def below(run: RunConfig) -> list[Path]:
    """The folders that `method.below` stands for, lowest first; raises `MethodError` where there is none."""
    names = run.method.below if isinstance(run.method, AdapterMethod) else []
    return [_trained(name, "method.below") for name in names]


def reward_model(run: RunConfig) -> Path | None:
    """The run folder that `objective.reward_model` stands for; raises `ModelError` where there is none."""
    name = getattr(run.objective, "reward_model", None)
    return reward_models.find(name) if name else None


def faults(run: RunConfig) -> list[str]:
    """A sentence where something that the run builds on is not there."""
    try:
        start(run)
        below(run)
        reward_model(run)
    except (MethodError, ModelError) as error:
        return [str(error)]
    return []


def _trained(name: str, field: str) -> Path:
    folder = Path(name).expanduser()
    if (folder / "adapter_config.json").exists():
        return folder
    try:
        earlier = runs.get(name)
    except runs.RunError as error:
        raise MethodError(f"{field}: {error}") from None
    if earlier.config.objective.kind == "reward":
        raise MethodError(f"{field}: the run {name} is a reward model, which answers nothing; name a run that does.")
    if not earlier.weights:
        raise MethodError(f"{field}: the run {name} has trained nothing yet; let it come to its end.")
    return earlier.adapter if earlier.adapter.is_dir() else earlier.folder / runs.MODEL
