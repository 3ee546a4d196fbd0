"""A screen for missed red flags: a question that tells of an emergency, and an answer that does not treat it as one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from evaluators.screens.clauses import of_a_patient
from evaluators.screens.findings import CriticalError

_TABLE = Path(__file__).resolve().parent / "red_flags.yaml"
_PLAYED_DOWN = re.compile(
    r"\b(?:no|not|without|isn['’]t|don['’]t|do not|doesn['’]t|rarely|never|nothing|hardly|unnecessary)\b[^.;!?]{0,40}$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:no|not|without|denies|denied|never|nor)\b[^.;!?,]{0,25}$", re.IGNORECASE)


class Presentation(NamedTuple):
    name: str
    all: list[re.Pattern[str]]
    unless: list[re.Pattern[str]]
    answer: list[re.Pattern[str]]
    source: str


def presentations_in(question: str) -> list[Presentation]:
    """The table's emergencies that a question about somebody tells of; a question about a subject tells of none.

    Each of a presentation's patterns has to be found, where no "no" or "denies" stands before it.
    """
    if not of_a_patient(question):
        return []
    text = question.lower().replace("’", "'")
    return [
        one
        for one in _table()[1]
        if all(any(not _DENIED.search(text[: found.start()]) for found in part.finditer(text)) for part in one.all)
        and not any(part.search(text) for part in one.unless)
    ]


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
    return re.compile(table["emergency"].replace("| ", "|")), [
        Presentation(
            one["name"],
            *(
                [
                    re.compile(rf"\b(?:{part})" if not part.startswith(("\\b", "(?:")) else part)
                    for part in one.get(key, [])
                ]
                for key in ("all", "unless", "answer")
            ),
            one["source"],
        )
        for one in table["presentations"]
    ]
