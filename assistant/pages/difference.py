"""What two answers say differently, word by word. All text is escaped."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape

_WORD = re.compile(r"\w+(?:[.,'’/-]\w+)*|[^\w\s]")


def difference(left: str, right: str) -> str:
    """Both answers with the words marked that the other does not have at that place, and how much they share.

    Words are compared as they are written, but for letter case and white space between them.
    """
    words = [list(_WORD.finditer(text)) for text in (left, right)]
    same = SequenceMatcher(None, *([one[0].lower() for one in side] for side in words), autojunk=False)
    alone: list[set[int]] = [set(), set()]
    for kind, first, first_end, second, second_end in same.get_opcodes():
        if kind != "equal":
            alone[0].update(range(first, first_end))
            alone[1].update(range(second, second_end))
    if not any(alone):
        return '<p class="bs-soft">Both say the same, word for word.</p>'
    told = f'<p class="bs-soft">{same.ratio():.0%} of the words are the same, in the same order.</p>'
    columns = "".join(
        f'<div><h4>{name}</h4><p class="bs-text">{_marked(text, found, only, kind)}</p></div>'
        for name, text, found, only, kind in zip("AB", (left, right), words, alone, ("down", "up"), strict=True)
    )
    return f'{told}<div class="bs-sides">{columns}</div>'


def _marked(text: str, words: list[re.Match[str]], alone: set[int], kind: str) -> str:
    """The text with each run of words that stand here alone marked as one."""
    parts, end, number = [], 0, 0
    while number < len(words):
        if number not in alone:
            number += 1
            continue
        start = number
        while number < len(words) and number in alone:
            number += 1
        parts.append(escape(text[end : words[start].start()]))
        end = words[number - 1].end()
        parts.append(
            f'<mark class="bs-{kind}" style="--bs-strength: 22%">{escape(text[words[start].start() : end])}</mark>'
        )
    return "".join(parts) + escape(text[end:])
