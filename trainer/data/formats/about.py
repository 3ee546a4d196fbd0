"""What columns tell of a row beside its text: patient, time, specialty, task, language, level, label, validation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any, Literal, get_args

from trainer.data.formats.conversations import yes_or_no
from trainer.data.formats.values import is_empty
from trainer.data.rows import RowError
from trainer.section import Task

DateOrder = Literal["", "day", "month"]
"""What stands first in dates such as 03/04/2021; empty where no column is written so."""

_TASKS = set(get_args(Task))
_LEVELS = {
    "fact": "facts",
    "facts": "facts",
    "concept": "concepts",
    "concepts": "concepts",
    "reasoning": "reasoning",
    "judgement": "judgement",
    "judgment": "judgement",
    "clinical_judgement": "judgement",
    "clinical_judgment": "judgement",
}
_LANGUAGES = {
    "english": "en",
    "eng": "en",
    "spanish": "es",
    "español": "es",
    "spa": "es",
    "german": "de",
    "deutsch": "de",
    "deu": "de",
    "ger": "de",
    "french": "fr",
    "français": "fr",
    "fra": "fr",
    "fre": "fr",
    "chinese": "zh",
    "中文": "zh",
    "zho": "zh",
    "chi": "zh",
    "portuguese": "pt",
    "português": "pt",
    "por": "pt",
    "italian": "it",
    "italiano": "it",
    "ita": "it",
}
_LANGUAGE_CODE = re.compile(r"^([a-z]{2})(?:[-_][A-Za-z]{2,4})?$")
_NUMERIC_DATE = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)")
_YEAR_FIRST = re.compile(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)")
_YEAR = re.compile(r"^(?:1[89]|2[01])\d\d$")
_LONGEST_CLASS = 80

Read = Callable[[Any], Any]
"""A value as `About` has it; None where it cannot be read."""


def about_reader(columns: dict[str, str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The reading of a record's `About` from `columns` (the file's column to its meaning); empty cells are left out.

    It raises `RowError` naming a column whose value cannot be read. The file's own id stays in the file: a row's
    `about.id` is the hash of its content.
    """
    readers = [(column, *_reader(meaning)) for column, meaning in columns.items() if meaning != "id"]

    def read(record: dict[str, Any]) -> dict[str, Any]:
        about = {}
        for column, name, reader, wanted in readers:
            value = record.get(column)
            if value is None or value == "" or is_empty(value):
                continue
            known = reader(value)
            if known is None:
                hint = ""
                if reader is iso_date and _NUMERIC_DATE.match(str(value).strip()):
                    hint = "; or say that the column is time_day_first or time_month_first"
                raise RowError(column, f"found {str(value)[:60]!r}; expected {wanted}, or an empty cell{hint}")
            about[name] = known
        return about

    return read


def fits(values: Iterable[Any], meaning: str) -> bool:
    """Whether at least 95 % of the filled values can be read as this, and there is one."""
    _, reader, _ = _reader(meaning)
    read = [reader(value) is not None for value in values if not is_empty(value)]
    return bool(read) and sum(read) >= 0.95 * len(read)


def expected(meaning: str) -> str:
    """What is expected in a column of this meaning, for a message."""
    return _reader(meaning)[2]


def date_order(values: Iterable[Any]) -> DateOrder | None:
    """Whether dates written as 03/04/2021 or 03.04.2021 begin with the day or the month.

    "" where none is written so; None where it cannot be told: no number above 12 shows it, or both places have one.
    Dates with dots begin with the day, as wherever they are written.
    """
    matches = [match for value in values if isinstance(value, str) and (match := _NUMERIC_DATE.match(value.strip()))]
    if not matches:
        return ""
    if all(match[2] == "." for match in matches):
        return "day"
    day_first = any(int(match[1]) > 12 for match in matches)
    month_first = any(int(match[3]) > 12 for match in matches)
    return None if day_first == month_first else "day" if day_first else "month"


def iso_date(value: Any, order: DateOrder = "") -> str | None:
    """A date as YYYY-MM-DD; a year alone is its first of January; None where it is none, or of unknown order."""
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    written = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if _YEAR.match(written):
        return f"{written}-01-01"
    try:
        if match := _NUMERIC_DATE.match(written):
            if not order:
                return None
            first, second, year = int(match[1]), int(match[3]), int(match[4])
            day, month = (first, second) if order == "day" else (second, first)
            return date(year, month, day).isoformat()
        if match := _YEAR_FIRST.match(written):
            return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        if len(written) == 8 and written.isdecimal():
            return date.fromisoformat(written).isoformat()
        return date.fromisoformat(written[:10]).isoformat()
    except ValueError:
        return None


def _reader(meaning: str) -> tuple[str, Read, str]:
    """(field of `About`, reading, what is expected) of a column's meaning."""
    if meaning == "time":
        return "time", iso_date, "a date as YYYY-MM-DD"
    if meaning in {"time_day_first", "time_month_first"}:
        order: DateOrder = "day" if meaning == "time_day_first" else "month"
        written = "DD/MM/YYYY" if order == "day" else "MM/DD/YYYY"
        return "time", lambda value: iso_date(value, order), f"a date as YYYY-MM-DD or {written}"
    return meaning, *_READERS[meaning]


def _code(value: Any) -> str | None:
    """An identifier: a text, or a number as it is written."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int | float) else None


def _class(value: Any) -> str | None:
    code = _code(value)
    return code if code is not None and len(code) <= _LONGEST_CLASS else None


def _specialty(value: Any) -> str | None:
    name = _class(value) if isinstance(value, str) else None
    return name.lower() if name else None


def _task(value: Any) -> str | None:
    name = re.sub(r"[\s-]+", "_", str(value).strip().lower())
    return name if name in _TASKS else None


def _level(value: Any) -> str | None:
    return _LEVELS.get(re.sub(r"[\s-]+", "_", str(value).strip().lower()))


def _language(value: Any) -> str | None:
    name = str(value).strip()
    match = _LANGUAGE_CODE.match(name)
    return match[1] if match else _LANGUAGES.get(name.lower())


_READERS: dict[str, tuple[Read, str]] = {
    "patient": (_code, "a patient's number or name"),
    "specialty": (_specialty, "the name of a specialty"),
    "task": (_task, f"one of {', '.join(get_args(Task))}"),
    "language": (_language, "a language code such as en, es or zh"),
    "level": (_level, "facts, concepts, reasoning or judgement"),
    "label": (_class, f"a class of at most {_LONGEST_CLASS} characters"),
    "expert_validated": (yes_or_no, "yes or no"),
    "id": (_code, "a number or a name"),
}
MEANINGS = (*_READERS, "time", "time_day_first", "time_month_first")
"""What a column can be said to hold by hand, beside the fields of the formats."""
