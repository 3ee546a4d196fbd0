"""Recognise how a row is written, and bring it into TRL's conversational prompt-completion type.

Accepted: messages; sharegpt's conversations; prompt/completion; instruction[/input]/output (alpaca); question/answer;
query/response; prompt/answer; and what publishers write (`published_formats`). A row that does not fit is reported with
its place and its field; nothing is guessed.
"""

from __future__ import annotations

from typing import Any

from trainer.data import published_formats
from trainer.data.rows import Message, Row, RowError

# question column(s), answer column; the first pair whose columns are all there is taken
_COLUMNS = [
    ("prompt", "completion"),
    ("prompt", "answer"),
    ("instruction", "output"),
    ("question", "answer"),
    ("query", "response"),
    ("harmful_medical_request", "safe_response"),
]
EXPECTED = "messages, " + ", ".join(f"{ask} + {answer}" for ask, answer in _COLUMNS)


def to_row(record: dict[str, Any]) -> Row:
    """Convert one record of any accepted format; raises `RowError` naming the field that is at fault."""
    if "messages" in record:
        return _from_messages(record["messages"])
    turns = published_formats.sharegpt_messages(record)
    if turns is not None:
        return _from_messages(turns, "conversations")
    try:
        pair = published_formats.as_question_and_answer(record)
    except (KeyError, TypeError) as error:
        field = str(error.args[0]) if isinstance(error, KeyError) else "columns"
        found = repr(record.get(field))[:60]
        raise RowError(field, f"found {found}, which is not of its format; mend it or remove the row") from None
    if pair is not None:
        return Row(
            prompt=[Message(role="user", content=_text(pair[0], "question"))],
            completion=[Message(role="assistant", content=_text(pair[1], "answer"))],
        )
    for ask, answer in _COLUMNS:
        if ask in record and answer in record:
            return _from_columns(record, ask, answer)
    asks = [ask for ask, _ in _COLUMNS if ask in record]
    if asks:
        expected = " or ".join(answer for ask, answer in _COLUMNS if ask == asks[0])
        raise RowError(
            expected, f"the row has {asks[0]!r} but no answer ({expected}); add the answer or remove the row"
        )
    found = ", ".join(sorted(map(str, record))[:8]) or "no columns"
    raise RowError("columns", f"found {found}; expected one of: {EXPECTED}")


def _from_columns(record: dict[str, Any], ask: str, answer: str) -> Row:
    if isinstance(record[ask], list):
        prompt = _messages(record[ask], ask)
    else:
        prompt = [Message(role="user", content=_text(record[ask], ask))]
    if ask == "instruction" and record.get("input"):
        prompt[0]["content"] += "\n\n" + _text(record["input"], "input")
    if isinstance(record[answer], list):
        completion = _messages(record[answer], answer)
        if len(completion) != 1 or completion[0]["role"] != "assistant":
            raise RowError(answer, "found several messages; the completion is one message of the assistant")
    else:
        completion = [Message(role="assistant", content=_text(record[answer], answer))]
    return Row(prompt=prompt, completion=completion)


def _from_messages(value: Any, field: str = "messages") -> Row:
    messages = _messages(value, field)
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise RowError(field, "the last message is not the assistant's answer; add it or remove the row")
    return Row(prompt=messages[:-1], completion=messages[-1:])


def _messages(value: Any, field: str) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise RowError(field, f"found {type(value).__name__}; expected a list of messages")
    messages = []
    for index, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in {"system", "user", "assistant"}:
            raise RowError(f"{field}[{index}]", "expected role (system, user or assistant) and content")
        messages.append(Message(role=message["role"], content=_text(message.get("content"), f"{field}[{index}]")))
    return messages


def _text(value: Any, field: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowError(field, "is empty; fill it in or remove the row")
    if not isinstance(value, str):
        raise RowError(field, f"found {type(value).__name__} {value!r}; expected text")
    return value.strip()
