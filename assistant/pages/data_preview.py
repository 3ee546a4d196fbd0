"""What the Data page works out to show: surveys, the first batch as tokens, identifiers in the first rows."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from assistant.pages import uploads
from trainer.data.inspection.assignment import assign
from trainer.data.inspection.first_batch import TokenView, token_view
from trainer.data.loading import read_rows, renamed
from trainer.data.prepare import Data
from trainer.data.reading.files import read_records
from trainer.data.reading.rejected import write_rejected
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, texts
from trainer.data.sources import Progress, locate
from trainer.data.survey import Survey, survey
from trainer.data.tokenised import token_counter
from trainer.data.tokens import encode
from trainer.data_sections import DataSection, DataSource
from trainer.models import EMBEDDED, load_tokenizer
from trainer.sections import TaskSection

LOOKED_AT = 5000
"""Rows that the page looks at; `bedside data inspect` looks at all."""
MAX_LENGTH = 1024
"""Tokens in a row; the run file's default."""
FIRST_ROWS = 4
PREVIEWED = 8


class Marked(NamedTuple):
    """A text of the first rows and what identifies a person in it."""

    place: str
    text: str
    spans: list[Any]


def surveyed(source: DataSource, progress: Progress | None = None) -> Survey:
    """The survey of a source's first rows; made once for as long as neither the file nor the settings change."""
    return _surveyed(source.model_dump_json(), _stamp(source), _Silent(progress))


def first_batch(source: DataSource) -> list[TokenView] | DataError:
    """The first rows as tokens in the embedded model's template, trained ones marked; the fault where none is."""
    return _batch(first_rows(source, FIRST_ROWS))


def trained_batch(data: Data) -> list[TokenView] | DataError:
    """The first rows of prepared data, as they will be trained on."""
    return _batch(list(islice(data.rows("train"), FIRST_ROWS)))


def _batch(rows: list[Row]) -> list[TokenView] | DataError:
    tokenizer, system_prompt = _tokenizer(), TaskSection().system_prompt
    try:
        return token_view(rows, tokenizer, lambda row: encode(row, tokenizer, system_prompt), MAX_LENGTH)
    except DataError as error:
        return error


def first_rows(source: DataSource, count: int) -> list[Row]:
    """The first rows of a source, with corrections and assigned labels not yet in them."""
    return read_rows(source, locate(source.name), count)[0]


def records(source: DataSource) -> list[dict[str, Any]]:
    """The first records as their file has them, columns that were named by hand under those names, for a template."""
    found = islice(read_records(locate(source.name).path), 3 * PREVIEWED)
    return [renamed(one.values, source.columns) for one in found if isinstance(one, Record)][:3]


def identifiers(data: DataSection) -> list[Marked]:
    """What identifies a person in the first rows, text by text."""
    from trainer.data.deidentify.parallel import find_in_rows

    rows = first_rows(data.sources[0], PREVIEWED)
    for row in rows:
        assign(row)  # its language decides what is looked for
    return [
        Marked(str(row.get("about", {}).get("place", "")), text, list(spans))
        for row, found in zip(rows, find_in_rows(rows), strict=True)
        for text, spans in zip(texts(row), found, strict=True)
    ]


def read_columns(text: str) -> dict[str, str]:
    """Columns as written on the page, one `name = what it is` a line; raises `DataError` naming a line that is none."""
    found = {}
    for line in text.replace(",", "\n").splitlines():
        if not line.strip():
            continue
        name, equals, role = line.partition("=")
        if not equals or not name.strip() or not role.strip():
            raise DataError(f"{line.strip()!r}: expected a column and what it is, such as Frage = question.")
        found[name.strip()] = role.strip()
    return found


def rejected_file(recipe: Path, faults: list[Fault]) -> Path:
    """The rejected rows as a file in the folder that Gradio may serve."""
    path = uploads.given_out(f"rejected-{recipe.name}.jsonl")
    write_rejected(path, faults)
    return path


class _Silent:
    """A progress callback that a cache ignores: equal to any other."""

    def __init__(self, report: Progress | None):
        self.report = report or (lambda stage, done, total: None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Silent)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=8)
def _surveyed(source: str, stamp: str, progress: _Silent) -> Survey:
    return survey(
        DataSource.model_validate_json(source), token_counter(EMBEDDED), MAX_LENGTH, LOOKED_AT, progress.report
    )


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return load_tokenizer(EMBEDDED)


def _stamp(source: DataSource) -> str:
    """Changes with the file, or with the corrections."""
    files = [locate(source.name).path, *([Path(source.corrections)] if source.corrections else [])]
    return " ".join(f"{path.stat().st_mtime_ns}:{path.stat().st_size}" for path in files if path.exists())
