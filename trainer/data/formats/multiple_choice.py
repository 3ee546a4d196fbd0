"""Multiple choice: options in one column or in several, and a key that is a letter, a number or the option's text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from trainer.data.formats.values import Convert, Fields, found, is_empty, parsed, text
from trainer.data.rows import Message, Row, RowError

LETTERS = "ABCDEFGHIJ"
KeyBase = Literal[0, 1]


class Option(NamedTuple):
    letter: str
    text: str


def multiple_choice(columns: Fields, base: KeyBase | None) -> Convert:
    """The question with its options as lettered lines; the answer is the letter and its text.

    `base` says whether the first option's number is 0 or 1; None where keys are no numbers.
    """
    asked, key = columns["question"], columns["answer"]

    def convert(record: dict[str, Any]) -> Row:
        question = text(record.get(asked), asked)
        options = options_of(record, columns)
        right = _right(record.get(key), key, options, base)
        listed = "\n".join(f"{option.letter}. {option.text}" for option in options)
        return Row(
            prompt=[Message(role="user", content=f"{question}\n\n{listed}")],
            completion=[Message(role="assistant", content=f"{right.letter}. {right.text}")],
            about={"label": right.letter},
        )

    return convert


def options_of(record: dict[str, Any], columns: Fields) -> list[Option]:
    """A record's options in order. Raises `RowError` naming the column that holds none, or only one.

    Accepted: an object of texts by letter, a list of texts, a list of objects with a letter and a text, and two lists
    of texts and labels; or a column for each option (fields option_a, option_b, …), of which the last may be empty.
    """
    if "options" not in columns:
        cells = [
            (letter, columns[f"option_{letter.lower()}"]) for letter in LETTERS if f"option_{letter.lower()}" in columns
        ]
        options = [
            Option(letter, _option_text(record.get(column), column))
            for letter, column in cells
            if not is_empty(record.get(column))
        ]
        return _at_least_two(options, cells[0][1])
    column = columns["options"]
    value = parsed(record.get(column))
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        labels = value.get("label") or value.get("labels") or LETTERS
        value = dict(zip(map(str, labels), value["text"], strict=False))
    if isinstance(value, dict):
        by_letter = sorted((str(letter).strip().upper(), one) for letter, one in value.items())
        texts = [(letter, one) for letter, one in by_letter if not is_empty(one)]
        return _at_least_two([Option(letter, _option_text(one, column)) for letter, one in texts], column)
    if not isinstance(value, list):
        shown = "nothing" if is_empty(value) else found(value)
        raise RowError(column, f"found {shown}; expected the options as an object by letter, or as a list")
    if len(value) > len(LETTERS):
        raise RowError(column, f"found {len(value)} options; at most {len(LETTERS)} can be lettered")
    options = []
    for letter, one in zip(LETTERS, value, strict=False):
        if isinstance(one, dict):
            letter = str(one.get("key") or one.get("label") or one.get("letter") or letter).strip().upper()
            one = one.get("value", one.get("text", one.get("option")))
        options.append(Option(letter, _option_text(one, column)))
    return _at_least_two(options, column)


def is_key(value: Any, options: list[Option]) -> bool:
    """Whether a value can be the key of these options: one of them, or a number that may count them."""
    if _named(value, options) is not None:
        return True
    number = _number(value)
    # Publishers who keep the answers of their test part back write -1.
    return number is not None and -1 <= number <= len(options)


def key_base(records: Sequence[dict[str, Any]], columns: Fields) -> tuple[KeyBase | None, str]:
    """Whether keys that are numbers count from 0 or from 1, decided from all records, and the evidence in a sentence.

    A 0 among them: from 0. The number of options among them: from 1. (None, "") where keys are no numbers.
    Raises `RowError` where neither or both are seen: a wrong guess would make every answer wrong.
    """
    key = columns["answer"]
    numbers = zeros = tops = 0
    for record in records:
        try:
            options = options_of(record, columns)
        except RowError:
            continue
        number = None if _named(record.get(key), options) is not None else _number(record.get(key))
        if number is not None and number >= 0:
            numbers += 1
            zeros += number == 0
            tops += number == len(options)
    if not numbers:
        return None, ""
    if zeros and not tops:
        return 0, f"Keys in {key} count from 0: {zeros:,} of {numbers:,} are 0."
    if tops and not zeros:
        return 1, f"Keys in {key} count from 1: {tops:,} of {numbers:,} are equal to the number of options."
    why = (
        f"{zeros:,} are 0 and {tops:,} are equal to the number of options"
        if zeros
        else "none is 0, and none is equal to the number of options"
    )
    rows = f"{numbers:,} rows" if numbers > 1 else "one row"
    raise RowError(
        key,
        f"holds numbers, and whether the first option is 0 or 1 cannot be told from {rows}: {why}; "
        f"say it by hand: columns: {{{key}: answer_from_0}} or columns: {{{key}: answer_from_1}}",
    )


def _right(value: Any, key: str, options: list[Option], base: KeyBase | None) -> Option:
    right = _named(value, options)
    if right is not None:
        return right
    if is_empty(value):
        raise RowError(key, "is empty; fill it in or remove the row")
    number = _number(value)
    if number is not None and number < 0:
        raise RowError(key, f"found {number}: the publisher keeps this answer back; remove the row")
    if number is not None and base is None and number <= len(options):
        raise RowError(key, f"found the number {number}, where other rows have letters or texts; write the letter")
    if number is not None and base is not None and base <= number < len(options) + base:
        return options[number - base]
    letters = ", ".join(option.letter for option in options)
    numbers = "" if base is None else f", or a number from {base} to {len(options) - 1 + base}"
    raise RowError(key, f"found {str(value)[:60]!r}; expected one of {letters}{numbers}, or an option's text")


def _named(value: Any, options: list[Option]) -> Option | None:
    """The option that a key names by its letter or its text."""
    if not isinstance(value, str):
        return None
    wanted = value.strip()
    for option in options:
        if wanted == option.text:
            return option
    letter = wanted.strip("().: ").upper()
    return next((option for option in options if option.letter == letter), None)


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        value = value.strip()
        return int(value) if value.lstrip("-").isdecimal() and len(value) < 4 else None
    return value if isinstance(value, int) else None


def _option_text(value: Any, column: str) -> str:
    return str(value) if isinstance(value, int | float) and not is_empty(value) else text(value, column)


def _at_least_two(options: list[Option], column: str) -> list[Option]:
    if len(options) < 2:
        raise RowError(column, f"found {len(options)} options; a question needs at least two")
    return options
