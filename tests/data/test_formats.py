"""How a row is written is told from the first of them; what does not fit is named, and nothing is guessed."""

import json
import math

import pytest

from trainer.data import rows
from trainer.data.formats import Detection, converter, detect, to_row
from trainer.data.rows import RowError, kind_of

QA = {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}
USER = {"role": "user", "content": "Is it catching?"}
GOOD = {"role": "assistant", "content": "No, it is not."}
BAD = {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"prompt": "q", "completion": "a"}, "prompt_completion"),
        ({"prompt": "q", "answer": "a"}, "question_answer"),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca"),
        ({"instruction": "q", "input": "<noinput>", "output": "a"}, "alpaca"),
        ({"instruction": "q", "context": "", "response": "a", "category": "open_qa"}, "alpaca"),
        ({"question": "q", "answer": "a", "extra": 1}, "question_answer"),
        ({"query": "q", "response": "a"}, "question_answer"),
        ({"harmful_medical_request": "q", "safe_response": "a", "category": 1}, "question_answer"),
        ({"input": "q", "answer_icliniq": "a", "answer_chatgpt": "b", "answer_chatdoctor": "c"}, "question_answer"),
        ({"Frage": "q", "Antwort": "a"}, "question_answer"),
        ({"pregunta": "q", "respuesta": "a"}, "question_answer"),
        ({"Question": "q", "Réponse": "a"}, "question_answer"),
        ({"问题": "q", "答案": "a"}, "question_answer"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "messages"),
        ({"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'}, "messages"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt"),
        ({"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "messages"),
        (
            {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]},
            "prompt_completion",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, {"from": "gpt", "value": "a"}]},
            "messages",
        ),
    ],
)
def test_questions_and_conversations_become_one_type(record: dict, format: str):
    assert detect([record]).format == format
    assert to_row(record) == QA


def test_an_input_and_a_system_prompt_join_the_question():
    record = {"instruction": "Sum up", "input": "the note", "output": "x", "system": "Be brief."}
    assert to_row(record).get("prompt") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Sum up\n\nthe note"},
    ]
    row = to_row({"system_prompt": "Be brief.", "question": "q", "response": "a"})
    assert row == {**QA, "prompt": [{"role": "system", "content": "Be brief."}, *QA["prompt"]]}


def test_html_in_an_answer_is_data():
    answer = "Take it <b>with</b> food &amp; water.<br/>\n<ul><li>not at night</li></ul>"
    assert rows.answer(to_row({"question": "How?", "answer": f"  {answer}\n"})) == answer


@pytest.mark.parametrize(
    ("record", "field", "said"),
    [
        (
            {"question": "q"},
            "answer",
            "the row has 'question' but no answer (found question); add it, or remove the row",
        ),
        ({"question": "q", "answer": " "}, "answer", "is empty; fill it in or remove the row"),
        ({"question": "q", "answer": None}, "answer", "is empty; fill it in or remove the row"),
        ({"question": "q", "answer": math.nan}, "answer", "is empty; fill it in or remove the row"),
        ({"question": "nan", "answer": "a"}, "question", "is empty; fill it in or remove the row"),
        ({"question": "q", "answer": 3}, "answer", "found int 3; expected text"),
        ({"messages": [USER]}, "messages", "the last message is not the assistant's answer; add it or remove the row"),
        ({"messages": "hello"}, "messages", "found str 'hello'; expected a list of messages"),
        ({"messages": [USER, {"role": "doctor", "content": "No."}]}, "messages[1]", "found the role 'doctor'"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "messages[1]", "is empty"),
        ({"messages": [USER, "No."]}, "messages[1]", "found str 'No.'; expected role (system, user or assistant)"),
        (
            {"conversations": [{"from": "gpt", "value": "a"}, {"from": "human", "value": "q"}]},
            "conversations",
            "the last",
        ),
        ({"instruction": "q", "output": ["a"]}, "output", "found list ['a']; expected text"),
        ({"prompt": "q", "completion": [GOOD, GOOD]}, "completion", "found several messages; the completion is one"),
        ({}, "columns", "found no columns, which no known format has"),
    ],
)
def test_a_row_that_does_not_fit_names_its_field(record: dict, field: str, said: str):
    with pytest.raises(RowError) as caught:
        to_row(record)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_an_answer_may_be_none_where_that_is_the_answer():
    for answer in ("None", "N/A", "No", "0"):
        assert rows.answer(to_row({"question": "Which allergies?", "answer": answer})) == answer


def test_most_rows_decide_and_not_the_first():
    odd = {"text": "A stray remark."}
    records = [odd, *({"question": f"q{number}", "answer": "a"} for number in range(9))]
    detection = detect(records)
    assert detection.format == "question_answer"
    assert detection.evidence == [
        "question and answer stand in 9 of the 10 rows looked at.",
        "1 of the others have none of these columns and are read by their own.",
    ]
    with pytest.raises(RowError, match="looks like text, where the other rows are question_answer") as caught:
        to_row(odd, detection)
    assert caught.value.field == "columns"
    # A more telling format is not taken for a few rows.
    few = [{"messages": [USER, GOOD]}] * 2 + [{"question": "q", "answer": "a"}] * 8
    assert detect(few).format == "question_answer"
    # The first thousand rows are looked at.
    late = [{"question": "q", "answer": "a"}] * 1000 + [{"prompt": "q", "completion": "a"}] * 5000
    assert detect(late).format == "question_answer"


def test_a_row_of_another_file_of_the_folder_is_read_by_its_own_columns():
    detection = detect([{"question": "q", "answer": "a"}] * 5)
    assert to_row({"instruction": "q", "output": "a"}, detection) == QA
    # A cell that is missing is a fault, and no other format.
    with pytest.raises(RowError, match="is empty"):
        to_row({"question": "q", "response": "a"}, detection)
    by_hand = detect([{"question": "q", "answer": "a"}], format="question_answer")
    with pytest.raises(RowError, match="is empty"):
        to_row({"instruction": "q", "output": "a"}, by_hand)


def test_what_is_given_by_hand_wins():
    record = {"question": "title", "answer": "a", "body": "q", "Ref": 7, "seen": "2024-02-03"}
    detection = detect([record], columns={"body": "question", "Ref": "patient", "seen": "time"})
    assert detection.columns == {"body": "question", "answer": "answer"}
    assert detection.about == {"Ref": "patient", "seen": "time"}
    assert to_row(record, detection) == {**QA, "about": {"patient": "7", "time": "2024-02-03"}}
    record = {"text": "A whole note.", "question": "q", "answer": "a"}
    assert detect([record]).format == "question_answer"
    detection = detect([record], format="text")
    assert (detection.format, detection.by_hand) == ("text", True)
    assert to_row(record, detection) == {"text": "A whole note."}


@pytest.mark.parametrize(
    ("format", "columns", "field", "said"),
    [
        (
            None,
            {"Frag": "question"},
            "Frag",
            "is named in columns but is not in the file, which has Frage, Antwort, x; did",
        ),
        (None, {"Frage": "qestion"}, "Frage", "is said to be 'qestion', which is no field; did you mean question?"),
        (None, {"Frage": "question", "x": "question"}, "x", "is said to be question, and so is 'Frage'"),
        (
            "dialogue_note",
            {},
            "dialogue, note",
            "(dialogue_note) has no dialogue and no note (found Frage, Antwort, x)",
        ),
        (None, {"x": "winner"}, "question", "no"),
    ],
)
def test_mistakes_by_hand_are_named(format, columns: dict, field: str, said: str):
    with pytest.raises(RowError) as caught:
        detect([{"Frage": "q", "Antwort": "a", "x": 1}], format, columns)
    assert said in str(caught.value)
    if said != "no":
        assert caught.value.field == field


def test_names_that_are_nearly_known_are_proposed():
    with pytest.raises(RowError) as caught:
        detect([{"Qestion": "q", "Anwser": "a"}])
    assert str(caught.value) == (
        "found Qestion, Anwser, which no known format has; 'Qestion' is near 'question' (question); 'Anwser' is near "
        "'answer' (answer); say it by hand, for example columns: {Qestion: question, Anwser: answer}"
    )
    with pytest.raises(RowError) as caught:
        detect([{"question": "q", "remark": "a"}])
    assert caught.value.field == "answer"
    assert "say it by hand, for example columns: {remark: answer}" in str(caught.value)


def test_preferences_in_every_form_become_one_type():
    expected = {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}
    asked = {"question": USER["content"]}
    forms = [
        {"prompt": USER["content"], "chosen": GOOD["content"], "rejected": BAD["content"]},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "shorter than the conversation", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {
            "chosen": f"\n\nHuman: {USER['content']}\n\nAssistant: {GOOD['content']}",
            "rejected": f"\n\nHuman: {USER['content']}\n\nAssistant: {BAD['content']}",
        },
        {**asked, "response_a": GOOD["content"], "response_b": BAD["content"], "winner": "A"},
        {**asked, "response_a": BAD["content"], "response_b": GOOD["content"], "winner": "model_b"},
        {**asked, "response_1": GOOD["content"], "response_2": BAD["content"], "winner": 1},
        {**asked, "response_0": GOOD["content"], "response_1": BAD["content"], "better_response_id": 0},
        {**asked, "answer_a": BAD["content"], "answer_b": GOOD["content"], "preferred": "answer_b"},
    ]
    for record in forms:
        assert detect([record]).format == "preference", record
        assert to_row(record) == expected, record


@pytest.mark.parametrize(
    ("record", "field", "said"),
    [
        ({"chosen": "a", "rejected": "b"}, "chosen", "holds no prompt, and there is no prompt column"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "rejected", "is equal to the chosen answer"),
        ({"chosen": [USER, GOOD], "rejected": [USER, BAD, USER, GOOD]}, "rejected", "part before their last answer"),
        (
            {"question": "q", "response_a": "a", "response_b": "b", "winner": "tie"},
            "winner",
            "neither answer was preferred",
        ),
        (
            {"question": "q", "response_a": "a", "response_b": "b", "winner": 1},
            "winner",
            "expected which answer is better",
        ),
        ({"question": "q", "response_a": "a", "response_b": "b", "winner": None}, "winner", "found None"),
        ({"prompt": "q", "chosen": "", "rejected": "a"}, "chosen", "is empty"),
    ],
)
def test_a_preference_that_is_none_is_named(record: dict, field: str, said: str):
    with pytest.raises(RowError) as caught:
        to_row(record)
    assert (caught.value.field, said in str(caught.value)) == (field, True)


@pytest.mark.parametrize(("label", "good"), [(True, True), (0, False), ("true", True), ("No", False), (1.0, True)])
def test_an_answer_with_its_worth_is_unpaired(label: object, good: bool):
    row = to_row({"prompt": "q", "completion": "a", "label": label})
    assert row == {**QA, "label": good}
    assert kind_of(row) == "unpaired_preference"


def test_a_class_as_label_is_no_worth():
    record = {"prompt": "q", "completion": "a", "label": "high"}
    assert to_row(record) == {**QA, "about": {"label": "high"}}
    detection = detect([{"prompt": "q", "completion": "a", "label": True}] * 3)
    with pytest.raises(RowError, match="found str 'maybe'; expected whether the answer is good: true or false"):
        to_row({"prompt": "q", "completion": "a", "label": "maybe"}, detection)


def test_text_alone_is_trained_as_a_whole():
    detection = detect([{"text": "A note.", "document": "visit.docx"}])
    assert detection.format == "text"
    assert to_row({"text": " A note. ", "document": "visit.docx"}, detection) == {
        "text": "A note.",
        "about": {"patient": "visit.docx"},
    }


def test_columns_tell_what_is_known_of_a_row():
    record = {
        "question": "q",
        "answer": "a",
        "Patient ID": 12.0,
        "date": "2023-05-06T10:00:00Z",
        "Specialty": "Cardiology ",
        "task": "Patient education",
        "lang": "es-MX",
        "level": "clinical judgment",
        "class": "B",
        "expert_validated": "yes",
        "id": "row-1",
        "document": "visit.docx",
    }
    detection = detect([record] * 3)
    assert detection.about == {
        "Patient ID": "patient",
        "date": "time",
        "Specialty": "specialty",
        "task": "task",
        "lang": "language",
        "level": "level",
        "class": "label",
        "expert_validated": "expert_validated",
        "id": "id",
    }
    # The file's own id stays in the file: about.id is the hash of the row.
    assert to_row(record, detection).get("about") == {
        "patient": "12",
        "time": "2023-05-06",
        "specialty": "cardiology",
        "task": "patient_education",
        "language": "es",
        "level": "judgement",
        "label": "B",
        "expert_validated": True,
    }
    assert "Patient ID tells the patient." in detection.evidence
    assert to_row({"question": "q", "answer": "a", "Patient ID": "", "level": None}, detection) == QA


def test_a_column_whose_values_are_something_else_is_left_out():
    records = [{"question": "q", "answer": "a", "task": "chat", "level": "easy", "time": "10:35"}] * 5
    detection = detect(records)
    assert detection.about == {}
    assert detection.evidence[1:] == [
        "time is left out: its values are not a date as YYYY-MM-DD.",
        "task is left out: its values are not one of diagnosis, treatment, test_interpretation, patient_education, "
        "summarization, report_generation, ner, question_answering, classification, reasoning, drug_information, "
        "dialogue.",
        "level is left out: its values are not facts, concepts, reasoning or judgement.",
    ]
    assert to_row(records[0], detection) == QA
    good = [{"question": "q", "answer": "a", "level": "facts"}] * 30
    with pytest.raises(
        RowError, match="found 'hard'; expected facts, concepts, reasoning or judgement, or an empty cell"
    ):
        to_row({"question": "q", "answer": "a", "level": "hard"}, detect(good))


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (["03/04/2021", "25/12/2020"], ["2021-04-03", "2020-12-25"]),
        (["03/04/2021", "12/25/2020"], ["2021-03-04", "2020-12-25"]),
        (["03.04.2021", "05.06.2021"], ["2021-04-03", "2021-06-05"]),
        (["20210403", "2021/4/3"], ["2021-04-03", "2021-04-03"]),
        ([2011, "2012"], ["2011-01-01", "2012-01-01"]),
    ],
)
def test_dates_are_read_by_what_all_of_them_say(dates: list, found: list[str]):
    records = [{"question": "q", "answer": "a", "date": date} for date in dates]
    detection = detect(records)
    assert [to_row(row, detection).get("about", {}).get("time") for row in records] == found


def test_dates_that_could_be_either_are_not_guessed():
    records = [{"question": "q", "answer": "a", "date": date} for date in ("03/04/2021", "05/06/2021")]
    detection = detect(records)
    assert detection.about == {}
    assert detection.evidence[-1] == (
        "Dates in date begin with the day or the month, which cannot be told; say it by hand: columns: "
        "{date: time_day_first} or time_month_first."
    )
    by_hand = detect(records, columns={"date": "time_month_first"})
    assert to_row(records[0], by_hand).get("about") == {"time": "2021-03-04"}
    with pytest.raises(RowError, match="found '31/31/2021'; expected a date as YYYY-MM-DD or MM/DD/YYYY"):
        to_row({"question": "q", "answer": "a", "date": "31/31/2021"}, by_hand)


def test_a_detection_goes_through_json_and_a_changed_one_converts_otherwise():
    record = {"question": "q", "answer": "a", "other": "b"}
    detection = detect([record])
    again = Detection.model_validate_json(detection.model_dump_json())
    assert again == detection and to_row(record, again) == QA
    changed = detection.model_copy(update={"columns": {"question": "question", "other": "answer"}})
    assert rows.answer(to_row(record, changed)) == "b"
    assert to_row(record, detection) == QA
    with pytest.raises(RowError, match=r"the format question_answer needs question \+ answer; found question"):
        converter(Detection(format="question_answer", columns={"question": "question"}))


def test_other_readings_are_named():
    detection = detect([{"question": "q", "answer": "a", "text": "t"}])
    assert (detection.format, detection.others) == ("question_answer", ["text"])


def test_a_row_owns_its_messages():
    record = {"messages": [dict(USER), dict(GOOD)]}
    row = to_row(record)
    row.get("prompt", [])[0]["content"] = "changed"
    assert record["messages"][0] == USER
    assert json.loads(json.dumps(row)) == row
