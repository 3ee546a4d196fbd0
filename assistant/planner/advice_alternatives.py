"""Other plans: fastest, balanced and best beside one that fits; the nearest that do beside one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from assistant.planner.advice_memory import LEVERS
from assistant.planner.advice_models import smaller_models
from assistant.planner.answers import Answers
from trainer import catalogue
from trainer.sections import RunConfig
from trainer.sizing import Estimate

_SMALLER = "A smaller model knows less medicine and reasons less well."
_LABELS = {"speed": "fastest", "balanced": "balanced", "quality": "best"}
_SAY = {"speed": "Speed first", "balanced": "A balance of speed and quality", "quality": "Quality first"}


class Alternative(BaseModel):
    """A plan beside the first: what differs, what it needs, what it gives up, and what to say to take it.

    `changes` is empty for the plan that stands.
    """

    label: str
    changes: dict[str, Any]
    estimate: Estimate
    gives_up: str
    say: str


Make = Callable[[Answers], tuple[RunConfig, Estimate | None]]


def by_priority(config: RunConfig, answers: Answers, make: Make) -> list[Alternative]:
    """Fastest, balanced and best, the plan that stands among them; `make` plans for other answers."""
    found = []
    for priority, label in _LABELS.items():
        other, estimate = make(answers.model_copy(update={"priority": priority}))
        if estimate is None:
            return []
        changes = differences(config, other)
        stands = priority == (answers.priority or "balanced")
        if stands or changes:
            given = _gives_up(priority, config, other, stands)
            found.append(
                Alternative(
                    label=label,
                    changes={} if stands else changes,
                    estimate=estimate,
                    gives_up=given,
                    say=_SAY[priority],
                )
            )
    return found


def nearest_that_fit(config: RunConfig, answers: Answers, make: Make) -> list[Alternative]:
    """One step away from a plan that does not fit: without a value that was asked for, a smaller model, a larger card.

    Four bits, checkpointing, smaller batches and shorter rows are not offered: the plan has tried them already.
    """
    found = []
    for field in (name for name in LEVERS if name in answers.settings):
        kept = {name: value for name, value in answers.settings.items() if name != field}
        word = field.partition(".")[2].replace("gradient_", "").replace("_", " ")
        found += _fitting(config, answers.model_copy(update={"settings": kept}), make, f"forget the {word}", "")
    for name in smaller_models(config.model.name):
        lost = _SMALLER
        if fitting := _fitting(config, answers.model_copy(update={"base_model": name}), make, f"Use {name}", lost):
            found += fitting
            break
    for row in sorted(catalogue.gpus(), key=lambda row: (row.memory_gib, row.bf16_tflops)):
        if config.hardware.device != "cuda" or row.kind == "rented" or not row.cuda:
            continue
        wanted = answers.model_copy(update={"gpu": row.name, "gpu_count": 1, "vram_gib": None})
        wanted.base_model = config.model.name
        if fitting := _fitting(config, wanted, make, f"On one {row.name}", "Needs a larger card."):
            found += fitting
            break
    return found


def differences(mine: RunConfig, theirs: RunConfig) -> dict[str, Any]:
    """The values that lead from one run file to another, by field; names of runs aside."""
    before, after = mine.model_dump(mode="json"), theirs.model_dump(mode="json")
    return {
        f"{section}.{name}": value
        for section, fields in after.items()
        if isinstance(fields, dict) and section != "output"
        for name, value in fields.items()
        if before[section].get(name) != value
    }


def _fitting(config: RunConfig, answers: Answers, make: Make, say: str, gives_up: str) -> list[Alternative]:
    other, estimate = make(answers)
    if estimate is None or estimate.fits != "fits":
        return []
    changes = differences(config, other)
    given = gives_up or "Gives up the value that you asked for."
    return [Alternative(label="nearest that fits", changes=changes, estimate=estimate, gives_up=given, say=say)]


def _gives_up(priority: str, config: RunConfig, other: RunConfig, stands: bool) -> str:
    if stands:
        return "This is the plan that stands."
    another = config.model.name != other.model.name
    return {
        "speed": "A smaller model knows less medicine and reasons less well."
        if another
        else "Less training learns less.",
        "balanced": "Neither the shortest nor the most thorough.",
        "quality": "Takes longer, and more memory."
        if another
        else "Takes longer, and a larger adapter can learn a small set by heart.",
    }[priority]
