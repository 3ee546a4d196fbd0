"""Text of a file in pieces and in lines, within bounds, with what is no text kept so that a row can be named for it."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from trainer.data.records import LARGEST_RECORD, LOST

_PIECE = 1 << 18  # bytes
_NO_TEXT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
TOO_LONG = f"is longer than {LARGEST_RECORD:,} characters; split it, or remove it"


def may_hold_no_text(text: str) -> bool:
    """Whether a JSON text may hold a zero byte or half of a character, as an escape or left by bytes of no text."""
    return not _is_text(text) or ("\\" in text and _NO_TEXT.search(text) is not None)


class Block(NamedTuple):
    """Some of a file's lines, their ends left on them."""

    first: int
    """Number of the first of them; the file's first line is 1."""
    text: str
    lines: list[str]
    odd: bool
    """Whether a line holds bytes that are no text, a zero byte, or only its beginning: see `oddity`."""
    cut: bool = False
    """Whether this is one line that was too long, of which only the beginning was kept."""


def pieces(path: Path, encoding: str) -> Iterator[str]:
    """A file's text in pieces, none of them empty.

    Bytes that are no text come as lone surrogates; in UTF-16, as the replacement mark.
    """
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding.startswith("utf-16") else "surrogateescape")
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            if text := decoder.decode(data):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text


def blocks(path: Path, encoding: str) -> Iterator[Block]:
    """A file's lines, some at a time; they end with a line feed, a carriage return, or both. Memory stays bounded."""
    number, pending, cut = 1, "", False
    wide = encoding.startswith("utf-16")
    for piece in chain(pieces(path, encoding), [""]):  # no piece is empty, so this one is the end
        text = pending + piece
        # splitlines() would also split at marks that stand inside honest text, as U+2028 does.
        lines = list(io.StringIO(text, newline=""))
        # A carriage return at the very end may be half of a line's end.
        pending = lines.pop() if piece and lines and not lines[-1].endswith("\n") else ""
        if cut and lines:
            # The rest of a line of which the beginning was already given.
            del lines[0]
            cut = False
        if lines:
            odd = "\0" in text or not _is_text(text) or (wide and LOST in text)
            yield Block(number, text, lines, odd)
            number += len(lines)
        if cut or len(pending) > LARGEST_RECORD:
            if not cut:
                start = pending[:200] + "…\n"
                yield Block(number, start, [start], odd=True, cut=True)
                number += 1
            ended = pending.endswith("\r")
            pending, cut = ("\r" if ended else ""), True


def oddity(text: str, encoding: str) -> str:
    """What makes a line or a cell no text, as a sentence's end; empty where it is text."""
    if "\0" in text:
        return "holds a zero byte, which is no text; the file may be damaged there: remove it, or the row"
    name = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}.get(encoding, "UTF-16")
    if name == "UTF-16":
        return f"is not {name} text; save the file as UTF-8, or mend the row" if LOST in text else ""
    byte = next((ord(character) - 0xDC00 for character in text if "\udc80" <= character <= "\udcff"), None)
    return "" if byte is None else f"is not {name} text (byte 0x{byte:02X}); save the file as UTF-8, or mend the row"


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
