"""Score answers to held-out questions, for the base model, the prompted base model, and the tuned one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from evaluators.metrics import Proportion, exact_match, has_structure, majority_share, named_label, proportion

Metric = Literal["structure", "exact_match", "label"]


class Item(BaseModel):
    """One held-out question: its messages, the reference answer, and for `label` the class and the classes."""

    prompt: list[dict[str, str]]
    reference: str
    label: str | None = None
    options: list[str] = []


class Row(BaseModel):
    """A line of the comparison: one set, one metric, three ways of answering, and the majority class for `label`."""

    name: str
    metric: Metric
    n: int
    base: Proportion
    prompted: Proportion
    tuned: Proportion
    majority: float | None = None


def score(items: Sequence[Item], answers: Sequence[str], metric: Metric) -> Proportion:
    """Share of the answers that pass `metric`, with its 95 % interval; one answer for each item."""
    passed = [_passes(item, answer, metric) for item, answer in zip(items, answers, strict=True)]
    return proportion(sum(passed), len(passed))


def majority(items: Sequence[Item]) -> float | None:
    """What always giving the commonest class would score, where the items have classes."""
    labels = [item.label for item in items if item.label is not None]
    return majority_share(labels) if labels else None


def with_examples(item: Item, examples: Sequence[Item]) -> list[dict[str, str]]:
    """The item's conversation with worked examples before its question: what one would try before tuning."""
    shown = [
        message
        for example in examples
        for message in (example.prompt[-1], {"role": "assistant", "content": example.reference})
    ]
    system = [message for message in item.prompt if message["role"] == "system"]
    return [*system, *shown, *item.prompt[len(system) :]]


def _passes(item: Item, answer: str, metric: Metric) -> bool:
    if metric == "structure":
        return has_structure(answer)
    if metric == "exact_match":
        return exact_match(answer, item.reference)
    if item.label is None:
        raise ValueError("the metric 'label' needs items with a label")
    return named_label(answer, item.options) == item.label
