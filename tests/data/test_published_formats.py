"""Real files in their publishers' formats load without configuration; each format becomes the question that it asks."""

import os
from pathlib import Path
from typing import Any

import pytest

from trainer.data.formats import detect, to_row
from trainer.data.reading import iob
from trainer.data.reading.files import read_records
from trainer.data.records import Record
from trainer.data.rows import RowError, answer, question

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "data")


def records_of(name: str) -> list[dict[str, Any]]:
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    return [one.values for one in read_records(path) if isinstance(one, Record)]


@pytest.mark.parametrize(
    ("file", "format", "rows", "asked", "answered"),
    [
        ("medqa_us/medqa_us_4opt_test.jsonl", "multiple_choice", 1273, "\nB. Tell the attending", "B. Tell the"),
        (
            "medquad/medquad_sample.jsonl",
            "question_answer",
            2008,
            "What causes Nephrotic Syndrome",
            "Nephrotic syndrome",
        ),
        ("medsafetybench/train.jsonl", "question_answer", 900, "mock a patient's lack", "I'm sorry"),
        ("medsafetybench/ft_safety_gen_n900.json", "alpaca", 900, "set a vehicle on fire", "I'm sorry"),
        ("mts_dialog/MTS-Dialog-ValidationSet.csv", "dialogue_note", 100, "from this conversation", "26-year-old"),
        ("mts_dialog/MTS-Dialog-TrainingSet.csv", "dialogue_note", 1201, "Write the section", ""),
        ("ner_bc5cdr/devel.tsv", "entities", 4581, "suppresses secondary", "Disease: secondary hyperparathyroidism"),
        ("ner_bc5cdr/test.tsv", "entities", 4797, "List the entities", ""),
        ("presidio_research/synth_dataset_v2.json", "entities", 1500, "address of Persint", "ORGANIZATION: Persint"),
        ("pubmedqa/ori_pqal.json", "context_question", 1000, "Question: Do mitochondria play", "Answer: yes"),
    ],
)
def test_real_files_load_without_configuration(file: str, format: str, rows: int, asked: str, answered: str):
    records = records_of(file)
    detection = detect(records)
    assert detection.format == format
    found = [to_row(record, detection) for record in records]
    assert len(found) == rows
    assert asked in question(found[0])
    assert answered in answer(found[0])


@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        ("medqa_us", 1273),
        ("medquad", 2008),
        ("medsafetybench", 1800),
        ("mts_dialog", 1501),
        ("ner_bc5cdr", 9378),
        ("presidio_research", 1500),
        ("pubmedqa", 1000),
    ],
)
def test_real_folders_load_as_they_are(folder: str, rows: int):
    records = records_of(folder)
    detection = detect(records)
    assert len([to_row(record, detection) for record in records]) == rows


def test_two_files_of_a_folder_may_be_written_in_two_ways():
    detection = detect(records_of("medsafetybench"))
    assert detection.evidence == [
        "instruction and output stand in 900 of the 1,000 rows looked at.",
        "100 of the others have none of these columns and are read by their own.",
    ]


def test_multiple_choice_becomes_letters_with_their_texts():
    record = {"question": "Which?", "options": {"b": "two", "a": "one"}, "answer": "two", "answer_idx": "b"}
    assert to_row(record) == {
        "prompt": [{"role": "user", "content": "Which?\n\nA. one\nB. two"}],
        "completion": [{"role": "assistant", "content": "B. two"}],
        "about": {"label": "B"},
    }


@pytest.mark.parametrize(
    "record",
    [
        {"options": {"A": "one", "B": "two", "C": "three"}, "answer": "B"},
        {"options": {"A": "one", "B": "two", "C": "three"}, "answer": "(b)"},
        {"options": ["one", "two", "three"], "answer": "two"},
        {"options": '["one", "two", "three"]', "answer": "B"},
        {"options": "['one', 'two', 'three']", "answer": "B."},
        {
            "options": [{"key": "A", "value": "one"}, {"key": "B", "value": "two"}, {"key": "C", "value": "three"}],
            "answer": "B",
        },
        {"choices": {"text": ["one", "two", "three"], "label": ["A", "B", "C"]}, "answerKey": "B"},
        {"opa": "one", "opb": "two", "opc": "three", "opd": "", "correct_option": "b"},
        {"option_1": "one", "option_2": "two", "option_3": "three", "answer": "B"},
        {"Option A": "one", "Option B": "two", "Option C": "three", "Correct Answer": "B"},
        {"A": "one", "B": "two", "C": "three", "answer": "B"},
        {"ending0": "one", "ending1": "two", "ending2": "three", "label": "B"},
        {"选项A": "one", "选项B": "two", "选项C": "three", "答案": "B"},
    ],
)
def test_options_are_found_however_they_are_written(record: dict):
    record = {"question": "Which?", **record}
    assert detect([record]).format == "multiple_choice"
    row = to_row(record)
    assert question(row) == "Which?\n\nA. one\nB. two\nC. three"
    assert (answer(row), row.get("about")) == ("B. two", {"label": "B"})


def numbered(*keys: object) -> list[dict]:
    return [{"question": "Which?", "opa": "w", "opb": "x", "opc": "y", "opd": "z", "cop": key} for key in keys]


@pytest.mark.parametrize(
    ("keys", "base", "evidence", "answers"),
    [
        ((1, 0, 3), 0, "Keys in cop count from 0: 1 of 3 are 0.", ["B. x", "A. w", "D. z"]),
        (
            (1, 4, 2),
            1,
            "Keys in cop count from 1: 1 of 3 are equal to the number of options.",
            ["A. w", "D. z", "B. x"],
        ),
        (("1", "4.", " 4"), 1, "Keys in cop count from 1: 1 of 2 are equal to the number of options.", ["A. w"]),
        ((1.0, 0.0, 3.0), 0, "Keys in cop count from 0: 1 of 3 are 0.", ["B. x"]),
    ],
)
def test_numbers_for_keys_count_from_where_all_of_them_say(keys: tuple, base: int, evidence: str, answers: list[str]):
    records = numbered(*keys)
    detection = detect(records)
    assert (detection.format, detection.key_base) == ("multiple_choice", base)
    assert evidence in detection.evidence
    assert [answer(to_row(record, detection)) for record in records[: len(answers)]] == answers


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ((1, 2, 3), "cannot be told from 3 rows: none is 0, and none is equal to the number of options"),
        ((0, 4, 3), "cannot be told from 3 rows: 1 are 0 and 1 are equal to the number of options"),
        ((2,), "cannot be told from one row"),
    ],
)
def test_numbers_that_could_count_from_either_are_asked_about(keys: tuple, said: str):
    with pytest.raises(RowError) as caught:
        detect(numbered(*keys))
    assert caught.value.field == "cop"
    assert said in str(caught.value)
    assert "say it by hand: columns: {cop: answer_from_0} or columns: {cop: answer_from_1}" in str(caught.value)


def test_where_numbers_begin_can_be_said_by_hand():
    records = numbered(1, 2, 3)
    for base, expected in ((0, "B. x"), (1, "A. w")):
        detection = detect(records, columns={"cop": f"answer_from_{base}"})
        assert (detection.format, detection.key_base, detection.columns["cop"]) == ("multiple_choice", base, "answer")
        assert answer(to_row(records[0], detection)) == expected


@pytest.mark.parametrize(
    ("record", "field", "said"),
    [
        (numbered(-1)[0], "cop", "found -1: the publisher keeps this answer back; remove the row"),
        (numbered(4)[0], "cop", "found '4'; expected one of A, B, C, D, or a number from 0 to 3, or an option's text"),
        (numbered("E")[0], "cop", "found 'E'; expected one of A, B, C, D"),
        (numbered(None)[0], "cop", "is empty"),
        (
            {**numbered(1)[0], "opb": "", "opc": None, "opd": " "},
            "opa",
            "found 1 options; a question needs at least two",
        ),
        ({**numbered(1)[0], "question": ""}, "question", "is empty"),
    ],
)
def test_a_faulty_multiple_choice_row_is_named(record: dict, field: str, said: str):
    with pytest.raises(RowError) as caught:
        to_row(record, detect(numbered(0, 1)))
    assert caught.value.field == field
    assert said in str(caught.value)


def test_a_key_of_no_option_is_named_also_alone():
    with pytest.raises(RowError, match="found 'E'; expected one of A, B") as caught:
        to_row({"question": "Which?", "options": {"A": "one", "B": "two"}, "answer_idx": "E"})
    assert caught.value.field == "answer_idx"
    letters = detect([{"question": "Which?", "options": {"A": "one", "B": "two"}, "answer": "A"}])
    with pytest.raises(RowError, match="found the number 1, where other rows have letters or texts; write the letter"):
        to_row({"question": "Which?", "options": {"A": "one", "B": "two"}, "answer": 1}, letters)
    with pytest.raises(RowError, match="found nothing; expected the options as an object by letter, or as a list"):
        to_row({"question": "Which?", "options": None, "answer": "A"}, letters)


def test_options_beside_a_written_answer_are_no_multiple_choice():
    record = {"question": "Low or high?", "options": ["low", "high"], "answer": "It is above 140, so it is high."}
    assert detect([record]).format == "question_answer"


PASSAGE = "Twelve patients were seen. None had a fever."


@pytest.mark.parametrize(
    "record",
    [
        {"QUESTION": "Had any a fever?", "CONTEXTS": [PASSAGE], "LONG_ANSWER": "None had.", "final_decision": "no"},
        {
            "question": "Had any a fever?",
            "context": {"contexts": [PASSAGE], "labels": ["RESULTS"], "meshes": []},
            "long_answer": "None had.",
            "final_decision": "no",
        },
    ],
)
def test_a_question_on_an_abstract_ends_with_its_decision(record: dict):
    row = to_row(record)
    assert question(row) == f"{PASSAGE}\n\nQuestion: Had any a fever?\n\nExplain, then say yes, no or maybe."
    assert (answer(row), row.get("about")) == ("None had.\n\nAnswer: no", {"label": "no"})


def test_a_question_on_a_text_without_a_decision():
    squad = {"question": "How many?", "context": PASSAGE, "answers": {"text": ["Twelve", "12"], "answer_start": [0, 0]}}
    row = to_row(squad)
    assert (question(row), answer(row)) == (f"{PASSAGE}\n\nQuestion: How many?", "Twelve")
    assert answer(to_row({"question": "How many?", "context": PASSAGE, "answer": "Twelve"})) == "Twelve"
    with pytest.raises(RowError, match="is empty") as caught:
        to_row({**squad, "answers": {"text": [], "answer_start": []}})
    assert caught.value.field == "answers"
    with pytest.raises(RowError, match="found 'perhaps'; expected yes, no or maybe") as caught:
        to_row({"QUESTION": "q", "CONTEXTS": ["c"], "LONG_ANSWER": "a", "final_decision": "perhaps"})
    assert caught.value.field == "final_decision"
    with pytest.raises(RowError, match="is empty") as caught:
        to_row({"question": "q", "context": "", "answer": "a"})
    assert caught.value.field == "context"


def test_a_dialogue_becomes_its_section():
    turns = [{"speaker": "doctor", "text": "Any pain?"}, {"speaker": "patient", "text": "None."}]
    row = to_row({"dialogue": turns, "section_header": "FAM/SOCHX", "section_text": "Not asked."})
    assert question(row) == (
        "Write the section “family and social history” of the note from this conversation.\n\n"
        "Doctor: Any pain?\nPatient: None."
    )
    assert row.get("about") == {"label": "family and social history"}
    assert question(to_row({"dialogue": "Doctor: Any pain?", "note": "None."})).startswith("Write the note from this")
    with pytest.raises(RowError, match="is empty") as caught:
        to_row({"dialogue": "Doctor: Any pain?", "section_text": " "})
    assert caught.value.field == "section_text"


def test_entities_are_joined_as_they_were_written_and_an_inner_tag_alone_begins_one():
    tokens = ["22", "-", "oxacalcitriol", "helps", "(", "some", ")", "."]
    tags = ["B-Chemical", "I-Chemical", "I-Chemical", "O", "O", "I-Who", "O", "O"]
    assert iob.joined(tokens) == "22-oxacalcitriol helps (some)."
    assert iob.entities(tokens, tags) == [("Chemical", "22-oxacalcitriol"), ("Who", "some")]
    row = to_row({"tokens": tokens, "tags": tags})
    assert answer(row) == "Chemical: 22-oxacalcitriol\nWho: some"
    assert answer(to_row({"tokens": ["null", "."], "ner_tags": ["O", "O"]})) == "none"


@pytest.mark.parametrize(
    ("record", "field", "said"),
    [
        ({"tokens": ["a", "b"], "ner_tags": [0, 1]}, "ner_tags", "holds numbers instead of tags"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "tags", "found 1 tags for 2 tokens"),
        ({"tokens": ["a", "b"], "tags": ["O", "Drug"]}, "tags[1]", "found 'Drug'; expected O, B-Name or I-Name"),
        ({"tokens": ["a", 2], "tags": ["O", "O"]}, "tokens[1]", "found int 2; expected a word"),
        ({"tokens": [], "tags": []}, "tokens", "found nothing; expected a list"),
        (
            {"full_text": "Jo", "spans": [{"start": 0, "end": 9, "type": "NAME"}]},
            "spans[0]",
            "which are no part of the text",
        ),
        ({"full_text": "Jo", "spans": [{"start": 0, "end": 2}]}, "spans[0]", "is empty"),
    ],
)
def test_faulty_entities_are_named(record: dict, field: str, said: str):
    with pytest.raises(RowError) as caught:
        to_row(record)
    assert (caught.value.field, said in str(caught.value)) == (field, True)


@pytest.mark.parametrize(
    "spans",
    [
        [
            {"entity_type": "DRUG", "start_position": 14, "end_position": 21},
            {"entity_type": "WHO", "start_position": 0, "end_position": 6},
        ],
        [{"label": "WHO", "start": 0, "end": 6}, {"label": "DRUG", "start": 14, "end": 21}],
        [[0, 6, "WHO"], [14, 21, "DRUG"]],
    ],
)
def test_marked_spans_are_listed_in_the_order_of_the_text(spans: list):
    row = to_row({"text": "Nurses handle heparin.", "entities": spans})
    assert question(row).endswith("\n\nNurses handle heparin.")
    assert answer(row) == "WHO: Nurses\nDRUG: heparin"


def test_a_note_asks_for_what_its_record_holds():
    record = {
        "patient": "p1",
        "time": "2024-01-31T09:00:00+01:00",
        "text": "Seen for swollen ankles.",
        "conditions": ["Heart failure", "Heart failure", "Gout"],
        "medications": [{"code": "x", "display": "Furosemide 40 mg"}],
    }
    detection = detect([record])
    assert detection.format == "clinical_note"
    row = to_row(record, detection)
    assert question(row) == (
        "List the conditions and medications on this patient's record from the note.\n\nSeen for swollen ankles."
    )
    assert answer(row) == "Conditions:\n- Heart failure\n- Gout\n\nMedications:\n- Furosemide 40 mg"
    assert row.get("about") == {"patient": "p1", "time": "2024-01-31"}
    only = to_row({**record, "conditions": []}, detection)
    assert (question(only)[:21], answer(only)) == ("List the medications ", "Medications:\n- Furosemide 40 mg")
    with pytest.raises(RowError, match="a note alone has no answer") as caught:
        to_row({**record, "conditions": [], "medications": None}, detection)
    assert caught.value.field == "conditions and medications"
    with pytest.raises(RowError, match="holds the lists of the record and no note") as caught:
        to_row({**record, "text": answer(row)}, detection)
    assert caught.value.field == "text"
