"""Parquet: columns with types, read some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from trainer.data.reading.archives import HARMLESS, HIGHEST_RATIO, MUCH_LARGER
from trainer.data.reading.delimited import column_names
from trainer.data.records import DataError, Fault, Record

_ROWS = 1000
_AT_ONCE = 1 << 29
"""Bytes of the rows that are read together, were each as long as its whole column: a value that stands in a file once
may be every row's."""
_MOST_ROWS_A_BYTE = 50
"""A row of text has bytes of its own; one value for a billion rows has none."""


def read_parquet(path: Path) -> Iterator[Record | Fault]:
    """A record a row. A damaged row group is one fault, and the others are read.

    What JSON has no type for is written as text (dates as ISO 8601), a decimal as a number, and a number that is none
    (NaN, which pandas writes for a missing value) as null. Raises `DataError` where the file as a whole is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
        columns = schema.names
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        why = str(error).strip().splitlines()[0][:120]
        raise DataError(f"{path.name} is a damaged Parquet file ({why}); export or copy it again.") from None
    with file:
        names = column_names(path.name, columns)
        if file.metadata.num_rows == 0:
            raise DataError(f"{path.name} names its columns ({', '.join(names)[:200]}), but holds no rows; add rows.")
        packed = path.stat().st_size
        _check_size(path, packed, file.metadata)
        simple = (
            pyarrow.types.is_string,
            pyarrow.types.is_large_string,
            pyarrow.types.is_integer,
            pyarrow.types.is_boolean,
        )
        mixed = [column.name for column in schema if not any(is_type(column.type) for is_type in simple)]
        row = unpacked = 0
        for group in range(file.num_row_groups):
            last = row + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_rows_at_once(file.metadata.row_group(group)), row_groups=[group]):
                    unpacked += sum(_bytes(column) for column in batch.columns)
                    _check_ratio(path, packed, unpacked)
                    for values in batch.to_pylist():
                        row += 1
                        place = f"row {row}"
                        wrong = None
                        for name in mixed:
                            try:
                                values[name] = plain(values[name])
                            except UnicodeDecodeError:
                                values[name] = None
                                wrong = name
                        if wrong is None:
                            yield Record(place, values)
                        else:
                            message = "holds bytes that are no text (an image, for instance); leave the column out"
                            yield Fault(place=place, field=wrong, message=message, record=values)
            except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
                why = (str(error).strip().splitlines() or [""])[0][:120]
                message = f"are damaged and were not read ({why}); export or copy the file again"
                yield Fault(place=f"rows {row + 1} to {last}", field="", message=message)
                row = last


def _check_size(path: Path, packed: int, metadata: Any) -> None:
    """Raises `DataError` where a small file says of itself that it unpacks to very much."""
    rows = metadata.num_rows
    if rows > _MOST_ROWS_A_BYTE * packed:
        raise DataError(
            f"{path.name} says that it holds {rows:,} rows in {packed:,} bytes, as files made to do harm do; it is not "
            "read."
        )
    _check_ratio(
        path, packed, sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    )


def _rows_at_once(group: Any) -> int:
    largest = max(group.column(number).total_uncompressed_size for number in range(group.num_columns))
    return max(1, min(_ROWS, _AT_ONCE // max(1, largest)))


def _bytes(column: Any) -> int:
    """Of all its values, also of those that stand in it once and are named many times."""
    import pyarrow

    return column.dictionary_decode().nbytes if pyarrow.types.is_dictionary(column.type) else column.nbytes


def _check_ratio(path: Path, packed: int, unpacked: int) -> None:
    """Raises `DataError` where so many bytes are far more than stand in the file."""
    if unpacked > HARMLESS and unpacked > HIGHEST_RATIO * packed:
        raise DataError(f"{path.name} {MUCH_LARGER}; it is not read.")


def plain(value: Any) -> Any:
    """A value in JSON's types. Raises `UnicodeDecodeError` for bytes that are no UTF-8 text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | None) else str(value)
