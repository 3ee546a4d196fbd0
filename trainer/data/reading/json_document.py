"""JSON documents as a stream: a list of objects, objects by id, an object around a list of them, or one after another.

Values are decoded one at a time by the standard library. A streaming parser (ijson) was weighed: it is no faster, stops
for good at NaN, turns half a character into "?", and of two values with one name it drops the first in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from trainer.data.reading.json_values import DEEP, SPACE, Unusable, as_object, as_row, decode, not_json
from trainer.data.reading.lines import TOO_LONG, may_hold_no_text, pieces
from trainer.data.records import LARGEST_RECORD, Fault, Record

_LONGEST_TOKEN = 64  # characters; an error so near the end of what was read may only mean that more has to be read
# Lists that are one value of a row. Any other list of objects is taken for the list of the document's rows.
_OF_ONE_ROW = {"messages", "conversations", "prompt", "completion", "chosen", "rejected", "spans", "options", "tools"}
_BETWEEN = SPACE + "\ufeff"
_SPACES = re.compile(f"[{_BETWEEN}]*")
_lenient = json.JSONDecoder(parse_int=len).raw_decode


class _Broken(ValueError):
    """The document ends being JSON here."""


class _Document:
    """A JSON text, of which one value after the other is taken; no more than one value is held."""

    def __init__(self, path: Path, encoding: str):
        self._pieces = pieces(path, encoding)
        self._text, self._at, self._lines = "", 0, 1
        self.careful = False
        self._more()

    @property
    def line(self) -> int:
        """Number of the line of what is taken next."""
        return self._lines + self._text.count("\n", 0, self._at)

    def peek(self) -> str:
        """The next character that is no space, not taken; empty at the end."""
        if self._at < len(self._text) and (character := self._text[self._at]) not in _BETWEEN:
            return character
        while True:
            self._at = _SPACES.match(self._text, self._at).end()  # pyright: ignore[reportOptionalMemberAccess]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def peek_inside(self) -> str:
        """The character after the next one: the first of a list's items. Nothing is taken."""
        self.peek()
        while True:
            inner = _SPACES.match(self._text, self._at + 1).end()  # pyright: ignore[reportOptionalMemberAccess]
            if inner < len(self._text):
                return self._text[inner]
            if not self._more():
                return ""

    def take(self, character: str) -> bool:
        """Take the next character if it is this one."""
        found = self.peek() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Take the next character; raises `_Broken` if it is another one."""
        if not self.take(character):
            found = self.peek()
            raise _Broken(f"found {found!r} where {character!r} belongs" if found else "it ends in the middle")

    def value(self) -> Any:
        """Take the next value. Raises `Unusable` after taking one that cannot be used, `_Broken` where none stands."""
        self.peek()
        while True:
            unusable = None
            try:
                try:
                    value, end = decode(self._text, self._at)
                except Unusable as error:
                    unusable = error
                    value, end = _lenient(self._text, self._at)
            except json.JSONDecodeError as error:
                near_end = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _LONGEST_TOKEN
                if not near_end:
                    self._at = error.pos
                    raise _Broken(error.msg) from None
                if len(self._text) - self._at > LARGEST_RECORD:
                    raise _Broken(TOO_LONG) from None
                if not self._more():
                    ended = not self._text[error.pos :].strip(SPACE) or error.msg.startswith("Unterminated string")
                    raise _Broken("it ends in the middle" if ended else error.msg) from None
                continue
            if end == len(self._text) and self._more():
                continue  # a number may go on
            self._at = end
            if unusable:
                raise unusable
            return value

    def _more(self) -> bool:
        for piece in self._pieces:
            if piece:
                self._lines += self._text.count("\n", 0, self._at)
                self._text, self._at = self._text[self._at :] + piece, 0
                self.careful = may_hold_no_text(self._text)
                return True
        return False


def read_json(path: Path, encoding: str, resources: bool = False) -> Iterator[Record | Fault]:
    """Records of a JSON document. From where it is broken on, nothing can be read, and the last fault says so.

    With `resources` the document is FHIR's, where only a bundle's list `entry` holds rows.
    """
    name, lists = ("entry", {"entry"}) if resources else ("row", None)
    document = _Document(path, encoding)
    places = (f"{name} {number}" for number in count(1))
    last = ""
    try:
        while start := document.peek():
            if start == "[":
                found = _items(document, places)
            elif start == "{":
                found = _members(document, places, lists)
            else:
                found = iter([_next(document, next(places))])
            for row in found:
                last = row.place
                yield row
    except (_Broken, RecursionError) as error:
        wrong = DEEP if isinstance(error, RecursionError) else str(error)
        if wrong not in (DEEP, TOO_LONG):
            wrong = f"the document is not valid JSON here ({wrong})"
        message = (
            f"{wrong} (line {document.line}); what comes before was read, and nothing after it can be: mend the file"
        )
        yield Fault(place=f"after {last}" if last else f"{name} 1", field="", message=message)


def _items(document: _Document, places: Iterator[str]) -> Iterator[Record | Fault]:
    document.expect("[")
    if document.take("]"):
        return
    while True:
        yield _next(document, next(places))
        if not document.take(","):
            document.expect("]")
            return


def _members(document: _Document, places: Iterator[str], lists: Collection[str] | None) -> Iterator[Record | Fault]:
    """An object: of rows by their id (PubMedQA), around the list of its rows ({"data": [...]}), or itself a row."""
    document.expect("{")
    held: list[tuple[str, Any]] = []
    listed = by_id = False
    while not document.take("}"):
        if held or listed or by_id:
            document.expect(",")
        if document.peek() != '"':
            raise _Broken("a name in double quotes is missing")
        name = document.value()
        document.expect(":")
        may_be_rows = name in lists if lists else name not in _OF_ONE_ROW and not by_id
        if may_be_rows and document.peek() == "[" and (lists or document.peek_inside() == "{"):
            listed = True
            yield from _items(document, places)
        elif by_id:
            yield _next(document, f"row {name!r}")
        else:
            held.append((name, _value_or_error(document)))
            if len(held) == 2 and not lists and not listed and all(_may_be_row(value) for _, value in held):
                by_id = True
                yield from (_row(f"row {one!r}", value) for one, value in held)
    if listed or by_id:
        return
    if len(held) == 1 and not lists and _may_be_row(held[0][1]):
        yield _row(f"row {held[0][0]!r}", held[0][1])
        return
    place = next(places)
    if len(held) > 1 and all(name.isdigit() for name, _ in held):
        message = "gives one value for each id, not a row of named values; such a list is no data to train on"
        yield Fault(place=place, field="", message=message)
        return
    try:
        wrong = next((value for _, value in held if isinstance(value, Unusable)), None)
        yield _row(place, as_object(held) if wrong is None else wrong)
    except Unusable as error:
        yield not_json(place, "", error)


def _next(document: _Document, place: str) -> Record | Fault:
    return _row(place, _value_or_error(document), document.careful)


def _value_or_error(document: _Document) -> Any:
    try:
        return document.value()
    except Unusable as error:
        return error


def _may_be_row(value: Any) -> bool:
    return isinstance(value, dict | Unusable)


def _row(place: str, value: Any, careful: bool = True) -> Record | Fault:
    return not_json(place, "", value) if isinstance(value, Unusable) else as_row(place, value, careful=careful)
