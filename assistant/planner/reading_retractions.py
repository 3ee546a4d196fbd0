"""What is taken back without a new value: "forget the GPU", "scrap the data set", "the 4090 is gone"."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.answers import Answers
from assistant.planner.reading_text import Message, alternatives

_DROP = (
    r"(?:forget(?: about)?|scrap|ignore|disregard|never ?mind|strike|take back|leave out|drop|skip"
    r"|not decided on|undecided about|unsure about)"
)
_WHAT_I_SAID = r"(?:what (?:i|we) said about )?(?:the|my|our|that|any)(?: whole)? "
_THINGS = {
    "gpu": r"gpus?|graphics cards?|cards?|hardware|vram",
    "base_model": r"(?:base )?model(?: size)?|model name",
    "examples": r"(?:number|count) of (?:examples|rows|notes|reports|cases)|(?:example|row) count|numbers?",
    "dataset": r"data ?-?sets?|data|files?|starter (?:data|set)|demo data",
    "specialty": r"special(?:i?ty|isation|ization)|[a-z]+ology(?: (?:part|bit|focus))?",
    "task": r"tasks?|purpose|use case",
    "objective": r"objectives?|preferences?|adversarial (?:part|training)|robustness|dpo|red[- ]teaming",
    "priority": r"priorit(?:y|ies)|hurry|rush|deadline",
    "adaptation": r"adaptation(?: level)?",
}
# What follows from a fact goes with it.
_TOGETHER = {
    "gpu": ("gpu", "gpu_count", "vram_gib"),
    "base_model": ("base_model", "model_params_b"),
    "task": ("task", "other_tasks"),
}
_PATTERNS = {
    field: re.compile(rf"\b{_DROP} {_WHAT_I_SAID}(?:{things})\b(?! (?:data|notes|reports)\b)", re.IGNORECASE)
    for field, things in _THINGS.items()
}


def read_retractions(message: Message) -> dict[str, Any]:
    """The fields that a message takes back, with None (an empty list for the further tasks)."""
    gone: list[str] = []
    for field, pattern in _PATTERNS.items():
        if list(message.take(pattern)):
            gone.append(field)
    return _emptied(gone)


def read_denials(message: Message, known: Answers) -> dict[str, Any]:
    """What was said before and is denied by name: "we don't have the A100 any more", "not Mistral after all"."""
    gone = []
    for field, value in (("gpu", known.gpu), ("base_model", known.base_model), ("specialty", known.specialty)):
        if value is None or value == "cpu":
            continue
        names = {value, re.sub(r"-\d+gb$", "", value), re.sub(r"^(?:rtx|space|colab)-", "", value), value.split("-")[0]}
        pattern = re.compile(
            rf"(?<![\w.-])(?:{alternatives([name for name in names if len(name) > 1])})(?!\w)", re.IGNORECASE
        )
        for match in pattern.finditer(message.original):
            if message.denied(match):
                gone.append(field)
                break
    return _emptied(gone)


def _emptied(fields: list[str]) -> dict[str, Any]:
    names = [name for field in fields for name in _TOGETHER.get(field, (field,))]
    return {name: [] if name == "other_tasks" else None for name in names}
