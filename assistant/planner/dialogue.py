"""One turn in, one turn out: a conversation that becomes a run file, kept as a draft until a run starts from it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from assistant.planner import chat_model, conduct, drafts, explanations, replies, requests, suggestions, what_if
from assistant.planner.advice import Plan, advise
from assistant.planner.advice_alternatives import Alternative
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers, merge, missing
from assistant.planner.drafts import Before, Draft, Message
from assistant.planner.reading import Reading, read
from assistant.planner.reading_text import Message as Text
from evaluators import chat_client
from trainer import hardware, readiness
from trainer.sections import RunConfig
from trainer.sizing import Estimate

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

MAX_MESSAGE = 2000
"""Characters of a message that are read; a longer one is data rather than talk."""
MOST_UNDONE = 50


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
    aside: str = ""
    """What is answered beside the plan: an explanation, a what-if, a refusal."""
    reading: Reading = Field(default_factory=lambda: Reading(changes=Answers()))
    restored: Before | None = None
    """What undo or a new beginning puts in the place of the answers."""
    answers: Answers = Field(default_factory=Answers)
    plan: Plan | None = None


def new_draft() -> Draft:
    """An empty draft, with the greeting as its first message. It is not saved yet."""
    draft = drafts.new(replies.greeting(hardware.detect()))
    return draft.model_copy(update={"offered": suggestions.FIRST})


def reply(draft: Draft, say: str) -> tuple[Draft, Turn]:
    """Answer one message; returns the draft with both messages in it (not saved), and the turn."""
    return _respond(_advise(_merge(_read({"draft": draft, "say": say}))))


def show(draft: Draft) -> Turn:
    """The draft's state as a turn, without a new message: for a page that is opened again."""
    step = _advise(_Step(draft=draft, say="", answers=draft.answers))
    last = next((message["content"] for message in reversed(draft.messages) if message["role"] == "assistant"), "")
    return _turn(step, last)


@cache
def planner() -> Runnable[TurnInput, tuple[Draft, Turn]]:
    """The same as `reply`, as a langchain-core Runnable: {"draft", "say"} → (draft, turn).

    langchain-core takes over half a second to import, so it is imported here and not before, and `reply` does without.
    """
    from langchain_core.runnables import RunnableLambda

    return RunnableLambda(_read) | RunnableLambda(_merge) | RunnableLambda(_advise) | RunnableLambda(_respond)


def _read(given: TurnInput) -> _Step:
    draft, say = given["draft"], given["say"].strip()
    step = _Step(draft=draft, say=say)
    if conduct.undoes(say):
        if not draft.history:
            return step.model_copy(update={"aside": "There is nothing to take back."})
        return step.model_copy(update={"aside": "Taken back.", "restored": draft.history[-1]})
    if conduct.starts_over(say):
        aside = "Started over; “undo” brings back what was there."
        return step.model_copy(update={"aside": aside, "restored": Before(answers=Answers())})
    if refused := conduct.refusal(say):
        return step.model_copy(update={"aside": refused})
    machine = hardware.detect()
    plan = None if missing(draft.answers) else advise(draft.answers, machine)
    text = conduct.chosen(say, draft.offered) or say[:MAX_MESSAGE]
    compared, text = what_if.compare(text, draft.answers, plan, machine)
    explained, text = explanations.answer(text, plan)
    reading = _facts(text, draft, plan)
    if len(say) > MAX_MESSAGE:
        reading.remarks.append(f"I read only the first {MAX_MESSAGE:,} characters of that.")
    aside = "\n\n".join(part for part in (compared, explained) if part)
    return step.model_copy(update={"aside": aside, "reading": reading})


def _facts(text: str, draft: Draft, plan: Plan | None) -> Reading:
    """What the message tells of the task, data and machine, and which values it asks for."""
    message = Text(text)
    settings, remarks = requests.read_requests(message, plan.config if plan else None, draft.answers.settings)
    # Told apart first: the rank and the epochs of a request are not numbers of examples.
    reading = read(message.rest.replace("\x1f", " "), hardware.detect(), known=draft.answers, asked=draft.asked)
    address = chat_model.configured()
    if address and text.strip():
        reading = _with_proposal(address, text, draft.answers, reading)
    if settings:
        reading.changes = reading.changes.model_copy(update={"settings": settings})
    reading.remarks = [*remarks, *reading.remarks]
    return reading


def _with_proposal(address: str, text: str, known: Answers, reading: Reading) -> Reading:
    """What the chat model read is added; where both read a fact, the deterministic reading stands."""
    proposal = chat_model.propose(chat_client.connect(address), text, known)
    own = reading.changes.model_dump(exclude_unset=True)
    changes = Answers.model_validate(proposal.changes | own)
    warning = chat_model.warning(address, merge(known, changes).contains_phi)
    remarks = [part for part in (*reading.remarks, proposal.remark, warning) if part]
    return Reading(changes=changes, remarks=remarks, choices=reading.choices)


def _merge(step: _Step) -> _Step:
    answers = step.restored.answers if step.restored else merge(step.draft.answers, step.reading.changes)
    return step.model_copy(update={"answers": answers})


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
        "offered": step.reading.choices or suggestions.next_answers(turn.missing, turn.alternatives),
    }
    changed = step.answers != step.draft.answers
    if changed:
        # The plan is made anew from the answers; an edited run file would hide that.
        changes["edited_yaml"] = None
        changes["history"] = [*step.draft.history, _standing(step.draft)][-MOST_UNDONE:]
    if step.restored and conduct.undoes(step.say):
        changes |= {"history": step.draft.history[:-1], "edited_yaml": step.restored.edited_yaml}
    return step.draft.model_copy(update=changes), turn


def _standing(draft: Draft) -> Before:
    return Before(answers=draft.answers, edited_yaml=draft.edited_yaml)


def _words(step: _Step) -> str:
    machine = hardware.detect()
    understood = step.reading.understood or step.restored is not None
    said = [step.aside] if step.aside else [] if understood else [replies.NOTHING]
    said.append(replies.understood(step.reading.changes, machine))
    said += step.reading.remarks
    lacking = missing(step.answers)
    if lacking:
        if not understood and not step.aside:
            said.append(replies.EXAMPLE)
        # A remark may ask something itself; one question at a time.
        if not any(remark.endswith("?") for remark in step.reading.remarks):
            said.append(replies.question(lacking[0], machine))
    elif step.plan is not None:
        if understood:
            refusals = readiness.refusals(step.plan.config, machine)
            said.append(replies.summary(step.plan, step.answers, refusals))
        elif not step.aside:
            said.append(replies.STANDS)
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
