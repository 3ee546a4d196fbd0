"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainer.data.reading.json_values import SPACE, Unusable, as_row, decode, not_json
from trainer.data.reading.lines import TOO_LONG, blocks, may_hold_no_text, oddity
from trainer.data.records import DEEPEST_NESTING, Fault, Record, writable

_FEW = DEEPEST_NESTING - 2  # brackets: with no more of them, nothing is nested deeper than that


def read_json_lines(path: Path, encoding: str) -> Iterator[Record | Fault]:
    """A record a line; a line that is none is a fault, and lines of nothing are left out."""
    for block in blocks(path, encoding):
        odd, careful = block.odd, may_hold_no_text(block.text)
        for number, line in enumerate(block.lines, block.first):
            place = f"row {number}"
            if odd and (wrong := TOO_LONG if block.cut else oddity(line, encoding)):
                yield Fault(place=place, field="", message=wrong, record=_found(line))
                continue
            try:
                value, end = decode(line)
                if end < len(line) - 1 and line[end:].strip(SPACE):
                    raise Unusable("more follows after its end")
            except (ValueError, RecursionError) as error:
                if line[0] not in SPACE:
                    yield not_json(place, line, error)
                elif bare := line.strip(SPACE):
                    yield _indented(place, bare)
                continue
            # The way of nearly every line is kept short: what takes time is done only where there may be something.
            if (
                careful
                or type(value) is not dict
                or "record" in value
                or (("[" in line or line.find("{", 1) > 0) and line.count("]") + line.count("}") > _FEW)
            ):
                yield as_row(place, value, line)
            else:
                yield Record(place, value)


def _indented(place: str, text: str) -> Record | Fault:
    """A line with space before its value, which the decoder itself does not take."""
    try:
        value, end = decode(text)
        if end < len(text):
            raise Unusable("more follows after its end")
    except (ValueError, RecursionError) as error:
        return not_json(place, text, error)
    return as_row(place, value, text)


def _found(line: str) -> object:
    """A line that is no text, as it can be written: an object of its columns where it is one otherwise."""
    text = writable(line).strip(SPACE)
    try:
        value, end = decode(text)
    except (ValueError, RecursionError):
        return text
    return value if end == len(text) else text
