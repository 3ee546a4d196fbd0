"""Records become rows: bad ones set aside with their place, equal ones once, a draw that is always the same."""

import json
from pathlib import Path

import pytest

from trainer.data.loading import DUPLICATE, Loading, read_rows
from trainer.data.records import DataError, Fault
from trainer.data.rows import Row, row_id
from trainer.data.sources import locate
from trainer.data_sections import DataSource


def write(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(path: Path, **options) -> Loading:
    return Loading(DataSource(name=str(path), **options), locate(str(path)))


def test_good_rows_are_kept_and_bad_ones_named(tmp_path: Path):
    path = write(
        tmp_path / "a.jsonl", [{"question": "a", "answer": "b"}, {"question": "c"}, {"question": "d", "answer": ""}]
    )
    rows, faults = read_rows(DataSource(name=str(path)), locate(str(path)))
    assert [row["completion"][0]["content"] for row in rows] == ["b"]
    assert [(fault.place, fault.field, fault.record) for fault in faults] == [
        ("row 2", "answer", {"question": "c"}),
        ("row 3", "answer", {"question": "d", "answer": ""}),
    ]
    assert rows[0]["about"] == {"source": str(path), "place": "row 1", "id": row_id(rows[0])}


def test_a_file_of_bad_rows_alone_is_refused_with_the_first_of_them(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"question": "a", "answer": " "}] * 7)
    with pytest.raises(DataError) as caught:
        read_rows(DataSource(name=str(path)), locate(str(path)))
    said = str(caught.value)
    assert said.startswith("a.jsonl: none of its rows can be used. row 1, field answer: ")
    assert said.endswith(" (and 6 more like it).") and "row 2" not in said


def test_of_different_faults_five_are_named(tmp_path: Path):
    rows = [{"question": "a", "answer": "b", "language": f"L{number}!"} for number in range(7)]
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError) as caught:
        read_rows(DataSource(name=str(path), columns={"language": "language"}), locate(str(path)))
    said = str(caught.value)
    assert said.count("field language: found 'L") == 5 and said.endswith(" (2 more).")


def test_equal_rows_are_used_once_and_said(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}, {"question": "q ", "answer": "a"}])
    first, second = load(path).rows()
    assert not isinstance(first, Fault)
    assert isinstance(second, Fault) and (second.place, second.message) == ("row 2", DUPLICATE)


def test_a_draw_is_the_same_each_time_and_in_the_files_order(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"question": f"q{number}", "answer": "a"} for number in range(50)])
    source = load(path, rows=7)
    drawn = [row["prompt"][0]["content"] for row in source.drawn(3) if not isinstance(row, Fault)]
    assert drawn == [row["prompt"][0]["content"] for row in source.drawn(3) if not isinstance(row, Fault)]
    assert len(drawn) == 7 and drawn == sorted(drawn, key=lambda text: int(text[1:]))
    assert drawn != [row["prompt"][0]["content"] for row in source.drawn(4) if not isinstance(row, Fault)]


def test_a_template_writes_the_rows(tmp_path: Path):
    template = tmp_path / "ask.jinja"
    template.write_text(
        "{% block question %}What is {{ term }}?{% endblock %}{% block answer %}{{ meaning }}{% endblock %}"
    )
    path = write(tmp_path / "a.jsonl", [{"term": "INR", "meaning": "A clotting ratio."}, {"term": "CRP"}])
    good, bad = load(path, template=str(template)).rows()
    assert not isinstance(good, Fault) and good["prompt"][0]["content"] == "What is INR?"
    assert isinstance(bad, Fault) and bad.place == "row 2" and "meaning" in str(bad)
    path = write(tmp_path / "b.jsonl", [{"Wort": "INR", "Sinn": "A clotting ratio."}])
    (row,) = load(path, template=str(template), columns={"Wort": "term", "Sinn": "meaning"}).rows()
    assert not isinstance(row, Fault) and row["completion"][0]["content"] == "A clotting ratio."


def test_rows_of_a_template_keep_whose_they_are_and_from_when(tmp_path: Path):
    path = write(
        tmp_path / "rows.jsonl", [{"MRN": "p1", "seen_on": "2024-02-03", "finding": "Rash.", "named": "Measles."}]
    )
    template = tmp_path / "mine.jinja"
    template.write_text("{% block question %}{{ finding }}{% endblock %}{% block answer %}{{ named }}{% endblock %}")
    (row,) = load(path, template=str(template)).rows()
    assert not isinstance(row, Fault)
    assert (row["about"]["patient"], row["about"]["time"]) == ("p1", "2024-02-03")
    template.write_text("{% block question %}{{ sign }}{% endblock %}{% block answer %}{{ named }}{% endblock %}")
    (row,) = load(path, template=str(template), columns={"MRN": "specialty", "finding": "sign"}).rows()
    assert not isinstance(row, Fault)
    assert row["about"]["specialty"] == "p1" and "patient" not in row["about"]
    with pytest.raises(DataError, match=r"rows\.jsonl, Patient: is named in columns but is not in the file"):
        load(path, template=str(template), columns={"Patient": "patient"})


def test_columns_named_by_hand(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", [{"F1": "Fieber?", "F2": "Ja.", "PatNr": "7"}] * 2)
    with pytest.raises(DataError, match="F1"):
        load(path)
    row = next(load(path, columns={"F1": "question", "F2": "answer", "PatNr": "patient"}).rows())
    assert not isinstance(row, Fault)
    assert row["about"]["patient"] == "7" and row["completion"][0]["content"] == "Ja."


def test_graded_answers_become_pairs_wherever_they_stand(tmp_path: Path):
    graded = [{"question": f"q{number % 2}", "answer": f"a{number}", "rating": 1 + number} for number in range(4)]
    found = load(write(tmp_path / "a.jsonl", graded)).rows()
    pairs: list[Row] = [row for row in found if not isinstance(row, Fault)]
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in pairs] == [
        ("a2", "a0"),
        ("a3", "a1"),
    ]
    assert all(row["about"]["id"] == row_id(row) for row in pairs)


def test_names_that_are_not_there():
    with pytest.raises(DataError, match=r"There is no file 'nowhere\.csv'"):
        locate("nowhere.csv")
    for name in ("starter/nothing", "starter/../../pyproject"):
        with pytest.raises(DataError, match="there are starter/"):
            locate(name)
