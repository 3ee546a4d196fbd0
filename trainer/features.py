"""What a run file can switch on, by name: methods with their variants, objectives, and the options beside them.

`trainer.impossible_pairs` says which of them go together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trainer.method_sections import LoraMethod, PrefixMethod, PromptMethod
from trainer.sections import RunConfig


@dataclass(frozen=True)
class Feature:
    """Something that a run file can switch on: by which field, what it is set to, and whether it is on."""

    name: str
    field: str
    settings: dict[str, Any]
    on: Callable[[RunConfig], bool]


def switched_on(*features: Feature) -> RunConfig:
    """The default run file with these features on; whether they go together is not looked at."""
    data: dict[str, dict[str, Any]] = {}
    for feature in features:
        for name, value in feature.settings.items():
            section, _, field = name.partition(".")
            data.setdefault(section, {})[field] = value
    return RunConfig.model_validate(data)


def _method(kind: str, name: str) -> Feature:
    return Feature(name, "method.kind", {"method.kind": kind}, lambda run: run.method.kind == kind)


def _lora(name: str, field: str, value: Any, on: Callable[[LoraMethod], bool]) -> Feature:
    settings = {"method.kind": "lora", f"method.{field}": value}
    return Feature(name, f"method.{field}", settings, lambda run: isinstance(run.method, LoraMethod) and on(run.method))


def _per(run: RunConfig) -> bool:
    return getattr(run.method, "per", "run") != "run"


def _adapters(kind: str, name: str, per: str) -> Feature:
    settings = {"method.kind": kind, "method.per": per}
    return Feature(name, "method.per", settings, lambda run: run.method.kind == kind and _per(run))


METHODS = (
    _method("lora", "LoRA"),
    _lora("rsLoRA", "scaling", "rank_stabilised", lambda method: method.scaling == "rank_stabilised"),
    _lora("DoRA", "dora", True, lambda method: method.dora),
    _lora("PiSSA", "init", "pissa", lambda method: method.init == "pissa"),
    _lora("EVA", "init", "eva", lambda method: method.init == "eva"),
    _lora("LoRA+", "rate_ratio", 16, lambda method: method.rate_ratio > 1),
    _lora("rank search", "search_rank", True, lambda method: method.search_rank),
    _method("adalora", "AdaLoRA"),
    _method("full", "full tuning"),
    _method("prefix", "prefix tuning"),
    Feature(
        "prefix projection",
        "method.projection",
        {"method.kind": "prefix", "method.projection": True},
        lambda run: isinstance(run.method, PrefixMethod) and run.method.projection,
    ),
    _adapters("prefix", "prefix for each task", "task"),
    _method("prompt", "prompt tuning"),
    Feature(
        "words to begin with",
        "method.init_text",
        {"method.kind": "prompt", "method.init_text": "Answer as a clinician."},
        lambda run: isinstance(run.method, PromptMethod) and run.method.init_text is not None,
    ),
    _method("p_tuning", "P-tuning"),
    _method("ia3", "IA3"),
    _method("layer_norm", "layer norm tuning"),
    _adapters("layer_norm", "layer norm for each task", "task"),
    _method("adapter", "bottleneck adapters"),
    _adapters("adapter", "bottleneck adapter for each task", "task"),
)

OBJECTIVES = (
    Feature(
        "preferences or rewards",
        "objective.kind",
        {"objective.kind": "dpo"},
        lambda run: run.objective.kind != "sft",
    ),
)
"""All but supervised tuning go with the same options; what one of them alone cannot do is told by its field."""

OPTIONS = (
    Feature(
        "4-bit base",
        "model.quantization",
        {"model.quantization": "nf4"},
        lambda run: run.model.quantization == "nf4",
    ),
    Feature(
        "gradient checkpointing",
        "schedule.gradient_checkpointing",
        {"schedule.gradient_checkpointing": True},
        lambda run: run.schedule.gradient_checkpointing,
    ),
    Feature(
        "start from an adapter",
        "method.start_from",
        {"method.start_from": "A_RUN"},
        lambda run: run.method.start_from is not None,
    ),
    Feature(
        "layer-wise rates",
        "schedule.layer_rate_ratio",
        {"schedule.layer_rate_ratio": 10},
        lambda run: run.schedule.layer_rate_ratio > 1,
    ),
    Feature(
        "gradual unfreezing",
        "schedule.unfreezing_share",
        {"schedule.unfreezing_share": 0.5},
        lambda run: run.schedule.unfreezing_share > 0,
    ),
    Feature(
        "NEFTune",
        "schedule.neftune_alpha",
        {"schedule.neftune_alpha": 5},
        lambda run: run.schedule.neftune_alpha > 0,
    ),
    Feature("mixup", "schedule.mixup_alpha", {"schedule.mixup_alpha": 0.4}, lambda run: run.schedule.mixup_alpha > 0),
    Feature(
        "curriculum",
        "steering.curriculum",
        {"steering.curriculum": "steps"},
        lambda run: run.steering.curriculum != "off",
    ),
    Feature(
        "dynamic mixing",
        "steering.mixing",
        {"steering.mixing": "dynamic"},
        lambda run: run.steering.mixing == "dynamic",
    ),
    Feature(
        "task weights",
        "steering.task_weights",
        {"steering.task_weights": "uncertainty"},
        lambda run: run.steering.task_weights != "rows",
    ),
    Feature(
        "gradient surgery",
        "steering.gradient_surgery",
        {"steering.gradient_surgery": "pcgrad"},
        lambda run: run.steering.gradient_surgery != "off",
    ),
    Feature("EWC", "steering.ewc", {"steering.ewc": 0.1}, lambda run: run.steering.ewc > 0),
    Feature("L2-SP", "steering.l2_sp", {"steering.l2_sp": 0.01}, lambda run: run.steering.l2_sp > 0),
    Feature(
        "distillation",
        "steering.distillation",
        {"steering.distillation": 1},
        lambda run: run.steering.distillation > 0,
    ),
    Feature(
        "disturbed rows",
        "adversarial.perturbations",
        {"adversarial.perturbations": ["style", "irrelevant_context"]},
        lambda run: bool(run.adversarial.perturbations),
    ),
    Feature(
        "consistency loss",
        "adversarial.consistency",
        {"adversarial.perturbations": ["style", "irrelevant_context"], "adversarial.consistency": 1},
        lambda run: run.adversarial.consistency > 0,
    ),
    Feature(
        "FGM", "adversarial.embedding", {"adversarial.embedding": "fgm"}, lambda run: run.adversarial.embedding == "fgm"
    ),
    Feature(
        "FreeLB",
        "adversarial.embedding",
        {"adversarial.embedding": "freelb"},
        lambda run: run.adversarial.embedding == "freelb",
    ),
    Feature(
        "meta-learning",
        "steering.reptile_steps",
        {"steering.reptile_steps": 2},
        lambda run: run.steering.reptile_steps > 0,
    ),
    Feature(
        "several folds",
        "evaluation.validation",
        {"evaluation.validation": "k_fold", "evaluation.folds": 2},
        lambda run: run.evaluation.validation != "split",
    ),
)

DEVICES = (
    Feature(
        "several processes",
        "hardware.processes",
        {"hardware.processes": 2},
        lambda run: run.hardware.processes * run.hardware.machines > 1,
    ),
    Feature(
        "shared-out weights",
        "hardware.strategy",
        {"hardware.processes": 2, "hardware.strategy": "fsdp"},
        lambda run: run.hardware.strategy in ("fsdp", "zero3"),
    ),
)
"""Run with the others in processes of their own: `tests/test_several_processes.py`."""
