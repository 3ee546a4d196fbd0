"""One JSON value: decoded, and checked to be a row."""

from __future__ import annotations

import json
from typing import Any

from trainer.data.reading.rejected import is_rejected, mended
from trainer.data.records import DEEPEST_NESTING, Fault, Record, depth_of, writable

SPACE = " \t\r\n"
DEEP = f"is nested more than {DEEPEST_NESTING} levels deep; give flat objects"

_NO_TEXT = (
    "holds what is no text (a zero byte, or half of a character such as \\ud800); write what was meant, or remove it"
)


class Unusable(ValueError):
    """JSON's syntax is kept, and yet the value cannot be used; the text says why."""


def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Names and values as an object; raises `Unusable` where a name stands twice, for one of the two would be lost."""
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise Unusable(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return value


def _constant(name: str) -> Any:
    raise Unusable(f"{name} is no value in JSON, null is")


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise Unusable(f"a number has {len(digits):,} digits") from None


decode = json.JSONDecoder(object_pairs_hook=as_object, parse_constant=_constant, parse_int=_integer).raw_decode
"""(value, where it ends) of the JSON value that begins at a place of a text.

Raises `Unusable` for a name that stands twice in an object, for NaN and Infinity, and for a number of thousands of
digits; `ValueError` for what is no JSON; `RecursionError` for nesting without measure.
"""


def not_json(place: str, text: str, error: Exception) -> Fault:
    """The fault of a row whose text could not be decoded."""
    message = (
        DEEP if isinstance(error, RecursionError) else f"is not valid JSON ({_why(error, text)}); mend or remove it"
    )
    return Fault(place=place, field="", message=message, record=text.rstrip(SPACE) or None)


def _why(error: Exception, text: str) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    # The decoder names the line's end, or the quote that was to be closed.
    if error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip(SPACE)):
        return "it ends in the middle"
    return f"{error.msg}, column {error.colno}"


def as_row(place: str, value: Any, text: str = "", careful: bool = True) -> Record | Fault:
    """A decoded value as a record, where it can be one. `text` is the row as it was found, if it is still known.

    Whether it holds what is no text is looked for only if `careful`.
    """
    for inner in value.values() if isinstance(value, dict) else [value]:
        if type(inner) is dict or type(inner) is list:
            if depth_of(value) > DEEPEST_NESTING:
                return Fault(place=place, field="", message=DEEP, record=text.rstrip(SPACE) or None)
            break
    if not isinstance(value, dict):
        message = f"is {_kind(value)}; a row has to be one JSON object"
        return Fault(place=place, field="", message=message, record=value)
    for name, inner in value.items() if careful else ():
        if writable([name, inner]) != [name, inner]:
            return Fault(place=place, field=name, message=_NO_TEXT, record=value)
    return mended(place, value) if "record" in value and is_rejected(value) else Record(place, value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return {str: "a text", list: "a list"}.get(type(value), "a number")
