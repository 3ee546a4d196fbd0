"""Sentences with marked entities: one token and its tag a line, a blank line between sentences (CoNLL's IOB)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_TAG = re.compile(r"^(?:O|[BI]-\S+)$")
_GLUED_BEFORE = re.compile(r"^[.,;:!?%)\]}'’]|^(?:-|/)$")
_GLUED_AFTER = re.compile(r"[(\[{]$|^(?:-|/)$")


def is_iob(lines: Iterable[str]) -> bool:
    """Whether every line that is not blank is a token and an IOB tag, and there is one."""
    marked = [_token_and_tag(line) for line in lines if line.strip()]
    return bool(marked) and None not in marked


def sentences(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each sentence as (number of its first line, {"tokens": [...], "tags": [...]}).

    Raises `ValueError` with the number of a line that is not a token and a tag.
    """
    tokens: list[str] = []
    tags: list[str] = []
    first = 1
    for number, line in enumerate(lines, 1):
        if not line.strip():
            if tokens:
                yield first, {"tokens": tokens, "tags": tags}
            tokens, tags, first = [], [], number + 1
            continue
        cells = _token_and_tag(line)
        if cells is None:
            raise ValueError(f"line {number} is not a token and an IOB tag (O, B-Name or I-Name)")
        first = first if tokens else number
        tokens.append(cells[0])
        tags.append(cells[1])
    if tokens:
        yield first, {"tokens": tokens, "tags": tags}


def _token_and_tag(line: str) -> tuple[str, str] | None:
    cells = line.rstrip("\r\n").split("\t")
    return (cells[0], cells[-1]) if len(cells) > 1 and _TAG.match(cells[-1]) else None


def entities(tokens: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """The entities as (kind, words), in their order; an I- tag without its B- begins one."""
    found: list[tuple[str, list[str]]] = []
    inside = ""
    for token, tag in zip(tokens, tags, strict=True):
        mark, _, kind = tag.partition("-")
        if mark == "O":
            inside = ""
        elif mark == "I" and inside == kind:
            found[-1][1].append(token)
        else:
            found.append((kind, [token]))
            inside = kind
    return [(kind, joined(words)) for kind, words in found]


def joined(tokens: list[str]) -> str:
    """The tokens as a sentence, without the spaces that tokenising put before marks: "22-oxacalcitriol"."""
    text = ""
    for place, token in enumerate(tokens):
        space = place > 0 and not _GLUED_BEFORE.match(token) and not _GLUED_AFTER.search(tokens[place - 1])
        text += (" " if space else "") + token
    return text
