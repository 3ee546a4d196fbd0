"""A file, folder or archive becomes records, whatever it is and whatever it is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from trainer import config, reach
from trainer.actor import NotAllowed
from trainer.data.reading import fhir
from trainer.data.reading.archives import unpacked
from trainer.data.reading.containers import Container, recognise
from trainer.data.reading.delimited import read_delimited
from trainer.data.reading.documents import read_text, read_word
from trainer.data.reading.iob import read_iob
from trainer.data.reading.json_document import read_json
from trainer.data.reading.json_lines import read_json_lines
from trainer.data.reading.parquet import read_parquet
from trainer.data.reading.workbooks import read_workbook
from trainer.data.records import DataError, Fault, Record, writable

# Files that lie beside data and are about it.
_ABOUT_DATA = {"licence", "license", "copying", "notice", "readme", "changelog", "citation"}


def read_records(path: Path) -> Iterator[Record | Fault]:
    """Every record of a file, of all files below a folder, or of a zip archive, in order; and what cannot be used.

    What a file is, is told from its content (`containers.recognise`). It is read as a stream, so that memory is bounded
    however many rows there are. Raises `DataError`, maybe after some rows, where the file as a whole cannot be used, or
    whoever acts may not name it.
    """
    try:
        reach.check(path)
    except NotAllowed as error:
        raise DataError(str(error)) from None
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
        case "fhir" | "fhir_lines":
            return fhir.read(path.name, lambda: _resources(path, container))
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


def _resources(path: Path, container: Container) -> Iterator[Record | Fault]:
    if container.kind == "fhir":
        return read_json(path, container.encoding, resources=True)
    return read_json_lines(path, container.encoding)


def _folder(path: Path) -> Iterator[Record | Fault]:
    """Files in the order of their paths; hidden ones are left out, and links, as what is inside is read anyway."""
    top = path.resolve()
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        place = writable(Path(error.filename).relative_to(path.parent).as_posix())
        raise DataError(f"The folder {place} cannot be read ({error.strerror}); see that you may, or take it out.")

    for folder, folders, files in os.walk(path, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        found.extend(Path(folder) / name for name in [*files, *links] if not name.startswith("."))
    if not found:
        raise DataError(f"{path.name} is a folder without files; put the data into it.")

    def parts() -> Iterator[tuple[str, Path | Fault]]:
        for file in sorted(found, key=lambda file: file.relative_to(path).as_posix()):
            place = writable(file.relative_to(path).as_posix())
            if not file.is_symlink():
                yield place, file
            elif not file.resolve().is_relative_to(top):
                message = "is a link that leads out of the folder; it was not followed: copy the file"
                yield place, Fault(place=place, field="", message=message)

    return _parts(path.name, parts())


def _archive(path: Path) -> Iterator[Record | Fault]:
    with config.temporary() as keep:
        yield from _parts(path.name, unpacked(path), keep=Path(keep))


def _parts(name: str, parts: Iterator[tuple[str, Path | Fault]], keep: Path | None = None) -> Iterator[Record | Fault]:
    """Many files: what would stop the reading of one alone is a fault, and the others are read.

    FHIR exports have a file for each kind of resource, so all such files are read as one, after the others. `keep` is a
    folder for those of an archive, of which each file is there only until the next one.
    """
    resources: list[tuple[str, Path, Container]] = []
    for place, found in parts:
        if isinstance(found, Fault):
            yield found
        elif found.stem.lower() in _ABOUT_DATA:
            yield Fault(place=place, field="", message="is about the data and no part of it; it was left out")
        else:
            try:
                container = recognise(found)
                if keep and container.kind == "archive":
                    raise DataError("is an archive inside an archive; unpack it first.")
                if container.kind in ("fhir", "fhir_lines"):
                    kept = found.rename(keep / str(len(resources))) if keep else found
                    resources.append((place, kept, container))
                else:
                    yield from _placed(place, found.name, _read(found, container))
            except DataError as error:
                message = str(error).removeprefix(found.name).lstrip(": ").rstrip(".")
                yield Fault(place=place, field="", message=message)
            except OSError as error:
                yield Fault(place=place, field="", message=f"cannot be read ({error.strerror or error})")
    if resources:
        try:
            yield from fhir.read(
                name,
                lambda: chain.from_iterable(
                    _placed(place, file.name, _resources(file, container)) for place, file, container in resources
                ),
            )
        except DataError as error:
            yield Fault(place=resources[0][0], field="", message=str(error).removeprefix(name).strip(" ."))


def _placed(place: str, name: str, rows: Iterator[Record | Fault]) -> Iterator[Record | Fault]:
    """Rows of one of many files, their places preceded by the file's."""
    for row in rows:
        inner = place if row.place == name else f"{place}, {row.place}"
        if isinstance(row, Fault):
            yield row.model_copy(update={"place": inner})
        elif row.values.get("document") == name:
            yield Record(inner, row.values | {"document": place})
        else:
            yield Record(inner, row.values)
