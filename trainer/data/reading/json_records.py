"""JSON lines, and JSON documents read as a stream: a list of objects, objects by id, or a FHIR bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from trainer.data.reading import fhir
from trainer.data.reading.lines import ENCODING_MESSAGE, foreign_byte, lines, shown
from trainer.data.records import DEEPEST_NESTING, DataError, Fault, Record, depth_of

_DEEP = f"is nested more than {DEEPEST_NESTING} levels deep; give flat objects"


def read_json_lines(path: Path, encoding: str) -> Iterator[Record | Fault]:
    """A record a line; a line that is none becomes a fault. Lines of FHIR resources are read as one bundle."""
    resources: list[dict[str, Any]] = []
    for number, line in lines(path, encoding):
        place = f"row {number}"
        if isinstance(line, Fault):
            yield line
            continue
        if not line.strip():
            continue
        byte = foreign_byte(line)
        if byte is not None:
            message = ENCODING_MESSAGE.format(byte=byte)
            yield Fault(place=place, field="", message=message, record=shown(line).rstrip("\r\n"))
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else _DEEP
            message = f"is not valid JSON ({why}); mend or remove the line"
            yield Fault(place=place, field="", message=message, record=line.rstrip("\r\n")[:10_000])
            continue
        if isinstance(value, dict) and "resourceType" in value:
            resources.append(value)
            continue
        yield from _checked(place, value)
    if resources:
        yield from fhir.read(resources)


def read_json(path: Path, encoding: str) -> Iterator[Record | Fault]:
    """Records of a JSON document, one at a time. Raises `DataError` where it holds no records at all."""
    import ijson

    start = _first_event(path, encoding)
    shape = "item"
    if start == "start_map":
        head = _head(path, encoding)
        if "resourceType" in head:
            yield from _bundle(path, encoding)
            return
        listed = [key for key, event in head.items() if event == "start_array"]
        if head and all(event == "start_map" for event in head.values()):
            # PubMedQA's: an object of rows by their id.
            shape = "by id"
        elif len(listed) == 1:
            shape = f"{listed[0]}.item"
        else:
            raise DataError(f"{path.name}: expected a list of objects, one for each row, or an object of them by id.")
    count = 0
    try:
        with path.open(encoding=encoding, errors="replace") as text:
            stream = _bytes(text)
            if shape == "by id":
                for key, value in ijson.kvitems(stream, "", use_float=True):
                    count += 1
                    yield from _checked(f"row {key!r}", value)
            else:
                for value in ijson.items(stream, shape, use_float=True):
                    count += 1
                    yield from _checked(f"row {count}", value)
    except (ijson.JSONError, RecursionError) as error:
        message = f"the file is not valid JSON after row {count} ({_why(error)}); what stands before it was read"
        yield Fault(place=f"row {count + 1}", field="", message=message)


def _checked(place: str, value: Any) -> Iterator[Record | Fault]:
    if not isinstance(value, dict):
        found = "nothing" if value is None else type(value).__name__
        yield Fault(place=place, field="", message=f"is a {found}; each row has to be one JSON object", record=value)
    elif depth_of(value) > DEEPEST_NESTING:
        yield Fault(place=place, field="", message=_DEEP)
    elif {"place", "message", "record"} == value.keys() - {"field"} and isinstance(value["record"], dict):
        # A rejected row that somebody mended.
        yield Record(f"{place} (mended)", value["record"])
    else:
        yield Record(place, value)


class _bytes:
    """A text file as the UTF-8 bytes that ijson reads."""

    def __init__(self, text: Any):
        self._text = text
        self._first = True

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        return self._text.read(size).encode("utf-8", "replace")


def _events(path: Path, encoding: str) -> Iterator[tuple[str, str, Any]]:
    import ijson

    with path.open(encoding=encoding, errors="replace") as text:
        yield from ijson.parse(_bytes(text), use_float=True)


def _first_event(path: Path, encoding: str) -> str:
    import ijson

    try:
        return next(_events(path, encoding))[1]
    except (ijson.JSONError, StopIteration) as error:
        raise DataError(f"{path.name}: not valid JSON ({_why(error)}); mend the file.") from None


def _head(path: Path, encoding: str) -> dict[str, str]:
    """The document's own keys, each with the event that begins its value; of the first hundred."""
    import ijson

    keys: dict[str, str] = {}
    level, key = 0, ""
    try:
        for _, event, value in _events(path, encoding):
            if level == 1 and event == "map_key":
                key = value
                if len(keys) == 100:
                    break
            elif level == 1 and event not in {"end_map"}:
                keys[key] = event
            if event in {"start_map", "start_array"}:
                level += 1
            elif event in {"end_map", "end_array"}:
                level -= 1
            if level > DEEPEST_NESTING:
                raise DataError(f"{path.name}: nested too deeply to be read; give a list of flat objects.")
    except ijson.JSONError as error:
        if not keys:
            raise DataError(f"{path.name}: not valid JSON ({_why(error)}); mend the file.") from None
    return keys


def _bundle(path: Path, encoding: str) -> Iterator[Record | Fault]:
    try:
        document = json.loads(path.read_text(encoding=encoding))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: not valid JSON ({_why(error)}); export the bundle again.") from None
    yield from fhir.read([document])


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).strip().splitlines()[0][:120] if str(error) else "it ends at once"


def plain(value: Any) -> Any:
    """A value for JSON: what Parquet and YAML give besides is written as text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
