"""A message while it is being read: facts that are found are taken out, so that no number is read twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import Match

_SAME_LENGTH = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " ", "×": "x"})
_NEGATION = re.compile(
    r"(?:\bnot?\b(?! (?:more|less) than)|\bnever\b|\bwithout\b|\bno longer\b|\binstead of\b|\brather than\b"
    r"|n't\b|\bcannot\b|\bexcept\b)"
    r"(?:\s+(?:have|has|need|want|use|using|own|got|contain|include|be|been|being|on|any|an?|the"
    r"|my|our|yet|really|for|about))*\s*$",
    re.IGNORECASE,
)
_HYPOTHETICAL = re.compile(
    r"[^.;!?\n]*\b(?:what if|what would|would it|could i|should i)\b[^.;!?\n]*\??", re.IGNORECASE
)
CORRECTION = re.compile(
    r"\b(?:actually|sorry|no wait|wait|i mean|i meant|rather|scratch that|correction|make (?:it"
    r"|that)|change (?:it|that)|instead|now)\b",
    re.IGNORECASE,
)


class Message:
    """The text of one message. `rest` has found facts blanked out; offsets stay those of the original."""

    def __init__(self, text: str):
        self.original = text.translate(_SAME_LENGTH)
        self.rest = _HYPOTHETICAL.sub(lambda match: " " * len(match[0]), self.original)

    def take(self, pattern: re.Pattern[str]) -> Iterator[Match[str]]:
        """Each match in what is left, in order; taken out as it is given."""
        for match in list(pattern.finditer(self.rest)):
            self.blank(match)
            yield match

    def blank(self, match: Match[str]) -> None:
        """Take a match out. Semicolons keep the words on both sides apart."""
        self.rest = self.rest[: match.start()] + "\x1f" * (match.end() - match.start()) + self.rest[match.end() :]

    def negated(self, start: int) -> bool:
        """Whether the words just before this place deny what follows ("not a", "instead of the")."""
        return _NEGATION.search(self.original[max(0, start - 40) : start]) is not None

    def corrects(self) -> bool:
        """Whether the message changes something said before ("actually ...")."""
        return CORRECTION.search(self.original) is not None


def alternatives(words: list[str]) -> str:
    """A pattern that matches any of these words, however their parts are joined: "rtx 4090", "RTX4090", "rtx-4090"."""
    patterns = []
    for word in sorted(set(words), key=len, reverse=True):
        parts = re.findall(r"[a-z]+|\d+(?:\.\d+)?", word.lower())
        patterns.append(r"[\s_-]*".join(re.escape(part) for part in parts))
    return "|".join(patterns)
