"""Markdown of a dossier: text from files and people made harmless, and the few forms that it is written in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_ACTING = re.compile(r"([\\`*\[\]|~#!$]|(?<![^\W_])_|_(?![^\W_]))")  # an underscore within a word does nothing
_AT_LINE_START = re.compile(r"^(\d+)(?=[.)](?:\s|$))|^(?=[-+=]+(?:\s|$))")


def plain(text: object) -> str:
    """Any text as one line of Markdown that shows it and does nothing: no HTML, link, table cell, heading or list.

    Characters that are not seen, such as those that turn the direction of writing, are taken out.
    """
    seen = "".join(" " if one.isspace() else one for one in str(text))
    seen = "".join(one for one in seen if not _unseen(one))
    safe = " ".join(seen.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _ACTING.sub(r"\\\1", safe)
    safe = safe.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")
    return _AT_LINE_START.sub(lambda found: f"{found[1]}\\" if found[1] else "\\", safe)


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table; every cell is made `plain`. Empty where there are no rows."""
    lines = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(plain(cell) for cell in header)} |", "|" + "---|" * len(header), *lines])


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def code(text: str) -> str:
    """A block of text as it is, behind a fence that it cannot close; what is not seen in it stands as its number."""
    text = "".join(one if one == "\n" or not _unseen(one) else f"\\u{ord(one):04x}" for one in text)
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def joined(*blocks: str) -> str:
    """Blocks one under the other; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block)


def _unseen(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cs", "Cn")
