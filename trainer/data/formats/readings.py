"""The formats that are read: the columns that each needs, how its values look, and its conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from trainer.data.formats import column_names as names
from trainer.data.formats import conversations, graded_answers, multiple_choice, published
from trainer.data.formats.column_names import Names
from trainer.data.formats.multiple_choice import KeyBase
from trainer.data.formats.values import Convert, Fields, is_empty, parsed
from trainer.data.rows import RowError
from trainer.data_sections import DataFormat


class Reading(NamedTuple):
    """One way in which a format is written. A format may have several."""

    format: DataFormat
    needed: dict[str, Names]
    """Its fields, each with the columns' names by which it is known, the most telling first."""
    plan: Callable[[Fields, KeyBase | None], Convert]
    """The conversion, made once for a file; the second value is of use to multiple choice alone."""
    optional: dict[str, Names] = {}  # noqa: RUF012 (never changed)
    fits: Callable[[dict[str, Any], Fields], bool] = lambda record, fields: True
    """Whether a record that has the columns also looks like it."""


def _texts(record: dict[str, Any], fields: Fields) -> bool:
    return all(not isinstance(parsed(record.get(column)), list | dict) for column in fields.values())


def _column(field: str, holds: Callable[[Any], bool]) -> Callable[[dict[str, Any], Fields], bool]:
    return lambda record, fields: holds(record.get(fields[field]))


def _is_choice(record: dict[str, Any], fields: Fields) -> bool:
    try:
        options = multiple_choice.options_of(record, fields)
    except RowError:
        return False
    key = record.get(fields["answer"])
    # A letter of no option is a faulty row of this format and not a row of another.
    return multiple_choice.is_key(key, options) or len(str(key).strip()) <= 1


def _is_sharegpt(value: Any) -> bool:
    value = parsed(value)
    return conversations.is_messages(value) and any("from" in one for one in value)


def _choice(options: dict[str, Names], more: dict[str, Names]) -> Reading:
    needed = {"question": names.STEM, **options, "answer": names.KEY}
    return Reading("multiple_choice", needed, multiple_choice.multiple_choice, more, _is_choice)


def _option_columns(first: int) -> Reading:
    fields = {
        f"option_{letter.lower()}": names.option_names(number, first)
        for number, letter in enumerate(multiple_choice.LETTERS)
    }
    needed = {field: fields.pop(field) for field in ("option_a", "option_b")}
    return _choice(needed, fields)


_SYSTEM = {"system": names.SYSTEM}
_QUESTION = {"question": names.QUESTION}
_RESPONSES = {"response_a": names.RESPONSE_A, "response_b": names.RESPONSE_B, "winner": names.WINNER}

# The first that fits most rows is taken, so that the more telling ones stand first.
READINGS: tuple[Reading, ...] = (
    Reading(
        "sharegpt",
        {"conversations": names.CONVERSATIONS},
        lambda fields, _: conversations.sharegpt(fields),
        _SYSTEM,
        _column("conversations", _is_sharegpt),
    ),
    Reading(
        "messages",
        {"messages": (*names.MESSAGES, "conversations")},
        lambda fields, _: conversations.conversation(fields),
        _SYSTEM,
        _column("messages", conversations.is_messages),
    ),
    Reading(
        "preference",
        {"chosen": names.CHOSEN, "rejected": names.REJECTED},
        lambda fields, _: conversations.preference(fields),
        {"prompt": (*names.PROMPT, *names.QUESTION, *names.INSTRUCTION)},
    ),
    Reading(
        "preference",
        {"question": (*names.QUESTION, *names.INSTRUCTION), **_RESPONSES},
        lambda fields, _: conversations.two_responses(fields),
    ),
    Reading(
        "unpaired_preference",
        {"prompt": names.PROMPT, "completion": names.COMPLETION, "label": names.LABEL},
        lambda fields, _: conversations.unpaired_preference(fields),
        fits=_column("label", lambda value: conversations.yes_or_no(value) is not None),
    ),
    _choice({"options": names.OPTIONS}, {}),
    _option_columns(0),
    _option_columns(1),
    Reading(
        "graded_answers",
        {**_QUESTION, "answer": names.ANSWER, "grade": names.GRADE},
        lambda fields, _: graded_answers.graded_answer(fields),
        _SYSTEM,
        _column("grade", lambda value: graded_answers.number(value) is not None),
    ),
    Reading(
        "context_question",
        {"question": names.QUESTION[:-2], "context": names.CONTEXT, "answer": names.LONG_ANSWER},
        lambda fields, _: published.context_question(fields),
        {"decision": names.DECISION},
    ),
    Reading(
        "context_question",
        {"question": names.QUESTION[:-2], "context": names.CONTEXT, "decision": names.DECISION},
        lambda fields, _: published.context_question(fields),
    ),
    Reading(
        "dialogue_note",
        {"dialogue": names.DIALOGUE, "note": names.NOTE},
        lambda fields, _: published.dialogue_note(fields),
        {"section": names.SECTION},
    ),
    Reading(
        "entities",
        {"tokens": names.TOKENS, "tags": names.TAGS},
        lambda fields, _: published.tagged_tokens(fields),
        fits=lambda record, fields: published.is_tagged(record.get(fields["tokens"]), record.get(fields["tags"])),
    ),
    Reading(
        "entities",
        {"text": names.SPANNED, "spans": names.SPANS},
        lambda fields, _: published.marked_spans(fields),
        fits=_column("spans", published.are_spans),
    ),
    Reading(
        "alpaca",
        {"instruction": names.INSTRUCTION, "output": names.OUTPUT},
        lambda fields, _: conversations.alpaca(fields),
        {"input": names.INPUT, **_SYSTEM},
        _texts,
    ),
    Reading(
        "prompt_completion",
        {"prompt": names.PROMPT, "completion": names.COMPLETION},
        lambda fields, _: conversations.prompt_completion(fields),
        _SYSTEM,
    ),
    Reading(
        "question_answer",
        {**_QUESTION, "answer": names.ANSWER},
        lambda fields, _: conversations.question_answer(fields),
        _SYSTEM,
        _texts,
    ),
    Reading(
        "clinical_note",
        {"text": names.TEXT, "conditions": names.CONDITIONS},
        lambda fields, _: published.clinical_note(fields),
        {"medications": names.MEDICATIONS},
    ),
    Reading(
        "clinical_note",
        {"text": names.TEXT, "medications": names.MEDICATIONS},
        lambda fields, _: published.clinical_note(fields),
        {"conditions": names.CONDITIONS},
    ),
    Reading(
        "text",
        {"text": names.TEXT},
        lambda fields, _: conversations.plain_text(fields),
        fits=_column("text", lambda value: isinstance(value, str) or is_empty(value)),
    ),
)
