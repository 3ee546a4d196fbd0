"""Records of a file as items for a suite: how it is written is told first, then each is read as the suite needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evaluators.cases import Entity, Item
from trainer.data.formats import Detection, detect, to_row
from trainer.data.formats.multiple_choice import LETTERS, options_of
from trainer.data.formats.values import text
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, RowError, answer, kind_of
from trainer.data_sections import DataFormat
from trainer.evaluation.request import Suite

INSTRUCTIONS = "instructions"
_GROUPS = ("specialty", "subject_name", "subject", "category", "qtype", "meta_info", "topic", "kind")
_DECISIONS = ["yes", "no", "maybe"]
_NEEDED: dict[Suite, tuple[DataFormat, str]] = {
    "multiple_choice": ("multiple_choice", "options and a key"),
    "pubmedqa": ("context_question", "a text, a question on it and a decision (yes, no or maybe)"),
    "entities": ("entities", "marked entities"),
    "summarisation": ("dialogue_note", "a conversation and its note"),
}


class _File(NamedTuple):
    """A file with its records, in which every one can be used, and how they are written."""

    path: Path
    records: list[Record]
    detection: Detection | None
    """None where no format fits: requests without an answer."""


def _read(path: Path) -> _File:
    found = list(read_records(path))
    faults = [one for one in found if isinstance(one, Fault)]
    if faults:
        raise DataError(f"{path.name}: {faults[0]}.")
    records = [one for one in found if isinstance(one, Record)]
    if not records:
        raise DataError(f"{path.name} holds no rows; give a file with at least one question.")
    if "request" in records[0].values:
        return _File(path, records, None)
    try:
        return _File(path, records, detect([one.values for one in records]))
    except RowError as error:
        raise DataError(f"{path.name}, {error.field}: {error}") from None


def items_of(suite: Suite, path: Path) -> Iterator[Item]:
    """The items of one file, each with its place in `how`, and with its own id, or else that place.

    Raises `DataError` naming file, row and field where a record cannot be used.
    """
    file = _read(path)
    published = _published_test(path) if suite == "pubmedqa" else None
    detection = file.detection
    if suite == "pubmedqa" and detection is not None:
        # The question alone: the long answer is the abstract's conclusion, which the published protocol leaves out.
        columns = {column: field for column, field in detection.columns.items() if field != "answer"}
        detection = detection.model_copy(update={"columns": columns})
    wanted = {"safety": "harmful", "over_refusal": "benign"}.get(suite)
    for record in file.records:
        values, place = record.values, record.place
        key = place.removeprefix("row ").strip("'")
        if wanted and values.get("kind") in ("harmful", "benign") and values["kind"] != wanted:
            continue
        if published is not None and key not in published:
            continue
        try:
            item = _request(values) if detection is None else _item(suite, values, detection)
        except RowError as error:
            raise DataError(f"{path.name}: {place}, field {error.field}: {error}.") from None
        named = values.get("id") or (key if published is not None else place)
        yield item.model_copy(update={"id": str(named), "how": place})


def _request(record: dict[str, Any]) -> Item:
    asked = text(record.get("request"), "request")
    return Item(id="", group=group_of(record), prompt=[{"role": "user", "content": asked}])


def _item(suite: Suite, record: dict[str, Any], detection: Detection) -> Item:
    columns = {field: column for column, field in detection.columns.items()}
    needed, what = _NEEDED.get(suite, (detection.format, ""))
    if detection.format != needed or (suite == "pubmedqa" and "decision" not in columns):
        raise RowError("columns", f"the rows are of the format {detection.format}; the suite {suite} needs {what}")
    row = to_row(record, detection)
    if kind_of(row) not in ("prompt_completion", "preference"):
        raise RowError("columns", f"the rows are of the format {detection.format}, which asks and answers nothing")
    item = asked_by(row, "", group_of(record, row))
    label = row.get("about", {}).get("label", "")
    if detection.format == "multiple_choice":
        options = [option.text for option in options_of(record, columns)]
        # The question alone: how options are shown is the suite's.
        asked = item.asking(text(record[columns["question"]], columns["question"]), source="")
        return asked.model_copy(update={"options": options, "answer": LETTERS.index(label)})
    if suite == "pubmedqa":
        context = item.question.partition("\n\nQuestion: ")[0]
        found = {"options": _DECISIONS, "answer": _DECISIONS.index(label), "context": context, "group": ""}
        return item.model_copy(update=found)
    if detection.format == "entities":
        return item.model_copy(update={"entities": _entities(row), "context": _below_the_task(item)})
    if detection.format == "dialogue_note":
        return item.model_copy(update={"context": _below_the_task(item), "group": label})
    if "checks" in record:
        return item.model_copy(update={"reference": json.dumps(record["checks"]), "group": INSTRUCTIONS})
    options = record.get("options")
    if isinstance(options, list) and label in options:
        return item.model_copy(update={"options": options, "answer": options.index(label)})
    return item


def asked_by(row: Row, identity: str, group: str) -> Item:
    return Item(id=identity, group=group, prompt=row["prompt"], reference=answer(row))


def group_of(record: dict[str, Any], row: Row | None = None) -> str:
    """What results are told apart by: a row's task or specialty, or a column that is called so."""
    about = row.get("about", {}) if row else {}
    named = [about.get("task"), about.get("specialty"), *(record.get(name) for name in _GROUPS)]
    return next((str(value).replace("_", " ") for value in named if value not in (None, "")), "")


def _entities(row: Row) -> list[Entity]:
    lines = [line.partition(": ") for line in answer(row).splitlines()]
    return [Entity(text=words, kind=kind) for kind, parted, words in lines if parted]


def _below_the_task(item: Item) -> str:
    return item.question.partition("\n\n")[2]


def _published_test(path: Path) -> set[str] | None:
    """The ids of PubMedQA's test split, where its file of answers lies beside; None where it does not."""
    beside = path.parent / "test_ground_truth.json"
    if not beside.exists():
        return None
    try:
        return set(json.loads(beside.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{beside.name}: cannot be read as the ids of the test split ({error}).") from None
