"""Public data sets that can be named: what they are for, how they are written, and what their licence allows."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from trainer.catalogue import CatalogueRow, plain_name, table
from trainer.config import Task


class DataSetRow(CatalogueRow):
    """A public data set."""

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
    aliases: list[str] = Field(default_factory=list)

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
    return tuple(DataSetRow.model_validate(row) for row in table("datasets.yaml"))


def data_set(name: str) -> DataSetRow | None:
    """The data set of this name, Hub id or alias, however it is joined; None where it is not known."""
    wanted = plain_name(name)
    for row in data_sets():
        if wanted in {plain_name(known) for known in (row.name, row.hub_id or row.name, *row.aliases)}:
            return row
    return None
