"""Where rows come from: the starter sets that ship with Bedside, and files of the user's (JSONL, JSON, CSV, TSV)."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from trainer.data.formats import to_row
from trainer.data.reading import iob
from trainer.data.records import DataError
from trainer.data.rows import Row, RowError

STARTER_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "data"
STARTER_PREFIX = "starter/"
Split = Literal["train", "heldout"]


def path_of(name: str, split: Split) -> Path:
    """The file behind a source's name. A starter set has a file for each split; a file of the user's is itself.

    Raises `DataError` where there is no such set or file.
    """
    if name.startswith(STARTER_PREFIX):
        path = STARTER_FOLDER / f"{name.removeprefix(STARTER_PREFIX)}.{split}.jsonl"
        if path.resolve().parent != STARTER_FOLDER or not path.is_file():
            sets = sorted({file.name.split(".")[0] for file in STARTER_FOLDER.glob(f"*.{split}.jsonl")})
            have = ", ".join(STARTER_PREFIX + one for one in sets)
            raise DataError(f"There is no starter set {name!r} with a {split} split; there are {have}.")
        return path
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataError(
            f"There is no file {name!r}; give the path of a JSONL, JSON, CSV or TSV file, or a starter set."
        )
    return path


def read_rows(name: str, split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Row]:
    """All rows of a source, or `limit` of them drawn with `seed`, in the file's order.

    Raises `DataError` naming the first five rows that cannot be used, and how many there are.
    """
    path = path_of(name, split)
    rows: list[Row] = []
    bad: list[str] = []
    for place, record in read_records(path):
        try:
            rows.append(to_row(record))
        except RowError as error:
            bad.append(f"{place}, field {error.field}: {error}")
    if bad:
        more = f" ({len(bad) - 5} more)" if len(bad) > 5 else ""
        raise DataError(
            f"{path.name}: {len(bad)} of {len(bad) + len(rows)} rows cannot be used. {'; '.join(bad[:5])}{more}."
        )
    if not rows:
        raise DataError(f"{path.name} holds no rows; give a file with at least one example.")
    if limit is not None and limit < len(rows):
        chosen = sorted(random.Random(f"{seed}/{name}/{split}").sample(range(len(rows)), limit))
        rows = [rows[index] for index in chosen]
    return rows


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record of a file with its place ("row 12"); raises `DataError` where the file itself is damaged."""
    suffix = path.suffix.lower()
    try:
        if suffix in {".jsonl", ".ndjson"}:
            yield from _json_lines(path)
        elif suffix == ".json":
            yield from _json(path)
        elif suffix == ".tsv" and _has_tags(path):
            yield from _tagged(path)
        elif suffix in {".csv", ".tsv"}:
            yield from _csv(path, "\t" if suffix == ".tsv" else ",")
        else:
            raise DataError(
                f"{path.name}: files of type {suffix or 'no ending'} are not read; give JSONL, JSON, CSV or TSV."
            )
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: not UTF-8 text (byte {error.start}); save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}).") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"row {number}", _record(path, number, line)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise DataError(f"{path.name}: row {number} is not valid JSON; mend or remove the line.") from None
    if not isinstance(value, dict):
        raise DataError(f"{path.name}: row {number} is a {type(value).__name__}; each line has to be one JSON object.")
    return value


def _json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path.name}: not valid JSON (line {error.lineno}: {error.msg}); mend the file.") from None
    except RecursionError:
        raise DataError(f"{path.name}: nested too deeply to be read; give a list of flat objects.") from None
    if isinstance(value, dict) and value and all(isinstance(record, dict) for record in value.values()):
        # PubMedQA's: an object of rows by their id.
        yield from ((f"row {key!r}", record) for key, record in value.items())
        return
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise DataError(f"{path.name}: expected a list of objects, one for each row, or an object of them by id.")
    for number, record in enumerate(value, 1):
        yield f"row {number}", record


def _has_tags(path: Path) -> bool:
    with path.open(encoding="utf-8-sig") as lines:
        return iob.is_iob(islice(lines, 200))


def _tagged(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as lines:
        try:
            for number, record in iob.sentences(lines):
                yield f"the sentence of line {number}", record
        except ValueError as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise DataError(f"{path.name}: {error}; mend the line.") from None


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for number, record in enumerate(csv.DictReader(file, strict=True, delimiter=delimiter), 1):
                if None in record:
                    raise DataError(
                        f"{path.name}: row {number} has more cells than the header; quote cells with separators."
                    )
                yield f"row {number}", record
        except csv.Error as error:
            raise DataError(f"{path.name}: not valid CSV ({error}); save it again as CSV.") from None
