"""Whatever a file holds, reading it ends in rows and in faults that can be written down, or in one sentence."""

from __future__ import annotations

import base64
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import parquet, word
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.data.loading import Loading
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.data.rows import Row, kind_of
from trainer.data.sources import Located
from trainer.data_sections import DataSource

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=CHECKS)
MANY = settings(max_examples=2000, deadline=None, database=None, suppress_health_check=CHECKS)

ENDINGS = ["csv", "tsv", "json", "jsonl", "ndjson", "txt", "zip", "xlsx", "docx", "parquet", "conll", ""]
NAMES = re.findall(
    r"\w+",
    "question answer prompt completion chosen rejected label messages conversations role content from value text "
    "instruction input output query response options answer_idx tokens tags patient time dialogue section_text "
    "resourceType entry resource subject reference attachment contentType data record place field message about id "
    "rank score context final_decision long_answer opa cop exp choice_type system tools",
)
WORDS = st.sampled_from(
    ["", "A", "B", "yes", "2024-13-45", "1e999", "user", "assistant", "Bundle", "text/html", "\u2028"]
)
TEXT = st.one_of(st.text(max_size=30), WORDS, st.sampled_from(NAMES))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXT), inner, max_size=5)
    ),
    max_leaves=20,
)
RECORDS = st.lists(st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXT), VALUES, max_size=6), min_size=1, max_size=6)
GOOD = {"question": "What lowers potassium?", "answer": "Insulin with glucose."}


def check_bytes(content: bytes, ending: str) -> None:
    """Reading, and what follows it: telling the format, and making rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{ending}"
        path.write_bytes(content)
        try:
            for one in read_records(path):
                assert isinstance(one, Record | Fault)
                written = one.values if isinstance(one, Record) else one.model_dump()
                json.dumps(written, ensure_ascii=False, default=str).encode()
        except DataError as error:
            check_sentence(str(error))
        check_rows(path)


def check_rows(path: Path) -> list[Row]:
    """The rows of a file, each of a kind that there is; none where it cannot be used."""
    try:
        located = Located(name=path.name, path=path, licence="", patient_text=True)
        found = list(Loading(DataSource(name=path.name), located).rows())
    except DataError as error:
        check_sentence(str(error))
        return []
    rows = [one for one in found if not isinstance(one, Fault)]
    for row in rows:
        assert kind_of(row) and row["about"]["id"]
        json.dumps(row, ensure_ascii=False).encode()
    return rows


def check_sentence(text: str) -> None:
    assert text.startswith("rows.") and len(text) < 3000, text


def as_workbook(rows: list[list[str]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def as_zip(name: str, inner: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, inner)
    return content.getvalue()


def as_lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


NOTE = {
    "resourceType": "DocumentReference",
    "subject": {"reference": "Patient/1"},
    "content": [{"attachment": {"contentType": "text/html", "data": base64.b64encode(b"<p>Knee pain.</p>").decode()}}],
}
SEEDS: dict[str, bytes] = {
    "csv": b'question,answer\n"What, and why?",Insulin\nq,a\n',
    "jsonl": as_lines([GOOD, GOOD | {"answer": "Calcium."}]),
    "json": json.dumps({"data": [GOOD, GOOD]}).encode(),
    "ndjson": as_lines([NOTE, NOTE]),
    "conll": b"Aspirin B-Drug\nhelps O\n\nIt O\n",
    "zip": as_zip("rows.jsonl", as_lines([GOOD])),
    "xlsx": as_workbook([["question", "answer"], ["q", "a"]]),
    "docx": word(["Seen today."]),
    "parquet": parquet([GOOD, GOOD]),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, str]:
    """A good file with some bytes changed, cut out or put in."""
    ending = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[ending])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.integers(0, 2)):
            case 0:
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del content[at : at + draw(st.integers(1, 200))]
            case _:
                content[at:at] = draw(st.binary(max_size=20))
    return bytes(content), ending


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, str]:
    """Records of odd columns and values, in one of the ways to write them."""
    rows = draw(RECORDS)
    match draw(st.sampled_from(["lines", "list", "object", "table", "fhir"])):
        case "lines":
            return as_lines(rows), "jsonl"
        case "list":
            return json.dumps(rows).encode(), "json"
        case "object":
            return json.dumps({f"id{number}": row for number, row in enumerate(rows)}).encode(), "json"
        case "fhir":
            kinds = st.sampled_from(["DocumentReference", "DiagnosticReport", "Condition", "Bundle", "Medication"])
            return as_lines([NOTE | row | {"resourceType": draw(kinds)} for row in rows]), "ndjson"
    cells = draw(st.lists(st.lists(TEXT, min_size=1, max_size=5), min_size=2, max_size=6))
    mark = draw(st.sampled_from(",\t;|"))
    return "\n".join(mark.join(row) for row in cells).encode("utf-8", "surrogatepass"), draw(
        st.sampled_from(["csv", "tsv"])
    )


WAYS: dict[str, Any] = {
    "any bytes": st.tuples(st.binary(max_size=400), st.sampled_from(ENDINGS)),
    "any text": st.tuples(
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")), st.sampled_from(ENDINGS)
    ),
    "damaged": damaged(),
    "written": written(),
}


def fuzzed(way: str, how: settings) -> Callable[[], None]:
    """The check as a function that Hypothesis calls with many files."""

    @how
    @given(WAYS[way])
    def check(file: tuple[bytes, str]) -> None:
        check_bytes(*file)

    return check


@pytest.mark.parametrize("way", WAYS)
def test_any_file_is_rows_faults_or_a_sentence(way: str):
    fuzzed(way, FEW)()


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_any_file_is_rows_faults_or_a_sentence_at_length(way: str):
    fuzzed(way, MANY)()


def with_byte(ending: str, at: int, byte: bytes) -> bytes:
    content = SEEDS[ending]
    return content[:at] + byte + content[at + 1 :]


FOUND = {
    "a column's name that is no text": (b"\x9d,b\r\0,c", "csv"),
    "a part that zlib cannot unpack": (
        with_byte("xlsx", SEEDS["xlsx"].index(b"docProps/app.xml") + 16, b"\xff"),
        "xlsx",
    ),
    "a Parquet column's name that is no text": (SEEDS["parquet"].replace(b"question", b"\x80uestion"), "parquet"),
}


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_so_stays_mended(found: str):
    check_bytes(*FOUND[found])


@pytest.mark.parametrize("ending", SEEDS)
def test_the_good_files_that_are_damaged_here_are_good(ending: str, tmp_path: Path):
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(SEEDS[ending])
    assert [one for one in read_records(path) if isinstance(one, Record)]
