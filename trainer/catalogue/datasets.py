"""Public data sets that can be named: what they are for, how they are written, and what their licence allows."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from trainer.catalogue import CatalogueRow, plain_name, table
from trainer.data_sections import DataFormat
from trainer.section import Task


class DataSetRow(CatalogueRow):
    """A public data set."""

    name: str
    hub_id: str | None
    """Where the Hugging Face Hub has it; None where it has no faithful copy."""
    files: list[str] = Field(default_factory=list)
    """Patterns of the training split's files on the Hub; where there are none, their names say it."""
    megabytes: float | None = None
    """To fetch, where it is known."""
    download: str = ""
    """What to save by hand where it is not fetched from the Hub."""
    licence: str
    use: Literal["any", "research", "non_commercial", "unclear"]
    """What the publisher allows beyond the licence's name."""
    rows: int
    """Rows of its training split."""
    task: Task
    format: DataFormat
    patient_text: bool
    """Whether real patients wrote it or are written about, so that it can identify them."""
    notes: str
    source: str
    aliases: list[str] = Field(default_factory=list)

    def facts(self) -> str:
        """Size and licence, in a sentence, for those who are about to use it."""
        size = "" if self.megabytes is None else f", {self.megabytes:,.0f} MB to fetch" if self.hub_id else ""
        return f"{self.name}: {self.rows:,} rows{size}; licence: {self.licence}."

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
