"""A source's records become rows: its format told from the first of them, bad ones set aside with their place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from trainer.data import task_templates
from trainer.data.formats import Detection, about_columns, about_reader, converter, detect, pairs_from_graded
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, RowError, row_id
from trainer.data.sources import Located
from trainer.data_sections import DataSource

LOOKED_AT = 1000
"""Records by which a format is recognised."""
_NAMED = 5  # different faults, where no row can be used
DUPLICATE = "is equal to an earlier row; it is used once"


class Loading:
    """One source being read: `detection` is known from the start, `rows()` may be gone through more than once.

    Raises `DataError` where the file cannot be read at all, or where no format fits its records.
    """

    def __init__(self, source: DataSource, located: Located):
        self.source = source
        self.located = located
        self.detection: Detection | None = None
        first = [one.values for one in islice(self._records(), LOOKED_AT) if isinstance(one, Record)]
        if source.template and first:
            with self._named_fault():
                self._convert = _by_template(source, first)
            return
        if not first:
            raise no_rows(located, [one for one in islice(self._records(), LOOKED_AT) if isinstance(one, Fault)])
        with self._named_fault():
            self.detection = detect(first, source.format, source.columns)
        self._convert = converter(self.detection)

    def rows(self) -> Iterator[Row | Fault]:
        """Every row with its id and place, and a fault for each record that cannot be used; equal rows once."""
        found = self._rows()
        if self.detection is not None and self.detection.format == "graded_answers":
            # Answers to one question may stand anywhere in the file, so all of them are read before the first pair.
            graded = list(found)
            yield from (one for one in graded if isinstance(one, Fault))
            found = pairs_from_graded(one for one in graded if not isinstance(one, Fault))
        seen: set[int] = set()
        for one in found:
            if isinstance(one, Fault):
                yield one
                continue
            about: Any = one["about"] if "about" in one else one.setdefault("about", {})
            about["id"] = row_id(one)
            number = int(about["id"], 16)
            if number in seen:
                shown = {name: value for name, value in one.items() if name != "about"}
                yield Fault(place=about["place"], field="", message=DUPLICATE, record=shown)
                continue
            seen.add(number)
            yield one

    def drawn(self, seed: int) -> Iterator[Row | Fault]:
        """`rows()`, or as many of the good ones as `source.rows` says, drawn with `seed`, in the file's order."""
        limit = self.source.rows
        if limit is None:
            yield from self.rows()
            return
        good = sum(not isinstance(one, Fault) for one in self.rows())
        wanted = range(good)
        if limit < good:
            wanted = set(random.Random(f"{seed}/{self.source.name}/train").sample(wanted, limit))
        number = 0
        for one in self.rows():
            if isinstance(one, Fault):
                yield one
                continue
            if number in wanted:
                yield one
            number += 1

    def _rows(self) -> Iterator[Row | Fault]:
        for one in self._records():
            if isinstance(one, Fault):
                yield one
                continue
            try:
                row = self._convert(one.values)
            except RowError as error:
                yield Fault(place=one.place, field=error.field, message=str(error), record=one.values)
                continue
            about: Any = row.setdefault("about", {})
            about["source"], about["place"] = self.located.name, one.place
            yield row

    @contextmanager
    def _named_fault(self) -> Iterator[None]:
        try:
            yield
        except RowError as error:
            raise DataError(f"{self.located.path.name}, {error.field}: {error}") from None

    def _records(self) -> Iterator[Record | Fault]:
        return read_records(self.located.path)


def _by_template(source: DataSource, first: list[dict[str, Any]]) -> Callable[[dict[str, Any]], Row]:
    """The row that a source's template makes of a record, which keeps whose it is and from when, as any row does."""
    assert source.template is not None
    template = task_templates.load(source.template)
    about_of = about_reader(about_columns(first, source.columns))

    def convert(record: dict[str, Any]) -> Row:
        row = task_templates.to_row(template, renamed(record, source.columns))
        known: Any = about_of(record)
        if known:
            row["about"] = known | row.get("about", {})
        return row

    return convert


def renamed(record: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """A record with the columns that were named by hand under those names as well, for a template."""
    return record | {role: record[column] for column, role in columns.items() if column in record}


def read_rows(source: DataSource, located: Located, limit: int | None = None) -> tuple[list[Row], list[Fault]]:
    """The first `limit` rows (all where None) and the faults among them.

    Raises `DataError` where no row can be used, naming the first five different faults.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    for one in Loading(source, located).rows():
        if isinstance(one, Fault):
            faults.append(one)
        else:
            rows.append(one)
            if len(rows) == limit:
                break
    if not rows:
        raise no_rows(located, faults)
    return rows, faults


def no_rows(located: Located, faults: list[Fault]) -> DataError:
    """What is said where a source has nothing that can be used."""
    if not faults:
        return DataError(f"{located.path.name} holds no rows; give a file with at least one example.")
    alike: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        alike.setdefault((fault.field, fault.message), []).append(fault)
    shown = list(alike.values())[:_NAMED]
    told = "; ".join(
        f"{same[0]} (and {len(same) - 1:,} more like it)" if len(same) > 1 else str(same[0]) for same in shown
    )
    left = len(faults) - sum(map(len, shown))
    return DataError(f"{located.path.name}: none of its rows can be used. {told}{f' ({left:,} more)' * bool(left)}.")
