"""Tables of what can be chosen: base models and GPUs. The rows stand in YAML beside this file."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

try:
    from yaml import CSafeLoader as Loader  # reads the tables in a tenth of the time
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as Loader

_FOLDER = Path(__file__).resolve().parent
# Words of a driver's name that say nothing about the chip: the maker, the line, the memory and what it is sold as.
_PLAIN_WORD = re.compile(r"nvidia|geforce|tesla|generation|workstation|edition|hbm\d\w*|\d+gb")
# How it is mounted. Some chips are slower on a PCIe card and have a row of their own; most are the same.
_FORM = re.compile(r"pcie?|sxm\d?")
# A card that is known by its memory alone is written so in a run file: "24gb".
_BY_MEMORY = re.compile(r"^(\d{1,4}(?:\.\d)?)gb$")


class CatalogueRow(BaseModel):
    """A row of one of the tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseModelRow(CatalogueRow):
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
    chat_template: bool
    """Whether its tokenizer ships one; else a plain one is used, and said."""
    medical: bool
    source: str
    """The model card that the row follows."""
    aliases: list[str] = []


class GpuRow(CatalogueRow):
    """A GPU, or a machine with one or more, as training sees it."""

    name: str
    kind: Literal["consumer", "workstation", "data_centre", "apple", "rented"]
    memory_gib: float
    """Memory of one card, as its driver reports it; of the whole machine for Apple."""
    bf16_tflops: float
    """Dense tensor-core peak, 10^12 operations a second; of fp16 where `bf16` is false."""
    bandwidth_gb_s: float
    board_w: int | None = None
    """Most power that one card may draw, in watts, as its data sheet has it; None where a run has no card to itself."""
    bf16: bool
    cuda: bool = True
    """Whether the trainer can use it: false for Apple and AMD."""
    cores: int | None = None
    """Cores of its processor, where that is what a run can use: Apple's machines, and those without a GPU."""
    count: int = 1
    """Cards in the machine, all of which a run uses."""
    usd_per_hour: tuple[float, float] | None = None
    """Lowest and highest common price of the whole machine, in US dollars, seen in the year that the file names."""
    note: str = ""
    """What must be known before it is chosen, in sentences for the user."""
    source: str
    """Data sheet or page that the figures come from."""
    aliases: list[str] = []


@cache
def base_models() -> tuple[BaseModelRow, ...]:
    """All base models of the catalogue, in the order of the file."""
    return tuple(BaseModelRow.model_validate(row) for row in table("base_models.yaml"))


@cache
def gpus() -> tuple[GpuRow, ...]:
    """All GPUs of the catalogue, in the order of the file."""
    return tuple(GpuRow.model_validate(row) for row in table("gpus.yaml"))


def base_model(name: str) -> BaseModelRow | None:
    """The model of this name, Hub id or alias, or in this folder; None where neither tells its shape."""
    wanted = plain_name(name)
    for row in base_models():
        if wanted in {plain_name(known) for known in (row.name, row.hub_id, *row.aliases)}:
            return row
    from trainer.config import path_of

    return _model_in_folder(path_of(name))


def from_config(name: str, config: dict[str, Any]) -> BaseModelRow:
    """A row for a model outside the catalogue, from the content of its config.json.

    It must be built like Llama: what config.json does not say (licence, gate, chat template) is given as unknown or
    absent. Raises `ValueError` with the name of a field that is missing or not a positive whole number.
    """
    if any("expert" in field for field in config):
        raise ValueError(f"{name}: a mixture of experts is not built like Llama, so its size does not follow.")

    def whole(field: str, default: int | None = None) -> int:
        # Some files hold a null where the usual value is meant.
        value = default if config.get(field) is None else config[field]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: config.json has no usable {field}.")
        return value

    hidden, intermediate, layers = whole("hidden_size"), whole("intermediate_size"), whole("num_hidden_layers")
    heads, vocab = whole("num_attention_heads"), whole("vocab_size")
    kv_heads, head_dim = whole("num_key_value_heads", heads), whole("head_dim", max(1, hidden // heads))
    # Gemma's files leave the field out, and its embeddings are tied; for others the larger number is the safe one.
    tied = bool(config.get("tie_word_embeddings", str(config.get("model_type", "")).startswith("gemma")))
    attention = 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim
    norms = 2 * hidden
    layer = attention + 3 * hidden * intermediate + norms
    parameters = layers * layer + hidden + vocab * hidden * (1 if tied else 2)
    return BaseModelRow(
        name=name,
        hub_id=name,
        licence="unknown",
        gated=False,
        params_b=parameters / 1e9,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=vocab,
        context=whole("max_position_embeddings"),
        tied_embeddings=tied,
        chat_template=False,
        medical=False,
        source=f"config.json of {name}",
    )


def gpu(name: str) -> GpuRow | None:
    """The GPU of this name or alias, or, for a name such as "24gb", a card of that memory; None where neither is known.

    A card is also known by its name without the memory ("a10" for a10-24gb); where there are several, by the aliases.
    A card known by its memory alone is given the speed of the slowest catalogue card of about that memory, so that
    its hours are not promised too short.
    """
    wanted = plain_name(name)
    for row in gpus():
        if wanted in {plain_name(known) for known in (row.name, *row.aliases)}:
            return row
    for row in gpus():
        if _own_card(row) and wanted == plain_name(_without_memory(row.name)):
            return row
    match = _BY_MEMORY.match(name.strip().lower())
    return _unnamed_gpu(float(match[1])) if match and float(match[1]) > 0 else None


def gpu_of_device(device_name: str, memory_gib: float) -> GpuRow | None:
    """The catalogue's row for a device as its driver names it ("NVIDIA A100-SXM4-80GB"), or None."""
    # Any further word ("Ti", "Laptop GPU", "MIG") means another chip or a part of one, so all must agree.
    words = {word for word in re.split(r"[\s-]+", device_name.lower()) if word and not _PLAIN_WORD.fullmatch(word)}
    for chip in (words, {word for word in words if not _FORM.fullmatch(word)}):
        for row in gpus():
            same_memory = abs(row.memory_gib - memory_gib) <= 0.1 * memory_gib
            if _own_card(row) and same_memory and chip == set(_without_memory(row.name).split("-")):
                return row
    return None


def _model_in_folder(folder: Path) -> BaseModelRow | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return from_config(str(folder), config)
    except (OSError, ValueError, AttributeError):
        return None


def _own_card(row: GpuRow) -> bool:
    return row.cuda and row.kind != "rented"


def _without_memory(name: str) -> str:
    return re.sub(r"-\d+gb$", "", name)


def _unnamed_gpu(memory_gib: float) -> GpuRow:
    cards = [row for row in gpus() if _own_card(row)]
    similar = [row for row in cards if 0.8 <= row.memory_gib / memory_gib <= 1.25] or [
        min(cards, key=lambda row: abs(row.memory_gib - memory_gib))
    ]
    slowest = min(similar, key=lambda row: row.bf16_tflops)
    # The slowest card's price and remarks are its own.
    own = {"name": f"{memory_gib:g}gb", "memory_gib": memory_gib, "usd_per_hour": None, "note": "", "aliases": []}
    return slowest.model_copy(update=own)


def plain_name(name: str) -> str:
    """A name without its case and without what joins its parts: "RTX-4090" and "rtx 4090" are one."""
    return re.sub(r"[\s_-]+", "", name.lower())


def table(file: str) -> list[dict[str, Any]]:
    """The rows of a table beside this file, as they stand in it."""
    return yaml.load((_FOLDER / file).read_text(encoding="utf-8"), Loader)  # a safe one
