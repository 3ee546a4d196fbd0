"""Excel workbooks: every sheet a table, with the values that Excel last saved; nothing in them is ever computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from trainer.data.reading.archives import check_office
from trainer.data.reading.delimited import column_names
from trainer.data.reading.parquet import plain
from trainer.data.reading.rejected import BEYOND
from trainer.data.records import DataError, Fault, Record

_ERRORS = {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"}


def read_workbook(path: Path) -> Iterator[Record | Fault]:
    """A record a row of every sheet, whose first row that is not empty names the columns; rows of nothing are left out.

    Dates are given as ISO 8601 text, empty cells as null. A formula gives the value that was saved with it; where there
    is none, or it is an error such as #REF!, the row is a fault. Raises `DataError` where nothing can be read.
    """
    formulas = check_office(path)
    found = False
    with path.open("rb") as file, path.open("rb") as again:
        values = _opened(path.name, file, values=True).worksheets
        written = _opened(path.name, again, values=False).worksheets if formulas else [None] * len(values)
        for sheet, formulas_of_sheet in zip(values, written, strict=True):
            for row in _rows_of(path.name, sheet, formulas_of_sheet):
                found = True
                yield row
    if not found:
        raise DataError(f"{path.name} holds no rows; its sheets are empty.")


def _opened(name: str, file: BinaryIO, values: bool) -> Any:
    import openpyxl

    try:
        return openpyxl.load_workbook(file, read_only=True, data_only=values, keep_links=False)
    except Exception as error:  # openpyxl raises whatever its parsing stumbles over
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"{name} is a damaged workbook ({why}); open it and save it again.") from None


def _rows_of(file: str, sheet: Any, written: Any) -> Iterator[Record | Fault]:
    sheet_place = f"sheet {sheet.title}"
    names: list[str] = []
    count = 0
    try:
        for number, cells, formula in _cells(sheet, written):
            if all(cell is None for cell in cells) and not formula:
                continue
            if not names:
                while cells and cells[-1] is None:
                    cells.pop()
                try:
                    names = column_names(
                        f"{file}, {sheet_place}", ["" if cell is None else str(cell) for cell in cells]
                    )
                except DataError as error:
                    yield Fault(
                        place=sheet_place, field="", message=str(error).removeprefix(f"{file}, {sheet_place}: ")
                    )
                    return
                continue
            count += 1
            yield _row(f"{sheet_place}, row {number}", names, cells, formula)
    except (ParseError, ValueError, KeyError, TypeError, IndexError, OSError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        message = f"is damaged after {count} rows ({why}), which were read; open the workbook and save it again"
        yield Fault(place=sheet_place, field="", message=message)
        return
    if names and not count:
        message = f"names its columns ({', '.join(names)[:200]}), but holds no rows; add rows, or remove the sheet"
        yield Fault(place=sheet_place, field="", message=message)


def _cells(sheet: Any, written: Any) -> Iterator[tuple[int, list[Any], dict[int, str]]]:
    """Each row's number, values, and formulas by column. `written` is the same sheet with formulas for their values."""
    from openpyxl.utils.escape import unescape

    # What a sheet says of its size is often wrong, and rows beyond it would be lost.
    sheet.reset_dimensions()
    if written:
        written.reset_dimensions()
    others = written.iter_rows() if written else None
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        cells = [unescape(cell) if isinstance(cell, str) and "_x" in cell else cell for cell in row]
        other = next(others, ()) if others else ()
        yield number, cells, {at: str(cell.value) for at, cell in enumerate(other) if cell.data_type == "f"}


def _row(place: str, names: list[str], cells: list[Any], formulas: dict[int, str]) -> Record | Fault:
    wrong: tuple[str, str] | None = None
    for at, cell in enumerate(cells):
        name = names[at] if at < len(names) else BEYOND
        if at in formulas and cell is None:
            wrong = wrong or (name, f"holds the formula {formulas[at][:60]} without a saved value; save the values")
        elif isinstance(cell, str) and cell in _ERRORS:
            wrong = wrong or (name, f"holds Excel's error {cell}; write the value")
            cells[at] = None
    values = [plain(cell) for cell in cells]
    record: dict[str, Any] = dict.fromkeys(names) | dict(zip(names, values, strict=False))
    beyond = values[len(names) :]
    if any(value is not None for value in beyond):
        record[BEYOND] = beyond
        wrong = wrong or (names[-1], f"has {len(cells)} cells for {len(names)} columns; name the further columns")
    return Fault(place=place, field=wrong[0], message=wrong[1], record=record) if wrong else Record(place, record)
