"""Tell from the first records of a file how a row is written, and convert each record into TRL's types.

What most rows have decides, and what was seen is kept as evidence; a format or columns given by hand win over it.
A row that does not fit is reported with its field; nothing is guessed.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict

from trainer.config import DataFormat
from trainer.data.formats import about, column_names, graded_answers, multiple_choice
from trainer.data.formats.readings import READINGS, Reading
from trainer.data.formats.values import Convert, Fields
from trainer.data.rows import Row, RowError, kind_of

LOOKED_AT = 1000
_KEY_FIELDS: dict[str, Literal[0, 1]] = {"answer_from_0": 0, "answer_from_1": 1}
"""How a column of keys is given by hand: what the number of the first option is."""


class Detection(BaseModel):
    """How the rows of a file are written. It is never changed in place; `model_copy(update=...)` makes another."""

    model_config = ConfigDict(frozen=True)

    format: DataFormat
    columns: dict[str, str]
    """The file's column to the field that it is: {"Frage": "question"}."""
    about: dict[str, str] = {}
    """The file's column to what it tells of a row beside its text: {"MRN": "patient", "seen": "time_day_first"}."""
    evidence: list[str] = []
    """What was seen, in sentences."""
    others: list[DataFormat] = []
    """The next best readings."""
    key_base: Literal[0, 1] | None = None
    """The first option's number, where multiple choice has numbers for keys."""
    by_hand: bool = False
    """Whether the format was given; rows with other columns are then faults and not read by their own."""


class _Fit(NamedTuple):
    reading: Reading
    fields: Fields
    share: float
    """Of the records that have the columns and look like it."""
    with_columns: float
    with_any: float
    """Share that has one of the columns at least."""


class _Columns(NamedTuple):
    """The columns of the records that were looked at, and what was said of them by hand."""

    counts: Counter[str]
    by_name: dict[str, str]
    """Columns by their plain names, without those that were given by hand."""
    given: dict[str, str]
    """Columns by the field that they are, by hand."""


def detect(
    records: Sequence[dict[str, Any]], format: DataFormat | None = None, columns: dict[str, str] | None = None
) -> Detection:
    """How these records, the first of a file, are written; at most `LOOKED_AT` of them are looked at.

    `columns` says what a column is where its name does not: {"Frage": "question", "MRN": "patient", "cop":
    "answer_from_0"}. Raises `RowError` naming columns where nothing fits, or where what decides cannot be told.
    """
    looked = list(records[:LOOKED_AT])
    if not looked:
        raise RowError("columns", "there are no rows to look at")
    seen = _columns(looked, columns or {})
    fits = [fit for reading in READINGS if (fit := _fit(reading, looked, seen, format)) is not None]
    if not fits:
        raise _nothing_fits(seen, format)
    best = _best(fits)
    keys = dict.fromkeys(column for column in seen.given if column in _KEY_FIELDS)
    base, said = (_KEY_FIELDS[next(iter(keys))], "") if keys else (None, "")
    if best.reading.format == "multiple_choice" and base is None:
        base, said = multiple_choice.key_base(looked, best.fields)
    known, told = _about(looked, seen, best)
    others: dict[DataFormat, None] = dict.fromkeys(
        fit.reading.format for fit in fits if fit.share >= 0.5 and fit.reading.format != best.reading.format
    )
    return Detection(
        format=best.reading.format,
        columns={column: field for field, column in best.fields.items()},
        about=known,
        evidence=[*_evidence(best, len(looked), format is not None), *filter(None, [said]), *told],
        others=list(others)[:3],
        key_base=base,
        by_hand=format is not None,
    )


def to_row(record: dict[str, Any], detection: Detection | None = None) -> Row:
    """Convert one record; without a detection, by what it alone looks like.

    Raises `RowError` naming the field that is at fault. `converter` is for many records.
    """
    global _last
    if detection is None:
        return _converter(detect([record]), others=False)(record)
    if _last is None or _last[0] is not detection:
        _last = (detection, converter(detection))
    return _last[1](record)


_last: tuple[Detection, Convert] | None = None
"""The conversion of the last detection: a file's records come one after the other."""


def converter(detection: Detection) -> Convert:
    """The conversion of a file's records, planned once.

    A record that has none of the needed columns (another file of the same folder) is read by its own, unless the
    format was given by hand, or it is no conversation.
    """
    return _converter(detection, others=not detection.by_hand)


def _converter(detection: Detection, others: bool) -> Convert:
    fields = {field: column for column, field in detection.columns.items()}
    reading = _reading_of(detection.format, fields)
    convert = reading.plan(fields, detection.key_base)
    about_of = about.about_reader(detection.about) if detection.about else None
    needed = [fields[field] for field in reading.needed]

    def convert_all(record: dict[str, Any]) -> Row:
        try:
            row = convert(record)
        except RowError:
            if not others or any(column in record for column in needed):
                raise
            return _by_its_own(record, detection.format)
        if about_of is not None:
            known: Any = about_of(record)
            if known:
                row["about"] = known | row.get("about", {})
        return row

    return convert_all


def _by_its_own(record: dict[str, Any], other: DataFormat) -> Row:
    own = detect([record])
    row = _converter(own, others=False)(record)
    if own.format == "clinical_note" or kind_of(row) != "prompt_completion" or other in _NO_COMPLETION:
        raise RowError("columns", f"looks like {own.format}, where the other rows are {other}; give its file by itself")
    return row


_NO_COMPLETION = {"preference", "unpaired_preference", "graded_answers", "text"}


def _reading_of(format: DataFormat, fields: Fields) -> Reading:
    for reading in READINGS:
        if reading.format == format and reading.needed.keys() <= fields.keys():
            return reading
    needed = " or ".join(" + ".join(reading.needed) for reading in READINGS if reading.format == format)
    raise RowError("columns", f"the format {format} needs {needed}; found {', '.join(fields) or 'none of them'}")


def _columns(records: Sequence[dict[str, Any]], by_hand: dict[str, str]) -> _Columns:
    counts = Counter(str(column) for record in records for column in record)
    fields = {field for reading in READINGS for field in (*reading.needed, *reading.optional)}
    allowed = sorted(fields | set(about.MEANINGS) | set(_KEY_FIELDS))
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
    return _Columns(counts, by_name, given)


def _fit(reading: Reading, records: Sequence[dict[str, Any]], seen: _Columns, format: DataFormat | None) -> _Fit | None:
    """How well a reading fits; None where the file lacks its columns, or where what was given by hand is not of it."""
    if format is not None and reading.format != format:
        return None
    given = {"answer" if field in _KEY_FIELDS else field: column for field, column in seen.given.items()}
    own = {field: column for field, column in given.items() if field in reading.needed or field in reading.optional}
    if any(field not in own and field not in about.MEANINGS for field in given):
        return None
    if any(field in _KEY_FIELDS for field in seen.given) and reading.format != "multiple_choice":
        return None
    fields = _fields(reading, seen, own, len(records))
    if not reading.needed.keys() <= fields.keys():
        return None
    needed = [fields[field] for field in reading.needed]
    having = [record for record in records if all(column in record for column in needed)]
    if reading.format == "graded_answers" and format is None and not graded_answers.repeat(having, fields):
        return None
    fitting = sum(reading.fits(record, fields) for record in having)
    any_of = sum(any(column in record for column in needed) for record in records)
    return _Fit(reading, fields, fitting / len(records), len(having) / len(records), any_of / len(records))


def _fields(reading: Reading, seen: _Columns, given: Fields, rows: int) -> Fields:
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


def _best(fits: list[_Fit]) -> _Fit:
    """The first reading that most rows look like; else that most rows have the columns of; else the most common."""
    for fit in fits:
        if fit.share >= 0.5:
            return fit
    likely = max(fits, key=lambda fit: fit.share)
    if likely.share > 0:
        return likely
    return next((fit for fit in fits if fit.with_columns >= 0.5), max(fits, key=lambda fit: fit.with_columns))


def _about(records: Sequence[dict[str, Any]], seen: _Columns, best: _Fit) -> tuple[dict[str, str], list[str]]:
    """Columns that tell of a row beside its text, and sentences on them."""
    used = set(best.fields.values())
    known: dict[str, str] = {}
    said: list[str] = []
    for meaning, column in seen.given.items():
        if meaning in about.MEANINGS and column not in used:
            known[column] = meaning
    for meaning, names in column_names.ABOUT.items():
        if meaning in {name.removesuffix("_day_first").removesuffix("_month_first") for name in known.values()}:
            continue
        for name in names:
            column = seen.by_name.get(name)
            if column is None or column in used or column in known:
                continue
            values = [record.get(column) for record in records]
            exact = meaning
            if meaning == "time":
                order = about.date_order(values)
                if order is None:
                    said.append(
                        f"Dates in {column} begin with the day or the month, which cannot be told; say it by hand: "
                        f"columns: {{{column}: time_day_first}} or time_month_first."
                    )
                    continue
                exact = f"time_{order}_first" if order else "time"
            if about.fits(values, exact):
                known[column] = exact
                break
    said += [f"{column} tells the {meaning.replace('_', ' ')}." for column, meaning in known.items() if meaning != "id"]
    return known, said


def _evidence(best: _Fit, rows: int, by_hand: bool) -> list[str]:
    named = [best.fields[field] for field in best.reading.needed]
    stand = f"{named[0]} stands" if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]} stand"
    said = [f"{stand} in {round(best.with_columns * rows):,} of the {rows:,} rows looked at."]
    if others := rows - round(best.with_any * rows):
        own = "left out" if by_hand else "read by their own"
        said.append(f"{others:,} of the others have none of these columns and are {own}.")
    if best.share < best.with_columns:
        said.append(f"{round(best.share * rows):,} of them look like {best.reading.format}.")
    said += [
        f"{column} is taken as the {field.replace('_', ' ')}."
        for field, column in best.fields.items()
        if column_names.plain(column) != field and not field.startswith("option_")
    ]
    if best.reading.format == "graded_answers":
        said.append("Equal and nearly equal grades make no pair.")
    if best.reading.format == "clinical_note":
        said.append("The answer lists what the record holds, which the note need not name in full.")
    return said


def _nothing_fits(seen: _Columns, format: DataFormat | None) -> RowError:
    """Why no format fits: the reading that misses least is named with what it misses, and how to say it by hand."""
    readings = [reading for reading in READINGS if format is None or reading.format == format]
    if not readings:
        return RowError("format", f"{format!r} is no format; it is one of {', '.join(get_args(DataFormat))}")
    rows = max(seen.counts.values(), default=0)
    partial = []
    for reading in readings:
        fields = _fields(reading, seen, {f: c for f, c in seen.given.items() if f in reading.needed}, rows)
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
