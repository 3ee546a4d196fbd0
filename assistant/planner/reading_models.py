"""Base models, as people name them: by name, by family or by size."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_text import Message, alternatives
from trainer import catalogue

_NAMES = [
    alias for row in catalogue.base_models() for alias in (row.name, row.name.removesuffix("-instruct"), *row.aliases)
]
_HUB_IDS = sorted((row.hub_id for row in catalogue.base_models()), key=len, reverse=True)
_MODEL = re.compile(
    f"(?:{'|'.join(re.escape(hub_id) for hub_id in _HUB_IDS)})"
    rf"|(?<![\w.])(?:{alternatives(_NAMES)})(?:[\s-]*(?:instruct|chat))?(?![\w.]*\d)(?!\w)",
    re.IGNORECASE,
)
# Families with several sizes. Not Phi: in these notes it stands for protected health information.
_FAMILY = re.compile(r"(?<![\w./-])(?P<family>llama|qwen|gemma)(?:[\s-]?\d(?:\.\d)?)?(?![\w/-])", re.IGNORECASE)
_SIZE = re.compile(
    r"(?<![\w.,])(?P<billions>\d{1,3}(?:\.\d+)?)[\s-]?(?:b\b|bn\b|billions?\b)(?!\s+(?:rows|examples"
    r"|tokens))(?:[\s-]*(?:param(?:eter)?s?|model))?"
    r"|(?<![\w.,])(?P<millions>\d{2,3})[\s-]?(?:m|million)[\s-]*(?:param(?:eter)?s?|model|one)\b",
    re.IGNORECASE,
)


def read_models(message: Message) -> tuple[dict[str, Any], list[str]]:
    """`base_model` by name, else `model_params_b` by size; where two are named, neither, and a remark that asks."""
    named: list[tuple[re.Match[str], str]] = []
    for match in message.take(_MODEL):
        row = _row(match[0])
        if row is not None and not message.denied(match):
            named.append((match, row.name))
    families = message.mentions(_FAMILY)
    sizes: list[tuple[re.Match[str], float]] = []
    for match in message.mentions(_SIZE):
        size = float(match["billions"]) if match["billions"] else float(match["millions"]) / 1000
        if size > 0:
            sizes.append((match, size))
    # "a Llama, the 8B one" is one model in two words.
    if len(families) == 1 and len(sizes) == 1 and not named:
        row = catalogue.base_model(f"{families[0][0]} {sizes[0][1]:g}b")
        if row is not None:
            return {"base_model": row.name}, []
    mentions = sorted([*named, *((found, found["family"].lower()) for found in families)], key=lambda x: x[0].start())
    return _decided(message, mentions, bool(named), sizes)


def _decided(
    message: Message,
    mentions: list[tuple[re.Match[str], str]],
    named: bool,
    sizes: list[tuple[re.Match[str], float]],
) -> tuple[dict[str, Any], list[str]]:
    names = list(dict.fromkeys(name for _, name in mentions))
    if len(names) > 1 and not message.replaces(mentions[0][0], mentions[-1][0]):
        return {}, [message.either_or("base models", names, "Which one is to be trained?")]
    if named and catalogue.base_model(mentions[-1][1]) is not None:
        return {"base_model": mentions[-1][1]}, []
    different = list(dict.fromkeys(size for _, size in sizes))
    if len(different) > 1 and not message.replaces(sizes[0][0], sizes[-1][0]):
        return {}, [
            message.either_or("model sizes", [f"a {size:g}B model" for size in different], "Which one shall it be?")
        ]
    if sizes:
        return {"model_params_b": sizes[-1][1]}, []
    if names:
        return {}, [f"There are several models of the name {names[-1].capitalize()}. Of which size shall it be?"]
    return {}, []


def _row(name: str) -> catalogue.BaseModelRow | None:
    return (
        catalogue.base_model(name)
        or catalogue.base_model(re.sub(r"[\s-]*(?:instruct|chat)$", "", name, flags=re.IGNORECASE))
        or catalogue.base_model(name + "-instruct")
    )
