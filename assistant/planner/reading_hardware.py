"""GPUs, their number and memory, and base models, as people name them."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_numbers import number_value
from assistant.planner.reading_text import Message, alternatives
from trainer import catalogue
from trainer.hardware import Machine

_MANY = {"two": 2, "dual": 2, "pair": 2, "couple": 2, "three": 3, "four": 4, "quad": 4, "six": 6, "eight": 8}
_DATA_NOUN = (
    r"(?!s?\s+(?:[a-z]+\s+)?(?:examples?|samples?|rows?|records?|notes|reports|cases|questions"
    r"|pairs|messages|documents|summaries|letters)\b)"
)
_NAMES = [alias for row in catalogue.gpus() for alias in (row.name, *row.aliases)]
_GPU = re.compile(
    r"(?<![\w.,])(?:(?P<before>\d{1,2}|(?:two|dual|three|four|quad|six|eight)(?:\s+of\s+(?:those|these|the|our|my))?|(?:a\s+)?(?:pair|couple)\s+of)\s*(?:x"
    r"|\*)?\s*)?"
    r"(?:(?P<first>16|32|40|80)\s*(?:gb|gib|gigs?)\s+)?(?:nvidia\s+)?(?:geforce\s+)?(?:tesla\s+)?"
    rf"(?P<name>{alternatives(_NAMES)})(?P<form>[\s-]*(?:sxm\d?|pcie))?"
    r"(?:[\s-]*\(?(?P<second>16|32|40|80)\s*(?:gb?|gib|gigs?|g)?\b\)?)?'?s?(?![\w,]*\d)(?!\w)"
    rf"{_DATA_NOUN}(?:\s*(?:gpus?|cards?))?(?:\s*(?:x|\*)\s*(?P<after>\d{{1,2}})\b)?",
    re.IGNORECASE,
)
# Also a stage or a hormone (T4), a vertebra (L4): a GPU only where something says so.
_CLINICAL_TOO = {"t4", "l4"}
_GPU_SIGN = re.compile(r"gpu|nvidia|tesla|colab|kaggle|cloud|aws|gcp|google|card|instance|\bspace\b", re.IGNORECASE)
_ON = re.compile(r"(?:\b(?:on|an?|my|one|single|free|have|use|rent|with)|\d\s*x?)\s*$", re.IGNORECASE)
_OTHER_CARD = re.compile(
    r"\b((?:rtx|gtx|radeon|rx|quadro|tesla|titan|arc)[\s-]?[a-z]?\d{1,4}\w*(?:\s(?:xtx|xt|ti|super))?"
    r"|mi\d{3}x?|h200|b200|gh200|a40|a10|p100|k80"
    r"|(?:[345]0[5-9]0|20[678]0)(?:\s?(?:ti|super))|m[1-4](?:\s(?:max|pro|ultra))|apple silicon|macbook|zero-?gpu)\b",
    re.IGNORECASE,
)
_VRAM = re.compile(
    r"(?<![\w.,-])(?P<size>\d{1,3}(?:\.\d)?)\s*(?:gb|gib|gigs?|gigabytes?)\b(?:\s+(?:of\s+)?)?(?P<what>\s*(?:nvidia\s+)?(?:gpu"
    r"|graphics?|card|vram|video))"
    r"|\b(?P<what2>gpu|graphics? card|card|vram)\s*(?:memory\s*)?(?:with|has|is|of|:|=)?\s*"
    r"(?:about\s+)?(?P<size2>\d{1,3})\s*(?:gb|gib|gigs?)\b",
    re.IGNORECASE,
)
_BARE_MEMORY = re.compile(r"^\W*(?:an?\s+)?(?:about\s+)?(\d{1,3})\s*(?:gb|gib|gigs?|g)?\W*$", re.IGNORECASE)
_NO_GPU = re.compile(
    r"\b(?:no|without(?: an?| any)?|(?:do|does|have|has|don't|doesn't|haven't|hasn't|ain't)(?:n't"
    r"| not)?(?: have| own| got)? (?:an?|any|no)) (?:gpus?|graphics cards?|cuda)\b"
    r"|\b(?:don't|do not|doesn't|haven't) (?:have|own|got) (?:an? |any )?(?:\w+ )?(?:gpus?|graphics cards?)\b"
    r"|\bno (?:nvidia|dedicated|proper|real) (?:gpus?|cards?|graphics)\b|\bgpu[- ]?less\b",
    re.IGNORECASE,
)
_CPU = re.compile(r"\bcpus?\b(?:[- ]only)?|\bprocessor only\b", re.IGNORECASE)
_HERE = re.compile(
    r"\b(?:(?:my|this|our|the) (?:own )?(?:laptop|notebook|computer|machine|pc|desktop|workstation|box)"
    r"|(?:use|run|train)(?: it)? here|on here|locally|this one here|laptop)\b",
    re.IGNORECASE,
)
_MODEL_NAMES = [
    alias for row in catalogue.base_models() for alias in (row.name, row.name.removesuffix("-instruct"), *row.aliases)
]
_MODEL = re.compile(
    "(?:"
    + "|".join(re.escape(row.hub_id) for row in catalogue.base_models())
    + ")"
    + rf"|(?<![\w.])(?:{alternatives(_MODEL_NAMES)})(?:[\s-]*(?:instruct|chat))?(?![\w.]*\d)(?!\w)",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"(?<![\w.,])(?P<billions>\d{1,3}(?:\.\d+)?)\s?(?:b\b|bn\b|billion\b)(?!\s+(?:rows|examples"
    r"|tokens))(?:[\s-]*(?:param(?:eter)?s?|model))?"
    r"|(?<![\w.,])(?P<millions>\d{2,3})\s?(?:m|million)[\s-]*(?:param(?:eter)?s?|model|one)\b",
    re.IGNORECASE,
)


def read_models(message: Message) -> dict[str, Any]:
    """`base_model` by name, else `model_params_b` by size."""
    changes: dict[str, Any] = {}
    for match in message.take(_MODEL):
        row = catalogue.base_model(match[0]) or catalogue.base_model(
            re.sub(r"[\s-]*(?:instruct|chat)$", "", match[0], flags=re.I)
        )
        row = row or catalogue.base_model(match[0] + "-instruct")
        if row is not None and not message.negated(match.start()):
            changes["base_model"] = row.name
    for match in message.take(_SIZE):
        size = float(match["billions"]) if match["billions"] else float(match["millions"]) / 1000
        if "base_model" not in changes and size > 0 and not message.negated(match.start()):
            changes["model_params_b"] = size
    return changes


def read_hardware(message: Message, machine: Machine, asked: bool) -> tuple[dict[str, Any], list[str]]:
    """`gpu`, `gpu_count` and `vram_gib`, and a remark on a card that is not in the catalogue."""
    changes: dict[str, Any] = {}
    remarks: list[str] = []
    other = _OTHER_CARD.search(message.rest)
    if other and catalogue.gpu(other[0]) is None and not message.negated(other.start()):
        memory = re.search(
            r"(\d{1,3})\s*(?:gb|gib|gigs?)\b", message.rest[other.end() : other.end() + 20], re.IGNORECASE
        )
        message.blank(other)
        if memory and not re.match(r"m[1-4]|apple|mac|radeon|rx|mi\d|arc", other[0], re.IGNORECASE):
            return {"vram_gib": float(memory[1]), "gpu_count": 1}, remarks
        remarks.append(
            f"I have no figures for “{other[0]}”. Training needs an NVIDIA GPU: tell me how much memory it has "
            "(“a 24 GB card”), or say “this machine”."
        )
    cards: list[str] = []
    for match in list(_GPU.finditer(message.rest)):
        if not _is_gpu(message, match, asked):
            continue
        message.blank(match)
        if message.negated(match.start()):
            continue
        row = _row(match["name"], match["first"] or match["second"])
        if row is not None:
            cards.append(row.name)
            changes = {"gpu": row.name, "gpu_count": _count(match["before"] or match["after"])}
    named = list(dict.fromkeys(cards))
    if len(named) > 1 and not message.corrects():
        return {}, [f"You name {' and '.join(named[:2])}. Which of the two will the run use?"]
    for match in message.take(_VRAM):
        size = float(match["size"] or match["size2"])
        if not message.negated(match.start()) and 1 <= size <= 400:
            changes.setdefault("gpu_count", 1)
            changes["vram_gib"] = size
    if changes or remarks:
        return changes, remarks
    if list(message.take(_NO_GPU)) or [found for found in message.take(_CPU) if not message.negated(found.start())]:
        return {"gpu": "cpu", "gpu_count": 0}, remarks
    if [found for found in message.take(_HERE) if not message.negated(found.start())]:
        return this_machine(machine), remarks
    bare = _BARE_MEMORY.match(message.rest) if asked else None
    if bare and 4 <= int(bare[1]) <= 400:
        message.blank(bare)
        return {"vram_gib": float(bare[1]), "gpu_count": 1}, remarks
    return changes, remarks


def this_machine(machine: Machine) -> dict[str, Any]:
    """The answers that this machine itself gives."""
    if not machine.gpus:
        return {"gpu": "cpu", "gpu_count": 0}
    first = machine.gpus[0]
    if first.row is None:
        return {"vram_gib": first.memory_gib, "gpu_count": len(machine.gpus)}
    return {"gpu": first.row, "gpu_count": len(machine.gpus)}


def _is_gpu(message: Message, match: re.Match[str], asked: bool) -> bool:
    if match["name"].lower() not in _CLINICAL_TOO or asked:
        return True
    around = message.original
    # "on a T4" or "one L4 GPU", not "TSH and T4", "T4 tumours" or "L4-L5".
    after = around[match.end() : match.end() + 12]
    told = _ON.search(around[: match.start("name")]) and not re.match(
        r"-|\s+(?!and\b|with\b|for\b|in\b|on\b|from\b|please\b)[a-z]", after, re.I
    )
    return bool(told or _GPU_SIGN.search(around[max(0, match.start() - 12) : match.end() + 12]))


def _row(name: str, memory: str | None) -> catalogue.GpuRow | None:
    family = re.sub(r"[\s_-]*\d+gb$", "", name.lower())
    return (catalogue.gpu(f"{family} {memory}gb") if memory else None) or catalogue.gpu(name)


def _count(text: str | None) -> int:
    if not text:
        return 1
    words = text.lower().split()
    many = next((_MANY[word] for word in words if word in _MANY), None)
    return many or max(1, int(number_value(text)))
