"""How much of each kind of identifier the recognisers find: measured, and kept beside them to be shown."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel

RECALL = Path(__file__).with_name("recall.yaml")


class KindRecall(BaseModel):
    """Identifiers of one kind that were planted in notes, and how many were found whole."""

    planted: int
    found: int


class Recall(BaseModel):
    """What `bench/deidentify.py` measured of the recognisers in this package."""

    measured: date
    notes: str
    """What the identifiers were planted in."""
    developed: dict[str, KindRecall]
    """In ways of writing that were seen while the recognisers were made."""
    held_out: dict[str, KindRecall]
    """In ways of writing that were not."""


@cache
def recall() -> Recall:
    """The measured recall of de-identification, by kind."""
    return Recall.model_validate(yaml.safe_load(RECALL.read_text(encoding="utf-8")))
