"""Surrogate identifiers in the formats of clinical notes, and MTS-Dialog notes with some of them planted.

The formats are in planted.yaml. Half of each kind's formats, and half of the names, towns and employers they are filled
with, are held out: drawn once by a fixed seed, before a recogniser was written. Recognisers are developed on DEVELOPED
alone; how well they do on HELD_OUT says how well they do on formats that nobody had in mind.
"""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import yaml

_FILE = yaml.safe_load(Path(__file__).with_name("planted.yaml").read_text(encoding="utf-8"))
_DIGITS, _LETTERS, _HEX = "0123456789", "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789ABCDEF"


class Format(NamedTuple):
    kind: str
    template: str


class Planted(NamedTuple):
    """An identifier in a text: text[start:end] is what has to be found."""

    start: int
    end: int
    kind: str
    template: str


def _halves(values: list[str], name: str) -> tuple[list[str], list[str]]:
    """The two halves of a list, drawn by its name."""
    drawn = sorted(values)
    random.Random(f"held out: {name}").shuffle(drawn)
    return drawn[: (len(drawn) + 1) // 2], drawn[(len(drawn) + 1) // 2 :]


_formats = {kind: _halves(lines.strip().split("\n"), kind) for kind, lines in _FILE["formats"].items()}
_pools = {
    name: _halves([value.strip() for value in (text.split(";") if ";" in text else text.split())], name)
    for name, text in _FILE["pools"].items()
}
DEVELOPED = [Format(kind, line) for kind, (half, _) in _formats.items() for line in half]
HELD_OUT = [Format(kind, line) for kind, (_, half) in _formats.items() for line in half]


def _slot(slot: str, held_out: bool, rng: random.Random) -> str:
    """One slot of a template, filled."""
    if slot.startswith("date:"):
        day = datetime(1931, 1, 1) + timedelta(days=rng.randrange(33_000), seconds=rng.randrange(86_400))
        return day.strftime(slot[5:])
    if slot[0] in "^_":
        value = _slot(slot[1:], held_out, rng)
        return value.upper() if slot[0] == "^" else value.lower()
    if slot == "ordinal":
        day = rng.randint(1, 28)
        return f"{day}{'th' if 10 < day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
    if slot == "n0":
        return rng.choice(_DIGITS)
    if slot == "octet":
        return str(rng.randint(2, 254))
    if slot == "ssn3":
        return f"{rng.choice([n for n in range(100, 772) if n != 666])}"
    if slot == "vin":
        return "".join(rng.choice(_LETTERS + _DIGITS) for _ in range(11)) + "".join(rng.choices(_DIGITS, k=6))
    if slot == "town_":
        return rng.choice(_pools["town"][held_out]).replace(" ", "").replace(".", "")
    if shape := re.fullmatch(r"([naxh])(\d+)", slot):
        alphabet = {"n": _DIGITS, "a": _LETTERS, "x": _LETTERS + _DIGITS, "h": _HEX}[shape[1]]
        value = "".join(rng.choices(alphabet, k=int(shape[2])))
        if shape[1] == "n":
            return rng.choice("123456789") + value[1:]
        return value if shape[1] == "a" else value[:-1] + rng.choice(_DIGITS)  # an identifier has a digit
    return rng.choice(_pools[slot][held_out])


def fill(form: Format, held_out: bool, rng: random.Random) -> tuple[str, list[Planted]]:
    """A sentence in this format and where its identifiers are."""
    filled = re.sub(r"\{([^{}]+)\}", lambda match: _slot(match[1], held_out, rng), form.template).replace("⏎", "\n")
    text, spans, last = "", [], 0
    for match in re.finditer(r"\[\[(.*?)\]\](?!\])", filled):
        text += filled[last : match.start()]
        spans.append(Planted(len(text), len(text) + len(match[1]), form.kind, form.template))
        text, last = text + match[1], match.end()
    return text + filled[last:], spans


def plant(note: str, forms: list[Format], held_out: bool, rng: random.Random) -> tuple[str, list[Planted]]:
    """The note with one sentence of each format put at its start, between two of its sentences, or at its end."""
    breaks = [0, *(match.end() for match in re.finditer(r"(?<=\w\w\w)[.?!](?=\s)|\n", note)), len(note)]
    text, spans, last = "", [], 0
    for at, form in sorted((rng.choice(breaks), form) for form in forms):
        text, last = text + note[last:at], at
        sentence, own = fill(form, held_out, rng)
        # A whole sentence stands in running text; a header ("MRN: …") or what someone says has a line of its own.
        running = sentence.endswith(".") and not sentence.startswith(("Doctor:", "Patient:"))
        if text and not text.endswith("\n"):
            text += " " if running else "\n"
        spans += [span._replace(start=span.start + len(text), end=span.end + len(text)) for span in own]
        text += sentence + ("" if running and note[at : at + 1].isspace() else " " if running else "\n")
    return text + note[last:], spans
