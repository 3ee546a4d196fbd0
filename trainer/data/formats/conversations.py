"""Rows that are written as conversations or as question and answer: TRL's own types, sharegpt's and alpaca's.

Each function takes the columns of a file and gives the conversion of its records.
"""

from __future__ import annotations

import re
from typing import Any

from trainer.data.formats.values import Convert, Fields, found, is_empty, parsed, text
from trainer.data.rows import Message, Row, RowError

_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
# AlpaCare writes this where an instruction has no input.
_NO_INPUT = {"<noinput>", "<no input>"}
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_YES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_WINNERS = {"a": 0, "b": 1}


def conversation(columns: Fields, field: str = "messages") -> Convert:
    """messages, and sharegpt's conversations ("from" human or gpt, "value"): the last message is what is trained."""
    column, system = columns[field], columns.get("system")

    def convert(record: dict[str, Any]) -> Row:
        messages = _messages(record.get(column), column)
        if len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise RowError(column, "the last message is not the assistant's answer; add it or remove the row")
        return Row(prompt=_with_system(messages[:-1], record, system), completion=messages[-1:])

    return convert


def sharegpt(columns: Fields) -> Convert:
    """sharegpt's conversations."""
    return conversation(columns, "conversations")


def question_answer(columns: Fields) -> Convert:
    """A question and its answer, each one text; the fastest of the conversions, for files of millions."""
    asked, answered, system = columns["question"], columns["answer"], columns.get("system")

    def convert(record: dict[str, Any]) -> Row:
        prompt = [Message(role="user", content=text(record.get(asked), asked))]
        answer = text(record.get(answered), answered)
        if system is not None:
            prompt = _with_system(prompt, record, system)
        return Row(prompt=prompt, completion=[Message(role="assistant", content=answer)])

    return convert


def alpaca(columns: Fields) -> Convert:
    """An instruction, an input that may be empty, and the output."""
    instruction, output = columns["instruction"], columns["output"]
    given, system = columns.get("input"), columns.get("system")

    def convert(record: dict[str, Any]) -> Row:
        asked = text(record.get(instruction), instruction)
        value = record.get(given) if given is not None else None
        if given is not None and not is_empty(value) and value not in _NO_INPUT:
            asked += "\n\n" + text(value, given)
        answer = text(record.get(output), output)
        prompt = _with_system([Message(role="user", content=asked)], record, system)
        return Row(prompt=prompt, completion=[Message(role="assistant", content=answer)])

    return convert


def prompt_completion(columns: Fields) -> Convert:
    """TRL's prompt and completion, each a text or messages."""
    asked, answered, system = columns["prompt"], columns["completion"], columns.get("system")

    def convert(record: dict[str, Any]) -> Row:
        prompt = _with_system(_prompt(record.get(asked), asked), record, system)
        return Row(prompt=prompt, completion=_one_answer(record.get(answered), answered))

    return convert


def unpaired_preference(columns: Fields) -> Convert:
    """A prompt, one answer, and whether it is a good one."""
    asked, answered, label = columns["prompt"], columns["completion"], columns["label"]

    def convert(record: dict[str, Any]) -> Row:
        good = yes_or_no(record.get(label))
        if good is None:
            shown = "nothing" if is_empty(record.get(label)) else found(record.get(label))
            raise RowError(label, f"found {shown}; expected whether the answer is good: true or false")
        prompt = _prompt(record.get(asked), asked)
        return Row(prompt=prompt, completion=_one_answer(record.get(answered), answered), label=good)

    return convert


def preference(columns: Fields) -> Convert:
    """A chosen and a rejected answer. Without a prompt of their own, it is the beginning that both have in common."""
    chosen, rejected, asked = columns["chosen"], columns["rejected"], columns.get("prompt")

    def convert(record: dict[str, Any]) -> Row:
        good, bad = _turns(record.get(chosen), chosen), _turns(record.get(rejected), rejected)
        shared = 0
        while shared < min(len(good), len(bad)) - 1 and good[shared] == bad[shared]:
            shared += 1
        if shared == 0:
            if asked is None:
                message = "holds no prompt, and there is no prompt column; give the question that was answered"
                raise RowError(chosen, message)
            prompt = _prompt(record.get(asked), asked)
        else:
            prompt = good[:shared]
        for name, answer in ((chosen, good[shared:]), (rejected, bad[shared:])):
            if len(answer) != 1 or answer[0]["role"] != "assistant":
                message = "the two conversations part before their last answer; they may only differ in that one"
                raise RowError(name, message)
        return _pair(prompt, good[-1]["content"], bad[-1]["content"], rejected)

    return convert


def two_responses(columns: Fields) -> Convert:
    """A question, two answers, and which of them was preferred."""
    asked, winner = columns["question"], columns["winner"]
    answers = (columns["response_a"], columns["response_b"])

    def convert(record: dict[str, Any]) -> Row:
        first = _winner(record.get(winner), winner, answers)
        prompt = _prompt(record.get(asked), asked)
        texts = [text(record.get(name), name) for name in answers]
        return _pair(prompt, texts[first], texts[1 - first], answers[1 - first])

    return convert


def plain_text(columns: Fields) -> Convert:
    """A text that is trained as a whole."""
    column = columns["text"]
    return lambda record: Row(text=text(record.get(column), column))


def yes_or_no(value: Any) -> bool | None:
    """A truth value as files write it; None where it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _YES.get(str(value).strip().lower()) if isinstance(value, str | int) else None


def is_messages(value: Any) -> bool:
    """Whether a value is a list of messages, with role and content or with from and value."""
    value = parsed(value)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and ("role" in one or "from" in one) for one in value)
    )


def _messages(value: Any, field: str) -> list[Message]:
    value = parsed(value)
    if is_empty(value):
        raise RowError(field, "is empty; fill it in or remove the row")
    if not isinstance(value, list):
        raise RowError(field, f"found {found(value)}; expected a list of messages")
    messages = []
    for index, message in enumerate(value):
        place = f"{field}[{index}]"
        if not isinstance(message, dict):
            raise RowError(place, f"found {found(message)}; expected role (system, user or assistant) and content")
        role = message.get("role", message.get("from"))
        known = _ROLES.get(role) if isinstance(role, str) else None
        if known is None:
            raise RowError(place, f"found the role {role!r}; expected system, user or assistant")
        content = message.get("content", message.get("value"))
        if isinstance(content, list):
            content = _joined(content, place)
        messages.append(Message(role=known, content=text(content, place)))
    return messages


def _joined(parts: list[Any], place: str) -> str:
    """A message's text where it is written in parts."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise RowError(place, "holds something that is no text (an image, a tool's call); remove the row")
        texts.append(str(part.get("text") or ""))
    return "".join(texts)


def _prompt(value: Any, field: str) -> list[Message]:
    if is_messages(value):
        return _messages(value, field)
    return [Message(role="user", content=text(value, field))]


def _one_answer(value: Any, field: str) -> list[Message]:
    if not is_messages(value):
        return [Message(role="assistant", content=text(value, field))]
    messages = _messages(value, field)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise RowError(field, "found several messages; the completion is one message of the assistant")
    return messages


def _turns(value: Any, field: str) -> list[Message]:
    """A side of a preference: messages, a transcript of "Human:" and "Assistant:", or the answer alone."""
    if is_messages(value):
        return _messages(value, field)
    whole = text(value, field)
    pieces = _TURN.split(whole)
    if len(pieces) < 5 or pieces[0].strip() or pieces[1] != "Human":
        return [Message(role="assistant", content=whole)]
    return [
        Message(role="user" if who == "Human" else "assistant", content=text(said, field))
        for who, said in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def _pair(prompt: list[Message], chosen: str, rejected: str, field: str) -> Row:
    if chosen == rejected:
        raise RowError(field, "is equal to the chosen answer, so that nothing is preferred; remove the row")
    return Row(
        prompt=prompt,
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
    )


def _winner(value: Any, field: str, answers: tuple[str, str]) -> int:
    """Which answer was preferred, 0 or 1: by its letter or number, or by its column's name."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    said = "" if is_empty(value) or isinstance(value, bool) else str(value).strip().lower()
    endings = [name.lower()[-1] for name in answers]
    for names in (_WINNERS, dict(zip(endings, (0, 1), strict=True))):
        if said in names:
            return names[said]
        if said[-2:-1] in {"_", " ", "-"} and said[-1] in names:
            return names[said[-1]]
    if "tie" in said or said in {"both", "equal", "neither", "none"}:
        raise RowError(field, f"found {value!r}: neither answer was preferred, so that it makes no pair")
    raise RowError(field, f"found {value!r}; expected which answer is better: {answers[0]} or {answers[1]}")


def _with_system(prompt: list[Message], record: dict[str, Any], system: str | None) -> list[Message]:
    if system is None or is_empty(record.get(system)):
        return prompt
    return [Message(role="system", content=text(record[system], system)), *prompt]
