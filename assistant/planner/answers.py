"""What must be known for a plan, and what is still missing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainer import catalogue
from trainer.catalogue.datasets import data_set
from trainer.config import ConfigError, path_of
from trainer.data import recipes
from trainer.data_sections import DataSection
from trainer.method_sections import METHOD_KINDS
from trainer.section import Task

Question = Literal["task", "examples", "gpu", "contains_phi"]
QUESTIONS: tuple[Question, ...] = ("task", "examples", "gpu", "contains_phi")
"""What must be known, in the order in which it is asked."""


class Answers(BaseModel):
    """What the user has said so far. None: not said. All that is not in `QUESTIONS` is never asked for."""

    model_config = ConfigDict(extra="forbid")

    task: Task | None = None
    other_tasks: list[Task] = Field(default_factory=list)
    objective: Literal["sft", "preference", "adversarial"] | None = None
    examples: int | None = Field(default=None, ge=1)
    gpu: str | None = None
    """A catalogue name, or cpu."""
    gpu_count: int | None = Field(default=None, ge=0, le=1024)
    vram_gib: float | None = Field(default=None, gt=0)
    """Memory of one card, where it was said."""
    base_model: str | None = None
    model_params_b: float | None = Field(default=None, gt=0)
    """Size of the model in billions of parameters, where only that was said."""
    contains_phi: bool | None = None
    priority: Literal["speed", "balanced", "quality"] | None = None
    specialty: str | None = None
    dataset: str | None = None
    """starter, a starter set such as starter/lab, a published set, a file's or folder's path, or a recipe's."""
    adaptation: Literal["high", "moderate", "low"] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Values of the run file that the user asked for by name ("use rank 32"), by field."""
    unknown: list[Question] = Field(default_factory=list)
    """Questions that were answered with "not sure": not asked again, and planned for carefully."""


def uses_starter(answers: Answers) -> bool:
    """Whether the data is the set that ships with Bedside."""
    return answers.dataset is not None and (answers.dataset == "starter" or answers.dataset.startswith("starter/"))


def holds_patient_data(answers: Answers) -> bool | None:
    """What the user said; the starter data was written for Bedside and holds none, nor do published examinations."""
    if answers.contains_phi is None and answers.dataset is not None:
        if recipes.is_recipe(answers.dataset):
            return _recipe(answers.dataset).contains_phi
        published = data_set(answers.dataset)
        if uses_starter(answers) or (published is not None and not published.patient_text):
            return False
    return answers.contains_phi


def _recipe(name: str) -> DataSection:
    """A recipe of the Data page; the default one where it is gone or damaged, which the plan then says."""
    try:
        return recipes.load(path_of(name))
    except ConfigError:
        return DataSection()


def missing(answers: Answers) -> list[str]:
    """What must still be asked, in order. A question answered with "not sure" is not asked again."""
    known = {
        "task": answers.task is not None,
        "examples": answers.examples is not None or answers.dataset is not None,
        "gpu": answers.gpu is not None or answers.vram_gib is not None,
        # On the Data page it was answered, be it with "not known".
        "contains_phi": holds_patient_data(answers) is not None or recipes.is_recipe(answers.dataset or ""),
    }
    return [name for name in QUESTIONS if not known[name] and name not in answers.unknown]


def _of_the_method(settings: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Earlier settings without those that another kind of method does not have, where one is chosen now."""
    if "method.kind" not in new:
        return settings
    fields = METHOD_KINDS[new["method.kind"] or "lora"].model_fields
    return {
        name: value
        for name, value in settings.items()
        if not name.startswith("method.") or name.partition(".")[2] in fields
    }


def merge(answers: Answers, changes: Answers) -> Answers:
    """The answers with what was newly said. A later value replaces an earlier one and whatever followed from it."""
    new = changes.model_dump(exclude_unset=True)
    merged = answers.model_dump() | new
    if "gpu" in new:
        merged["vram_gib"] = new.get("vram_gib")
        merged["gpu_count"] = new.get("gpu_count")
    elif "vram_gib" in new and answers.gpu is not None:
        row = catalogue.gpu(answers.gpu)
        if row is None or abs(row.memory_gib - new["vram_gib"]) > 0.15 * row.memory_gib:
            merged["gpu"] = None
    if "base_model" in new:
        merged["model_params_b"] = new.get("model_params_b")
    elif "model_params_b" in new:
        merged["base_model"] = None
    if "other_tasks" in new and "task" not in new:
        merged["other_tasks"] = [*answers.other_tasks, *new["other_tasks"]]
    wanted = _of_the_method(answers.settings, changes.settings) | changes.settings
    # None gives the value back to the planner.
    merged["settings"] = {field: value for field, value in wanted.items() if value is not None}
    merged["other_tasks"] = [task for task in dict.fromkeys(merged["other_tasks"]) if task != merged["task"]]
    # What is answered now is no longer unknown; an answer withdrawn with "not sure" is.
    settled = {name for name in new if name in QUESTIONS and new[name] is not None}
    settled |= {"examples"} if "dataset" in new else set()
    settled |= {"gpu"} if "vram_gib" in new else set()
    unknown = [name for name in answers.unknown if name not in settled]
    merged["unknown"] = list(dict.fromkeys([*unknown, *new.get("unknown", [])]))
    return Answers.model_validate(merged)
