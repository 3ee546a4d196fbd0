"""Public data sets that can be named: what they are for, how they are written, and what their licence allows."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from trainer.config import Task

_FILE = Path(__file__).resolve().parent / "datasets.yaml"


class DataSetRow(BaseModel):
    """A public data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    hub_id: str | None
    """Where the Hugging Face Hub has it; None where its publisher gives files alone."""
    licence: str
    use: Literal["any", "research", "non_commercial", "unclear"]
    """What the publisher allows beyond the licence's name."""
    rows: int
    """Rows of its training split."""
    task: Task
    format: str
    patient_text: bool
    """Whether real patients wrote it or are written about, so that it can identify them."""
    notes: str
    source: str
    aliases: list[str] = []

    def restriction(self) -> str:
        """What must be known before it is used, in a sentence; empty where any use is allowed."""
        return {
            "any": "",
            "research": f"{self.name} ({self.licence}) is for research only: not for clinical or commercial use.",
            "non_commercial": f"{self.name} ({self.licence}) forbids commercial use.",
            "unclear": f"{self.name} states no licence; ask its publisher before you use it.",
        }[self.use]


@cache
def data_sets() -> tuple[DataSetRow, ...]:
    """All data sets of the catalogue, in the order of the file."""
    return tuple(DataSetRow.model_validate(row) for row in yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def data_set(name: str) -> DataSetRow | None:
    """The data set of this name, Hub id or alias, however it is joined; None where it is not known."""
    wanted = _plain(name)
    for row in data_sets():
        if wanted in {_plain(known) for known in (row.name, row.hub_id or row.name, *row.aliases)}:
            return row
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())
