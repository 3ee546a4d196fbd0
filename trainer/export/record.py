"""What an export says of itself: `export.json` in its folder, beside its card and the model's files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from trainer.export.merge import Precision
from trainer.export.parity import Parity
from trainer.export.quantisation import Loss

What = Literal["merged", "gguf", "adapter", "ollama"]
CARD, RECORD = "README.md", "export.json"


class File(BaseModel):
    """A file of an export. `name` is its path within the folder."""

    name: str
    bytes: int
    sha256: str


class Export(BaseModel):
    """What was exported, and how it was checked."""

    id: str
    folder: Path = Field(exclude=True)
    model: str
    """RUN, RUN:base or RUN:checkpoint-N."""
    what: What
    adapter: str | None = None
    """The one of several that is in it."""
    base: str
    licence: str
    """Of the base."""
    precision: Precision | None = None
    """Of the saved weights; None for GGUF and adapters, which have their own."""
    created: str
    files: list[File] = []
    parity: Parity | None = None
    losses: list[Loss] = []
    """What each type of GGUF loses."""
    gates: str
    """What the run's release gates say, in a sentence."""
    failing: list[str] = []
    """The gates that fail."""
    notes: list[str] = []
