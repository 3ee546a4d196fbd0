"""Text in lines with bounds: a line that would fill the memory becomes a fault, and the lines after it are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainer.data.records import LARGEST_RECORD, Fault

ENCODING_MESSAGE = "is not UTF-8 text (byte 0x{byte:02X}); save the file as UTF-8, or mend the row"


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str | Fault]]:
    """Each line with its number, its end left on it. Bytes that are no UTF-8 are kept as lone surrogates."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        number = 0
        while line := file.readline(LARGEST_RECORD):
            number += 1
            if len(line) < LARGEST_RECORD or line.endswith("\n"):
                yield number, line
                continue
            start = line[:200]
            while line and not line.endswith("\n"):
                line = file.readline(LARGEST_RECORD)
            message = f"is longer than {LARGEST_RECORD:,} characters; split it, or remove it"
            yield number, Fault(place=f"line {number}", field="", message=message, record=start + "…")


def foreign_byte(text: str) -> int | None:
    """The first byte of a text that was no UTF-8, as `lines` kept it; None where all was."""
    if text.isascii():
        return None
    return next((ord(character) - 0xDC00 for character in text if "\udc80" <= character <= "\udcff"), None)


def shown(text: str) -> str:
    """A text that can be written as UTF-8: bytes that were none become the replacement mark."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
