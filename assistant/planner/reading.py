"""Free text → what it changes in the answers. Deterministic; each fact is taken out of the text once it is read."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from assistant.planner.answers import Answers
from assistant.planner.reading_hardware import read_hardware, this_machine
from assistant.planner.reading_models import read_models
from assistant.planner.reading_numbers import read_examples
from assistant.planner.reading_privacy import NO, NOT_SURE, YES, read_privacy
from assistant.planner.reading_retractions import read_denials, read_retractions
from assistant.planner.reading_tasks import read_choices, read_specialty, read_tasks
from assistant.planner.reading_text import Message, alternatives
from trainer.catalogue.datasets import data_set, data_sets
from trainer.hardware import Machine

_ENDINGS = r"jsonl?|ndjson|csv|tsv|parquet|xlsx|docx|zip|data\.yaml"
_PATH = re.compile(
    rf"\"([^\"\n]+\.(?:{_ENDINGS}))\""
    rf"|\b([a-z]:\\[^\n\"',;:]{{1,200}}?\.(?:{_ENDINGS}))(?![\w/])"
    rf"|(?<![\w/.~-])((?:~|\.{{1,2}})?/[^\n\"',;:]{{1,200}}?\.(?:{_ENDINGS}))(?![\w/])"
    rf"|(?<![\w/.~-])((?:~|\.{{1,2}})?/?(?:[\w.-]|\\ )+(?:/(?:[\w.-]|\\ )+)*\.(?:{_ENDINGS}))(?![\w/])",
    re.IGNORECASE,
)
_PUBLISHED_NAMES = [name for row in data_sets() for name in (row.name, *row.aliases)]
_PUBLISHED = re.compile(
    rf"(?<![\w./-])(?P<name>{alternatives(_PUBLISHED_NAMES)})(?![\w/-])"
    r"(?:\s+(?:data ?-?set|set|data|corpus|questions)\b)?",
    re.IGNORECASE,
)
_STARTER_SET = re.compile(r"\bstarter/[a-z]+\b", re.IGNORECASE)
_STARTER = re.compile(
    r"\b(?:starter|demo|example|toy|built-?in|bundled|packaged|included|shipped)[\s-]+(?:clinical "
    r"|training )?(?:data(?:-?set)?s?|sets?|rows|examples|pack)\b"
    r"|\bsample (?:data|dataset|set)\b|\byour (?:own )?(?:data|dataset|examples|sample)\b|\bthe (?:starter"
    r"|demo) one\b"
    r"|\bstarter\b|\bdata that (?:ships|comes) with\b",
    re.IGNORECASE,
)
_NO_DATA = re.compile(
    r"\b(?:(?:no|don't have(?: any)?|haven't (?:got )?any|without) data\b|nothing yet|none yet)", re.IGNORECASE
)


class Reading(BaseModel):
    """What a message said. Only what it changes is set in `changes`; `remarks` are said back to the user."""

    changes: Answers
    remarks: list[str] = []
    choices: list[str] = []
    """What may be said in answer to a remark that asks which of two is meant."""

    @property
    def understood(self) -> bool:
        """Whether the message said anything that the planner can use."""
        return bool(self.changes.model_fields_set or self.remarks)


def read(text: str, machine: Machine, known: Answers | None = None, asked: str | None = None) -> Reading:
    """Read one message.

    `asked` is the question that it answers (a field of `Answers`), so that "yes", "3000" or "cpu" alone are understood;
    `known` is what has been said before.
    """
    known = known or Answers()
    message = Message(text)
    changes = read_retractions(message)
    # Files and models first: their names hold numbers and words that would be read as something else.
    changes |= _dataset(message)
    model, remarks = read_models(message)
    hardware, said = read_hardware(message, machine, asked == "gpu")
    changes |= model | hardware
    remarks += said
    contains_phi, unknown, remark = read_privacy(message, asked == "contains_phi")
    if contains_phi is not None:
        changes["contains_phi"] = contains_phi
    if unknown:
        changes |= {"contains_phi": None, "unknown": ["contains_phi"]}
    if remark:
        remarks.append(remark)
    changes |= read_choices(message)
    examples, said = read_examples(message, asked == "examples", known.examples is not None)
    if examples is not None:
        changes["examples"] = examples
    remarks += said
    changes |= read_tasks(message, asked == "task", asked is None and known.task is None, known.task is not None)
    published = data_set(changes.get("dataset") or "")
    if published is not None:
        if known.task is None:
            changes.setdefault("task", published.task)
        remarks += filter(None, [published.restriction()])
    changes |= read_specialty(message)
    changes = read_denials(message, known) | changes
    if asked is not None and not changes and not remarks:
        changes, remarks = _bare_answer(message, machine, asked)
    return Reading(changes=Answers.model_validate(changes), remarks=remarks, choices=message.choices)


def _dataset(message: Message) -> dict[str, Any]:
    for match in message.take(_PATH):
        if not message.negated(match.start()):
            return {"dataset": next(filter(None, match.groups())).replace("\\ ", " ")}
    for match in message.take(_PUBLISHED):
        row = data_set(match["name"])
        if row is not None and not message.denied(match):
            return {"dataset": row.name}
    for match in message.take(_STARTER_SET):
        return {"dataset": match[0].lower()}
    for match in message.take(_STARTER):
        if not message.negated(match.start()):
            return {"dataset": "starter"}
    return {}


def _bare_answer(message: Message, machine: Machine, asked: str) -> tuple[dict[str, Any], list[str]]:
    """What "yes", "no" or "not sure" alone means as the answer to a question."""
    text = message.original
    if NOT_SURE.search(text):
        return {"unknown": [asked]}, []
    if asked == "gpu" and YES.search(text):
        return this_machine(machine), []
    if asked == "gpu" and NO.search(text):
        return {"gpu": "cpu", "gpu_count": 0}, []
    if asked == "examples" and (NO.search(text) or _NO_DATA.search(text)):
        return {}, ["Without data of your own you can start from the starter data: say “use the starter data”."]
    return {}, []
