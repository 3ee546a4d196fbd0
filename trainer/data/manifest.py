"""What was done to a run's data, step by step: `manifest.json`, from which the same data can be made again."""

from __future__ import annotations

from pydantic import BaseModel, Field

from trainer.data.contamination import Contaminated
from trainer.data.leakage import LeakageReport


class SourceRecord(BaseModel):
    """One source as it was used. The hash is of the file's bytes, or of a folder's names and hashes."""

    name: str
    path: str
    licence: str
    restriction: str = ""
    sha256: str
    role: str
    """training or replay."""
    format: str
    evidence: list[str] = Field(default_factory=list)
    """By what its container and its format were recognised."""
    rows_used: int
    rows_rejected: int = 0
    corrected: int = 0
    """Fields that people set by hand (`DataSource.corrections`)."""


class Step(BaseModel):
    """One thing that was done to all rows, in order."""

    name: str
    rows_before: int
    rows_after: int
    detail: str = ""


class Deidentification(BaseModel):
    """What was taken out, or why nothing was."""

    action: str
    """mask, surrogate, drop, off, or not needed."""
    because: str
    found: dict[str, int] = Field(default_factory=dict)
    """Identifiers by kind."""
    rows_changed: int = 0
    rows_dropped: int = 0
    limits: list[str] = Field(default_factory=list)
    """What cannot be found in the languages of these rows."""


class Manifest(BaseModel):
    """Data that is ready to train on. Ids are hashes of the rows' content as it was read, in order."""

    key: str
    """Of everything that the data follows from: sources, settings, seed. Equal keys mean equal bytes."""
    sources: list[SourceRecord]
    contains_phi: bool | None
    deidentification: Deidentification
    steps: list[Step]
    notes: list[str] = Field(default_factory=list)
    train_rows: int
    """All rows trained on: one's own, added, repeated and general."""
    grown_rows: int = 0
    repeated_rows: int = 0
    perturbed_rows: int = 0
    """Added with a disturbed question."""
    replay_rows: int
    validation_rows: int
    test_rows: int = 0
    leakage: LeakageReport
    contamination: list[Contaminated] = Field(default_factory=list)
    """Training rows whose question stands in a set that is scored; the first hundred."""
    contaminated_rows: int = 0
    benchmarks: list[str] = Field(default_factory=list)
    """The sets that were looked for among the training rows."""
    train_ids: list[str]
    validation_ids: list[str]
    test_ids: list[str] = Field(default_factory=list)
    files: dict[str, str]
    """SHA-256 of each file of rows."""


class RunManifest(Manifest):
    """A run's `data/manifest.json`: the data, and its length in the model's tokens."""

    trained_tokens: int
    all_tokens: int
    longest_row: int
    """Before long rows were cut."""
    cut_rows: int
