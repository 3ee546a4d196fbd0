"""Files that are broken, mislabelled or made to do harm: a clear sentence each, the good rows kept, nothing run."""

import base64
import io
import json
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import parquet, word

from trainer.data.reading import archives
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record

ONE = {"question": "What lowers potassium at once?", "answer": "Insulin with glucose, and calcium for the heart."}
TWO = {"question": "How is gout in flare treated?", "answer": "Colchicine, an NSAID or a short course of steroids."}
LINE_ONE, LINE_TWO = json.dumps(ONE), json.dumps(TWO)
CSV_ONE = f'{ONE["question"]},"{ONE["answer"]}"\n'
CSV_TWO = f'{TWO["question"]},"{TWO["answer"]}"\n'
HEADER = "question,answer\n"
QUOTE = (
    "has a quote that is never closed, or a quote inside a quoted cell, which has to be written twice; "
    "the lines after it were read as rows of their own: look whether they are"
)
NOTHING_AFTER = "what comes before was read, and nothing after it can be: mend the file"
Make = Callable[[Path], None]


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Records and what is said of the others, which can be written to the file of rejected rows."""
    rows = list(read_records(path))
    good = [row.values for row in rows if isinstance(row, Record)]
    faults = [row for row in rows if isinstance(row, Fault)]
    for fault in faults:
        json.dumps(fault.model_dump(), ensure_ascii=False).encode()
    return good, [str(fault) for fault in faults]


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def workbook(rows: list[list[Any]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table notes (text)")
    return connection.serialize()


def with_part(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    return zipped(members | {name: change(members.get(name, b""))})


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def entity_bomb(xml: bytes) -> bytes:
    return xml.replace(b"?>", b"?>" + BOMB, 1) if b"?>" in xml else BOMB + xml


def encrypted(content: bytes) -> bytes:
    """The same zip with the flag that says its members are encrypted, in both places where it stands."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(mark, at + 4)
    return bytes(changed)


UNUSABLE: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "empty.csv is empty; it holds no rows."),
    ("space.jsonl", b" \n\t\r\n\n", "space.jsonl is empty; it holds no rows."),
    ("mark.csv", b"\xef\xbb\xbf", "mark.csv is empty; it holds no rows."),
    ("zeros.csv", b"\0" * 5000, "zeros.csv is empty; it holds no rows."),
    (
        "header.csv",
        b"question,answer\n",
        "header.csv names its columns (question, answer), but holds no rows; add rows.",
    ),
    (
        "twice.csv",
        b"question,answer,answer\na,b,c\n",
        "twice.csv: columns 2 and 3 are both named 'answer'; give each its own name.",
    ),
    (
        "open_header.csv",
        b'"question,answer\na,b\n',
        "open_header.csv: the first line, which names the columns, has a quote that is never closed; mend it.",
    ),
    (
        "page.csv",
        b"<html><table><tr><td>question</td></tr></table></html>",
        "page.csv cannot be read: it is HTML or XML; save its text or its table as .csv or .jsonl.",
    ),
    (
        "letter.docx",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "letter.docx cannot be read: it is a PDF; save its text as .docx or .txt, or its tables as .csv.",
    ),
    (
        "scan.csv",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "scan.csv cannot be read: it is an image; give its text.",
    ),
    ("photo.jsonl", b"\xff\xd8\xff\xe0\0\x10JFIF", "photo.jsonl cannot be read: it is an image; give its text."),
    ("tool.csv", b"\x7fELF\x02\x01\x01", "tool.csv cannot be read: it is a program, not data."),
    ("setup.json", b"MZ\x90\0\x03\0\0\0", "setup.json cannot be read: it is a program, not data."),
    ("rows.csv.gz", b"\x1f\x8b\x08\0", "rows.csv.gz cannot be read: it is compressed with gzip; unpack it first."),
    (
        "rows.pkl",
        pickle.dumps([ONE]),
        "rows.pkl cannot be read: it is a Python pickle, which could run code; save the data as .jsonl.",
    ),
    (
        "rows.csv",
        database(),
        "rows.csv cannot be read: it is an SQLite database; export the table as .csv.",
    ),
    (
        "locked.xlsx",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + "EncryptedPackage".encode("utf-16-le"),
        "locked.xlsx cannot be read: it is a password-protected or an old Office file; open it, remove the password, "
        "and save it as .xlsx or .docx.",
    ),
    ("note.rtf", b"{\\rtf1\\ansi Seen today.}", "note.rtf cannot be read: it is RTF; save it as .docx or .txt."),
    (
        "noise.csv",
        bytes((7 * n * n + 13 * n) % 256 for n in range(4000)),
        "noise.csv cannot be read: it is a binary file of no known kind.",
    ),
    *(
        (
            name,
            text.encode(encoding),
            f"{name} cannot be read: its text is in neither UTF-8 nor a Western European encoding; save it as UTF-8.",
        )
        for name, text, encoding in (
            ("chinese.csv", "问题,答案\n什么药降血钾?,胰岛素和葡萄糖\n", "gb18030"),
            ("russian.csv", "вопрос,ответ\nЧем снизить калий?,Инсулин с глюкозой\n", "cp1251"),
        )
    ),
    (
        "cut.zip",
        zipped({"a.jsonl": LINE_ONE.encode()})[:-30],
        "cut.zip is a damaged zip file (its end is missing); copy it again.",
    ),
    (
        "cut.xlsx",
        workbook([["question", "answer"], ["a", "b"]])[:-100],
        "cut.xlsx is a damaged zip file (its end is missing); copy it again.",
    ),
    ("nothing.zip", zipped({}), "nothing.zip is an archive without files; pack the data into it."),
    ("pictures.docx", word([]), "pictures.docx holds no text (pictures are not read); give its text."),
    (
        "bomb.docx",
        with_part(word(["Seen today."]), "word/document.xml", entity_bomb),
        "bomb.docx: its part word/document.xml declares a DOCTYPE, which no Office program writes.",
    ),
    (
        "bomb.xlsx",
        with_part(workbook([["a"], ["b"]]), "xl/workbook.xml", entity_bomb),
        "bomb.xlsx: its part xl/workbook.xml declares a DOCTYPE, which no Office program writes.",
    ),
    (
        "hidden.docx",
        with_part(
            word(["Seen today."]),
            "word/document.xml",
            lambda xml: entity_bomb(xml).decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        ),
        "hidden.docx: its part word/document.xml is not UTF-8 XML; open it and save it again.",
    ),
    (
        "swollen.xlsx",
        with_part(workbook([["a"], ["b"]]), "xl/worksheets/sheet1.xml", lambda xml: xml + b" " * 30_000_000),
        "swollen.xlsx unpacks to more than 200 times its size, as files made to do harm do; it is not opened.",
    ),
    (
        "sheets.ods",
        zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": b"<x/>"}),
        "sheets.ods cannot be read: it is a presentation, a binary workbook or an OpenDocument file; "
        "save it as .xlsx, .docx or .csv.",
    ),
    ("blank.xlsx", workbook([]), "blank.xlsx holds no rows; its sheets are empty."),
    (
        "bundle.json",
        b'{"resourceType": "Bundle", "type": "collection", "entry": []}',
        "bundle.json holds FHIR resources, but no notes (DocumentReference, DiagnosticReport), conditions or "
        "medications; export those.",
    ),
]


@pytest.mark.parametrize(("name", "content", "sentence"), UNUSABLE, ids=[name for name, _, _ in UNUSABLE])
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_records(tmp_path / name))
    assert str(caught.value) == sentence


def test_a_damaged_parquet_file_is_refused(tmp_path: Path):
    (tmp_path / "cut.parquet").write_bytes(parquet([ONE, TWO])[:-20])
    with pytest.raises(DataError, match=r"^cut\.parquet is a damaged Parquet file \(.+\); export or copy it again\.$"):
        list(read_records(tmp_path / "cut.parquet"))


def test_a_workbook_whose_parts_are_missing_is_refused(tmp_path: Path):
    content = with_part(workbook([["a"], ["b"]]), "xl/workbook.xml", lambda xml: xml[: len(xml) // 2])
    (tmp_path / "half.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"^half\.xlsx is a damaged workbook \(.+\); open it and save it again\.$"):
        list(read_records(tmp_path / "half.xlsx"))


def test_a_word_document_whose_parts_are_missing_is_refused(tmp_path: Path):
    content = with_part(word(["Seen today."]), "word/document.xml", lambda xml: xml[: len(xml) // 2])
    (tmp_path / "half.docx").write_bytes(content)
    with pytest.raises(DataError, match=r"^half\.docx is a damaged Word document \(.+\); open it and save it again\.$"):
        list(read_records(tmp_path / "half.docx"))


# File, content, good rows in their order, faults in full.
PARTLY: list[tuple[str, bytes, list[dict[str, Any]], list[str]]] = [
    (
        "cut.jsonl",
        f"{LINE_ONE}\n{LINE_TWO[:40]}".encode(),
        [ONE],
        ["row 2: is not valid JSON (it ends in the middle); mend or remove it"],
    ),
    (
        "first_cut.jsonl",
        f"{LINE_ONE[:40]}\n{LINE_TWO}\n{LINE_ONE}\n".encode(),
        [TWO, ONE],
        ["row 1: is not valid JSON (it ends in the middle); mend or remove it"],
    ),
    ("mark.jsonl", b"\xef\xbb\xbf" + f"{LINE_ONE}\n{LINE_TWO}\n".encode(), [ONE, TWO], []),
    ("mark.csv", b"\xef\xbb\xbf" + f"{HEADER}{CSV_ONE}{CSV_TWO}".encode(), [ONE, TWO], []),
    ("wide.csv", f"{HEADER}{CSV_ONE}{CSV_TWO}".encode("utf-16"), [ONE, TWO], []),
    ("wide_without_mark.csv", f"{HEADER}{CSV_ONE}{CSV_TWO}".encode("utf-16-be"), [ONE, TWO], []),
    ("wide.jsonl", f"{LINE_ONE}\n{LINE_TWO}\n".encode("utf-16"), [ONE, TWO], []),
    (
        "cut_wide.csv",
        f"{HEADER}{CSV_ONE}a,b".encode("utf-16")[:-1],
        [ONE],
        ["row 2 (line 3), field answer: is not UTF-16 text; save the file as UTF-8, or mend the row"],
    ),
    (
        "latin.csv",
        "question,answer\nMénière?,Schwindel, aber ähnlich\nM\xe9ni\xe8re?,Vertige\n".encode("latin-1"),
        [{"question": "Ménière?", "answer": "Vertige"}],
        [
            "row 1 (line 2), field answer: has 3 cells for 2 columns; put a cell that holds the separator in double "
            "quotes"
        ],
    ),
    (
        "windows.csv",
        "question;answer\nDose?;“5 mg” – täglich\n".encode("cp1252"),
        [{"question": "Dose?", "answer": "“5 mg” – täglich"}],
        [],
    ),
    (
        "two_encodings.csv",
        "question,answer\nMénière ça va là,né\n".encode() + b"M\xe9ni\xe8re,b\nc,d\n",
        [{"question": "Ménière ça va là", "answer": "né"}, {"question": "c", "answer": "d"}],
        ["row 2 (line 3), field question: is not UTF-8 text (byte 0xE9); save the file as UTF-8, or mend the row"],
    ),
    (
        "two_encodings.jsonl",
        '{"question": "Ménière ça va", "answer": "é"}\n'.encode() + b'{"question": "M\xe9", "answer": "b"}\n',
        [{"question": "Ménière ça va", "answer": "é"}],
        ["row 2: is not UTF-8 text (byte 0xE9); save the file as UTF-8, or mend the row"],
    ),
    (
        "half_a_character.json",
        b'["Gout \\ud83e", {"question": "a", "answer": "b"}]',
        [{"question": "a", "answer": "b"}],
        ["row 1: is a text; a row has to be one JSON object"],
    ),
    (
        "two_encodings.conll",
        "Ménière\tB-Disease\nça\tO\n\n".encode() + b"gout\tB-Dis\xe9ase\n\nthe\tO\nankl\xe9 hurts\n",
        [{"tokens": ["Ménière", "ça"], "tags": ["B-Disease", "O"]}],
        [
            "sentence at line 4, field tags: is not UTF-8 text (byte 0xE9); save the file as UTF-8, or mend the row",
            "sentence at line 6, field tags: line 7 is not a token and an IOB tag (O, B-Name or I-Name)",
        ],
    ),
    (
        "zero.csv",
        f"{HEADER}{CSV_ONE}Gout\0?,b\n{CSV_TWO}".encode(),
        [ONE, TWO],
        [
            "row 2 (line 3), field question: holds a zero byte, which is no text; the file may be damaged there: "
            "remove it, or the row"
        ],
    ),
    (
        "zero.jsonl",
        f'{LINE_ONE}\n{{"question": "a\0", "answer": "b"}}\n{LINE_TWO}\n'.encode(),
        [ONE, TWO],
        ["row 2: holds a zero byte, which is no text; the file may be damaged there: remove it, or the row"],
    ),
    (
        "more_cells.csv",
        f"{HEADER}{CSV_ONE}Stop metformin, when?,Below an eGFR of 30, in general.\n{CSV_TWO}".encode(),
        [ONE, TWO],
        [
            "row 2 (line 3), field answer: has 4 cells for 2 columns; put a cell that holds the separator in double "
            "quotes"
        ],
    ),
    (
        "fewer_cells.csv",
        f"{HEADER}{CSV_ONE}Stop metformin?\n{CSV_TWO}".encode(),
        [ONE, TWO],
        ["row 2 (line 3), field answer: has one cell for 2 columns; the first that is missing is 'answer': add it"],
    ),
    (
        "mostly_ragged.csv",
        b"question,answer\na\nb\nc\nd,e\n",
        [{"question": "d", "answer": "e"}],
        [
            f"row {n} (line {n + 1}), field answer: has one cell for 2 columns; the first that is missing is 'answer': "
            "add it"
            for n in (1, 2, 3)
        ],
    ),
    (
        "index.csv",
        b",question\n0,a\n1,b\n",
        [{"column 1": "0", "question": "a"}, {"column 1": "1", "question": "b"}],
        [],
    ),
    (
        "open_quote.csv",
        f'{HEADER}{CSV_ONE}Gout?,"Rest\n{CSV_TWO}{CSV_ONE}'.encode(),
        [ONE, TWO, ONE],
        [f"row 2 (line 3), field answer: {QUOTE}"],
    ),
    (
        "open_quote_last.csv",
        f'{HEADER}{CSV_ONE}Gout?,"Rest\na,b\nc,d\n'.encode(),
        [ONE, {"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}],
        [f"row 2 (line 3), field answer: {QUOTE}"],
    ),
    (
        "open_quotes.csv",
        f'{HEADER}{CSV_ONE}Gout?,"Rest\n{CSV_TWO}Fever?,"Rest\na\n{CSV_ONE}'.encode(),
        [ONE, TWO, ONE],
        [
            f"row 2 (line 3), field answer: {QUOTE}",
            f"row 4 (line 5), field answer: {QUOTE}",
            "row 5 (line 6), field answer: has one cell for 2 columns; the first that is missing is 'answer': add it",
        ],
    ),
    (
        "quote_inside.csv",
        f'{HEADER}{CSV_ONE}"The "worst" headache?",CT\n{CSV_TWO}'.encode(),
        [ONE, TWO],
        [f"row 2 (line 3): {QUOTE}"],
    ),
    (
        "quotes.csv",
        b'question,answer\n"Say ""ah""",12" tube\n"two\nlines","a,b"\n',
        [{"question": 'Say "ah"', "answer": '12" tube'}, {"question": "two\nlines", "answer": "a,b"}],
        [],
    ),
    ("carriage.csv", f"{HEADER}{CSV_ONE}{CSV_TWO}".replace("\n", "\r").encode(), [ONE, TWO], []),
    ("carriage.jsonl", f"{LINE_ONE}\r{LINE_TWO}\r".encode(), [ONE, TWO], []),
    (
        "two_separators.csv",
        f"{HEADER}{CSV_ONE}Gout?;Rest\n{CSV_TWO}".encode(),
        [ONE, TWO],
        ["row 2 (line 3), field answer: has one cell for 2 columns; the first that is missing is 'answer': add it"],
    ),
    ("excel.csv", b"sep=;\nquestion;answer\na;b\n", [{"question": "a", "answer": "b"}], []),
    ("excel_comma.csv", b"sep=,\nquestion,answer\na,b\n", [{"question": "a", "answer": "b"}], []),
    ("trailing.csv", f"{HEADER}{CSV_ONE},\n\n,\n".encode(), [ONE], []),
    (
        "formulas.csv",
        b"question,answer\n=1+1,\"=cmd|' /C calc'!A0\"\n+5,@SUM(A1)\n-3,b\n",
        [
            {"question": "=1+1", "answer": "=cmd|' /C calc'!A0"},
            {"question": "+5", "answer": "@SUM(A1)"},
            {"question": "-3", "answer": "b"},
        ],
        [],
    ),
    (
        "nan.jsonl",
        f'{LINE_ONE}\n{{"question": "a", "answer": NaN}}\n{{"n": -Infinity}}\n{LINE_TWO}\n'.encode(),
        [ONE, TWO],
        [
            "row 2: is not valid JSON (NaN is no value in JSON, null is); mend or remove it",
            "row 3: is not valid JSON (-Infinity is no value in JSON, null is); mend or remove it",
        ],
    ),
    (
        "nan.json",
        f'[{LINE_ONE}, {{"question": "a", "answer": NaN}}, {LINE_TWO}]'.encode(),
        [ONE, TWO],
        ["row 2: is not valid JSON (NaN is no value in JSON, null is); mend or remove it"],
    ),
    (
        "twice.jsonl",
        f'{LINE_ONE}\n{{"question": "a", "answer": "b", "answer": "c"}}\n{LINE_TWO}\n'.encode(),
        [ONE, TWO],
        ["row 2: is not valid JSON ('answer' is there twice); mend or remove it"],
    ),
    (
        "twice.json",
        f'[{LINE_ONE}, {{"m": {{"a": 1, "a": 2}}}}, {LINE_TWO}]'.encode(),
        [ONE, TWO],
        ["row 2: is not valid JSON ('a' is there twice); mend or remove it"],
    ),
    (
        "digits.jsonl",
        f'{{"n": 123456789012345678901234567890}}\n{{"n": {"9" * 5000}}}\n{LINE_TWO}\n'.encode(),
        [{"n": 123456789012345678901234567890}, TWO],
        ["row 2: is not valid JSON (a number has 5,000 digits); mend or remove it"],
    ),
    (
        "half.jsonl",
        f'{LINE_ONE}\n{{"question": "a", "answer": "b \\ud83d"}}\n{{"question": "\\ud83d\\ude00"}}\n'.encode(),
        [ONE, {"question": "😀"}],
        [
            "row 2, field answer: holds what is no text (a zero byte, or half of a character such as \\ud800); write "
            "what was meant, or remove it"
        ],
    ),
    (
        "half.json",
        f'[{LINE_ONE}, {{"question": "a", "answer": ["b", "\\uDC00"]}}, {LINE_TWO}]'.encode(),
        [ONE, TWO],
        [
            "row 2, field answer: holds what is no text (a zero byte, or half of a character such as \\ud800); write "
            "what was meant, or remove it"
        ],
    ),
    (
        "zero.jsonl",
        f'{LINE_ONE}\n{{"question": "a", "answer": "b \\u0000"}}\n{{"question": "\\\\u0000"}}\n'.encode(),
        [ONE, {"question": "\\u0000"}],
        [
            "row 2, field answer: holds what is no text (a zero byte, or half of a character such as \\ud800); write "
            "what was meant, or remove it"
        ],
    ),
    (
        "kinds.jsonl",
        f'{LINE_ONE}\n"a text"\n[1, 2]\nnull\n7\ntrue\n{LINE_TWO}\n{LINE_ONE}\n{LINE_TWO}\n{LINE_ONE}\n'.encode(),
        [ONE, TWO, ONE, TWO, ONE],
        [
            "row 2: is a text; a row has to be one JSON object",
            "row 3: is a list; a row has to be one JSON object",
            "row 4: is null; a row has to be one JSON object",
            "row 5: is a number; a row has to be one JSON object",
            "row 6: is true or false; a row has to be one JSON object",
        ],
    ),
    (
        "lists.json",
        b'[["question", "answer"], ["a", "b"]]',
        [],
        ["row 1: is a list; a row has to be one JSON object", "row 2: is a list; a row has to be one JSON object"],
    ),
    (
        "texts.json",
        b'["a", "b"]',
        [],
        ["row 1: is a text; a row has to be one JSON object", "row 2: is a text; a row has to be one JSON object"],
    ),
    (
        "two_on_a_line.jsonl",
        f"{LINE_ONE}\n{LINE_ONE} {LINE_TWO}\n{LINE_TWO}\n".encode(),
        [ONE, TWO],
        ["row 2: is not valid JSON (more follows after its end); mend or remove it"],
    ),
    ("spaced.jsonl", f"\n  {LINE_ONE}\n\t\n {LINE_TWO}  \n\n".encode(), [ONE, TWO], []),
    (
        "cut.json",
        f"[{LINE_ONE},\n{LINE_TWO[:40]}".encode(),
        [ONE],
        [f"after row 1: the document is not valid JSON here (it ends in the middle) (line 2); {NOTHING_AFTER}"],
    ),
    (
        "comma.json",
        f"[{LINE_ONE}\n{LINE_TWO}]".encode(),
        [ONE],
        [f"after row 1: the document is not valid JSON here (found '{{' where ']' belongs) (line 2); {NOTHING_AFTER}"],
    ),
    (
        "python.json",
        b"{'question': 'a'}",
        [],
        [f"row 1: the document is not valid JSON here (a name in double quotes is missing) (line 1); {NOTHING_AFTER}"],
    ),
    (
        "deep.jsonl",
        f'{LINE_ONE}\n{{"a": {"[" * 70}{"]" * 70}}}\n{{"a": {"[" * 50000}{"]" * 50000}}}\n{LINE_TWO}\n'.encode(),
        [ONE, TWO],
        [
            "row 2: is nested more than 64 levels deep; give flat objects",
            "row 3: is nested more than 64 levels deep; give flat objects",
        ],
    ),
    (
        "deep.json",
        f'[{LINE_ONE}, {{"a": {"[" * 50000}{"]" * 50000}}}]'.encode(),
        [ONE],
        [f"after row 1: is nested more than 64 levels deep; give flat objects (line 1); {NOTHING_AFTER}"],
    ),
    ("really_lines.csv", f"{LINE_ONE}\n{LINE_TWO}\n".encode(), [ONE, TWO], []),
    ("really_a_table.jsonl", f"{HEADER}{CSV_ONE}{CSV_TWO}".encode(), [ONE, TWO], []),
    ("really_a_list.txt", f"[{LINE_ONE},\n{LINE_TWO}\n]".encode(), [ONE, TWO], []),
    ("really_a_workbook.csv", workbook([["question", "answer"], [*TWO.values()]]), [TWO], []),
    ("really_parquet.json", parquet([ONE, TWO]), [ONE, TWO], []),
    ("really_a_zip.xlsx", zipped({"a.jsonl": f"{LINE_ONE}\n{LINE_TWO}".encode()}), [ONE, TWO], []),
    (
        "broken.tsv",
        b"Aspirin\tB-Chemical\nhelps\tO\n\nIt\tO\nbroken line\nhelps\tO\n\nIbuprofen\tB-Chemical\n",
        [
            {"tokens": ["Aspirin", "helps"], "tags": ["B-Chemical", "O"]},
            {"tokens": ["Ibuprofen"], "tags": ["B-Chemical"]},
        ],
        ["sentence at line 4, field tags: line 5 is not a token and an IOB tag (O, B-Name or I-Name)"],
    ),
    (
        "formula.xlsx",
        workbook([["question", "answer"], ["a", "b"], ["c", '=HYPERLINK("http://x", "y")'], ["d", "e"]]),
        [{"question": "a", "answer": "b"}, {"question": "d", "answer": "e"}],
        [
            'sheet Sheet, row 3, field answer: holds the formula =HYPERLINK("http://x", "y") without a saved value; '
            "save the values"
        ],
    ),
    (
        "error.xlsx",
        workbook([["question", "answer"], ["a", "#REF!"], ["d", "e"]]),
        [{"question": "d", "answer": "e"}],
        ["sheet Sheet, row 2, field answer: holds Excel's error #REF!; write the value"],
    ),
    (
        "wide.xlsx",
        workbook([["question", "answer"], ["a", "b", "c"], ["d", "e"]]),
        [{"question": "d", "answer": "e"}],
        ["sheet Sheet, row 2, field answer: has 3 cells for 2 columns; name the further columns"],
    ),
    (
        "twice.xlsx",
        workbook([["answer", "answer"], ["a", "b"]]),
        [],
        ["sheet Sheet: columns 1 and 2 are both named 'answer'; give each its own name."],
    ),
    (
        "header.xlsx",
        workbook([["question", "answer"]]),
        [],
        ["sheet Sheet: names its columns (question, answer), but holds no rows; add rows, or remove the sheet"],
    ),
    (
        "image.parquet",
        parquet([{"text": "a", "scan": b"\x89PNG\xff"}, {"text": "b", "scan": b"plain"}]),
        [{"text": "b", "scan": "plain"}],
        ["row 1, field scan: holds bytes that are no text (an image, for instance); leave the column out"],
    ),
    (
        "bundle.json",
        json.dumps(
            {
                "resourceType": "Bundle",
                "entry": [
                    "no object",
                    {"fullUrl": "urn:uuid:1"},
                    {
                        "resource": {
                            "resourceType": "DocumentReference",
                            "subject": {"reference": "Patient/7"},
                            "content": [{"attachment": {"contentType": "text/plain", "data": "%%%"}}],
                        }
                    },
                    {
                        "resource": {
                            "resourceType": "DocumentReference",
                            "subject": {"reference": "Patient/7"},
                            "content": [{"attachment": {"contentType": "application/pdf", "url": "Binary/1"}}],
                        }
                    },
                    {
                        "resource": {
                            "resourceType": "DocumentReference",
                            "date": "2024-05-02",
                            "subject": {"reference": "Patient/7"},
                            "content": [
                                {
                                    "attachment": {
                                        "contentType": "text/plain",
                                        "data": base64.b64encode(b"Seen today.").decode(),
                                    }
                                }
                            ],
                        }
                    },
                    {"resource": {"resourceType": "Condition", "code": {"text": "Gout"}}},
                ],
            }
        ).encode(),
        [{"patient": "7", "time": "2024-05-02", "text": "Seen today.", "conditions": [], "medications": []}],
        [
            "entry 1: is a text; a row has to be one JSON object",
            "entry 2, field resource: is no FHIR resource; an entry is an object with its resource, which names its "
            "resourceType",
            "entry 3, field content[0].data: is not valid base64 text; export the note again",
            "entry 4, field content: the note is not in the file as text (found application/pdf); export notes as "
            "text/plain with their data",
            "entry 6, field subject: names no patient; give the subject's reference, or leave the resource out",
        ],
    ),
    (
        "paths.zip",
        zipped(
            {
                "../out.jsonl": LINE_ONE.encode(),
                "/tmp/bedside-out.jsonl": LINE_ONE.encode(),
                "a/../../out.jsonl": LINE_ONE.encode(),
                "b\\..\\out.jsonl": LINE_ONE.encode(),
                "C:out.jsonl": LINE_ONE.encode(),
                "good/rows.jsonl": f"{LINE_ONE}\n{LINE_TWO}".encode(),
                ".hidden.jsonl": LINE_ONE.encode(),
                "__MACOSX/x.jsonl": LINE_ONE.encode(),
            }
        ),
        [ONE, TWO],
        [
            f"{name}: has a name that leads out of the archive; it was not unpacked"
            for name in (
                "../out.jsonl",
                "/tmp/bedside-out.jsonl",
                "C:out.jsonl",
                "a/../../out.jsonl",
                "b\\..\\out.jsonl",
            )
        ],
    ),
    (
        "nested.zip",
        zipped(
            {"a.jsonl": LINE_ONE.encode(), "b.zip": zipped({"bomb": b"\0" * 3_000_000}), "c.jsonl": LINE_TWO.encode()}
        ),
        [ONE, TWO],
        ["b.zip: is an archive inside an archive; unpack it first"],
    ),
    (
        "bomb.zip",
        zipped({"a.jsonl": LINE_ONE.encode(), "b.jsonl": b" " * 30_000_000, "c.jsonl": LINE_TWO.encode()}),
        [ONE, TWO],
        ["b.jsonl: unpacks to more than 200 times its size, as files made to do harm do; it was not read"],
    ),
    (
        "locked.zip",
        encrypted(zipped({"a.jsonl": LINE_ONE.encode()})),
        [],
        ["a.jsonl: is protected with a password; pack it without one"],
    ),
    (
        "mixed.zip",
        zipped({"LICENCE": b"free", "a.csv": f"{HEADER}{CSV_ONE}a\n".encode(), "b.csv": b"", "c.pdf": b"%PDF-1.7"}),
        [ONE],
        [
            "LICENCE: is about the data and no part of it; it was left out",
            "a.csv, row 2 (line 3), field answer: has one cell for 2 columns; the first that is missing is 'answer': "
            "add it",
            "b.csv: is empty; it holds no rows",
            "c.pdf: cannot be read: it is a PDF; save its text as .docx or .txt, or its tables as .csv",
        ],
    ),
]


@pytest.mark.parametrize(("name", "content", "good", "faults"), PARTLY, ids=[name for name, _, _, _ in PARTLY])
def test_bad_rows_are_named_and_good_ones_kept(
    tmp_path: Path, name: str, content: bytes, good: list[dict[str, Any]], faults: list[str]
):
    folder = tmp_path / "inside" / "deeper"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    assert read(folder / name) == (good, faults)
    # Nothing was written beside the file, nor where a name in an archive pointed.
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]
    assert not Path("/tmp/bedside-out.jsonl").exists()


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path):
    link = zipfile.ZipInfo("notes.txt")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("rows.jsonl", LINE_ONE)
    assert read(tmp_path / "link.zip") == ([ONE], ["notes.txt: is a link, not a file; it was not unpacked"])


def test_a_damaged_member_does_not_stop_the_others(tmp_path: Path):
    content = zipped({"a.jsonl": LINE_ONE.encode(), "b.jsonl": LINE_TWO.encode()}, zipfile.ZIP_STORED)
    (tmp_path / "damaged.zip").write_bytes(content.replace(b"Insulin", b"Insulim"))
    good, faults = read(tmp_path / "damaged.zip")
    assert good == [TWO]
    assert faults == ["a.jsonl: cannot be unpacked (Bad CRC-32 for file 'a.jsonl'); pack it again"]


@pytest.mark.parametrize(
    ("offset", "lie", "sentence"),
    [
        (20, 2**31, "cannot be unpacked (it ends too early); pack it again"),
        (24, 1000, "cannot be unpacked (Bad CRC-32 for file 'b.jsonl'); pack it again"),
    ],
    ids=["packed size", "unpacked size"],
)
def test_what_an_archive_says_of_its_sizes_is_not_trusted(tmp_path: Path, offset: int, lie: int, sentence: str):
    content = bytearray(zipped({"b.jsonl": b" " * 30_000_000}))
    at = content.find(b"PK\x01\x02") + offset
    content[at : at + 4] = lie.to_bytes(4, "little")
    (tmp_path / "liar.zip").write_bytes(content)
    assert read(tmp_path / "liar.zip") == ([], [f"b.jsonl: {sentence}"])


def test_a_doctype_is_found_wherever_the_part_is_cut_for_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = with_part(word(["Seen."]), "word/document.xml", lambda xml: xml.replace(b"?>", b"?><!DOCTYPE w>", 1))
    (tmp_path / "bomb.docx").write_bytes(content)
    for size in (20, 21, 22, 23):
        monkeypatch.setattr(archives, "_PIECE", size)
        with pytest.raises(DataError, match=r"declares a DOCTYPE"):
            list(read_records(tmp_path / "bomb.docx"))


def test_parts_that_are_held_in_memory_are_bounded_and_sheets_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "_LARGEST_WHOLE", 20_000)
    long = [["question", "answer"], *([f"q {n}", "a"] for n in range(500))]
    (tmp_path / "long.xlsx").write_bytes(workbook(long))
    assert len(read(tmp_path / "long.xlsx")[0]) == 500
    (tmp_path / "long.docx").write_bytes(word([f"Note {n}." for n in range(500)]))
    with pytest.raises(DataError, match=r"^long\.docx: its part .+ is larger than 256 MiB; split the file\.$"):
        list(read_records(tmp_path / "long.docx"))


def test_a_damaged_sheet_gives_the_rows_before_the_damage(tmp_path: Path):
    rows = [["question", "answer"], *([f"q {n}", "a"] for n in range(500))]
    content = with_part(workbook(rows), "xl/worksheets/sheet1.xml", lambda xml: xml[: len(xml) // 2])
    (tmp_path / "half.xlsx").write_bytes(content)
    good, faults = read(tmp_path / "half.xlsx")
    assert [row["question"] for row in good] == [f"q {n}" for n in range(len(good))]
    assert len(good) > 100
    assert len(faults) == 1 and faults[0].startswith(f"sheet Sheet: is damaged after {len(good)} rows (")


def test_an_archive_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", len(LINE_ONE) + 10)
    (tmp_path / "large.zip").write_bytes(zipped({"a.jsonl": LINE_ONE.encode(), "b.jsonl": LINE_TWO.encode()}))
    good, faults = read(tmp_path / "large.zip")
    assert (good, len(faults)) == ([ONE], 1)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    with pytest.raises(DataError, match=r"^large\.zip holds 2 files; more than 1 are not unpacked\.$"):
        read(tmp_path / "large.zip")


LONG_LINE = """
import sys
from pathlib import Path
from trainer.data.reading.files import read_records
from trainer.data.records import Fault
for row in read_records(Path(sys.argv[1])):
    print(row if isinstance(row, Fault) else row.place)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("name", ["long.jsonl", "long.csv", "long.json"])
def test_a_line_of_200_megabytes_costs_its_own_row_and_little_memory(tmp_path: Path, name: str):
    before, after, wrong = {
        "long.jsonl": (f'{LINE_ONE}\n{{"question": "', f'"}}\n{LINE_TWO}\n', ["row 1", "row 2: is longer", "row 3"]),
        "long.csv": (f'{HEADER}{CSV_ONE}Gout?,"', f'"\n{CSV_TWO}', ["row 1", "row 2 (line 3): is longer", "row 3"]),
        "long.json": (f'[{LINE_ONE}, {{"question": "', f'"}}, {LINE_TWO}]', ["row 1", "after row 1: is longer"]),
    }[name]
    with (tmp_path / name).open("w") as file:
        file.write(before)
        for _ in range(200):
            file.write("x" * 1_000_000)
        file.write(after)
    said = subprocess.run(
        [sys.executable, "-c", LONG_LINE, tmp_path / name],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.splitlines()
    *rows, peak = said
    assert len(rows) == len(wrong)
    assert all(row.startswith(start) for row, start in zip(rows, wrong, strict=True))
    assert "10,000,000 characters" in rows[1]
    assert int(peak) < 250_000  # KB


def test_what_is_no_file_is_refused_and_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "lost.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, sentence in {
        "pipe.csv": "pipe.csv is a pipe or a device, not a file; give a file.",
        "lost.csv": "lost.csv: cannot be read (No such file or directory).",
        "missing.csv": "missing.csv: cannot be read (No such file or directory).",
        "nothing": "nothing is a folder without files; put the data into it.",
        "loop": "loop: cannot be read (Too many levels of symbolic links).",
    }.items():
        with pytest.raises(DataError) as caught:
            list(read_records(tmp_path / name))
        assert str(caught.value) == sentence
    with pytest.raises(DataError, match=r"^null is a pipe or a device, not a file; give a file\.$"):
        list(read_records(Path("/dev/null")))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_named(tmp_path: Path):
    path = tmp_path / "secret.csv"
    path.write_text(HEADER + CSV_ONE)
    path.chmod(0)
    with pytest.raises(DataError, match=r"^secret\.csv: cannot be read \(Permission denied\)\.$"):
        list(read_records(path))


def test_a_folder_goes_on_past_what_cannot_be_read(tmp_path: Path):
    outside = tmp_path / "outside.jsonl"
    outside.write_text(LINE_ONE)
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "rows.jsonl").write_text(LINE_TWO)
    (folder / "a.jsonl").write_text(f"{LINE_ONE}\nbroken\n")
    (folder / ".hidden.jsonl").write_text(LINE_ONE)
    (folder / "c.pdf").write_bytes(b"%PDF-1.4")
    (folder / "link.jsonl").symlink_to(outside)
    (folder / "same.jsonl").symlink_to(folder / "a.jsonl")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    assert read(folder) == (
        [ONE, TWO],
        [
            "a.jsonl, row 2: is not valid JSON (Expecting value, column 1); mend or remove it",
            "c.pdf: cannot be read: it is a PDF; save its text as .docx or .txt, or its tables as .csv",
            "link.jsonl: is a link that leads out of the folder; it was not followed: copy the file",
            "pipe: is a pipe or a device, not a file; give a file",
            "up: is a link that leads out of the folder; it was not followed: copy the file",
        ],
    )


def test_an_unclosed_quote_in_a_large_file_costs_one_row(tmp_path: Path):
    rows = [f"Question {n}?,Answer {n}.\n" for n in range(400_000)]
    rows[5] = 'Question 5?,"Answer 5.\n'
    path = tmp_path / "large.csv"
    path.write_text(HEADER + "".join(rows))
    start = time.process_time()
    good, faults = read(path)
    assert [row["question"] for row in good] == [f"Question {n}?" for n in range(400_000) if n != 5]
    assert faults == [f"row 6 (line 7), field answer: {QUOTE}"]
    assert time.process_time() - start < 10


def test_a_folder_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "wards" / "closed").mkdir(parents=True)
    (tmp_path / "wards" / "open.jsonl").write_text(LINE_ONE)
    scan = os.scandir

    def refuse(folder: Any) -> Any:  # root may read every folder
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        DataError, match=r"The folder wards/closed cannot be read \(Permission denied\); see that you may"
    ):
        read(tmp_path / "wards")
