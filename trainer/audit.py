"""Who did what, when: one line a deed in `audit.jsonl` of the home, only ever appended.

A line names things by their ids alone. What stands in rows, questions, answers, statements or reasons is never in it,
nor a password, nor a name that somebody without an account typed: people type passwords there.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from trainer import actor, config, events

FILE = "audit.jsonl"
Action = Literal[
    "started",
    "started again after a restart",
    "stopped",
    "deleted",
    "brought in",
    "exported",
    "signed",
    "took a sign-off back",
    "registered a version",
    "put into use",
    "rolled back",
    "served",
    "added a person",
    "removed a person",
    "changed a role",
    "changed a password",
    "signed in",
    "signed out",
    "failed to sign in",
    "was refused",
]


class Entry(BaseModel):
    """One deed."""

    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    who: str
    """A person's name, or the account of this machine."""
    role: str = ""
    """Theirs at that time; empty for the account of this machine, and for whoever is not signed in."""
    action: Action
    on: str = ""
    """What it was done to: a kind and an id."""


def record(action: Action, on: str = "", who: actor.Actor | None = None) -> None:
    """Write down that this was done just now, by whoever acts (or by `who`).

    Where nothing can be written (a full disk), that is said in the app's log and the deed stands: stopping, signing in
    and deleting must still be possible then.
    """
    acting = who or actor.now()
    entry = Entry(who=acting.name, role=acting.role or "", action=action, on=on)
    try:
        events.append(file(), entry)
    except OSError as error:
        told = "The audit log cannot be written (%s); not in it: %s %s %s"
        logging.getLogger(__name__).error(told, error.strerror, entry.who, entry.action, entry.on)


def entries(last: int | None = None) -> list[Entry]:
    """What was done, the latest last; of many, the `last` ones. A line that was cut off is passed over."""
    try:
        lines = file().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines[-last:] if last else lines:
        try:
            found.append(Entry.model_validate_json(line))
        except ValidationError:
            continue
    return found


def file() -> Path:
    """Where it is kept."""
    return config.home() / FILE
