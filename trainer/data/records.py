"""What reading a file gives, one after the other: records with their place, and faults that name the place."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic import BaseModel, field_validator

from trainer.errors import UserError

LOST = "\ufffd"
"""What stands for bytes that were no text, where the text has to be shown or written."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class DataError(UserError):
    """Data cannot be used; the text names file, row and field, what was found, and what to do."""


class Record(NamedTuple):
    """One record as it stands in the file."""

    place: str
    """ "row 12", "sheet Notes, row 3", "visit.docx": as a reader would look for it."""
    values: dict[str, Any]


class Fault(BaseModel):
    """A row that cannot be used. Written to the file of rejected rows, where `record` can be mended and read again."""

    place: str
    field: str
    message: str
    record: Any = None
    """The row as it was found: an object of its columns, or the line's text where it is not even that."""

    @field_validator("*")
    @classmethod
    def _can_be_written(cls, value: Any) -> Any:
        return writable(value)

    def __str__(self) -> str:
        return f"{self.place}, field {self.field}: {self.message}" if self.field else f"{self.place}: {self.message}"


def writable(value: Any) -> Any:
    """The value as UTF-8 can hold it: in its texts, zero bytes and halves of characters become `LOST`."""
    if isinstance(value, dict):
        return {writable(name): writable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [writable(inner) for inner in value]
    return _NO_TEXT.sub(LOST, value) if isinstance(value, str) else value


# Bounds on what one file may hold. They stop a file that was made to fill the memory, not a large honest one.
LARGEST_RECORD = 10_000_000
"""Characters; a long hospital stay's notes have about a million."""
DEEPEST_NESTING = 64
"""Levels of lists and objects in one record; real formats have under ten."""


def depth_of(value: Any) -> int:
    """Levels of nesting, counted without recursion and no further than one past the bound."""
    level, layer = 0, [value]
    while layer and level <= DEEPEST_NESTING:
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        level += 1
    return level
