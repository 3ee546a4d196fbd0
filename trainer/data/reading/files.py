"""A file, folder or archive becomes records, whatever it is and whatever it is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trainer.data.reading.archives import unpacked
from trainer.data.reading.containers import Container, recognise
from trainer.data.reading.delimited import read_delimited
from trainer.data.reading.documents import read_text, read_word
from trainer.data.reading.iob import read_iob
from trainer.data.reading.json_document import read_json
from trainer.data.reading.json_lines import read_json_lines
from trainer.data.reading.lines import shown
from trainer.data.reading.parquet import read_parquet
from trainer.data.reading.workbooks import read_workbook
from trainer.data.records import DataError, Fault, Record

# Files that lie beside data and are about it.
_ABOUT_DATA = {"licence", "license", "copying", "notice", "readme", "changelog", "citation"}


def read_records(path: Path) -> Iterator[Record | Fault]:
    """Every record of a file, of all files below a folder, or of a zip archive, in order; and what cannot be used.

    What a file is, is told from its content (`containers.recognise`). It is read as a stream, so that memory is bounded
    however many rows there are. Raises `DataError`, maybe after some rows, where the file as a whole cannot be used.
    """
    container = recognise(path)
    try:
        yield from _read(path, container)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror or error}).") from None


def _read(path: Path, container: Container) -> Iterator[Record | Fault]:
    match container.kind:
        case "folder":
            return _folder(path)
        case "archive":
            return _archive(path)
        case "delimited":
            return read_delimited(path, container.encoding, container.delimiter)
        case "json_lines":
            return read_json_lines(path, container.encoding)
        case "json":
            return read_json(path, container.encoding)
        case "parquet":
            return read_parquet(path)
        case "xlsx":
            return read_workbook(path)
        case "docx":
            return read_word(path)
        case "iob":
            return read_iob(path, container.encoding)
        case "text":
            return read_text(path, container.encoding)


def _folder(path: Path) -> Iterator[Record | Fault]:
    """Files in the order of their paths; hidden ones are left out, and links, as what is inside is read anyway."""
    top = path.resolve()
    found: list[Path] = []
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found.extend(Path(folder) / name for name in [*files, *links] if not name.startswith("."))
    if not found:
        raise DataError(f"{path.name} is a folder without files; put the data into it.")
    for file in sorted(found, key=lambda file: file.relative_to(path).as_posix()):
        place = shown(file.relative_to(path).as_posix())
        if not file.is_symlink():
            yield from _part(place, file)
        elif not file.resolve().is_relative_to(top):
            message = "is a link that leads out of the folder; it was not followed: copy the file"
            yield Fault(place=place, field="", message=message)


def _archive(path: Path) -> Iterator[Record | Fault]:
    empty = True
    for place, found in unpacked(path):
        empty = False
        if isinstance(found, Fault):
            yield found
        else:
            yield from _part(place, found, inside_archive=True)
    if empty:
        raise DataError(f"{path.name} is an archive without files; pack the data into it.")


def _part(place: str, path: Path, inside_archive: bool = False) -> Iterator[Record | Fault]:
    """One of many files: what would stop the reading of it alone is a fault, and the others are read."""
    if path.stem.lower() in _ABOUT_DATA:
        yield Fault(place=place, field="", message="is about the data and no part of it; it was left out")
        return
    try:
        container = recognise(path)
        if inside_archive and container.kind == "archive":
            raise DataError("is an archive inside an archive; unpack it first.")
        for row in _read(path, container):
            inner = place if row.place == path.name else f"{place}, {row.place}"
            if isinstance(row, Fault):
                yield row.model_copy(update={"place": inner})
            elif row.values.get("document") == path.name:
                yield Record(inner, row.values | {"document": place})
            else:
                yield Record(inner, row.values)
    except DataError as error:
        yield Fault(place=place, field="", message=str(error).removeprefix(path.name).lstrip(": ").rstrip("."))
    except OSError as error:
        yield Fault(place=place, field="", message=f"cannot be read ({error.strerror or error})")
