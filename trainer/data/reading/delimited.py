"""Tables as text: cells separated by comma, tab, semicolon or vertical bar, the columns named in the first line."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from trainer.data.reading.lines import TOO_LONG, Block, blocks, oddity
from trainer.data.reading.rejected import BEYOND
from trainer.data.records import LARGEST_RECORD, DataError, Fault, Record, writable

_QUOTE = (
    "has a quote that is never closed, or a quote inside a quoted cell, which has to be written twice; "
    "the lines after it were read as rows of their own: look whether they are"
)


def read_delimited(path: Path, encoding: str, delimiter: str) -> Iterator[Record | Fault]:
    """A record a row, all values text; one that does not fit the columns is a fault, and rows of nothing are left out.

    Quotes are taken strictly (RFC 4180): a quote that is never closed costs its own row and not the rows after it. No
    value is ever computed: "=1+1" is text. Raises `DataError` where columns have no name to be told apart by, or there
    is no row.
    """
    csv.field_size_limit(LARGEST_RECORD)
    incoming = blocks(path, encoding)
    kept: deque[Block] = deque()  # what may have to be read once more
    odd = False  # whether any of them has to be looked at closely
    done = 0  # lines that belong to finished rows

    def feed() -> Iterator[list[str]]:
        nonlocal odd
        for block in incoming:
            while kept and kept[0].first + len(kept[0].lines) <= done + 1:
                kept.popleft()
            kept.append(block)
            odd = any(block.odd for block in kept)
            yield block.lines

    fed = feed()
    lines: Iterable[str] = chain.from_iterable(fed)
    names: list[str] = []
    width, row, offset = -1, 0, 0
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                first, done = done + 1, offset + reader.line_num
                if len(cells) == width and not odd and (cells[0] or any(cells)):
                    row += 1
                    yield Record(f"row {row}", dict(zip(names, cells, strict=False)))
                elif not any(cells):
                    continue
                elif not names:
                    if cells == ["sep=", ""]:
                        continue  # Excel's way of saying what separates the cells
                    names = column_names(path.name, writable(cells))
                    width = len(names)
                else:
                    row += 1
                    yield _odd_row(f"row {row} (line {first})", names, cells, _blocks_of(kept, first, done), encoding)
            break
        except csv.Error:
            first = done + 1
            start = next(block for block in kept if block.first <= first < block.first + len(block.lines))
            if not names:
                raise DataError(
                    f"{path.name}: the first line, which names the columns, has a quote that is never closed; mend it."
                ) from None
            row += 1
            place, line = f"row {row} (line {first})", start.lines[first - start.first]
            if start.cut:
                yield Fault(place=place, field="", message=TOO_LONG, record=line.rstrip("\n"))
            else:
                yield _open_quote(place, names, line, delimiter)
            rest = [block.lines[max(0, first + 1 - block.first) :] for block in kept]
            lines = chain(chain.from_iterable(rest), chain.from_iterable(fed))
            done = offset = first
    if not names:
        raise DataError(f"{path.name} holds no rows.")
    if row == 0:
        raise DataError(f"{path.name} names its columns ({', '.join(names)[:200]}), but holds no rows; add rows.")


def column_names(file: str, cells: list[str]) -> list[str]:
    """The columns' names, a nameless one called by its number. Raises `DataError` where two have the same name."""
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1)]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise DataError(
                f"{file}: columns {names.index(name) + 1} and {number} are both named {name!r}; give each its own name."
            )
    return names


def _blocks_of(kept: Iterable[Block], first: int, last: int) -> list[Block]:
    return [block for block in kept if block.first <= last and first < block.first + len(block.lines)]


def _odd_row(place: str, names: list[str], cells: list[str], of: list[Block], encoding: str) -> Record | Fault:
    if any(block.cut for block in of):
        return Fault(place=place, field="", message=TOO_LONG, record=" ".join(cells)[:200])
    if any(block.odd for block in of):
        for name, cell in zip(names, cells, strict=False):
            if wrong := oddity(cell, encoding):
                return Fault(place=place, field=name, message=wrong, record=_as_found(names, cells))
    return ragged(place, names, cells) or Record(place.partition(" (")[0], dict(zip(names, cells, strict=True)))


def ragged(place: str, names: list[str], cells: list[str]) -> Fault | None:
    """The fault of a row that has more or fewer cells than there are columns."""
    if len(cells) == len(names):
        return None
    number = "one cell" if len(cells) == 1 else f"{len(cells)} cells"
    if len(cells) < len(names):
        field = names[len(cells)]
        message = f"has {number} for {len(names)} columns; the first that is missing is {field!r}: add it"
    else:
        field = names[-1]
        message = f"has {number} for {len(names)} columns; put a cell that holds the separator in double quotes"
    return Fault(place=place, field=field, message=message, record=_as_found(names, cells))


def _as_found(names: list[str], cells: list[str]) -> dict[str, object]:
    found: dict[str, object] = dict(zip(names, cells, strict=False))
    return found | ({BEYOND: cells[len(names) :]} if len(cells) > len(names) else {})


def _open_quote(place: str, names: list[str], line: str, delimiter: str) -> Fault:
    try:
        list(csv.reader([line], delimiter=delimiter, strict=True))
        field = ""
    except csv.Error as error:
        # Only where the line itself ends inside the quote is it sure which cell it is.
        cells = next(csv.reader([line], delimiter=delimiter))
        field = names[min(len(cells), len(names)) - 1] if "end of data" in str(error) else ""
    return Fault(place=place, field=field, message=_QUOTE, record=line.rstrip("\r\n"))
