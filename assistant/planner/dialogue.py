"""One turn in, one turn out: a conversation that becomes a run file, kept as a draft until a run starts from it."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from assistant.planner import replies
from assistant.planner.advice import Alternative, Plan, advise
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, merge, missing
from assistant.planner.reading import Reading, read
from trainer import config as run_config
from trainer import hardware, readiness, runs
from trainer.config import RunConfig
from trainer.sizing import Estimate

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
MAX_MESSAGE = 2000
"""Characters of a message that are read; a longer one is data rather than talk."""


class DraftError(Exception):
    """A draft cannot be found or read; the text says why and what to do."""


class Message(TypedDict):
    role: Literal["user", "assistant"]
    content: str


class Draft(BaseModel):
    """A conversation that has not become a run yet."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = run_config.FORMAT_VERSION
    id: str
    messages: list[Message] = Field(default_factory=list)
    answers: Answers = Field(default_factory=Answers)
    asked: str | None = None
    """The question that the last reply asked."""
    edited_yaml: str | None = None
    """The run file as the user edited it on the page, if they did."""


class Turn(BaseModel):
    """What a message led to: the object that `bedside plan --json` prints."""

    answers: Answers
    missing: list[str]
    reply: str
    config: RunConfig | None = None
    reasons: list[Reason] = []
    estimate: Estimate | None = None
    alternatives: list[Alternative] = []


class TurnInput(TypedDict):
    draft: Draft
    say: str


class _Step(BaseModel):
    """What is passed along the chain: read → merge → advise → reply."""

    draft: Draft
    say: str
    reading: Reading
    answers: Answers = Field(default_factory=Answers)
    plan: Plan | None = None


def new_draft() -> Draft:
    """An empty draft, with the greeting as its first message. It is not saved yet."""
    identity = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return Draft(id=identity, messages=[{"role": "assistant", "content": replies.greeting(hardware.detect())}])


def save(draft: Draft) -> Path:
    """Write the draft into its folder under the home's `plans`, atomically; returns the file."""
    folder = _folder(draft.id)
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    runs.write_atomically(folder / "draft.json", draft.model_dump_json(indent=1))
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


def reply(draft: Draft, say: str) -> tuple[Draft, Turn]:
    """Answer one message; returns the draft with both messages in it (not saved), and the turn."""
    return planner().invoke({"draft": draft, "say": say})


def show(draft: Draft) -> Turn:
    """The draft's state as a turn, without a new message: for a page that is opened again."""
    step = _advise(_Step(draft=draft, say="", reading=Reading(changes=Answers()), answers=draft.answers))
    last = next((message["content"] for message in reversed(draft.messages) if message["role"] == "assistant"), "")
    return _turn(step, last)


@cache
def planner() -> Runnable[TurnInput, tuple[Draft, Turn]]:
    """The same as `reply`, as a langchain-core Runnable: {"draft", "say"} → (draft, turn).

    langchain-core takes over half a second to import, so it is imported here and not before.
    """
    from langchain_core.runnables import RunnableLambda

    return RunnableLambda(_read) | RunnableLambda(_merge) | RunnableLambda(_advise) | RunnableLambda(_respond)


def _read(given: TurnInput) -> _Step:
    draft, say = given["draft"], given["say"].strip()
    reading = read(say[:MAX_MESSAGE], hardware.detect(), known=draft.answers, asked=draft.asked)
    if len(say) > MAX_MESSAGE:
        reading.remarks.append(f"I read only the first {MAX_MESSAGE:,} characters of that.")
    return _Step(draft=draft, say=say, reading=reading)


def _merge(step: _Step) -> _Step:
    return step.model_copy(update={"answers": merge(step.draft.answers, step.reading.changes)})


def _advise(step: _Step) -> _Step:
    plan = None if missing(step.answers) else advise(step.answers, hardware.detect())
    return step.model_copy(update={"plan": plan})


def _respond(step: _Step) -> tuple[Draft, Turn]:
    turn = _turn(step, _words(step))
    said: list[Message] = [{"role": "user", "content": step.say}, {"role": "assistant", "content": turn.reply}]
    changes: dict[str, Any] = {
        "messages": [*step.draft.messages, *said],
        "answers": step.answers,
        "asked": turn.missing[0] if turn.missing else None,
    }
    if step.answers != step.draft.answers:
        # The plan is made anew from the answers; an edited run file would hide that.
        changes["edited_yaml"] = None
    return step.draft.model_copy(update=changes), turn


def _words(step: _Step) -> str:
    machine = hardware.detect()
    said = [] if step.reading.understood else [replies.NOTHING]
    said.append(replies.understood(step.reading.changes, machine))
    said += step.reading.remarks
    lacking = missing(step.answers)
    if lacking:
        if not step.reading.understood:
            said.append(replies.EXAMPLE)
        # A remark may ask something itself; one question at a time.
        if not any(remark.endswith("?") for remark in step.reading.remarks):
            said.append(replies.question(lacking[0], machine))
    elif step.plan is not None:
        if not step.reading.understood:
            said.append(
                "You can still change anything, for example “actually 8k examples” or “on an A100”. The plan stands."
            )
        else:
            refusals = readiness.refusals(step.plan.config, machine)
            said.append(replies.summary(step.plan, step.answers, refusals))
    return "\n\n".join(part for part in said if part)


def _turn(step: _Step, words: str) -> Turn:
    plan = step.plan
    return Turn(
        answers=step.answers,
        missing=missing(step.answers),
        reply=words,
        config=plan.config if plan else None,
        reasons=plan.reasons if plan else [],
        estimate=plan.estimate if plan else None,
        alternatives=plan.alternatives if plan else [],
    )


def _folder(identity: str) -> Path:
    # An id comes from a page's address: nothing but our own form may become a path.
    if not _ID.fullmatch(identity):
        raise DraftError(f"{identity!r} is not the id of a plan; start a new one.")
    return run_config.home() / "plans" / identity
