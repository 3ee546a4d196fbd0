"""Tables of what can be chosen: base models and GPUs. The rows stand in YAML beside this file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

_FOLDER = Path(__file__).resolve().parent
# Cards of the same number with one of these words have another chip, other memory and another speed.
_OTHER_CHIP = {"laptop", "max-q", "mobile", "ti", "super", "ada"}
# A card that is known by its memory alone is written so in a run file: "24gb".
_BY_MEMORY = re.compile(r"^(\d{1,4}(?:\.\d)?)gb$")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseModelRow(_Row):
    """A base model and the shape that its memory and speed follow from."""

    name: str
    hub_id: str
    licence: str
    gated: bool
    params_b: float
    """All parameters, tied embeddings counted once, in billions."""
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    """Longest input that it was trained for, in tokens."""
    tied_embeddings: bool
    medical: bool
    aliases: list[str] = []


class GpuRow(_Row):
    """A GPU as training sees it."""

    name: str
    memory_gib: float
    bf16_tflops: float
    """Dense tensor-core peak, 10^12 operations a second; of fp16 where `bf16` is false."""
    bandwidth_gb_s: float
    bf16: bool
    aliases: list[str] = []


@cache
def base_models() -> tuple[BaseModelRow, ...]:
    """All base models of the catalogue, in the order of the file."""
    return tuple(BaseModelRow.model_validate(row) for row in _rows("base_models.yaml"))


@cache
def gpus() -> tuple[GpuRow, ...]:
    """All GPUs of the catalogue, in the order of the file."""
    return tuple(GpuRow.model_validate(row) for row in _rows("gpus.yaml"))


def base_model(name: str) -> BaseModelRow | None:
    """The model of this name, Hub id or alias; None where the catalogue does not have it."""
    wanted = _plain(name)
    for row in base_models():
        if wanted in {_plain(known) for known in (row.name, row.hub_id, *row.aliases)}:
            return row
    return None


def gpu(name: str) -> GpuRow | None:
    """The GPU of this name or alias, or, for a name such as "24gb", a card of that memory; None where neither is known.

    A card known by its memory alone is given the speed of the slowest catalogue card of about that memory, so that
    its hours are not promised too short.
    """
    wanted = _plain(name)
    for row in gpus():
        if wanted in {_plain(known) for known in (row.name, *row.aliases)}:
            return row
    match = _BY_MEMORY.match(name.strip().lower())
    return _unnamed_gpu(float(match[1])) if match and float(match[1]) > 0 else None


def gpu_of_device(device_name: str, memory_gib: float) -> GpuRow | None:
    """The catalogue's row for a device as its driver names it ("NVIDIA A100-SXM4-80GB"), or None."""
    words = set(re.split(r"[\s-]+", device_name.lower()))
    if words & _OTHER_CHIP:
        return None
    for row in gpus():
        model = set(re.sub(r"-\d+gb$", "", row.name).split("-"))
        if model <= words and abs(row.memory_gib - memory_gib) <= 0.1 * memory_gib:
            return row
    return None


def _unnamed_gpu(memory_gib: float) -> GpuRow:
    similar = [row for row in gpus() if 0.8 <= row.memory_gib / memory_gib <= 1.25] or [
        min(gpus(), key=lambda row: abs(row.memory_gib - memory_gib))
    ]
    slowest = min(similar, key=lambda row: row.bf16_tflops)
    return slowest.model_copy(update={"name": f"{memory_gib:g}gb", "memory_gib": memory_gib, "aliases": []})


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())


def _rows(file: str) -> list[dict[str, Any]]:
    return yaml.safe_load((_FOLDER / file).read_text(encoding="utf-8"))
