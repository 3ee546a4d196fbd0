"""The columns of a file: which field of a format each could be, and what is said where none fits."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from trainer.data.formats import about, column_names
from trainer.data.formats.readings import READINGS, Reading
from trainer.data.formats.values import Fields
from trainer.data.rows import RowError
from trainer.data_sections import DataFormat

KEY_FIELDS: dict[str, Literal[0, 1]] = {"answer_from_0": 0, "answer_from_1": 1}
"""How a column of keys is given by hand: what the number of the first option is."""


class Columns(NamedTuple):
    """The columns of the records that were looked at, and what was said of them by hand."""

    counts: Counter[str]
    by_name: dict[str, str]
    """Columns by their plain names, without those that were given by hand."""
    given: dict[str, str]
    """Columns by the field that they are, by hand."""


def look(records: Sequence[dict[str, Any]], by_hand: dict[str, str]) -> Columns:
    """The columns of these records. Raises `RowError` where `by_hand` names one that is not there, or no field."""
    counts = Counter(str(column) for record in records for column in record)
    fields = {field for reading in READINGS for field in (*reading.needed, *reading.optional)}
    allowed = sorted(fields | set(about.MEANINGS) | set(KEY_FIELDS))
    for column, field in by_hand.items():
        if column not in counts:
            near = difflib.get_close_matches(column, counts, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RowError(column, f"is named in columns but is not in the file, which has {_listed(counts)}{hint}")
        if field not in allowed:
            near = difflib.get_close_matches(field, allowed, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it can be {', '.join(allowed)}"
            raise RowError(column, f"is said to be {field!r}, which is no field{hint}")
    given: dict[str, str] = {}
    for column, field in by_hand.items():
        if field in given:
            raise RowError(column, f"is said to be {field}, and so is {given[field]!r}; only one column can be")
        given[field] = column
    by_name: dict[str, str] = {}
    for column in counts:
        if column not in by_hand:
            by_name.setdefault(column_names.plain(column), column)
    return Columns(counts, by_name, given)


def fields_of(reading: Reading, seen: Columns, given: Fields, rows: int) -> Fields:
    """The column of each field: by hand, else the first known name that half of the rows have, else the most common."""
    fields = dict(given)
    for field, known in (*reading.needed.items(), *reading.optional.items()):
        if field in fields:
            continue
        taken = set(fields.values())
        present = [seen.by_name[name] for name in known if name in seen.by_name and seen.by_name[name] not in taken]
        if present:
            usual = [column for column in present if seen.counts[column] * 2 >= rows]
            fields[field] = usual[0] if usual else max(present, key=lambda column: seen.counts[column])
    return fields


def nothing_fits(seen: Columns, format: DataFormat | None) -> RowError:
    """Why no format fits: the reading that misses least is named with what it misses, and how to say it by hand."""
    readings = [reading for reading in READINGS if format is None or reading.format == format]
    if not readings:
        return RowError("format", f"{format!r} is no format; it is one of {', '.join(get_args(DataFormat))}")
    rows = max(seen.counts.values(), default=0)
    partial = []
    for reading in readings:
        fields = fields_of(reading, seen, {f: c for f, c in seen.given.items() if f in reading.needed}, rows)
        have = [field for field in reading.needed if field in fields]
        partial.append((len(have) / len(reading.needed), reading, have, fields))
    share, reading, have, fields = max(partial, key=lambda one: one[0])
    missing = [field for field in reading.needed if field not in fields]
    free = [column for column in seen.counts if column not in fields.values()]
    near = _nearest(free)
    example = {column: field for column, (field, _) in near.items()} or dict(zip(free, missing, strict=False))
    hint = "".join(f"; {column!r} is near {name!r} ({field})" for column, (field, name) in near.items())
    by_hand = ""
    if example:
        by_hand = f"; say it by hand, for example columns: {{{', '.join(f'{c}: {f}' for c, f in example.items())}}}"
    if share == 0 and format is None:
        return RowError("columns", f"found {_listed(seen.counts)}, which no known format has{hint}{by_hand}")
    is_there = f"has {', '.join(repr(fields[field]) for field in have)} but no" if have else f"({format}) has no"
    message = f"the row {is_there} {' and no '.join(missing)} (found {_listed(seen.counts)}){hint}"
    return RowError(", ".join(missing), f"{message}; add it, or remove the row{by_hand}")


def _nearest(columns: list[str]) -> dict[str, tuple[str, str]]:
    """For columns whose names are nearly known ones: the field and the name."""
    known: dict[str, str] = {}
    for reading in READINGS:
        for field, names in reading.needed.items():
            for name in names:
                known.setdefault(name, field)
    near = {}
    for column in columns:
        for name in difflib.get_close_matches(column_names.plain(column), known, n=1, cutoff=0.75):
            near[column] = (known[name], name)
    return near


def _listed(columns: Counter[str]) -> str:
    named = [column for column in columns][:12]
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return (", ".join(named) or "no columns") + more
