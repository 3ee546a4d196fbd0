"""Sentences with marked entities: one token and its tag a line, a blank line between sentences (CoNLL's IOB)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from trainer.data.reading.lines import blocks, oddity
from trainer.data.records import Fault, Record

_TAG = re.compile(r"^(?:O|[BI]-\S+)$")
_GLUED_BEFORE = re.compile(r"^[.,;:!?%)\]}'’]|^(?:-|/)$")
_GLUED_AFTER = re.compile(r"[(\[{]$|^(?:-|/)$")


def is_iob(lines: Iterable[str]) -> bool:
    """Whether lines are a token and an IOB tag: three in four, so that a few broken ones do not hide what they are."""
    marked = [_token_and_tag(line) for line in lines if line.strip()]
    return bool(marked) and marked.count(None) * 4 <= len(marked)


def read_iob(path: Path, encoding: str) -> Iterator[Record | Fault]:
    """A record {"tokens": [...], "tags": [...]} a sentence; a fault where a line is not a token and a tag."""
    for number, found in _sentences(line for block in blocks(path, encoding) for line in block.lines):
        place = f"sentence at line {number}"
        if isinstance(found, Fault):
            yield found.model_copy(update={"place": place})
            continue
        odd = ((name, wrong) for name, words in found.items() for word in words if (wrong := oddity(word, encoding)))
        name, wrong = next(odd, ("", ""))
        yield Fault(place=place, field=name, message=wrong, record=found) if wrong else Record(place, found)


def _sentences(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    tokens: list[str] = []
    tags: list[str] = []
    first = broken = 0
    for number, line in enumerate(chain(lines, [""]), 1):
        if line.strip() and not line.startswith("-DOCSTART-"):
            first = first or number
            cells = _token_and_tag(line)
            if cells is None:
                broken = broken or number
            # A broken line keeps its place, for the sentence to be mended.
            token, tag = cells or (line.strip(), "")
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            found = {"tokens": tokens, "tags": tags}
            message = f"line {broken} is not a token and an IOB tag (O, B-Name or I-Name)"
            yield first, Fault(place="", field="tags", message=message, record=found) if broken else found
            tokens, tags, first, broken = [], [], 0, 0


def _token_and_tag(line: str) -> tuple[str, str] | None:
    cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
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
