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
    found = False
    for line in lines:
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) < 2 or not _TAG.match(cells[-1]):
            return False
        found = True
    return found


def sentences(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each sentence as (number of its first line, {"tokens": [...], "tags": [...]}).

    Raises `ValueError` with the number of a line that is not a token and a tag.
    """
    tokens: list[str] = []
    tags: list[str] = []
    first = 1
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip():
            if tokens:
                yield first, {"tokens": tokens, "tags": tags}
            tokens, tags, first = [], [], number + 1
            continue
        if len(cells) < 2 or not _TAG.match(cells[-1]):
            raise ValueError(f"line {number} is not a token and an IOB tag (O, B-Name or I-Name)")
        first = number if not tokens else first
        tokens.append(cells[0])
        tags.append(cells[-1])
    if tokens:
        yield first, {"tokens": tokens, "tags": tags}


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
