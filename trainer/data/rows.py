"""One example for training, in TRL's types, with what is known about it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, NotRequired, TypedDict

Message = dict[str, str]  # role (system, user or assistant) and content
Kind = Literal["prompt_completion", "preference", "unpaired_preference", "text"]
LEVELS = ("facts", "concepts", "reasoning", "judgement")
"""Of difficulty, in the order in which they are learnt (lecture L2.7)."""


class Origin(TypedDict):
    """Where a row that was added came from: the row's id, what was done to it, and of a disturbed row its question as
    it was before (`trainer.data.perturbed`)."""

    row: str
    how: str
    clean: NotRequired[str]


class About(TypedDict, total=False):
    """What is known of a row beside its text. Never shown to a model."""

    id: str
    """`row_id` of the row as it was read, before anything was taken out or added: stable from the file on."""
    source: str
    place: str
    """Where it stands in its source: "row 12"."""
    patient: str
    """Patient, encounter or document: rows with the same one never fall on two sides of a split."""
    time: str
    """ISO 8601 date, for a split by time and for the order of notes."""
    specialty: str
    task: str
    """One of the run file's tasks (`trainer.config.Task`)."""
    language: str
    """ISO 639-1 code."""
    level: str
    """Of difficulty: one of `LEVELS`."""
    label: str
    """Class of the answer where it has one: yes, B, a section of the note."""
    expert_validated: bool
    origin: Origin


class Row(TypedDict, total=False):
    """One example. Which fields are there says its kind (`kind_of`); all may have `about`.

    prompt_completion: `prompt` (the conversation so far) and `completion` (one message of the assistant);
    preference: `prompt`, `chosen` and `rejected` (one message each); unpaired_preference: `prompt`, `completion` and
    `label` (whether it is a good answer); text: `text`, trained as a whole.
    """

    prompt: list[Message]
    completion: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    label: bool
    text: str
    about: About


class RowError(ValueError):
    """A row cannot be used; `field` names the column, the text says what was found and what to do."""

    def __init__(self, field: str, message: str):
        self.field = field
        super().__init__(message)


def kind_of(row: Row) -> Kind:
    """Which of TRL's types a row is of."""
    if "text" in row:
        return "text"
    if "chosen" in row:
        return "preference"
    return "unpaired_preference" if "label" in row else "prompt_completion"


def texts(row: Row) -> list[str]:
    """Every text of a row, in the order of its fields."""
    messages = [message for name in ("prompt", "completion", "chosen", "rejected") for message in row.get(name, [])]
    return [message["content"] for message in messages] + ([row["text"]] if "text" in row else [])


def question(row: Row) -> str:
    """What is asked: the last message of the prompt; empty for plain text."""
    return row["prompt"][-1]["content"] if row.get("prompt") else ""


def answer(row: Row) -> str:
    """What is trained: the completion, the chosen answer, or the whole text."""
    for name in ("completion", "chosen"):
        if name in row:
            return row[name][-1]["content"]
    return row.get("text", "")


def question_and_answer(row: Row) -> str:
    """What rows are compared by, for near-duplicates."""
    return f"{question(row)}\n{answer(row)}"


def kept_together(row: Row) -> str:
    """What rows are compared by for the split and for leakage: question and answer.

    Of preferences the conversation so far alone: one question has many pairs, and none of them may be held back while
    another is trained on.
    """
    if kind_of(row) in ("preference", "unpaired_preference"):
        return "\n".join(message["content"] for message in row["prompt"] if message["role"] != "system")
    return question_and_answer(row)


def row_id(row: Row) -> str:
    """A short hash of a row's content: equal rows have equal ids, whatever file they came from."""
    content: dict[str, Any] = {name: value for name, value in row.items() if name != "about"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
