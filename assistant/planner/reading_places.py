"""Where a run would go that is no card in the catalogue's sense: Colab, Kaggle, Spaces, ZeroGPU and Apple machines."""

from __future__ import annotations

import re

from assistant.planner.reading_text import Message
from trainer import catalogue

_ZERO_GPU = re.compile(
    r"\b(?:the |a |hugging\s?face |hf |spaces? (?:with |on )?)*(?:free )?zero[\s-]?gpus?\b(?:\s+spaces?\b)?",
    re.IGNORECASE,
)
_SPACE = re.compile(
    r"\b(?:hf|hugging\s?face)(?:'s)? spaces?\b|\b(?:hf|hugging\s?face)(?:'s)? (?:free|basic)(?: tier| plan| cpu)?\b"
    r"|\b(?:free|basic) (?:tier|plan) (?:of|from|on|at) (?:hf|hugging\s?face)\b"
    r"|\b(?:the )?(?:free|basic) (?:hf |hugging\s?face )?spaces?\b(?!\s+(?:on|left|in)\b)"
    r"|\b(?:on|in|use|using|have|to) (?:a|an|the|our|my) (?:hf )?space\b(?!\s+(?:of|between|left|bar)\b)"
    r"|\b(?-i:(?:the |a |an |our |my )?Spaces?)\b(?!\s+(?:between|left|bar)\b)",
    re.IGNORECASE,
)
_COLAB = re.compile(r"\b(?:google )?colab(?:oratory)?\b(?P<paid>\s*(?:pro|paid|enterprise)\b\+?)?", re.IGNORECASE)
_KAGGLE = re.compile(r"\bkaggle\b(?!\s+(?:data|set|comp))", re.IGNORECASE)
# M1 to M4 are also stages of a tumour, so something must say that a computer is meant.
_APPLE = re.compile(
    r"\b(?:(?:apple|mac\w*(?: (?:pro|mini|studio|air|book))?)[\s,(]*(?:with |has )?(?:an? )?)?"
    r"m[1-5][\s-]?(?:max|pro|ultra)\b(?:[\s(]*(?:with )?\d{1,3}\s*(?:gb|gigs?)\b)?"
    r"|\bm[1-5]\s+(?:chip|mac\w*|with \d+|\(?\d{1,3}\s*(?:gb|gigs?)\b)"
    r"|\b(?:(?:my|an?|the|our) )?(?:apple silicon|apple m[1-5]|macbooks?(?: (?:pro|air))?|mac (?:mini|studio|pro)|imac"
    r"|mac)\b(?:[\s,(]*(?:with )?(?:an? )?m[1-5](?:[\s-]?(?:max|pro|ultra))?\b)?(?:[\s(]*(?:with )?\d{1,3}\s*(?:gb"
    r"|gigs?)\b)?",
    re.IGNORECASE,
)

FREE_SPACE = (
    "The free tier of Hugging Face Spaces is a CPU with 16 GB of memory and no GPU, so I plan for a CPU. For a Space "
    "with a GPU, name its card (“a T4 Space”)."
)
ZERO_GPU = (
    "ZeroGPU lends a shared card for short calls and cannot hold a training run. Which other GPU can you use, or shall "
    "it be the CPU?"
)
FREE_COLAB = "Colab's free tier usually lends a T4, so I plan for that; name the card if you pay for another."
PAID_COLAB = "Colab's paid plans lend a T4, an L4 or an A100. Which one will the run use?"
KAGGLE = "Kaggle lends two T4 or one P100. Which one will the run use?"
# Which row of Colab's and of the Spaces' a card means there.
_IN_COLAB = {"t4": "colab-t4", "l4": "colab-l4", "a100-40gb": "colab-a100"}
_IN_SPACES = {
    "t4": "space-t4-small",
    "l4": "space-l4",
    "a10g": "space-a10g-small",
    "a10-24gb": "space-a10g-small",
    "l40s": "space-l40s",
    "a100-40gb": "space-a100-large",
    "a100-80gb": "space-a100-large",
}


def placed(message: Message, card: catalogue.GpuRow) -> catalogue.GpuRow:
    """The row of a card where the message says that it is rented in Colab or Spaces ("T4 on Colab": colab-t4)."""
    name = card.name
    if any(not message.negated(found.start()) for found in _COLAB.finditer(message.rest)):
        name = _IN_COLAB.get(name, name)
    elif any(not message.negated(found.start()) for found in _SPACE.finditer(message.rest)):
        name = _IN_SPACES.get(name, name)
        if re.search(r"\b(?:medium|large)\b", message.rest, re.IGNORECASE):
            name = name.replace("-small", "-medium" if card.name == "t4" else "-large")
    return catalogue.gpu(name) or card


def read_zero_gpu(message: Message) -> list[str]:
    """The remark on ZeroGPU, where it is named: no run can be planned for it."""
    return [ZERO_GPU] if _named(message, _ZERO_GPU) else []


def read_apple(message: Message) -> tuple[dict[str, str | int], list[str]]:
    """An Apple machine: its row where the catalogue has one of that chip and memory, else the CPU, and a remark."""
    name = _named(message, _APPLE)
    if not name:
        return {}, []
    chip = re.search(r"m[1-5](?:[\s-]?(?:max|pro|ultra))?", name, re.IGNORECASE)
    memory = re.search(r"(\d{1,3})\s*(?:gb|gigs?)", name, re.IGNORECASE)
    row = None
    if chip:
        of_chip = [row for row in catalogue.gpus() if row.kind == "apple" and _same_chip(row.name, chip[0])]
        wanted = [row for row in of_chip if memory is None or row.memory_gib == float(memory[1])]
        row = wanted[0] if len(wanted) == 1 else None
    told = f"The trainer cannot use the GPU of an Apple machine (“{name.strip(' ,(')}”), so I plan for a CPU."
    return ({"gpu": row.name, "gpu_count": 1} if row else {"gpu": "cpu", "gpu_count": 0}), [told]


def _same_chip(row_name: str, chip: str) -> bool:
    return re.sub(r"-\d+gb$", "", row_name).replace("-", "") == re.sub(r"[\s-]", "", chip.lower())


def read_place(message: Message) -> tuple[dict[str, str | int], list[str]]:
    """What a place without a card means: the free Space is a CPU, free Colab a T4."""
    if _named(message, _SPACE):
        return {"gpu": "space-cpu-basic", "gpu_count": 0}, [FREE_SPACE]
    if colab := message.mentions(_COLAB):
        return ({}, [PAID_COLAB]) if colab[0]["paid"] else ({"gpu": "colab-t4", "gpu_count": 1}, [FREE_COLAB])
    return ({}, [KAGGLE]) if _named(message, _KAGGLE) else ({}, [])


def read_cpu_place(message: Message) -> str | None:
    """The row of a rented machine whose processor is meant: "the CPU of Colab", "a CPU upgrade Space"."""
    for pattern, row in ((_COLAB, "colab-cpu"), (_KAGGLE, "kaggle-cpu")):
        if _named(message, pattern):
            return row
    if re.search(r"\bcpu[- ]upgrade\b|\b8 ?v?cpus?\b", message.rest, re.IGNORECASE) and _SPACE.search(message.rest):
        return "space-cpu-upgrade"
    return "space-cpu-basic" if _named(message, _SPACE) else None


def _named(message: Message, pattern: re.Pattern[str]) -> str:
    """The words of the first mention that is not denied; all are taken out."""
    return next((match[0] for match in message.mentions(pattern)), "")
