"""The file of rejected rows: written so that a person can mend it, and read again as rows."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainer.data.records import LOST, Fault, Record

BEYOND = "beyond the columns"
"""Key of a rejected row's cells for which the file names no column."""


def write_rejected(path: Path, faults: Iterable[Fault]) -> int:
    """Write each fault as one JSON line (place, field, message, record), and give their number.

    The file appears whole or not at all, and only its owner may read it (0600), for it holds rows as they were found.
    Values that begin with =, +, - or @ are data: they are kept as they are, in a format that no spreadsheet runs.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    count = 0
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            for fault in faults:
                file.write(json.dumps(fault.model_dump(), ensure_ascii=False, default=str) + "\n")
                count += 1
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return count


def is_rejected(value: dict[str, Any]) -> bool:
    """Whether a row was written by `write_rejected`."""
    return value.keys() == {"place", "field", "message", "record"}


def mended(place: str, value: dict[str, Any]) -> Record | Fault:
    """The row inside a line of the file of rejected rows; a fault where it was clearly not mended."""
    record = value["record"]
    if not isinstance(record, dict):
        message = "was not mended: write it as an object with a value for each column, or remove the line"
    elif BEYOND in record:
        message = f"still has cells {BEYOND}; put them where they belong, and remove {BEYOND!r}"
    elif LOST in json.dumps(record, ensure_ascii=False):
        message = f"still holds {LOST}, which stands for bytes that were no text; write what was meant"
    else:
        return Record(f"{place} (mended)", record)
    return Fault(place=place, field="record", message=message, record=record)
