"""Which base model, on which device."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from assistant.planner.answers import Answers, uses_starter
from trainer import catalogue, sizing
from trainer.catalogue import BaseModelRow
from trainer.hardware import Machine
from trainer.sections import HardwareSection

EMBEDDED = "smollm2-135m-instruct"
# Largest memory (GiB) first: the model of the recommended set-ups, and below them what QLoRA fits with 20 % free.
_BY_MEMORY = [
    (70.0, "qwen2.5-32b-instruct", 16, "lecture L1.12"),
    (36.0, "qwen2.5-14b-instruct", 8, "lecture L1.12"),
    (20.0, "qwen2.5-7b-instruct", 4, "lecture L1.12"),
    (14.0, "qwen2.5-7b-instruct", 2, "lecture L1.3"),
    (6.0, "qwen2.5-1.5b-instruct", 4, "lecture L1.13"),
    (0.0, "qwen2.5-0.5b-instruct", 4, "lecture L1.13"),
]


_OFFLOADED = 3.3
"""About 70 % less of the GPU's memory (lecture L1.11)."""


class Reason(BaseModel):
    """Why a field of the run file has its value, and where that comes from."""

    field: str
    value: Any
    why: str
    source: str


def said(field: str, value: Any, why: str) -> Reason:
    """A value that the user gave."""
    return Reason(field=field, value=value, why=why, source="your answer")


def choose_hardware(answers: Answers, machine: Machine) -> tuple[HardwareSection, list[Reason]]:
    """The run's device and planned GPU."""
    if answers.gpu == "cpu" or (answers.gpu is None and answers.vram_gib is None and not machine.gpus):
        said = "You chose the CPU." if answers.gpu == "cpu" else "No GPU was named, and this machine has none."
        return HardwareSection(device="cpu", gpu=None, precision="auto"), [
            Reason(
                field="hardware.device",
                value="cpu",
                why=f"{said} {machine.describe()}",
                source="measured on this machine",
            )
        ]
    if answers.gpu is not None and answers.gpu != "cpu":
        name = answers.gpu
    elif answers.vram_gib is not None:
        name = f"{answers.vram_gib:g}gb"
    else:
        name = machine.gpus[0].plan_name
    row = catalogue.gpu(name)
    if row is not None and not row.cuda:
        has = f"{row.cores} cores and {row.memory_gib:g} GiB"
        why = (
            f"Bedside cannot use Apple's GPUs, so this is planned for the processor of {name}: {has}."
            if row.kind == "apple"
            else f"{name} has no GPU: {has}. {row.note}".strip()
        )
        return HardwareSection(device="cpu", gpu=None, precision="auto"), [
            Reason(field="hardware.device", value="cpu", why=why, source="your answer")
        ]
    memory = f" with {row.memory_gib:g} GiB" if row else ""
    count = max(answers.gpu_count or 1, row.count if row else 1)
    how_many, each = (str(count), " each" if memory else "") if count > 1 else ("one", "")
    why = f"A GPU trains many times faster than a CPU; planned for {how_many} {name}{memory}{each}."
    if row and row.note:
        why += f" {row.note}"
    hardware = HardwareSection(device="cuda", gpu=name, precision="auto")
    return hardware, [
        Reason(field="hardware.device", value="cuda", why=why, source="your answer"),
        Reason(
            field="hardware.gpu",
            value=name,
            why="The memory and the hours are estimated for this card.",
            source="your answer",
        ),
    ]


def planned_machine(answers: Answers, machine: Machine) -> Machine:
    """The machine whose processor a run is planned for: another one without a usable GPU where one is named."""
    row = catalogue.gpu(answers.gpu) if answers.gpu not in (None, "cpu") else None
    if row is None or row.cuda or row.cores is None:
        return machine
    return Machine(cpu_name=row.name, cores=row.cores, memory_gib=row.memory_gib, cpu_bf16=False)


def choose_model(answers: Answers, hardware: HardwareSection, step: int = 0) -> tuple[str, int, Reason]:
    """Name of the base model, the batch size to begin with, and the reason.

    `step` takes one model smaller (-1) or larger (1) than usual; a model that the user named or sized stays.
    """
    name, batch, reason = _usual_model(answers, hardware)
    if step == 0 or answers.base_model is not None or answers.model_params_b is not None:
        return name, batch, reason
    ladder = smaller_models(name) if _fully_tuned(answers) else [one for _, one, *_ in _BY_MEMORY]
    smaller = next((one for one in ladder if _size(one) < _size(name)), None)
    other = smaller if step < 0 else larger_model(name)
    if other is None:
        return name, batch, reason
    wanted = {"speed": "you want speed", "quality": "you want quality"}
    because = wanted.get(answers.priority or "", "with this method the usual one would not fit")
    why = f"One size {'below' if step < 0 else 'above'} the usual for this machine, because {because}"
    return other, batch, _reason(other, f"{why}; not gated, and free to use (Apache-2.0).", reason.source)


def _usual_model(answers: Answers, hardware: HardwareSection) -> tuple[str, int, Reason]:
    memory = _memory(hardware)
    if answers.base_model is not None:
        why = f"You named it. {_terms(answers.base_model)}".strip()
        return answers.base_model, _batch(memory), _reason(answers.base_model, why, "your answer")
    if answers.model_params_b is not None:
        size = answers.model_params_b
        row = min(_open_models(), key=lambda row: abs(row.params_b - size) / size)
        exact = abs(row.params_b - size) / size < 0.2
        why = f"You asked for about {size:g} billion parameters; this is {'an' if exact else 'the nearest'} open one."
        return row.name, _batch(memory), _reason(row.name, why, "your answer")
    if _fully_tuned(answers) and memory is not None and not uses_starter(answers):
        row = _largest_in_full(memory * (_OFFLOADED if answers.settings.get("method.offload") else 1))
        why = "The largest open model whose every weight can be trained there: 16 bytes each, with a fifth kept free"
        return row.name, 4, _reason(row.name, f"{why}; free to use (Apache-2.0).", "lecture L1.1")
    if memory is None:
        why = "Small enough to train on a CPU in minutes; needs no download and no licence to accept (Apache-2.0)."
        return EMBEDDED, 4, _reason(EMBEDDED, why, "measured on this machine")
    if uses_starter(answers):
        why = "The starter data is made for this small model, which learns it in minutes on any device."
        return EMBEDDED, 4, _reason(EMBEDDED, why, "measured on this machine")
    place = next(index for index, (least, *_) in enumerate(_BY_MEMORY) if memory >= least)
    why = f"The largest open model that trains on {memory:g} GiB with a fifth of it free"
    _, name, batch, source = _BY_MEMORY[place]
    return name, batch, _reason(name, f"{why}; not gated, and free to use (Apache-2.0).", source)


def _terms(name: str) -> str:
    """What must be known of a model that the user named: licence, gate, chat template."""
    row = catalogue.base_model(name)
    if row is None:
        return ""
    said = f"Its licence: {row.licence}."
    if row.gated:
        said += (
            f" It is gated: accept the licence on the Hub page of {row.hub_id}, make a read token there, and run "
            "`hf auth login` on the machine that trains; the token is never written into a run file."
        )
    if not row.chat_template:
        said += " It was never tuned to chat, so a plain template is used for its questions and answers."
    return said


def smaller_models(name: str) -> list[str]:
    """Open general models smaller than this one, the largest first."""
    row = catalogue.base_model(name)
    limit = row.params_b if row else float("inf")
    return [
        other.name
        for other in sorted(_open_models(), key=lambda other: -other.params_b)
        if other.params_b < limit * 0.95
    ]


def larger_model(name: str) -> str | None:
    """The next larger open general model."""
    row = catalogue.base_model(name)
    larger = [other for other in _open_models() if row is not None and other.params_b > row.params_b * 1.2]
    return min(larger, key=lambda other: other.params_b).name if larger else None


def _open_models() -> list[BaseModelRow]:
    # Gated models need an account, and some licences forbid commercial use: neither is chosen for the user.
    return [row for row in catalogue.base_models() if not row.gated and row.licence == "apache-2.0" and not row.medical]


def _fully_tuned(answers: Answers) -> bool:
    return answers.settings.get("method.kind") == "full"


def _largest_in_full(gib: float) -> BaseModelRow:
    """The largest open model whose weights, gradients and moments take what may be used of this memory."""
    each = sum(sizing.TRAINED_BYTES.values()) + sizing.WORKING_COPY_BYTES
    usable = (1 - sizing.FREE_SHARE) * gib * 2**30 - 2 * 2**30  # two GiB for activations and the CUDA context
    fitting = [row for row in _open_models() if row.params_b * 1e9 * each <= usable]
    return max(fitting or [min(_open_models(), key=lambda row: row.params_b)], key=lambda row: row.params_b)


def _size(name: str) -> float:
    row = catalogue.base_model(name)
    assert row is not None
    return row.params_b


def _memory(hardware: HardwareSection) -> float | None:
    row = catalogue.gpu(hardware.gpu) if hardware.device == "cuda" and hardware.gpu else None
    return row.memory_gib if row else None


def _batch(memory: float | None) -> int:
    if memory is None:
        return 4
    return next(batch for least, _, batch, _ in _BY_MEMORY if memory >= least)


def _reason(name: str, why: str, source: str) -> Reason:
    row = catalogue.base_model(name)
    if row is not None and row.gated:
        why += f" It is gated: accept its licence ({row.licence}) on the Hugging Face Hub and log in first."
    elif row is not None and row.licence != "apache-2.0" and source == "your answer":
        why += f" Its licence is {row.licence}."
    if row is not None and row.medical:
        why += " Medical pre-tuning is not always better: BioMistral-7B averages 58.97 against Mistral-7B's 62.97."
    return Reason(field="model.name", value=name, why=why, source=source)
