"""Values of a record as they are found in files: text, and what stands for nothing."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any

from trainer.data.rows import Row, RowError

Convert = Callable[[dict[str, Any]], Row]
"""A record becomes a row; raises `RowError` naming the column."""
Fields = dict[str, str]
"""Which column of the file holds a field of the format: {"question": "Frage"}."""

_EMPTY = frozenset({"", "nan", "NaN", "NAN", "null", "NULL", "<NA>", "#N/A"})
_LONGEST_EMPTY = 4


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, blanks, an empty list, or what tables write for a missing value."""
    if isinstance(value, str):
        return value.strip() in _EMPTY
    if isinstance(value, float):
        return value != value
    return value is None or (isinstance(value, list | tuple | dict) and not value)


def text(value: Any, field: str) -> str:
    """A text without the blanks around it; all in it, HTML too, is kept. Raises `RowError` where there is none."""
    if type(value) is str:
        stripped = value.strip()
        if len(stripped) > _LONGEST_EMPTY or stripped not in _EMPTY:
            return stripped
    if is_empty(value):
        raise RowError(field, "is empty; fill it in or remove the row")
    raise RowError(field, f"found {found(value)}; expected text")


def found(value: Any) -> str:
    """What a value is, for a message: its kind and its beginning."""
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '…'}"


def parsed(value: Any) -> Any:
    """A list or an object that a table's cell holds as text (JSON, or as Python prints it); anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"[", "{"}:
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def lines_of(value: Any, field: str) -> list[str]:
    """The texts of a list, or of one text alone; empty ones left out. Raises `RowError` where it is neither."""
    value = parsed(value)
    if is_empty(value):
        return []
    if isinstance(value, str):
        return [value.strip()]
    if not isinstance(value, list | tuple):
        raise RowError(field, f"found {found(value)}; expected text or a list of texts")
    return [text(one, f"{field}[{index}]") for index, one in enumerate(value) if not is_empty(one)]
