"""Which weights a plan trains, how large the trained part is and at which rate; each value with its reason."""

from __future__ import annotations

from assistant.planner import starter_run
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, uses_starter
from trainer import catalogue
from trainer.method_sections import (
    METHOD_KINDS,
    AdaLoraMethod,
    AdapterMethod,
    AnyMethod,
    FullMethod,
    LoraMethod,
    PrefixMethod,
    PromptMethod,
    PTuningMethod,
)
from trainer.methods.counts import trained_numbers
from trainer.sections import RunConfig

FEW_SHOT = 100
"""Rows up to which a set is small enough for its own regime (lecture L3.3: 5-100 examples)."""
_HIGHEST_RANK = 64  # lecture L1.9: large knowledge
_RANKS = {
    "classification": 4,
    "ner": 8,
    "question_answering": 8,
    "patient_education": 8,
    "dialogue": 16,
    "test_interpretation": 16,
    "drug_information": 16,
    "summarization": 16,
    "report_generation": 16,
    "diagnosis": 16,
    "treatment": 16,
    "reasoning": 32,
}
_SOURCES = {
    "lora": "lecture L1.2",
    "adalora": "AdaLoRA, Zhang et al. 2023",
    "full": "lecture L1.1",
    "prefix": "lecture L1.4",
    "prompt": "prompt tuning, Lester et al. 2021",
    "p_tuning": "P-tuning, Liu et al. 2021",
    "ia3": "IA3, Liu et al. 2022",
    "layer_norm": "Zhao et al. 2024",
    "adapter": "lecture L1.5",
}
_RATES: dict[str, tuple[float, str, str]] = {
    "prefix": (5e-3, "The high end of 1e-3 to 5e-3: what stands before the layers learns slowly.", "lecture L1.6"),
    "prompt": (5e-3, "The high end of 1e-3 to 5e-3: virtual tokens alone learn slowly.", "lecture L1.6"),
    "p_tuning": (5e-3, "The high end of 1e-3 to 5e-3: virtual tokens alone learn slowly.", "lecture L1.6"),
    "ia3": (3e-3, "The rate of its authors, in the middle of 1e-3 to 5e-3 (L1.6).", "IA3, Liu et al. 2022"),
    "layer_norm": (1e-3, "The low end of 1e-3 to 5e-3: scales of norms move everything after them.", "lecture L1.6"),
    "adapter": (1e-3, "The low end of 1e-3 to 5e-3, where new layers that begin at zero stay steady.", "lecture L1.6"),
}


def method(config: RunConfig, answers: Answers) -> list[Reason]:
    """What is trained: LoRA with its rank by task, or the kind that was asked for, with its size."""
    kind = answers.settings.get("method.kind", "lora")
    config.method = METHOD_KINDS[kind]()  # pyright: ignore[reportAttributeAccessIssue]
    chosen = config.method
    reasons: list[Reason] = []
    if isinstance(chosen, LoraMethod | AdaLoraMethod):
        reasons += _low_rank(config, chosen, answers)
    elif isinstance(chosen, PrefixMethod | PromptMethod | PTuningMethod):
        why = "20-50 virtual tokens are typical, of 10-100 (L1.4); more are slower and seldom better."
        source = "lecture L1.4" if kind == "prefix" else _SOURCES[kind]
        reasons.append(Reason(field="method.length", value=chosen.length, why=why, source=source))
    elif isinstance(chosen, AdapterMethod):
        why = "The low end of 64-512: two such layers a block already outweigh a LoRA of rank 16."
        reasons += [
            Reason(field="method.width", value=chosen.width, why=why, source="lecture L1.5"),
            Reason(
                field="method.dropout",
                value=chosen.dropout,
                why="The low end of 0.1-0.3 for adapters.",
                source="lecture L1.8",
            ),
        ]
    return [Reason(field="method.kind", value=kind, why=_trained(config), source=_SOURCES[kind]), *reasons]


def _low_rank(config: RunConfig, chosen: LoraMethod | AdaLoraMethod, answers: Answers) -> list[Reason]:
    rank = _RANKS[config.task.name]
    why = f"Rank by task: {config.task.name.replace('_', ' ')} takes {rank}."
    if len(config.task.other_tasks) >= 1:
        rank, why = max(32, rank), "Several tasks at once take rank 32."
    elif uses_starter(answers):
        rank, why = max(16, rank), "The starter data mixes answers, extraction and recall: rank 16 at least."
    why += " (The lecture's best practices start at 8; it is chosen by task here.)"
    set_rank(chosen, rank)
    reasons = [
        Reason(field="method.rank", value=rank, why=why, source="lecture L1.9"),
        Reason(
            field="method.alpha",
            value=2 * rank,
            why="Twice the rank, as in both worked recipes.",
            source="lecture L3.18",
        ),
        Reason(
            field="method.target_modules",
            value="all-linear",
            source="QLoRA, Dettmers et al. 2023",
            why="Adapters on every linear layer were needed to match full tuning (the case "
            "study took q_proj and v_proj alone).",
        ),
        Reason(
            field="method.dropout",
            value=0.0,
            source="lecture L1.8",
            why="None to begin with; 0.1-0.3 is for adapters that overfit, which the validation loss would show.",
        ),
    ]
    if isinstance(chosen, AdaLoraMethod):
        why = "Begins at one and a half times the rank that is left at the end, as its authors did."
        source = _SOURCES["adalora"]
        reasons.append(Reason(field="method.start_rank", value=chosen.start_rank, why=why, source=source))
    return reasons


def set_rank(method: AnyMethod, rank: int) -> None:
    """Set the rank and what follows from it: alpha is twice that, and AdaLoRA begins at one and a half times."""
    if isinstance(method, LoraMethod | AdaLoraMethod):
        method.rank, method.alpha = rank, 2 * rank
    if isinstance(method, AdaLoraMethod):
        method.start_rank = round(1.5 * rank)


def with_effort(config: RunConfig, answers: Answers, effort: float, reasons: list[Reason]) -> None:
    """Fewer passes for speed; for quality more, and of a low rank twice that. Rewrites the reasons."""
    if effort == 1.0:
        return
    more = effort > 1
    config.schedule.epochs *= effort
    found: dict[str, float] = {"schedule.epochs": config.schedule.epochs}
    if more and isinstance(config.method, LoraMethod | AdaLoraMethod):
        set_rank(config.method, min(_HIGHEST_RANK, 2 * config.method.rank))
        of_rank = ("rank", "alpha", "start_rank")
        found |= {f"method.{name}": getattr(config.method, name) for name in of_rank if hasattr(config.method, name)}
    for reason in reasons:
        if reason.field in found:
            reason.value = found[reason.field]
            reason.why += f" {'More' if more else 'Half'}, because you want {answers.priority}."


def learning_rate(config: RunConfig, default_run: bool, rows: int | None) -> tuple[float, str, str]:
    """The peak rate, why, and the source: by the method, for low-rank adapters by the model's size."""
    kind, row = config.method.kind, catalogue.base_model(config.model.name)
    if isinstance(config.method, FullMethod):
        low, small = row is not None and row.params_b >= 10, row is not None and row.params_b < 1
        rate = 1e-5 if low else 5e-5 if small else 2e-5
        why = "Full tuning takes 1e-5 to 5e-5; the smaller the model, the higher. It forgets faster than an adapter."
        return rate, why, "lecture L1.1"
    if kind in _RATES:
        return _RATES[kind]
    if rows is not None and rows <= FEW_SHOT and not default_run:
        why = "So few examples take a high rate: 5e-3 to 1e-2 (L3.3), which is above L1.6's 1e-3 to 5e-3 and often "
        return (
            1e-3,
            f"{why}diverges; this is the low end of both. Where it diverges all the same, the run goes back to its "
            "last checkpoint and lowers the rate once.",
            "lecture L3.3",
        )
    shown = "The lecture contradicts itself: 1e-3 to 5e-3 (L1.6) against 3e-4 in both of its recipes (L3.18, L3.19)."
    if default_run:
        return (
            starter_run.LEARNING_RATE,
            f"{shown} A model this small bears L1.6's low end, and learns faster.",
            "lecture L1.6",
        )
    if row is not None and row.params_b < 0.3:
        return 1e-3, f"{shown} A model this small bears L1.6's low end, and learns faster.", "lecture L1.6"
    if row is not None and row.params_b < 1:
        return 5e-4, f"{shown} Between the two for a model below a billion parameters.", "lecture L1.6"
    if row is not None and row.params_b >= 10:
        return 2e-4, f"{shown} The recipes' side is taken, and at its low end for a large model.", "lecture L3.18"
    return 3e-4, f"{shown} The recipes' rate is taken: theirs were measured.", "lecture L3.18"


def _trained(config: RunConfig) -> str:
    row = catalogue.base_model(config.model.name)
    if isinstance(config.method, FullMethod):
        return "Trains every weight: the most that a model can learn, for the most memory and the most forgetting."
    if row is None:
        return "Trains a small adapter; the base stays as it is."
    share = trained_numbers(config.method, row) / (row.params_b * 1e9)
    digits = 1 if share >= 0.001 else 3
    return f"Trains an adapter of {share:.{digits}%} of the base's size; the base itself stays as it is."
