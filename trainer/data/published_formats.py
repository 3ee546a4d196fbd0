"""Rows as publishers write them, brought into a question and its answer.

Multiple choice (MedQA), question with abstracts (PubMedQA), dialogue and the note that it became (MTS-Dialog), marked
entities (BC5CDR, presidio-research), and sharegpt's conversations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.data.reading import iob

Pair = tuple[str, str]
_ANSWER_KEYS = ("answer_idx", "answer_key", "correct_option", "answer")
_NOTE_SECTIONS = {"GENHX": "history of present illness", "PASTMEDICALHX": "past medical history"}
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def as_question_and_answer(record: dict[str, Any]) -> Pair | None:
    """Question and answer of a row in one of these formats; None where it is in none of them.

    Raises `KeyError` with the name of a field whose value cannot be used.
    """
    for needed, convert in _FORMATS:
        if needed <= record.keys():
            return convert(record)
    return None


def sharegpt_messages(record: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Messages of a sharegpt row ("from" human or gpt, "value"); None where it is none."""
    turns = record.get("conversations")
    if not isinstance(turns, list):
        return None
    return [
        {"role": _ROLES.get(str(turn.get("from")), str(turn.get("from"))), "content": turn.get("value")}
        if isinstance(turn, dict)
        else {"role": "", "content": None}
        for turn in turns
    ]


def _multiple_choice(record: dict[str, Any]) -> Pair:
    options: dict[str, str] = record["options"]
    if not isinstance(options, dict) or len(options) < 2:
        raise KeyError("options")
    letters = {str(letter).strip().upper(): str(text) for letter, text in options.items()}
    key = next((record[name] for name in _ANSWER_KEYS if name in record), None)
    letter = str(key).strip().upper()
    if letter not in letters:
        # Some files give the option's text.
        letter = next((one for one, text in letters.items() if text == key), "")
    if not letter:
        raise KeyError(next((name for name in _ANSWER_KEYS if name in record), "answer"))
    listed = "\n".join(f"{one}. {text}" for one, text in sorted(letters.items()))
    return f"{record['question']}\n\n{listed}", f"{letter}. {letters[letter]}"


def _abstract_question(record: dict[str, Any]) -> Pair:
    contexts = record["CONTEXTS"]
    if not isinstance(contexts, list):
        raise KeyError("CONTEXTS")
    decision = str(record.get("final_decision") or "").strip()
    if decision not in ("yes", "no", "maybe"):
        raise KeyError("final_decision")
    question = "\n\n".join(
        [*map(str, contexts), f"Question: {record['QUESTION']}", "Explain, then say yes, no or maybe."]
    )
    return question, f"{record['LONG_ANSWER']}\n\nAnswer: {decision}"


def _dialogue_to_note(record: dict[str, Any]) -> Pair:
    header = str(record.get("section_header") or "").strip()
    section = _NOTE_SECTIONS.get(header.upper(), header.lower())
    ask = f"Write the section “{section}” of the note" if section else "Write the note"
    return f"{ask} from this conversation.\n\n{record['dialogue']}", str(record["section_text"] or "")


def _tagged(record: dict[str, Any]) -> Pair:
    found = iob.entities(record["tokens"], record["tags"])
    return _entities(iob.joined(record["tokens"]), found)


def _personal_data(record: dict[str, Any]) -> Pair:
    if not isinstance(record["spans"], list):
        raise KeyError("spans")
    spans = sorted(record["spans"], key=lambda span: span["start_position"])
    return _entities(str(record["full_text"]), [(span["entity_type"], span["entity_value"]) for span in spans])


def _entities(text: str, found: list[tuple[str, str]]) -> Pair:
    listed = "\n".join(f"{kind}: {words}" for kind, words in found)
    return f"List the entities in this text, each with its kind, one on a line.\n\n{text}", listed or "none"


# What a row must have to be of a format; the first that fits is taken.
_FORMATS: list[tuple[set[str], Callable[[dict[str, Any]], Pair]]] = [
    ({"question", "options"}, _multiple_choice),
    ({"QUESTION", "CONTEXTS", "LONG_ANSWER"}, _abstract_question),
    ({"dialogue", "section_text"}, _dialogue_to_note),
    ({"tokens", "tags"}, _tagged),
    ({"full_text", "spans"}, _personal_data),
]
