"""A message while it is being read: facts that are found are taken out, so that no number is read twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from re import Match

from assistant.planner.reading_typos import corrected

_SAME_LENGTH = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " ", "×": "x"})
_NEGATION = re.compile(
    r"(?:\bnot?\b(?! (?:more|less) than)|\bnever\b|\bwithout\b|\bno longer\b|\binstead of\b|\brather than\b"
    r"|n't\b|\bcannot\b|\bexcept\b|\b(?:dont|doesnt|isnt|wont|havent)\b"
    r"|\b(?:forget(?: about)?|scrap|ditch|lost|lose|gave (?:up|back)|sold)\b)"
    r"(?:\s+(?:have|has|need|want|use|using|own|got|contain|include|be|been|being|on|any|an?|the"
    r"|my|our|that|access|to|yet|really|for|about|anymore|do|doing|a lot of))*\s*$",
    re.IGNORECASE,
)
# Where a question names the thing it asks about, the thing is not a fact.
_SUPPOSED = re.compile(r"[^.;!?\n]*\b(?:what if|what would|would it)\b[^.;!?\n]*\??", re.IGNORECASE)
_ADVICE = re.compile(
    r"(?:(?<=,)|(?<![^.;!?\n]))[^,.;!?\n]*\b(?:could|should|shall|can) i\b[^.;!?\n]*\??", re.IGNORECASE
)
# A task that explains to patients is no question to the planner.
_NO_TASK = (
    r"(?![^.;!?\n]*\b(?:patient|people|famil|parent|carer|relative|lay|lab|test|result|ecg|ekg|blood|report|letter))"
)
_QUESTION = re.compile(
    r"(?:(?<=[;!?\n])|(?<=\.\s)|^)\s*(?:(?:hi|hello|ok|okay|and|but|so|well|also|please)\b[\s,]*)?"
    r"(?:(?:what(?:'s| is| are| was| does| do| did| can| kind| sort)|why|explain (?:to me|me|what|why|how)"
    rf"|explain\b{_NO_TASK}"
    r"|how (?:does|do|did|is|are|can|could|would|should|will|come|much|many|long|big|fast|good)"
    r"|tell me (?:what|why|how|about)|which (?:is|of|one|gpu|card|model|base))\b"
    r"(?:[^.;!?\n]|\.(?=\d))*\??"
    r"|(?:when|where|who|is|are|am|was|will|would|do|does|did|has)\b(?! you\b)(?:[^.;!?\n]|\.(?=\d))*\?)",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"[\s,]*(?:is|are|has been|was|got)?\s*(?:gone|broken|taken|off the table|no longer (?:available|free|an option"
    r"|ours|there)|not (?:available|an option|possible)|(?:is|was) out)\b",
    re.IGNORECASE,
)
CORRECTION = re.compile(
    r"[,;.]\s*no\b|\b(?:actually|miscounted|i was wrong|my mistake|to be exact|more like|sorry|no wait|wait|i mean"
    r"|i meant|rather|scratch that|correction|make (?:it"
    r"|that)|change (?:it|that)|instead|now|in fact|oops|(?:moved|switched|changed|upgraded) to|replaced (?:it )?(?:by"
    r"|with)|turns out|it is really|it's really)\b",
    re.IGNORECASE,
)
_AFTERTHOUGHT = re.compile(r"^[^.;!?\n]{0,30}\b(?:instead|rather|now|i mean(?:t)?)\b", re.IGNORECASE)


class Message:
    """The text of one message. `rest` has found facts blanked out; offsets stay those of the original."""

    def __init__(self, text: str):
        self.original = corrected(text.translate(_SAME_LENGTH))
        told = self.original
        for pattern in (_SUPPOSED, _QUESTION, _ADVICE):
            told = pattern.sub(lambda match: " " * len(match[0]), told)
        self.told = told
        """What is said rather than asked."""
        self.choices: list[str] = []
        """What a contradiction leaves to choose from, in words that can be said."""
        self.rest = told

    def take(self, pattern: re.Pattern[str]) -> Iterator[Match[str]]:
        """Each match in what is left, in order; taken out as it is given."""
        for match in list(pattern.finditer(self.rest)):
            self.blank(match)
            yield match

    def mentions(self, pattern: re.Pattern[str]) -> list[Match[str]]:
        """The matches that are not denied; all are taken out."""
        return [match for match in self.take(pattern) if not self.negated(match.start())]

    def blank(self, match: Match[str]) -> None:
        """Take a match out. Unit separators keep the words on both sides apart."""
        self.rest = self.rest[: match.start()] + "\x1f" * (match.end() - match.start()) + self.rest[match.end() :]

    def negated(self, start: int) -> bool:
        """Whether the words just before this place deny what follows ("not a", "instead of the")."""
        return _NEGATION.search(self.original[max(0, start - 40) : start]) is not None

    def denied(self, match: Match[str]) -> bool:
        """Whether a mention is denied by the words before it, or said to be gone by those after it."""
        return self.negated(match.start()) or _GONE.match(self.original, match.end()) is not None

    def corrects(self) -> bool:
        """Whether the message changes something said before ("actually ...")."""
        return CORRECTION.search(self.original) is not None

    def either_or(self, what: str, names: list[str], question: str) -> str:
        """The remark on two values where there can be one; "the second one" may answer it."""
        self.choices = names
        return f"You name two {what}, {names[0]} and {names[1]}. {question}"

    def replaces(self, first: Match[str], last: Match[str]) -> bool:
        """Whether the later of two mentions takes the place of the earlier: "3k, no wait, 8k", "3k ... 8k instead"."""
        between = self.original[first.end() : last.start()]
        return bool(CORRECTION.search(between) or _AFTERTHOUGHT.search(self.original[last.end() :]))


def alternatives(words: list[str]) -> str:
    """A pattern that matches any of these words, however their parts are joined: "rtx 4090", "RTX4090", "rtx-4090".

    A single letter keeps its number: "A100" and "A-100" are a card, "a 100" is not.
    """
    patterns = []
    for word in sorted(set(words), key=len, reverse=True):
        parts = re.findall(r"[a-z]+|\d+(?:\.\d+)?", word.lower())
        pattern = re.escape(parts[0])
        for previous, part in pairwise(parts):
            pattern += (r"[_-]?" if len(previous) == 1 and previous.isalpha() else r"[\s_-]*") + re.escape(part)
        patterns.append(pattern)
    return "|".join(patterns)
