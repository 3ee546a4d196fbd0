"""Tell from the first records of a file how a row is written, and convert each record into TRL's types.

What most rows have decides, and what was seen is kept as evidence; a format or columns given by hand win over it.
A row that does not fit is reported with its field; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from trainer.data.formats import about, column_names, graded_answers, multiple_choice
from trainer.data.formats.columns import KEY_FIELDS, Columns, fields_of, look, nothing_fits
from trainer.data.formats.readings import READINGS, Reading
from trainer.data.formats.values import Convert, Fields, is_empty
from trainer.data.rows import Row, RowError, kind_of
from trainer.data_sections import DataFormat

LOOKED_AT = 1000


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
    seen = look(looked, columns or {})
    fits = [fit for reading in READINGS if (fit := _fit(reading, looked, seen, format)) is not None]
    if not fits:
        raise nothing_fits(seen, format)
    best = _best(fits)
    keys = dict.fromkeys(column for column in seen.given if column in KEY_FIELDS)
    base, said = (KEY_FIELDS[next(iter(keys))], "") if keys else (None, "")
    if best.reading.format == "multiple_choice" and base is None:
        base, said = multiple_choice.key_base(looked, best.fields)
    known, told = _about(looked, seen, set(best.fields.values()))
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


def about_columns(records: Sequence[dict[str, Any]], columns: dict[str, str]) -> dict[str, str]:
    """What the columns of these records tell of a row beside its text, for rows that a task template writes.

    As `Detection.about`; of `columns`, what is said by hand, only such meanings count. Raises `RowError`.
    """
    looked = list(records[:LOOKED_AT])
    seen = look(looked, {column: field for column, field in columns.items() if field in about.MEANINGS})
    return _about(looked, seen, set())[0]


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


def _fit(reading: Reading, records: Sequence[dict[str, Any]], seen: Columns, format: DataFormat | None) -> _Fit | None:
    """How well a reading fits; None where the file lacks its columns, or where what was given by hand is not of it."""
    if format is not None and reading.format != format:
        return None
    given = {"answer" if field in KEY_FIELDS else field: column for field, column in seen.given.items()}
    own = {field: column for field, column in given.items() if field in reading.needed or field in reading.optional}
    if any(field not in own and field not in about.MEANINGS for field in given):
        return None
    if any(field in KEY_FIELDS for field in seen.given) and reading.format != "multiple_choice":
        return None
    fields = fields_of(reading, seen, own, len(records))
    if not reading.needed.keys() <= fields.keys():
        return None
    needed = [fields[field] for field in reading.needed]
    having = [record for record in records if all(column in record for column in needed)]
    if reading.format == "graded_answers" and format is None and not graded_answers.repeat(having, fields):
        return None
    fitting = sum(reading.fits(record, fields) for record in having)
    any_of = sum(any(column in record for column in needed) for record in records)
    return _Fit(reading, fields, fitting / len(records), len(having) / len(records), any_of / len(records))


def _best(fits: list[_Fit]) -> _Fit:
    """The first reading that most rows look like; else that most rows have the columns of; else the most common."""
    for fit in fits:
        if fit.share >= 0.5:
            return fit
    likely = max(fits, key=lambda fit: fit.share)
    if likely.share > 0:
        return likely
    return next((fit for fit in fits if fit.with_columns >= 0.5), max(fits, key=lambda fit: fit.with_columns))


def _about(records: Sequence[dict[str, Any]], seen: Columns, used: set[str]) -> tuple[dict[str, str], list[str]]:
    """Columns that tell of a row beside its text, and sentences on them; the `used` ones are its text."""
    known: dict[str, str] = {}
    said: list[str] = []
    for meaning, column in seen.given.items():
        if meaning in about.MEANINGS and column not in used:
            order = about.date_order(record.get(column) for record in records) if meaning == "time" else ""
            known[column] = f"time_{order}_first" if order else meaning
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
            if not all(is_empty(value) for value in values):
                said.append(f"{column} is left out: its values are not {about.expected(exact)}.")
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
