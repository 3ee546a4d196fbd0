"""Questions to be answered and judged, from whatever file holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from trainer.data.rows import Message
from trainer.errors import UserError

if TYPE_CHECKING:
    from evaluators.cases import Case
    from trainer.data.records import Fault, Record

LOOKED_AT = 200
"""Records by which it is told how a file is written."""
_REQUEST = "request"
"""Column of requests without an answer, as the starter's safety sets have it."""


class ReviewError(UserError):
    """What was asked of the review queue cannot be done; the text says which, why and what to do."""


class Prompt(BaseModel):
    """A conversation up to its question, without the system prompt, and what is known of it."""

    messages: list[Message]
    group: str = ""
    """Specialty, task or the like."""
    source: str = ""
    """Where it came from: "cases.jsonl, row 12"."""
    chosen_by: str = ""
    """Why it is to be judged, where something chose it."""

    @property
    def question(self) -> str:
        return self.messages[-1]["content"]


def read(path: Path | str, limit: int | None = None) -> list[Prompt]:
    """The questions of a file, folder or starter set: the first `limit`, or all; equal ones once.

    Read are: a text file, one question a line; saved cases of an evaluation (`cases/*.jsonl`); any rows that the data
    desk reads, of which the prompt is taken; and rows with a question alone. Nothing is taken out of them: a file that
    may hold patients' text goes through the data desk's de-identification first, and is shown to reviewers as it is.

    Raises `DataError` naming file, row and field of the first record that cannot be used, and how many there are.
    """
    from trainer.data.reading.containers import recognise
    from trainer.data.records import DataError, Fault
    from trainer.data.sources import locate

    file = locate(str(path), "heldout").path
    as_lines = file.is_file() and (file.suffix.lower() == ".txt" or recognise(file).kind == "text")
    found: dict[str, Prompt] = {}
    faults: list[Fault] = []
    for one in _lines(file) if as_lines else _rows(file):
        if isinstance(one, Fault):
            faults.append(one)
            continue
        found.setdefault(repr(one.messages), one)
        if len(found) == limit:
            break
    if faults:
        more = f" {len(faults) - 1:,} more cannot be used either." * (len(faults) > 1)
        raise DataError(f"{file.name}: {str(faults[0]).rstrip('.')}; mend it or take it out.{more}")
    if not found:
        raise DataError(f"{file.name} holds no questions; give a file with at least one.")
    return list(found.values())


def of_cases(cases: Iterable[Case], name: str) -> list[Prompt]:
    """The questions of an evaluation's cases; `name` says in `source` which evaluation or file they are of."""
    return [_asking(case.question, case.group, f"{name}, case {case.id}") for case in cases]


def _asking(question: str, group: str, source: str) -> Prompt:
    return Prompt(messages=[{"role": "user", "content": question}], group=group, source=source)


def _lines(file: Path) -> Iterator[Prompt | Fault]:
    from trainer.data.reading.containers import recognise
    from trainer.data.reading.documents import read_text
    from trainer.data.records import Fault

    for one in read_text(file, recognise(file).encoding):
        if isinstance(one, Fault):
            yield one
            continue
        for number, line in enumerate(one.values["text"].splitlines(), 1):
            if line.strip():
                yield _asking(line.strip(), "", f"{file.name}, line {number}")


def _rows(file: Path) -> Iterator[Prompt | Fault]:
    from trainer.data.reading.files import read_records
    from trainer.data.records import DataError, Fault, Record
    from trainer.data.rows import RowError

    first = [one for one in islice(read_records(file), LOOKED_AT) if isinstance(one, Record)]
    if not first:
        yield from (one for one in read_records(file) if isinstance(one, Fault))
        return
    try:
        convert = _conversion(first, file.name)
    except RowError as error:
        raise DataError(f"{file.name}, {error.field}: {error}") from None
    for one in read_records(file):
        if isinstance(one, Fault):
            yield one
            continue
        try:
            yield convert(one)
        except RowError as error:
            yield Fault(place=one.place, field=error.field, message=str(error), record=one.values)


def _conversion(first: list[Record], name: str) -> Callable[[Record], Prompt]:
    """How a record becomes a question; raises `RowError` where none of the ways fits."""
    from trainer.data.formats import converter, detect
    from trainer.data.formats.column_names import QUESTION, plain
    from trainer.data.formats.values import text
    from trainer.data.rows import RowError
    from trainer.evaluation.records_as_items import group_of

    if _case(first[0].values) is not None:
        return lambda record: _of_case(record, name)

    def alone(column: str) -> Callable[[Record], Prompt]:
        return lambda record: _asking(
            text(record.values.get(column), column), group_of(record.values), f"{name}, {record.place}"
        )

    if _REQUEST in first[0].values:
        return alone(_REQUEST)
    try:
        convert = converter(detect([one.values for one in first]))
    except RowError:
        column = next((one for one in first[0].values if plain(one) in QUESTION), None)
        if column is None:
            raise
        return alone(column)

    def of_row(record: Record) -> Prompt:
        row = convert(record.values)
        messages = [one for one in row.get("prompt", []) if one["role"] != "system"]
        if not messages or messages[-1]["role"] != "user":
            raise RowError("prompt", "asks nothing: the conversation has to end with the user's question")
        return Prompt(messages=messages, group=group_of(record.values, row), source=f"{name}, {record.place}")

    return of_row


def _case(values: dict[str, Any]) -> Case | None:
    """The record as an evaluation's case; None where it is none."""
    from evaluators.cases import Case

    if not {"id", "source", "question", "answer", "values"} <= values.keys():
        return None
    try:
        return Case.model_validate(values)
    except ValidationError:
        return None


def _of_case(record: Record, name: str) -> Prompt:
    from trainer.data.rows import RowError

    case = _case(record.values)
    if case is None:
        raise RowError("id", "is no case of an evaluation, as the rows before it are")
    return of_cases([case], name)[0]
