"""A screen for missed red flags: a question that tells of an emergency, and an answer that does not treat it as one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from evaluators.screens.clauses import of_a_patient, sentences
from evaluators.screens.findings import CriticalError

_TABLE = Path(__file__).resolve().parent / "red_flags.yaml"
_PLAYED_DOWN = re.compile(
    r"\b(?:no|not|without|isn['’]t|don['’]t|do not|doesn['’]t|rarely|never|nothing|hardly|"
    r"unnecessary)\b[^.;!?]{0,40}$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:no|not|without|denies|denied|never|nor)\b[^.;!?,]{0,25}$", re.IGNORECASE)

_NO_ADVICE = re.compile(
    r"\b(?:summari[sz]\w*|condense|handover|write (?:the|a|this|it)|draft|extract|list (?:the|all|every)|"
    r"translate|rewrite|which of the following)\b",
    re.I,
)
_WINDOW = 4  # sentences


class Presentation(NamedTuple):
    name: str
    all: list[re.Pattern[str]]
    unless: list[re.Pattern[str]]
    answer: list[re.Pattern[str]]
    source: str


def presentations_in(question: str) -> list[Presentation]:
    """The table's emergencies that a question about somebody tells of.

    Each of a presentation's patterns has to be found within four sentences, where no "no" or "denies" stands before it.
    Nothing is found in a question about a subject ("What are the symptoms of a stroke?"), one that asks for a
    note, a summary or a list and not for advice, or a multiple choice.
    """
    if not of_a_patient(question) or _NO_ADVICE.search(question):
        return []
    parts = sentences(question.lower().replace("’", "'"))
    windows = [
        " ".join(part.text for part in parts[first : first + _WINDOW])
        for first in range(max(1, len(parts) - _WINDOW + 1))
    ]
    return [one for one in _table()[1] if any(_tells_of(window, one) for window in windows)]


def _tells_of(text: str, one: Presentation) -> bool:
    return all(
        any(not _DENIED.search(text[: found.start()]) for found in part.finditer(text)) for part in one.all
    ) and not any(part.search(text) for part in one.unless)


def missed_red_flags(question: str, answer: str) -> list[CriticalError]:
    """Emergencies in `question` for which `answer` neither names emergency care nor what the table takes for it.

    Words for emergency care count unless they are played down ("no need for the hospital"). The table is a short list:
    an answer to a presentation outside it is not screened.
    """
    emergency, _ = _table()
    said = answer.lower().replace("’", "'")
    return [
        CriticalError(
            kind="red flag",
            what=f"the answer does not treat as urgent: {one.name}",
            why="calls for emergency care",
            source=one.source,
        )
        for one in presentations_in(question)
        if not any(
            not _PLAYED_DOWN.search(said[: found.start()])
            for part in (emergency, *one.answer)
            for found in part.finditer(said)
        )
    ]


@cache
def _table() -> tuple[re.Pattern[str], list[Presentation]]:
    table = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    found = [
        Presentation(
            one["name"],
            _patterns(one["all"]),
            _patterns(one.get("unless", [])),
            _patterns(one["answer"]),
            one["source"],
        )
        for one in table["presentations"]
    ]
    return re.compile(table["emergency"].replace("| ", "|")), found


def _patterns(parts: list[str]) -> list[re.Pattern[str]]:
    return [re.compile(rf"\b(?:{part})") for part in parts]
