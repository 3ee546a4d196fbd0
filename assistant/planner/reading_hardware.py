"""GPUs, their number and memory, as people name them."""

from __future__ import annotations

import re
from typing import Any

from assistant.planner.reading_number_words import number_value
from assistant.planner.reading_places import placed, read_apple, read_cpu_place, read_place, read_zero_gpu
from assistant.planner.reading_text import Message, alternatives
from trainer import catalogue
from trainer.hardware import Machine

_WHICH = "Which of the two will the run use?"
_MANY = {"two": 2, "dual": 2, "pair": 2, "couple": 2, "three": 3, "four": 4, "quad": 4, "six": 6, "eight": 8}
_DATA_NOUN = (
    r"(?!s?\s+(?:[a-z]+\s+)?(?:examples?|samples?|rows?|records?|notes|reports|cases|questions"
    r"|pairs|messages|documents|summaries|letters)\b)"
)
# Also codes, stages or hormones (T4), vertebrae (L4): a GPU only where something says so.
_CLINICAL_TOO = {"t4", "l4", "a10", "a30", "a40", "l40", "a2000", "a4000", "a5000"}
# ZeroGPU and Apple's chips are read by themselves: no run can be planned for the one, none on the GPU of the other.
_NAMES = [
    *(
        alias
        for row in catalogue.gpus()
        if row.cuda and "zerogpu" not in row.name
        for alias in (row.name, *row.aliases)
    ),
    *(name for name in _CLINICAL_TOO if catalogue.gpu(name)),
]
_GB = r"\s*(?:gb|gib|gigs?|gigabytes?|g)\b"
_GPU = re.compile(
    r"(?<![\w.,])(?:(?P<before>\d{1,2}(?!\d)|(?:two|dual|three|four|quad|six|eight)(?:\s+of\s+(?:those|these|the|our"
    r"|my))?"
    r"|(?:a\s+)?(?:pair|couple)\s+of)\s*(?:x|\*)?\s*)?"
    rf"(?:(?P<first>\d{{1,3}}){_GB}\s+)?(?:nvidia\s+)?(?:geforce\s+)?(?:tesla\s+)?"
    rf"(?P<name>{alternatives(_NAMES)})(?:'?s(?=\s*\())?(?P<form>[\s-]*(?:sxm\d?|pcie))?"
    rf"(?:[\s,-]*(?:\(|with\s+|w/\s*|of\s+)?(?P<second>\d{{1,3}}{_GB}(?!\s+of\s+(?!vram|memory|gpu))"
    rf"|\d{{1,3}}(?=\s*(?:or|/)\s*\d{{1,3}}{_GB})|[48]0\b(?!\s*[a-z])))?\)?'?s?(?![\w,]*\d)(?!\w)"
    rf"(?:\s*(?:or|/|vs\.?)\s*(?P<other>\d{{1,3}}){_GB})?"
    rf"{_DATA_NOUN}(?:\s*(?:gpus?|cards?))?(?:\s*(?:x|\*)\s*(?P<after>\d{{1,2}})\b"
    r"|,?\s+(?P<many>two|three|four|six|eight|\d{1,2})\s+of\s+(?:them|those|these)\b)?",
    re.IGNORECASE,
)
_GPU_SIGN = re.compile(
    r"gpu|nvidia|tesla|colab|kaggle|cloud|aws|gcp|google|card|instance|\bspaces?\b|lambda|runpod|vast", re.IGNORECASE
)
_THYROID = re.compile(r"\b(?:t3|tsh|thyro\w+|hormones?)\b", re.IGNORECASE)
_ON = re.compile(
    r"(?:\b(?:on|an?|my|one|two|dual|four|eight|single|free|have|use|rent|with)|\d\s*x?)\s*$", re.IGNORECASE
)
_OTHER_CARD = re.compile(
    r"\b((?:rtx|gtx|radeon|rx|quadro|tesla|titan|arc)[\s-]?[a-z]?\d{1,4}\w*(?:\s(?:xtx|xt|ti|super))?"
    r"|mi\d{3}x?|h200|b200|gh200|p100|k80|tpus?(?: v\d\w*)?"
    r"|(?:[345]0[5-9]0|20[678]0)(?:\s?(?:ti|super)))\b",
    re.IGNORECASE,
)
_VRAM = re.compile(
    r"(?<![\w.,-])(?:(?P<many>two|three|four|eight|[2-8](?:\s*x)?)\s+)?(?P<size>\d{1,3}(?:\.\d)?)"
    r"\s*(?:gb|gib|gigs?|gigabytes?)\b(?:\s+(?:of\s+)?)?(?P<what>\s*(?:nvidia\s+)?(?:gpu|graphics?|card|vram|video))"
    r"|\b(?P<what2>gpu|graphics? card|card|vram)\s*(?:memory\s*)?(?:with|has|is|of|:|=)?\s*"
    r"(?:about\s+)?(?P<size2>\d{1,3})\s*(?:gb|gib|gigs?)\b",
    re.IGNORECASE,
)
_BARE_MEMORY = re.compile(r"^\W*(?:an?\s+)?(?:about\s+)?(\d{1,3})\s*(?:gb|gib|gigs?|g)?\W*$", re.IGNORECASE)
_ANY_MEMORY = re.compile(rf"\b(\d{{1,3}}){_GB}", re.IGNORECASE)
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
    r"|(?:use|run|train)(?: it)? here|on here|locally|this one here|laptop|(?:normal|ordinary|standard"
    r"|office) (?:office )?(?:pc|computer|desktop))\b",
    re.IGNORECASE,
)


def read_hardware(message: Message, machine: Machine, asked: bool) -> tuple[dict[str, Any], list[str]]:
    """`gpu`, `gpu_count` and `vram_gib`; and remarks: a card that no run can use, or two where there can be one."""
    zero_gpu = read_zero_gpu(message)
    cards = _cards(message, asked)
    names = list(dict.fromkeys(row.name for _, row in cards))
    if len(names) > 1 and not message.replaces(cards[0][0], cards[-1][0]):
        list(message.take(_CPU))
        return {}, [message.either_or("cards", names, _WHICH)]
    if cards:
        match, row = cards[-1]
        card = {"gpu": row.name, "gpu_count": _count(match["before"] or match["after"] or match["many"])}
        if match["other"] and (other := _row(match["name"], match["other"])) and other != row:
            return {}, [message.either_or("cards", [row.name, other.name], _WHICH)]
        if _or_cpu(message, match):
            return {}, [message.either_or("devices", [row.name, "the CPU"], _WHICH)]
        memory, remarks = _vram(message)
        # How many there are was said of the card; "24 GB of VRAM each" says nothing of it.
        return memory | card, remarks
    # Only where no card is named: "a PC with a 3090 next to my MacBook" is a 3090.
    if zero_gpu:
        return {}, zero_gpu
    apple, remarks = read_apple(message)
    if apple:
        return apple, remarks
    unknown, remarks = _unknown_card(message)
    if unknown or remarks:
        return unknown, remarks
    changes, remarks = _vram(message)
    if changes or remarks:
        return changes, remarks
    return _without_card(message, machine, asked)


def _cards(message: Message, asked: bool) -> list[tuple[re.Match[str], catalogue.GpuRow]]:
    """The cards that are named and not denied, in order."""
    cards: list[tuple[re.Match[str], catalogue.GpuRow]] = []
    for match in list(_GPU.finditer(message.rest)):
        if not _is_gpu(message, match, asked):
            continue
        message.blank(match)
        row = _row(match["name"], match["first"] or match["second"])
        if row is not None and not message.denied(match):
            cards.append((match, placed(message, row)))
    return cards


def _unknown_card(message: Message) -> tuple[dict[str, Any], list[str]]:
    """A card that is not in the catalogue: its memory where that is said, else a remark that asks for it."""
    other = _OTHER_CARD.search(message.rest)
    if other is None or catalogue.gpu(other[0]) is not None or message.negated(other.start()):
        return {}, []
    memory = re.search(rf"(\d{{1,3}}){_GB}", message.rest[other.end() : other.end() + 20], re.IGNORECASE)
    message.blank(other)
    if memory and not re.match(r"radeon|rx|mi\d|arc|tpu", other[0], re.IGNORECASE):
        return {"vram_gib": float(memory[1]), "gpu_count": 1}, []
    return {}, [
        f"I have no figures for “{other[0]}”. Training needs an NVIDIA GPU: tell me how much memory it has "
        "(“a 24 GB card”), or say “this machine”."
    ]


def _vram(message: Message) -> tuple[dict[str, Any], list[str]]:
    """Memory that is said to be a card's."""
    sizes = [
        (match, size)
        for match in message.mentions(_VRAM)
        if 1 <= (size := float(match["size"] or match["size2"])) <= 400
    ]
    different = list(dict.fromkeys(f"{size:g} GB" for _, size in sizes))
    if len(different) > 1 and not message.replaces(sizes[0][0], sizes[-1][0]):
        return {}, [message.either_or("cards", [f"a {size} card" for size in different], _WHICH)]
    return ({"gpu_count": _count(sizes[-1][0]["many"]), "vram_gib": sizes[-1][1]}, []) if sizes else ({}, [])


def _without_card(message: Message, machine: Machine, asked: bool) -> tuple[dict[str, Any], list[str]]:
    """The CPU, a rented place, this machine, or a bare size in answer to the question."""
    here = message.mentions(_HERE)
    cpu = [found for found in _CPU.finditer(message.rest) if not message.negated(found.start())]
    if list(message.take(_NO_GPU)) or cpu:
        row = read_cpu_place(message)
        list(message.take(_CPU))
        return {"gpu": row or "cpu", "gpu_count": 0}, []
    changes, remarks = read_place(message)
    if changes or remarks:
        return changes, remarks
    if here:
        return this_machine(machine), []
    bare = _BARE_MEMORY.match(message.rest) or _ANY_MEMORY.search(message.rest) if asked else None
    if bare and 4 <= int(bare[1]) <= 400:
        message.blank(bare)
        return {"vram_gib": float(bare[1]), "gpu_count": 1}, []
    return {}, []


def _or_cpu(message: Message, card: re.Match[str]) -> bool:
    """Whether the CPU is named as the other choice: "the 4090 or just the CPU"."""
    after = message.rest[card.end() : card.end() + 40]
    before = message.rest[max(0, card.start() - 30) : card.start()]
    return bool(
        re.match(r"[^.;!?\n]*\bor\b[^.;!?\n]*\bcpus?\b", after, re.IGNORECASE)
        or re.search(r"\bcpus?\b[^.;!?\n]*\bor\b[^.;!?\n]*$", before, re.IGNORECASE)
    )


def this_machine(machine: Machine) -> dict[str, Any]:
    """The answers that this machine itself gives."""
    if not machine.gpus:
        return {"gpu": "cpu", "gpu_count": 0}
    first = machine.gpus[0]
    if first.row is None:
        return {"vram_gib": first.memory_gib, "gpu_count": len(machine.gpus)}
    return {"gpu": first.row, "gpu_count": len(machine.gpus)}


def _is_gpu(message: Message, match: re.Match[str], asked: bool) -> bool:
    if match["name"].lower() not in _CLINICAL_TOO or asked or match["first"] or match["second"]:
        return True
    around = message.original
    if _THYROID.search(around):
        return _GPU_SIGN.search(around[max(0, match.start() - 12) : match.end() + 12]) is not None
    # "on a T4" or "one L4 GPU", not "TSH and T4", "T4 tumours" or "L4-L5".
    after = around[match.end() : match.end() + 12]
    told = _ON.search(around[: match.start("name")]) and not re.match(
        r"-|\s+(?!and\b|with\b|for\b|in\b|on\b|from\b|please\b|is\b|or\b|only\b|at\b|to\b)[a-z]", after, re.IGNORECASE
    )
    return bool(told or _GPU_SIGN.search(around[max(0, match.start() - 12) : match.end() + 12]))


def _row(name: str, memory: str | None) -> catalogue.GpuRow | None:
    family = re.sub(r"[\s_-]*\d+gb$", "", name.lower())
    size = re.match(r"\d+", memory or "")
    return (catalogue.gpu(f"{family} {size[0]}gb") if size else None) or catalogue.gpu(name)


def _count(text: str | None) -> int:
    if not text:
        return 1
    words = text.lower().split()
    many = next((_MANY[word] for word in words if word in _MANY), None)
    return many or max(1, int(number_value(text)))
