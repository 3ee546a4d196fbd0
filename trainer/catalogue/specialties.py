"""Clinical specialties: their names, and the words by which a text is told to belong to one."""

from __future__ import annotations

from functools import cache

from trainer.catalogue import CatalogueRow, plain_name, table


class SpecialtyRow(CatalogueRow):
    """A specialty. What `terms` and `hints` weigh stands at the head of the table."""

    name: str
    aliases: list[str]
    terms: list[str]
    hints: list[str]
    es: list[str]
    zh: list[str]


@cache
def specialties() -> tuple[SpecialtyRow, ...]:
    """All specialties of the catalogue, in the order of the file."""
    return tuple(SpecialtyRow.model_validate(row) for row in table("specialties.yaml"))


def specialty_name(written: str) -> str:
    """The catalogue's name for a specialty as a data set writes it ("Pediatrics"); else the same in lower case."""
    return _names().get(plain_name(written), "_".join(written.lower().split()))


@cache
def _names() -> dict[str, str]:
    return {plain_name(written): row.name for row in specialties() for written in (row.name, *row.aliases)}
