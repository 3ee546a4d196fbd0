"""Every container becomes records, in order and with their place; what was rejected can be mended and read again."""

import base64
import json
import os
import stat
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trainer.data.reading import fhir
from trainer.data.reading.containers import recognise
from trainer.data.reading.files import read_records
from trainer.data.reading.rejected import write_rejected
from trainer.data.records import DataError, Fault, Record

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or ROOT.parent / "shared" / "data")


def records(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """All records of a file in which nothing is wrong."""
    rows = list(read_records(path))
    assert [str(row) for row in rows if isinstance(row, Fault)] == []
    return [(row.place, row.values) for row in rows if isinstance(row, Record)]


def faults(path: Path) -> list[Fault]:
    return [row for row in read_records(path) if isinstance(row, Fault)]


@pytest.mark.parametrize(
    ("name", "content", "kind", "evidence"),
    [
        ("a.csv", "question,answer\na,b\n", "delimited", "2 columns separated by comma, named in the first line"),
        ("a.tsv", "question\tanswer\na\tb\n", "delimited", "2 columns separated by tab, named in the first line"),
        ("a.txt", "Frage;Antwort\na;b\n", "delimited", "2 columns separated by semicolon, named in the first line"),
        (
            "a.csv",
            "question|answer\na|b, c\n",
            "delimited",
            "2 columns separated by vertical bar, named in the first line",
        ),
        ("a.csv", "text\nSeen today\nWell\n", "delimited", "1 column separated by comma, named in the first line"),
        ("a.tsv", "No\tO\nfever\tB-Symptom\n", "iob", "a token and an IOB tag on each line"),
        ("a.conll", "No O\nfever B-Symptom\n", "iob", "a token and an IOB tag on each line"),
        ("a.jsonl", '{"a": 1}', "json_lines", "each line is one JSON object"),
        ("a.json", '{"a": 1}', "json", "one JSON document, beginning with {"),
        ("a.json", '[\n{"a": 1},\n{"a": 2}\n]', "json", "one JSON document, beginning with ["),
        ("a.json", '{"data": [\n{"a": 1},\n{"a": 2}\n]}', "json", "one JSON document, beginning with {"),
        ("a.txt", "Dear colleague, thank you\nfor Mrs B, who is well.\n", "text", "plain text: one document"),
        ("a.txt", "[NAME] was seen today.\nShe is well.\n", "text", "plain text: one document"),
        ("a.txt", "Potassium 5.9, repeat", "text", "plain text: one document"),
        ("a.note", "Seen today.\nWell.\n", "text", "plain text: one document"),
    ],
)
def test_what_a_file_is_comes_from_its_content(tmp_path: Path, name: str, content: str, kind: str, evidence: str):
    (tmp_path / name).write_text(content)
    container = recognise(tmp_path / name)
    assert (container.kind, container.evidence) == (kind, [evidence])


def test_a_wrong_ending_and_a_guessed_encoding_are_said(tmp_path: Path):
    (tmp_path / "a.xlsx").write_bytes("frage;antwort\nMénière?;täglich\n".encode("latin-1"))
    assert recognise(tmp_path / "a.xlsx").evidence == [
        "2 columns separated by semicolon, named in the first line",
        "not UTF-8 (3 bytes are none): read as Windows-1252, Latin-1's usual form",
        "the ending .xlsx says otherwise; the content decides",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"a": 1}, {"a": [2]}]', [("row 1", {"a": 1}), ("row 2", {"a": [2]})]),
        ('{"11": {"a": 1}, "12": {"a": 2}}', [("row '11'", {"a": 1}), ("row '12'", {"a": 2})]),
        ('{"only": {"a": 1}}', [("row 'only'", {"a": 1})]),
        ('{"version": 2, "data": [{"a": 1}, {"a": 2}], "by": "us"}', [("row 1", {"a": 1}), ("row 2", {"a": 2})]),
        ('{"train": [{"a": 1}],\n "test": [{"a": 2}]}', [("row 1", {"a": 1}), ("row 2", {"a": 2})]),
        ('{\n"options": {"A": "x"},\n"question": "q"\n}', [("row 1", {"options": {"A": "x"}, "question": "q"})]),
        ('{\n"messages": [{"role": "user"}]\n}', [("row 1", {"messages": [{"role": "user"}]})]),
        ('{\n"a": 1\n}\n{\n"a": 2\n}\n', [("row 1", {"a": 1}), ("row 2", {"a": 2})]),
        ('\ufeff[{"a": 1.5e3},\r\n\t{"a": "\\u00e9\\"[{"}]\n', [("row 1", {"a": 1500.0}), ("row 2", {"a": 'é"[{'})]),
        ("[]", []),
    ],
)
def test_shapes_of_a_json_document(tmp_path: Path, content: str, expected: list[tuple[str, dict[str, Any]]]):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert records(tmp_path / "a.json") == expected


def test_values_across_the_pieces_in_which_a_document_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [{"n": n, "text": "é" * (n % 7), "list": [n, {"deep": "\\"}], "f": -1.25e-3} for n in range(60)]
    (tmp_path / "a.json").write_text(
        json.dumps({"about": "x", "version": 12345, "data": rows}, ensure_ascii=False, indent=1)
    )
    (tmp_path / "a.jsonl").write_text("\r\n".join(json.dumps(row) for row in rows))
    (tmp_path / "a.csv").write_text("n,text\r\n" + "".join(f'{n},"a\nb{n}"\r\n' for n in range(60)), newline="")
    for size in (1, 2, 7, 64):
        monkeypatch.setattr("trainer.data.reading.lines._PIECE", size)
        assert [values for _, values in records(tmp_path / "a.json")] == rows
        assert records(tmp_path / "a.jsonl") == [(f"row {row['n'] + 1}", row) for row in rows]
        assert records(tmp_path / "a.csv") == [(f"row {n + 1}", {"n": str(n), "text": f"a\nb{n}"}) for n in range(60)]


def test_lines_end_only_where_lines_end(tmp_path: Path):
    strange = "a\u2028b\x85c\x0bd\x0ce"
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"q": strange.replace("\x0b", "").replace("\x0c", "")}, ensure_ascii=False)
    )
    (tmp_path / "a.csv").write_text(f"q,a\n{strange},x\n")
    assert records(tmp_path / "a.jsonl") == [("row 1", {"q": "a\u2028b\x85cde"})]
    assert records(tmp_path / "a.csv") == [("row 1", {"q": strange, "a": "x"})]


def test_a_cell_may_hold_a_long_note(tmp_path: Path):
    note = "Seen today, well.\n" * 20_000
    (tmp_path / "a.csv").write_text(f'note,kind\n"{note}",visit\n')
    assert records(tmp_path / "a.csv") == [("row 1", {"note": note, "kind": "visit"})]


def test_parquet_in_types_of_json(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    rows = [
        {
            "text": "a",
            "seen": datetime(2024, 3, 1, 8, 30),
            "born": date(1950, 1, 2),
            "dose": Decimal("2.5"),
            "value": float("nan"),
            "tags": ["x", "y"],
            "about": {"day": date(2024, 3, 1)},
        },
        {"text": None, "seen": None, "born": None, "dose": None, "value": 1.5, "tags": [], "about": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=1)
    assert records(tmp_path / "a.parquet") == [
        (
            "row 1",
            {
                "text": "a",
                "seen": "2024-03-01T08:30:00",
                "born": "1950-01-02",
                "dose": 2.5,
                "value": None,
                "tags": ["x", "y"],
                "about": {"day": "2024-03-01"},
            },
        ),
        (
            "row 2",
            {"text": None, "seen": None, "born": None, "dose": None, "value": 1.5, "tags": [], "about": None},
        ),
    ]


def test_a_damaged_row_group_costs_its_own_rows(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    rows = [{"text": f"note {n} " + "x" * 50} for n in range(30)]
    parquet.write_table(
        pyarrow.Table.from_pylist(rows), path, row_group_size=10, compression="none", use_dictionary=False
    )
    with parquet.ParquetFile(path) as file:
        column = file.metadata.row_group(1).column(0)
        start, size = column.data_page_offset, column.total_compressed_size
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    found = list(read_records(path))
    assert [row.values["text"] for row in found if isinstance(row, Record)] == [
        row["text"] for row in rows[:10] + rows[20:]
    ]
    assert [row.place for row in found if isinstance(row, Fault)] == ["rows 11 to 20"]


def test_every_sheet_of_a_workbook(tmp_path: Path):
    import openpyxl

    book = openpyxl.Workbook()
    notes = book.worksheets[0]
    notes.title = "Notes"
    for row in [
        [],
        ["text", "seen", "value", ""],
        ["Well", datetime(2024, 3, 1), 5, None],
        [None] * 3,
        ["Ill", None, 5.5],
    ]:
        notes.append(row)
    book.create_sheet("Empty")
    book.create_sheet("Questions").append(["question", "answer"])
    book["Questions"].append(["When?", datetime(2024, 3, 1, 8, 30)])
    book.save(tmp_path / "a.xlsx")
    assert records(tmp_path / "a.xlsx") == [
        ("sheet Notes, row 3", {"text": "Well", "seen": "2024-03-01", "value": 5}),
        ("sheet Notes, row 5", {"text": "Ill", "seen": None, "value": 5.5}),
        ("sheet Questions, row 2", {"question": "When?", "answer": "2024-03-01T08:30:00"}),
    ]


def test_a_formula_gives_its_saved_value_and_text_is_never_one(tmp_path: Path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in [["a", "b"], [1, "=A2+1"], [2, "x"]]:
        book.worksheets[0].append(row)
    book.worksheets[0]["B3"].value = "=A3"
    book.worksheets[0]["B3"].data_type = "s"
    book.save(tmp_path / "plain.xlsx")
    with zipfile.ZipFile(tmp_path / "plain.xlsx") as old, zipfile.ZipFile(tmp_path / "saved.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert b"<f>A2+1</f>" in content
                content = content.replace(b"<f>A2+1</f><v></v>", b"<f>A2+1</f><v>2</v>")
                content = content.replace(b"<f>A2+1</f><v />", b"<f>A2+1</f><v>2</v>")
                content = content.replace(b"<f>A2+1</f><v/>", b"<f>A2+1</f><v>2</v>")
            new.writestr(name, content)
    assert records(tmp_path / "saved.xlsx") == [
        ("sheet Sheet, row 2", {"a": 1, "b": 2}),
        ("sheet Sheet, row 3", {"a": 2, "b": "=A3"}),
    ]
    (fault,) = faults(tmp_path / "plain.xlsx")
    assert (fault.place, fault.field, fault.record) == ("sheet Sheet, row 2", "b", {"a": 1, "b": None})


def test_a_word_document_is_one_text_with_its_tables(tmp_path: Path):
    import docx
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    document = docx.Document()
    document.add_paragraph("Discharge letter")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells), ["Drug", "Dose", "Ramipril", "5 mg"], strict=True
    ):
        cell.text = text
    document.add_paragraph("Follow-up in two weeks.")
    body = document.element.body
    run = "<w:r><w:t xml:space='preserve'>{}</w:t></w:r>"
    changed = f"<w:p {nsdecls('w')}>{run.format('Dose ')}<w:ins w:id='1'>{run.format('raised')}</w:ins>"
    changed += "<w:del w:id='2'><w:r><w:delText>lowered</w:delText></w:r></w:del></w:p>"
    control = f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p>{run.format('Allergies: none')}</w:p></w:sdtContent></w:sdt>"
    body.insert(len(body) - 1, parse_xml(changed))
    body.insert(len(body) - 1, parse_xml(control))
    document.save(str(tmp_path / "letter.docx"))
    text = "Discharge letter\nDrug | Dose\nRamipril | 5 mg\nFollow-up in two weeks.\nDose raised\nAllergies: none"
    assert records(tmp_path / "letter.docx") == [("letter.docx", {"text": text, "document": "letter.docx"})]


def test_a_table_of_rows_in_a_word_document(tmp_path: Path):
    import docx

    document = docx.Document()
    document.add_paragraph("Please check these.")
    table = document.add_table(rows=3, cols=2)
    texts = ["Question", "Answer", "Target INR in atrial fibrillation?", "2 to 3", "", ""]
    for cell, text in zip((cell for row in table.rows for cell in row.cells), texts, strict=True):
        cell.text = text
    document.save(str(tmp_path / "rows.docx"))
    record, fault = read_records(tmp_path / "rows.docx")
    assert record == Record("table 1, row 2", {"Question": "Target INR in atrial fibrillation?", "Answer": "2 to 3"})
    assert isinstance(fault, Fault)
    assert str(fault) == (
        "text: stands beside tables of rows and was left out; for training on it, put it into a file of its own"
    )
    assert fault.record == {"text": "Please check these.", "document": "rows.docx"}


def test_a_text_is_one_document(tmp_path: Path):
    (tmp_path / "visit.txt").write_bytes(b"\xef\xbb\xbfSeen today.\r\nWell.\r\n")
    assert records(tmp_path / "visit.txt") == [("visit.txt", {"text": "Seen today.\nWell.", "document": "visit.txt"})]


def test_a_folder_and_an_archive_give_the_same(tmp_path: Path):
    folder = tmp_path / "notes"
    (folder / "b").mkdir(parents=True)
    (folder / "a.csv").write_text("question,answer\nq,a\n")
    (folder / "b" / "visit.txt").write_text("Seen today.")
    (folder / "b.jsonl").write_text('{"question": "q"}')
    expected = [
        ("a.csv, row 1", {"question": "q", "answer": "a"}),
        ("b.jsonl, row 1", {"question": "q"}),
        ("b/visit.txt", {"text": "Seen today.", "document": "b/visit.txt"}),
    ]
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(folder))
    assert records(folder) == expected
    assert records(tmp_path / "notes.zip") == expected


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": "Sternberg", "given": ["Olga"]}],
    "identifier": [{"value": "MRN-778812"}],
}
OF_P1 = {"subject": {"reference": "Patient/p1", "display": "Olga Sternberg"}}
NOTE = {
    "resourceType": "DocumentReference",
    "date": "2024-05-02T10:00:00Z",
    "content": [
        {"attachment": {"contentType": "application/pdf", "data": b64("%PDF")}},
        {"attachment": {"contentType": "text/plain; charset=utf-8", "data": b64("Knee pain, better.\n")}},
    ],
} | OF_P1
REPORT = {
    "resourceType": "DiagnosticReport",
    "effectiveDateTime": "2024-05-03",
    "presentedForm": [{"contentType": "text/html", "data": b64("<p>No <b>fracture</b>.</p><p>Effusion.</p>")}],
} | OF_P1
CONDITION = {"resourceType": "Condition", "code": {"coding": [{"code": "M10", "display": "Gout"}]}} | OF_P1
REFUTED = {
    "resourceType": "Condition",
    "code": {"text": "Septic arthritis"},
    "verificationStatus": {"coding": [{"code": "refuted"}]},
} | OF_P1
DRUG = {"resourceType": "Medication", "id": "m1", "code": {"text": "Allopurinol 100 mg"}}
REQUEST = {
    "resourceType": "MedicationRequest",
    "medicationReference": {"reference": "Medication/m1"},
    "dosageInstruction": [{"text": "one tablet a day"}],
} | OF_P1
WITHOUT_NOTE = [
    {"resourceType": "Condition", "code": {"text": "Asthma"}, "subject": {"reference": "urn:uuid:p2"}},
    {
        "resourceType": "MedicationStatement",
        "medicationCodeableConcept": {"text": "Salbutamol"},
        "subject": {"reference": "Patient/p2"},
    },
]
RESOURCES = [PATIENT, NOTE, REPORT, CONDITION, CONDITION, REFUTED, REQUEST, DRUG, *WITHOUT_NOTE]
BESIDE = {"conditions": ["Gout"], "medications": ["Allopurinol 100 mg, one tablet a day"]}
OF_RESOURCES = [
    {"patient": "p1", "time": "2024-05-02T10:00:00Z", "text": "Knee pain, better.", **BESIDE},
    {"patient": "p1", "time": "2024-05-03", "text": "No fracture.\nEffusion.", **BESIDE},
    {
        "patient": "p2",
        "time": "",
        "text": "Conditions:\n- Asthma\n\nMedications:\n- Salbutamol",
        "conditions": ["Asthma"],
        "medications": ["Salbutamol"],
    },
]


def as_bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"entry": [{"resource": one} for one in resources], "resourceType": "Bundle", "type": "collection"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bundle.json", json.dumps(as_bundle(RESOURCES))),
        ("bundle.json", json.dumps(as_bundle(RESOURCES), indent=2)),
        ("list.json", json.dumps(RESOURCES)),
        ("resources.ndjson", "\n".join(json.dumps(one) for one in RESOURCES)),
        ("bundles.ndjson", "\n".join(json.dumps(as_bundle(part)) for part in (RESOURCES[:8], RESOURCES[8:]))),
    ],
)
def test_fhir_resources_give_a_record_for_each_note(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)
    found = records(tmp_path / name)
    assert [values for _, values in found] == OF_RESOURCES
    assert found[0][0] in {"entry 2", "row 2", "row 1, entry 2"}
    assert "Sternberg" not in str(found) and "778812" not in str(found)


def test_fhir_files_of_one_export_are_read_as_one(tmp_path: Path):
    folder = tmp_path / "export"
    folder.mkdir()
    for kind in {one["resourceType"] for one in RESOURCES}:
        lines = [json.dumps(one) for one in RESOURCES if one["resourceType"] == kind]
        (folder / f"{kind}.ndjson").write_text("\n".join(lines))
    (folder / "a.csv").write_text("question,answer\nq,a\n")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for source in (folder, tmp_path / "export.zip"):
        (first, *found) = records(source)
        assert first[0] == "a.csv, row 1"
        assert sorted((values for _, values in found), key=str) == sorted(OF_RESOURCES, key=str)
        assert {place for place, _ in found} == {
            "DocumentReference.ndjson, row 1",
            "DiagnosticReport.ndjson, row 1",
            "Condition.ndjson, row 4",
        }


def test_rows_that_hold_a_resource_are_rows(tmp_path: Path):
    row = {"question": "q", "answer": "a", "resource": {"resourceType": "Patient"}}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row)}")
    assert records(tmp_path / "a.json") == [("row 1", row)]
    assert records(tmp_path / "a.jsonl") == [("row 1", row), ("row 2", row)]


def test_a_single_fhir_resource(tmp_path: Path):
    (tmp_path / "note.json").write_text(json.dumps(NOTE, indent=2, sort_keys=True))
    assert records(tmp_path / "note.json") == [
        (
            "entry 1",
            {"patient": "p1", "time": NOTE["date"], "text": "Knee pain, better.", "conditions": [], "medications": []},
        )
    ]


def test_a_patient_known_by_an_identifier_alone_is_not_named(tmp_path: Path):
    subject = {"identifier": {"value": "MRN-778812"}, "display": "Olga Sternberg"}
    (tmp_path / "a.ndjson").write_text(
        f"{json.dumps(NOTE | {'subject': subject})}\n{json.dumps(CONDITION | {'subject': subject})}"
    )
    ((_, values),) = records(tmp_path / "a.ndjson")
    assert (len(values["patient"]), values["conditions"]) == (16, ["Gout"])
    assert "778812" not in str(values) and "Sternberg" not in str(values)


def test_fhir_is_read_again_for_each_look_at_it():
    calls = 0

    def rows() -> list[Record | Fault]:
        nonlocal calls
        calls += 1
        return [Record("row 1", CONDITION)]

    assert len(list(fhir.read("a", rows))) == 1
    assert calls == 3


def test_rejected_rows_can_be_mended_and_read_again(tmp_path: Path):
    (tmp_path / "a.csv").write_text("question,answer\nq,a\n=1+1,b,c\nGout?,\x00\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"question": "q\xe9\xe9"}\n{"question": \n' + '{"q": "äöüß"}\n'.encode())
    found = [*faults(tmp_path / "a.csv"), *faults(tmp_path / "b.jsonl")]
    path = tmp_path / "rejected.jsonl"
    assert write_rejected(path, found) == 4
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "place": "row 2 (line 3)",
            "field": "answer",
            "message": "has 3 cells for 2 columns; put a cell that holds the separator in double quotes",
            "record": {"question": "=1+1", "answer": "b", "beyond the columns": ["c"]},
        },
        {
            "place": "row 3 (line 4)",
            "field": "answer",
            "message": "holds a zero byte, which is no text; the file may be damaged there: remove it, or the row",
            "record": {"question": "Gout?", "answer": "\ufffd"},
        },
        {
            "place": "row 1",
            "field": "",
            "message": "is not UTF-8 text (byte 0xE9); save the file as UTF-8, or mend the row",
            "record": {"question": "q\ufffd\ufffd"},
        },
        {
            "place": "row 2",
            "field": "",
            "message": "is not valid JSON (it ends in the middle); mend or remove it",
            "record": '{"question":',
        },
    ]
    # As they are, none is taken for a row.
    assert [fault.place for fault in faults(path)] == ["row 1", "row 2", "row 3", "row 4"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["record"] = {"question": "=1+1", "answer": "b, c"}
    lines[2]["record"] = {"question": "qéé"}
    path.write_text("".join(json.dumps(line) + "\n" for line in (lines[0], lines[2])))
    assert records(path) == [
        ("row 1 (mended)", {"question": "=1+1", "answer": "b, c"}),
        ("row 2 (mended)", {"question": "qéé"}),
    ]


def test_a_rejected_file_appears_whole_or_not_at_all(tmp_path: Path):
    def some():
        yield Fault(place="row 1", field="", message="x")
        raise DataError("stop")

    path = tmp_path / "rejected.jsonl"
    path.write_text("old")
    with pytest.raises(DataError):
        write_rejected(path, some())
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["rejected.jsonl"]
    assert write_rejected(path, []) == 0
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        ("medquad", 2008),
        ("pubmedqa", 1000),
        ("medqa_us", 1273),
        ("medsafetybench", 1800),
        ("mts_dialog", 1501),
        ("ner_bc5cdr", 9378),
        ("presidio_research", 1500),
    ],
)
def test_published_folders_are_read_without_a_word(folder: str, rows: int):
    path = CORPUS / folder
    if not path.is_dir():
        pytest.skip(f"{path} is not there; BEDSIDE_CORPUS names the folder of the published data")
    found = list(read_records(path))
    assert sum(isinstance(row, Record) for row in found) == rows
    # Only what is not data is left out: licence, readme, and PubMedQA's list of answers by id.
    wrong = {row.place.split(",")[0] for row in found if isinstance(row, Fault)}
    assert wrong <= {"LICENCE", "readme.txt", "test_ground_truth.json"}
