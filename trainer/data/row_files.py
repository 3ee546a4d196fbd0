"""Files of rows: one JSON object a line, read and written one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainer.data.rows import Row


def read(path: Path) -> Iterator[Row]:
    """The rows of a file."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write(path: Path, rows: Iterable[Row], append: bool = False) -> None:
    """Write rows to a file, or add them to it."""
    with path.open("a" if append else "w", encoding="utf-8") as out:
        out.writelines(line(row) for row in rows)


def line(row: Row) -> str:
    """A row as it stands in a file."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def repeat(path: Path, times: Counter[int]) -> None:
    """Keep each row as often as `times` says by its number; rows that are not in it are removed."""
    partial = path.with_suffix(".repeated")
    with path.open(encoding="utf-8") as lines, partial.open("w", encoding="utf-8") as out:
        for number, text in enumerate(lines):
            out.write(text * times[number])
    partial.replace(path)


def ids(path: Path) -> list[str]:
    """The rows' ids, in order."""
    return [row.get("about", {}).get("id", "") for row in read(path)]
