"""Rows as publishers and hospitals write them, brought into a question and its answer.

Questions on a text (PubMedQA, SQuAD), dialogue and the note that it became (MTS-Dialog), marked entities (BC5CDR,
presidio-research), and notes with coded conditions and medications (FHIR). Each function takes the columns of a file
and gives the conversion of its records.
"""

from __future__ import annotations

from typing import Any

from trainer.data.formats.values import Convert, Fields, found, is_empty, lines_of, parsed, text
from trainer.data.reading import iob
from trainer.data.rows import Message, Row, RowError

# MTS-Dialog's section headers, spelled out.
_NOTE_SECTIONS = {
    "GENHX": "history of present illness",
    "PASTMEDICALHX": "past medical history",
    "PASTSURGICAL": "past surgical history",
    "FAM/SOCHX": "family and social history",
    "GYNHX": "gynaecological history",
    "OTHER_HISTORY": "other history",
    "CC": "chief complaint",
    "ROS": "review of systems",
    "EDCOURSE": "course in the emergency department",
}
_DECISIONS = ("yes", "no", "maybe")


def context_question(columns: Fields) -> Convert:
    """A text, a question on it, and the answer; where there is a decision (yes, no, maybe), the answer ends with it."""
    context, asked = columns["context"], columns["question"]
    answered, decided = columns.get("answer"), columns.get("decision")

    def convert(record: dict[str, Any]) -> Row:
        passages = _passages(record.get(context), context)
        question = text(record.get(asked), asked)
        parts = [*passages, f"Question: {question}"]
        answer = _answer_text(record.get(answered), answered) if answered else ""
        if decided is None:
            return _row("\n\n".join(parts), answer)
        decision = str(record.get(decided) or "").strip().lower()
        if decision not in _DECISIONS:
            raise RowError(decided, f"found {record.get(decided)!r}; expected yes, no or maybe")
        parts.append("Explain, then say yes, no or maybe." if answer else "Say yes, no or maybe.")
        answer = f"{answer}\n\nAnswer: {decision}" if answer else f"Answer: {decision}"
        return _row("\n\n".join(parts), answer, label=decision)

    return convert


def dialogue_note(columns: Fields) -> Convert:
    """A conversation and the note, or the section of a note, that it became."""
    dialogue, note, section = columns["dialogue"], columns["note"], columns.get("section")

    def convert(record: dict[str, Any]) -> Row:
        spoken = _dialogue(record.get(dialogue), dialogue)
        written = text(record.get(note), note)
        header = str(record.get(section) or "").strip() if section else ""
        name = _NOTE_SECTIONS.get(header.upper(), header.lower())
        ask = f"Write the section “{name}” of the note" if name else "Write the note"
        return _row(f"{ask} from this conversation.\n\n{spoken}", written, label=name)

    return convert


def tagged_tokens(columns: Fields) -> Convert:
    """Tokens with IOB tags; the answer lists each entity with its kind."""
    words, marks = columns["tokens"], columns["tags"]

    def convert(record: dict[str, Any]) -> Row:
        tokens, tags = parsed(record.get(words)), parsed(record.get(marks))
        for field, value in ((words, tokens), (marks, tags)):
            if not isinstance(value, list) or not value:
                raise RowError(field, f"found {'nothing' if is_empty(value) else found(value)}; expected a list")
        if len(tokens) != len(tags):
            raise RowError(marks, f"found {len(tags)} tags for {len(tokens)} tokens; each token needs one")
        if any(isinstance(tag, int) for tag in tags):
            message = (
                "holds numbers instead of tags; their names stand in the publisher's label list (label.json, or the "
                "set's card): write O, B-Name and I-Name in their place"
            )
            raise RowError(marks, message)
        for index, tag in enumerate(tags):
            if not isinstance(tag, str) or not (tag == "O" or tag[:2] in {"B-", "I-"}):
                raise RowError(f"{marks}[{index}]", f"found {tag!r}; expected O, B-Name or I-Name")
        # A token may be any word, "null" too, so that only its kind is looked at.
        for index, token in enumerate(tokens):
            if not isinstance(token, str) or not token:
                raise RowError(f"{words}[{index}]", f"found {found(token)}; expected a word")
        return _entities(iob.joined(tokens), iob.entities(tokens, tags))

    return convert


def marked_spans(columns: Fields) -> Convert:
    """A text and its entities by position: objects with start, end and type, or lists of the three (doccano's)."""
    column, spans = columns["text"], columns["spans"]

    def convert(record: dict[str, Any]) -> Row:
        whole = record.get(column)
        asked = text(whole, column)
        assert isinstance(whole, str)  # `text` has just read it
        marked = parsed(record.get(spans))
        if not isinstance(marked, list):
            raise RowError(spans, f"found {found(marked)}; expected a list of entities")
        read = [_span(one, f"{spans}[{index}]", whole) for index, one in enumerate(marked)]
        return _entities(asked, [(kind, words) for _, kind, words in sorted(read, key=lambda one: one[0])])

    return convert


def clinical_note(columns: Fields) -> Convert:
    """A note, and the conditions and medications that its record names: the answer lists what the record holds."""
    note = columns["text"]
    lists = [(name, columns[name]) for name in ("conditions", "medications") if name in columns]

    def convert(record: dict[str, Any]) -> Row:
        written = text(record.get(note), note)
        named = [(name, _names(record.get(column), column)) for name, column in lists]
        named = [(name, entries) for name, entries in named if entries]
        if not named:
            columns_said = " and ".join(column for _, column in lists)
            raise RowError(columns_said, "is empty; a note alone has no answer (give a template, or format: text)")
        asked = " and ".join(name for name, _ in named)
        answer = "\n\n".join(
            f"{name.capitalize()}:\n" + "\n".join(f"- {one}" for one in entries) for name, entries in named
        )
        if answer == written:
            # Where a patient has no note, reading FHIR gives the lists alone.
            raise RowError(note, "holds the lists of the record and no note, so that there is nothing to learn from it")
        return _row(f"List the {asked} on this patient's record from the note.\n\n{written}", answer)

    return convert


def is_tagged(tokens: Any, tags: Any) -> bool:
    """Whether these are lists of tokens and of tags, also where the tags are numbers."""
    tokens, tags = parsed(tokens), parsed(tags)
    return isinstance(tokens, list) and isinstance(tags, list) and len(tokens) == len(tags) > 0


def are_spans(value: Any) -> bool:
    """Whether a value is a list of marked entities; an empty list is one."""
    value = parsed(value)
    return isinstance(value, list) and all(
        (isinstance(one, dict) and "start" in "".join(map(str, one)))
        or (isinstance(one, list | tuple) and len(one) == 3 and isinstance(one[0], int))
        for one in value
    )


def _row(question: str, answer: str, label: str = "") -> Row:
    row = Row(prompt=[Message(role="user", content=question)], completion=[Message(role="assistant", content=answer)])
    if label:
        row["about"] = {"label": label}
    return row


def _entities(asked: str, marked: list[tuple[str, str]]) -> Row:
    listed = "\n".join(f"{kind}: {words}" for kind, words in marked)
    question = f"List the entities in this text, each with its kind, one on a line.\n\n{asked}"
    return _row(question, listed or "none")


def _passages(value: Any, field: str) -> list[str]:
    value = parsed(value)
    if isinstance(value, dict):
        # PubMedQA on the Hub nests them: {"contexts": [...], "labels": [...]}.
        value = value.get("contexts", value.get("text"))
    passages = lines_of(value, field)
    if not passages:
        raise RowError(field, "is empty; fill it in or remove the row")
    return passages


def _answer_text(value: Any, field: str) -> str:
    """An answer; of several accepted ones (SQuAD's), the first."""
    value = parsed(value)
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, list):
        value = value[0] if value else None
    return text(value, field)


def _dialogue(value: Any, field: str) -> str:
    value = parsed(value)
    if not isinstance(value, list):
        return text(value, field)
    turns = []
    for index, turn in enumerate(value):
        place = f"{field}[{index}]"
        if isinstance(turn, dict):
            speaker = turn.get("speaker", turn.get("role", turn.get("from")))
            said = text(turn.get("text", turn.get("utterance", turn.get("content", turn.get("value")))), place)
            turns.append(f"{text(speaker, place).capitalize()}: {said}")
        else:
            turns.append(text(turn, place))
    return text("\n".join(turns), field)


def _span(span: Any, place: str, whole: str) -> tuple[int, str, str]:
    """(start, kind, words) of an entity; its words are the text's own."""
    if isinstance(span, dict):
        start = span.get("start_position", span.get("start", span.get("start_offset", span.get("start_char"))))
        end = span.get("end_position", span.get("end", span.get("end_offset", span.get("end_char"))))
        kind = span.get("entity_type", span.get("type", span.get("label", span.get("entity"))))
    elif isinstance(span, list | tuple) and len(span) == 3:
        start, end, kind = span
    else:
        raise RowError(place, f"found {found(span)}; expected an entity with start, end and type")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(whole)):
        raise RowError(place, f"found start {start!r} and end {end!r}, which are no part of the text")
    return start, text(kind, place), whole[start:end]


def _names(value: Any, field: str) -> list[str]:
    """The entries of a list of conditions or medications, each once; objects by their display name."""
    value = parsed(value)
    if isinstance(value, list):
        value = [
            next((one[key] for key in ("display", "text", "name") if one.get(key)), None)
            if isinstance(one, dict)
            else one
            for one in value
        ]
    elif isinstance(value, str):
        value = value.replace("\n", ";").split(";")
    return list(dict.fromkeys(lines_of(value, field)))
