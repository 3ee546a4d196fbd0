"""What people corrected of a source's rows: specialty, task, level, language, and whether an expert validated them.

One JSON object a line in a file beside the data, only ever appended; the last word on a row's field counts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from trainer.data.records import DataError
from trainer.data.rows import Row

Field = Literal["specialty", "task", "level", "language", "expert_validated"]


class Correction(BaseModel):
    """One field of one row, as somebody set it."""

    row: str
    """The row's id (`about.id`)."""
    field: Field
    value: str | bool


def append(path: Path, corrections: list[Correction]) -> None:
    """Add corrections to the file, each in a line of its own; made readable by its owner alone."""
    text = "".join(one.model_dump_json() + "\n" for one in corrections)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The corrected fields by row id. Raises `DataError` naming a line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(f"{path.name}: the corrections cannot be read ({reason}).") from None
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = Correction.model_validate(json.loads(line))
        except (ValueError, ValidationError):
            raise DataError(f"{path.name}: line {number} is not a correction; remove the line.") from None
        found.setdefault(one.row, {})[one.field] = one.value
    return found


def apply(row: Row, corrections: dict[str, dict[str, Any]]) -> None:
    """Set the corrected fields of a row."""
    about: Any = row.setdefault("about", {})
    about.update(corrections.get(about.get("id", ""), {}))
