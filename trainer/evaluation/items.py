"""Items for the suites: from published formats, catalogue sets, the starter data, and a run's own test rows.

Which suites a file or a folder fits is told from what is in it.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from evaluators.cases import Item
from evaluators.metrics import has_structure
from evaluators.safety import judge
from trainer.config import path_of
from trainer.data.formats import Detection, detect, to_row
from trainer.data.prepare import prepare
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Record
from trainer.data.rows import Row, RowError, answer, kind_of, question
from trainer.data.sources import STARTER_PREFIX, locate
from trainer.data_sections import DataFormat
from trainer.evaluation.records_as_items import INSTRUCTIONS, asked_by, group_of, items_of
from trainer.evaluation.request import Suite
from trainer.sections import RunConfig
from trainer.steering.stratified_sample import stratified_sample

GENERAL = f"{STARTER_PREFIX}general"
"""Of the suite `general`: the starter's questions and its instructions together."""
LOOKED_AT = 200
"""Records by which it is told which suites a file fits."""
_KEPT_FOR_TESTS = re.compile(r"(?:^|[^a-z])(?:test|held.?out)", re.IGNORECASE)
_PEOPLE = {"person", "name", "patient"}
_WITH_OPTIONS: tuple[Suite, ...] = ("gradient", "search")
_DERIVED: tuple[Suite, ...] = ("consistency", "robustness", *_WITH_OPTIONS)
"""Suites that take the items of another one."""
_SUITE_OF: dict[DataFormat, list[Suite]] = {
    "multiple_choice": ["multiple_choice"],
    "dialogue_note": ["summarisation"],
    "preference": [],
    "graded_answers": [],
    "unpaired_preference": [],
    "clinical_note": [],
    "text": [],
}
"""Of formats that tell it by themselves."""


def read_items(suite: Suite, source: str, count: int | None, seed: int) -> list[Item]:
    """The items of a source for a suite: all, or `count` drawn with the seed, each group in about its share.

    `source` is a file or folder of the user's or of a published format, a catalogue set, or one of the starter's. Of a
    folder the files that fit the suite are read, and of these the ones kept for tests where their names say so.
    Attacks and consistency take the items of whatever the source is for. Raises `DataError` naming file, row and field
    where one cannot be used, since a score has to be of all of them.
    """
    names = [f"{STARTER_PREFIX}questions", f"{STARTER_PREFIX}instructions"] if source == GENERAL else [source]
    items = [item for name in names for item in _all_items(suite, name)]
    if len({item.id for item in items}) < len(items):
        raise DataError(f"{Path(source).name}: two of its rows have the same id; give each row its own.")
    return drawn(items, count, seed)


def drawn(items: list[Item], count: int | None, seed: int) -> list[Item]:
    """All items, or `count` of them by the seed, each group in about its share; the same for every suite."""
    if count is None or count >= len(items):
        return items
    return [items[index] for index in stratified_sample([item.group for item in items], count, seed)]


def own_test_items(config: RunConfig) -> list[Item]:
    """The rows that a run kept aside for the last test (`data.test_share`), for its own suites; empty without any."""
    if not config.data.test_share:
        return []
    rows = prepare(config).rows("test")
    return [
        asked_by(row, row.get("about", {}).get("id", str(number)), group_of({}, row))
        for number, row in enumerate(rows, 1)
        if kind_of(row) in ("prompt_completion", "preference")
    ]


def suites_for(source: str) -> list[Suite]:
    """The suites that a file or folder fits, told from its content; empty where it fits none."""
    if source == GENERAL:
        return ["general"]
    found: list[Suite] = []
    for path in _files(locate(source, "heldout").path):
        for suite in _suites_of(path):
            if suite not in found:
                found.append(suite)
    return found


def discover(folder: str) -> list[tuple[Suite, str]]:
    """Every suite that a folder of data sets fits, with the source to give to `read_items`.

    A folder without sub-folders is one set; else each of its files and folders is one. Raises `DataError` where there
    is no such folder.
    """
    path = path_of(folder)
    if not path.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds data sets, each in a folder or file of its own.")
    parts = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    if not any(part.is_dir() for part in parts):
        parts = [path]
    return [(suite, str(part)) for part in parts for suite in suites_for(str(part))]


def _all_items(suite: Suite, source: str) -> list[Item]:
    path = locate(source, "heldout").path
    files = _chosen_files(suite, path) if path.is_dir() else [path]
    items = []
    for file in files:
        # Where it fits none, reading it says why.
        own: Suite = suite
        if suite in _DERIVED:
            own = fitting[0] if (fitting := _suites_of(file)) else "answers"
        made = list(items_of(own, file))
        if suite in _DERIVED:
            # Many answers follow an instruction, so none is the same or right; a gradient and a search need options.
            made = [
                item for item in made if item.options or (item.group != INSTRUCTIONS and suite not in _WITH_OPTIONS)
            ]
        if not made:
            raise DataError(f"{file.name}: holds nothing for the suite {suite}; name another file.")
        # Its own ids where they tell its rows apart; else the places, with the file's name where there are several.
        if len({item.id for item in made}) < len(made):
            made = [item.model_copy(update={"id": item.how}) for item in made]
        prefix = f"{file.name}, " if len(files) > 1 else ""
        items += [item.model_copy(update={"id": prefix + item.id, "how": ""}) for item in made]
    return items


def _chosen_files(suite: Suite, folder: Path) -> list[Path]:
    """The files of a folder that fit the suite: those kept for tests, and those that name their requests harmful."""
    fitting = []
    for file in _files(folder):
        own = _suites_of(file)
        if suite in own or (suite in _DERIVED and own):
            fitting.append(file)
    if not fitting:
        raise DataError(f"{folder.name}: no file in it fits the suite {suite}; name the file, or another suite.")
    chosen = [file for file in fitting if _KEPT_FOR_TESTS.search(file.name)] or fitting
    return [file for file in chosen if suite == "safety" and _says_harmful(_first(file)[0])] or chosen


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [one for one in path.rglob("*") if one.is_file() and not one.name.startswith(".")]
    return sorted(found, key=lambda one: one.relative_to(path).as_posix())


def _first(path: Path) -> list[Record]:
    return [one for one in islice(read_records(path), LOOKED_AT) if isinstance(one, Record)]


def _suites_of(path: Path) -> list[Suite]:
    """What a file is for; empty for what lies beside data (a licence, a key of answers) and for formats of no suite."""
    try:
        records = _first(path)
    except DataError:
        return []
    if not records:
        return []
    kinds = {str(one.values.get("kind")) for one in records}
    if "request" in records[0].values and kinds <= {"harmful", "benign"}:
        named: list[tuple[Suite, str]] = [("safety", "harmful"), ("over_refusal", "benign")]
        return [suite for suite, kind in named if kind in kinds]
    if "checks" in records[0].values or kinds <= {"general", "general_medical"}:
        return ["general"]
    if _says_harmful(records[0]):
        return ["safety"]
    try:
        detection = detect([one.values for one in records])
    except RowError:
        return []
    if detection.format in _SUITE_OF:
        return _SUITE_OF[detection.format]
    if detection.format == "context_question" and "decision" in detection.columns.values():
        return ["pubmedqa"]
    rows = _rows(records, detection)
    if detection.format == "entities":
        # Marks of people are for de-identification, which is measured by itself.
        lines = [line.partition(": ") for row in rows for line in answer(row).splitlines()]
        marked = {kind.lower() for kind, parted, _ in lines if parted}
        return ["entities"] if marked and not marked & _PEOPLE else []
    if not rows:
        return []
    if sum(has_structure(answer(row)) for row in rows) * 2 > len(rows):
        return ["structured"]
    refused = sum(judge(question(row), answer(row)) == "refused" for row in rows)
    return ["safety"] if refused * 2 > len(rows) else ["answers"]


def _says_harmful(record: Record) -> bool:
    return any(column.startswith("harmful") for column in record.values)


def _rows(records: list[Record], detection: Detection) -> list[Row]:
    rows = []
    for record in records:
        try:
            rows.append(to_row(record.values, detection))
        except RowError:
            continue  # reading the file for a suite names it
    return rows
