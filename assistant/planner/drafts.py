"""Conversations that have not become a run yet, under the home's `plans`: saved, listed, opened again, exported."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from assistant.planner.answers import Answers
from trainer import audit
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.errors import UserError

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_TITLE_LENGTH = 60


class DraftError(UserError):
    """A draft cannot be found or read; the text says why and what to do."""


class Message(TypedDict):
    role: Literal["user", "assistant"]
    content: str


class Before(BaseModel):
    """What stood before a message changed it, to be taken back by "undo"."""

    answers: Answers
    edited_yaml: str | None = None


class Draft(BaseModel):
    """A conversation that has not become a run yet."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = run_config.FORMAT_VERSION
    id: str
    messages: list[Message] = Field(default_factory=list)
    answers: Answers = Field(default_factory=Answers)
    asked: str | None = None
    """The question that the last reply asked."""
    offered: list[str] = Field(default_factory=list)
    """What the last reply suggested to say next, so that "the second one" is understood."""
    edited_yaml: str | None = None
    """The run file as the user edited it on the page, if they did."""
    history: list[Before] = Field(default_factory=list)

    @property
    def title(self) -> str:
        """The first thing that the user said, shortened."""
        said = next((one["content"] for one in self.messages if one["role"] == "user"), "nothing said yet")
        line = " ".join(said.split())
        return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1] + "…"


def new(greeting: str) -> Draft:
    """An empty draft, with the greeting as its first message. It is not saved yet."""
    identity = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return Draft(id=identity, messages=[{"role": "assistant", "content": greeting}])


def save(draft: Draft) -> Path:
    """Write the draft into its folder under the home's `plans`, atomically; returns the file."""
    folder = _folder(draft.id)
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    try:
        write_atomically(folder / "draft.json", draft.model_dump_json(indent=1))
    except OSError:
        with suppress(OSError):  # a new plan's; that of a saved one holds what was saved before
            folder.rmdir()
        raise
    return folder / "draft.json"


def load(identity: str) -> Draft:
    """The draft of this id; raises `DraftError` where there is none or it cannot be read."""
    path = _folder(identity) / "draft.json"
    try:
        return Draft.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DraftError(f"There is no plan {identity!r}; start a new one.") from None
    except (OSError, ValidationError, ValueError):
        raise DraftError(f"Plan {identity} cannot be read. Nothing in it was changed: {path}") from None


def saved() -> tuple[list[Draft], list[str]]:
    """All drafts that can be read, newest first, and a sentence for each that cannot."""
    found, unreadable = [], []
    folder = run_config.home() / "plans"
    names = [entry.name for entry in folder.iterdir() if _ID.fullmatch(entry.name)] if folder.is_dir() else []
    for name in sorted(names, reverse=True):
        try:
            found.append(load(name))
        except DraftError as error:
            unreadable.append(str(error))
    return found, unreadable


def delete(identity: str) -> None:
    """Remove a draft for good; raises `DraftError` where there is none."""
    folder = _folder(identity)
    if not folder.is_dir():
        raise DraftError(f"There is no plan {identity!r}; `bedside plans list` shows those there are.")
    shutil.rmtree(folder)
    audit.record("deleted", f"plan {identity}")


def as_markdown(draft: Draft) -> str:
    """The conversation as Markdown, one heading a message; what was said stands in block quotes, word for word."""
    lines = [f"# {draft.title}", "", f"Bedside plan {draft.id}", ""]
    for message in draft.messages:
        lines += [f"## {'You' if message['role'] == 'user' else 'Bedside'}", ""]
        lines += [f"> {line}".rstrip() for line in message["content"].splitlines() or [""]]
        lines.append("")
    return "\n".join(lines)


def _folder(identity: str) -> Path:
    # An id comes from a page's address: nothing but our own form may become a path.
    if not _ID.fullmatch(identity):
        raise DraftError(f"{identity!r} is not the id of a plan; start a new one.")
    return run_config.home() / "plans" / identity
