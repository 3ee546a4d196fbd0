"""Instructions whose fulfilment can be verified without a judge: word limits, bullets, JSON, letter case, language.

The idea is that of IFEval (Zhou et al. 2023, arXiv 2311.07911): an instruction counts as followed (strict) where all
that it asks of the answer's form holds of the answer as it was written. The prompts and the checks are Bedside's own.
An empty answer follows nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]+\S", re.MULTILINE)
_MARK = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)]*(?:\s+|$)")
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)
# Words that nearly every sentence of a language has, and that the others here do not have.
_COMMON_WORDS = {
    "en": "the and is of to it with that this are was for you we they have has but can",
    "es": "el los las y es del con que por para una está muy pero como hay su más cuando",
    "de": "der die das und ist nicht mit ein eine zu den auf für sich dem von im wird auch",
    "fr": "le les et est des une dans pour que qui avec sur pas au ce elle nous il plus",
}
_LANGUAGES = {"en": "English", "es": "Spanish", "de": "German", "fr": "French"}


class _Check(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Count(_Check):
    at_least: int = 0
    at_most: int | None = None

    def within(self, count: int) -> bool:
        return self.at_least <= count and (self.at_most is None or count <= self.at_most)

    def said(self, what: str) -> str:
        if self.at_least == self.at_most:
            return f"exactly {self.at_least} {what}"
        bounds = [f"at least {self.at_least}"] if self.at_least else []
        return " and ".join(bounds + ([] if self.at_most is None else [f"at most {self.at_most}"])) + f" {what}"


class Parts(_Count):
    """How many words, sentences, paragraphs, lines, bullet points or numbered points the answer has."""

    kind: Literal["words", "sentences", "paragraphs", "lines", "bullets", "numbered"]

    def holds(self, answer: str) -> bool:
        return self.within(count(answer, self.kind))

    def __str__(self) -> str:
        what = {"bullets": "bullet points", "numbered": "numbered points"}.get(self.kind, self.kind)
        return self.said(what)


class Holds(_Count):
    """How often the answer has `text`, whatever its case; a word is not looked for inside of others."""

    kind: Literal["contains"]
    text: str
    at_least: int = 1

    def holds(self, answer: str) -> bool:
        before, after = (r"(?<!\w)" if self.text[0].isalnum() else ""), (r"(?!\w)" if self.text[-1].isalnum() else "")
        found = re.findall(before + re.escape(self.text) + after, answer, flags=re.IGNORECASE)
        return self.within(len(found))

    def __str__(self) -> str:
        return f"no “{self.text}”" if self.at_most == 0 else self.said(f"of “{self.text}”")


class Edge(_Check):
    """What the answer begins or ends with, to the letter."""

    kind: Literal["starts", "ends"]
    text: str

    def holds(self, answer: str) -> bool:
        return answer.startswith(self.text) if self.kind == "starts" else answer.endswith(self.text)

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('s')}s with “{self.text}”"


class Case(_Check):
    """All letters large, or all small."""

    kind: Literal["letters"]
    case: Literal["upper", "lower"]

    def holds(self, answer: str) -> bool:
        return answer.isupper() if self.case == "upper" else answer.islower()

    def __str__(self) -> str:
        return "capital letters only" if self.case == "upper" else "small letters only"


class Json(_Check):
    """A JSON object and nothing else (in a code fence or not), with exactly these keys."""

    kind: Literal["json"]
    keys: list[str]

    def holds(self, answer: str) -> bool:
        fenced = _FENCE.match(answer)
        try:
            value = json.loads(fenced.group(1) if fenced else answer)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and set(value) == set(self.keys)

    def __str__(self) -> str:
        return f"JSON with the keys {', '.join(self.keys)}"


class OneOf(_Check):
    """One of these answers and nothing else; a full stop after it, and the case of its letters, do not matter."""

    kind: Literal["one_of"]
    options: list[str]

    def holds(self, answer: str) -> bool:
        return answer.rstrip(".").lower() in {option.lower() for option in self.options}

    def __str__(self) -> str:
        return "only " + " or ".join(self.options)


class Language(_Check):
    """The language of the answer, told by its commonest words; English, Spanish, German and French are told apart."""

    kind: Literal["language"]
    language: Literal["en", "es", "de", "fr"]

    def holds(self, answer: str) -> bool:
        return language(answer) == self.language

    def __str__(self) -> str:
        return f"in {_LANGUAGES[self.language]}"


Check = Annotated[Parts | Holds | Edge | Case | Json | OneOf | Language, Field(discriminator="kind")]
_CHECKS: TypeAdapter[list[Check]] = TypeAdapter(list[Check])


def read_checks(text: str) -> list[Check]:
    """The checks of an instruction from their JSON list. Raises pydantic's `ValidationError` where it is none."""
    return _CHECKS.validate_json(text)


def failed(answer: str, checks: Sequence[Check]) -> list[Check]:
    """The checks that do not hold of the answer, white space around it aside; all of them where it is empty."""
    written = answer.strip()
    return [check for check in checks if not written or not check.holds(written)]


def count(text: str, what: str) -> int:
    """How many words, sentences, paragraphs, lines, bullets or numbered points a text has.

    Words are what white space parts, marks of a list aside; a sentence ends with a full stop, a question mark or an
    exclamation mark before white space, and so does a text that ends without one; paragraphs have a blank line between.
    """
    if what == "words":
        return sum(any(letter.isalnum() for letter in word) for word in _MARK.sub("", text).split())
    if what == "sentences":
        return sum(any(letter.isalnum() for letter in part) for part in _SENTENCE_END.split(_MARK.sub("", text)))
    if what == "paragraphs":
        return len([part for part in re.split(r"\n\s*\n", text) if part.strip()])
    if what == "lines":
        return len([line for line in text.splitlines() if line.strip()])
    return len((_BULLET if what == "bullets" else _NUMBERED).findall(text))


def language(text: str) -> str | None:
    """The language (en, es, de, fr) of which a text has the most common words; None where none leads with two."""
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    found = Counter({code: sum(words[word] for word in common.split()) for code, common in _COMMON_WORDS.items()})
    (first, most), (_, next_most) = found.most_common(2)
    return first if most >= 2 and most > next_most else None
