"""What is written in an identifier's place: a mask, or a surrogate that stays the same within a patient.

Everything comes from an HMAC of patient and value under the caller's secret: the same inputs give the same text,
whatever was replaced before; and without the
secret, two patients' surrogates cannot be linked, nor one patient's with the truth.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from trainer.data.deidentify import dates, lexicon
from trainer.data.deidentify.find import Kind, Span

if TYPE_CHECKING:
    from faker import Faker

Action = Literal["mask", "surrogate"]
FARTHEST = 364
"""Days by which a patient's dates are moved at most, to either side."""
BORN_BEFORE = 1936
"""Who was born earlier may be over 89 by now, so an earlier year is never written (164.514(b)(2)(i)(C))."""

_LETTERS = "ABCDEGHJKLMNPRSTVW"  # initials under which there are enough names to choose from
_HOUSE = re.compile(
    r"\b(hospital|medical cent(?:er|re)|clinic|pharmacy|nursing home|school|university|college|church|hospice|manor|"
    r"institute|county|urgent care|infirmary|health system|surgery center)\b",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"\d+|(?:ninety|(?:one|a)\s+hundred)(?:[\s\-](?:and|one|two|three|four|five|six|seven|eight|nine|ten)\b)*",
    re.IGNORECASE,
)


@cache
def _faker() -> Faker:
    from faker import Faker

    return Faker("en_US")


@cache
def _listed() -> dict[str, dict[str, list[str]]]:
    """Names of the United States by kind (male, female, last) and initial."""
    from faker.providers.person.en_US import Provider

    lists: dict[str, Any] = {
        "male": Provider.first_names_male, "female": Provider.first_names_female, "last": Provider.last_names,
    }  # fmt: skip
    return {
        kind: {
            letter: sorted(name for name in set(names) if name[0] == letter and len(name) > 1) for letter in _LETTERS
        }
        for kind, names in lists.items()
    }


@cache
def _genders() -> tuple[frozenset[str], frozenset[str]]:
    from faker.providers.person.en_US import Provider

    male, female = (
        {name.lower() for name in names} for names in (Provider.first_names_male, Provider.first_names_female)
    )
    return frozenset(male - female), frozenset(female - male)


def _written_like(old: str, new: str) -> str:
    return new.upper() if old.isupper() and len(old) > 1 else new.lower() if old.islower() else new


class Replacer:
    """Writes masks or surrogates; `secret` is the key of every choice and never written anywhere."""

    def __init__(self, action: Action, secret: bytes):
        self.action = action
        self._secret = secret

    def _digest(self, patient: str, *values: str) -> bytes:
        return hmac.new(self._secret, "\x1f".join((patient, *values)).encode(), hashlib.sha256).digest()

    def _rng(self, patient: str, *values: str) -> random.Random:
        return random.Random(int.from_bytes(self._digest(patient, *values), "big"))

    def pseudonym(self, patient: str) -> str:
        """What stands for the patient's own number: 16 hexadecimal digits, the same for the same patient."""
        return self._digest(patient, "pseudonym").hex()[:16]

    def offset(self, patient: str) -> int:
        """Days by which the patient's dates move: one number for all of them, never 0."""
        days = self._rng(patient, "offset").randint(1, 2 * FARTHEST)
        return days if days <= FARTHEST else FARTHEST - days

    def replace(self, text: str, spans: Sequence[Span], patient: str) -> str:
        """The text with each span replaced; spans as `find_identifiers` gives them, in order and without overlap."""
        oldest = self._oldest_year(text, spans)
        written, last = "", 0
        for span in spans:
            value = text[span.start : span.end]
            new = (
                self._mask(value, span.kind, oldest)
                if self.action == "mask"
                else self._surrogate(value, span.kind, patient, oldest)
            )
            written += text[last : span.start] + new
            last = span.end
        return written + text[last:]

    @staticmethod
    def _oldest_year(text: str, spans: Sequence[Span]) -> int:
        """The earliest year that does not tell an age over 89, today or at the latest date in the text."""
        years = [dates.year_of(text[span.start : span.end]) for span in spans if span.kind == "date"]
        return max([year - 89 for year in years if year is not None and year < 2100] + [BORN_BEFORE])

    @staticmethod
    def _mask(value: str, kind: Kind, oldest: int) -> str:
        if kind == "age":
            return "90 or older"
        if kind == "date":
            year = dates.year_of(value)
            return f"[DATE {year}]" if year is not None and year >= oldest else "[DATE]"
        return f"[{kind.upper().replace('_', ' ')}]"

    def _surrogate(self, value: str, kind: Kind, patient: str, oldest: int) -> str:
        if kind == "age":
            return _AGE.sub(lambda match: "90" if match[0].isdigit() else "ninety", value, count=1)
        if kind == "date":
            return dates.moved(value, self.offset(patient), oldest) or "[DATE]"
        if kind == "name":
            return self._name(value, patient)
        if kind == "location":
            return self._place(value, patient)
        rng = self._rng(patient, kind, value.lower())
        if kind == "email":
            return f"{self._person('first', rng)}.{self._person('last', rng)}@example.org".lower()
        if kind == "url":
            return f"https://www.example.org/{rng.randrange(16**6):06x}"
        if kind == "ip":
            return (
                f"2001:db8::{rng.randrange(1, 16**4):x}" if value.count(":") > 1 else f"192.0.2.{rng.randint(1, 254)}"
            )
        if kind == "photo" and (ending := re.search(r"\.\w{2,5}$", value)):
            return f"image_{rng.randrange(10**6):06d}{ending[0]}"
        return self._code(value, rng, kind)

    @staticmethod
    def _person(which: str, rng: random.Random) -> str:
        kind = "last" if which == "last" else rng.choice(("male", "female"))
        return rng.choice(_listed()[kind][rng.choice(_LETTERS)])

    @staticmethod
    def _code(value: str, rng: random.Random, kind: Kind) -> str:
        """Other digits and letters in the same places."""
        new = "".join(
            rng.choice("0123456789") if char.isdigit()
            else rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") if "A" <= char <= "Z"
            else rng.choice("abcdefghjkmnpqrstuvwxyz") if "a" <= char <= "z"
            else char
            for char in value
        )  # fmt: skip
        # No one was ever given a social security number that begins with 9.
        return re.sub(r"^\d", "9", new) if kind == "ssn" and sum(char.isdigit() for char in value) == 9 else new

    def _letter(self, letter: str, patient: str) -> str:
        """The initial of the patient's surrogate for a name with this initial: so "J." goes with "John"."""
        return self._rng(patient, "initial", letter.upper()).choice(_LETTERS)

    def _name(self, value: str, patient: str) -> str:
        """Each part of a name by itself, so that "Smith" alone becomes what it became in "John Smith"."""

        def part(match: re.Match[str]) -> str:
            old = match[0]
            plain = old.lower()
            if plain in (
                "van",
                "von",
                "de",
                "del",
                "della",
                "di",
                "da",
                "la",
                "le",
                "bin",
                "al",
                "el",
                "ter",
                "st",
                "and",
                "jr",
                "sr",
                "dr",
            ):
                return old
            letter = self._letter(old[0], patient)
            if len(old) == 1:
                return _written_like(old, letter) if old.islower() else letter
            if len(old) <= 3 and old.isupper() and plain not in lexicon.first_names() | lexicon.last_names():
                return "".join(self._letter(char, patient) for char in old)
            rng = self._rng(patient, "name", plain)
            male, female = _genders()
            kind = "male" if plain in male else "female" if plain in female else "last"
            if kind == "last" and plain in lexicon.first_names() and plain not in lexicon.common_last_names():
                kind = rng.choice(("male", "female"))
            choice = [name for name in _listed()[kind][letter] if name.lower() != plain]
            return _written_like(old, rng.choice(choice))

        return re.sub(r"[^\W\d_]+(?:['’][^\W\d_]{2,})?", part, value)

    def _place(self, value: str, patient: str) -> str:
        """A place of the same sort. States stay: only what is smaller than one identifies (164.514(b)(2)(i)(B))."""
        rng = self._rng(patient, "location", " ".join(value.lower().split()))
        fake = _faker()
        fake.seed_instance(rng.randrange(2**63))
        if not re.search(r"[A-Za-z]{3}", value):
            return self._code(value, rng, "location")
        if re.match(r"(?i)p\.?\s?o\.?\s?box|box\b", value):
            new = f"P.O. Box {rng.randint(100, 9999)}"
        elif re.match(r"\d+\s", value):
            new = fake.street_address()
        elif house := _HOUSE.search(value):
            new = f"{self._person('last', rng)} {house[0]}"
        elif re.search(
            r"(?i)\b(?:inc|llc|corp|company|co|ltd|works|industries|airlines|bank|foods|motors|logistics|sons)\b", value
        ):
            new = fake.company()
        elif re.search(r"(?i)\b(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd)\.?$", value):
            new = fake.street_name()
        else:
            new = fake.city()
        states = "|".join(sorted(lexicon.word_list("state_codes") | lexicon.word_list("states")))
        state = re.search(
            rf",?\s+({states})\b(?!\s+\w+\s+(?:st|ave))",
            value,
            re.IGNORECASE,
        )
        zipped = re.search(r"\b\d{5}(-\d{4})?$", value)
        if state and state.start() > 0:
            if re.match(r"\d+\s|P\.O", new):
                new += f", {fake.city()}"
            new += f", {state[1]}"
        if zipped:
            new += f" {self._code(zipped[0], rng, 'location')}"
        return new.upper() if value.isupper() else new
