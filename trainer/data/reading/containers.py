"""What a file is, told from its first bytes and never from its name; and how its text is encoded."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import stat
import zipfile
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from trainer.data.reading import iob
from trainer.data.records import DataError

Kind = Literal[
    "folder",
    "archive",
    "xlsx",
    "docx",
    "parquet",
    "fhir_lines",
    "fhir",
    "json_lines",
    "json",
    "iob",
    "delimited",
    "text",
]

_SAMPLE = 1 << 18
_CHUNK = 1 << 20
_JSON_ENDINGS = {".json", ".jsonl", ".ndjson"}
_TABLE_ENDINGS = {".csv", ".tsv"}
_MARKS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
_USUAL: dict[str, set[Kind]] = {
    ".csv": {"delimited"},
    ".tsv": {"delimited", "iob"},
    ".jsonl": {"json_lines", "fhir_lines"},
    ".ndjson": {"json_lines", "fhir_lines"},
    ".json": {"json", "json_lines", "fhir", "fhir_lines"},
    ".xlsx": {"xlsx"},
    ".docx": {"docx"},
    ".parquet": {"parquet"},
    ".zip": {"archive"},
}
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PAGES = ("<!doctype", "<html", "<?xml", "<head", "<body", "<table", "<div", "<clinicaldocument")
# First bytes of what is not read, with what it is and what to do.
_REFUSED: list[tuple[bytes, str]] = [
    (
        b"\xd0\xcf\x11\xe0",
        "it is a password-protected or an old Office file; open it, remove the password, and save it as .xlsx or .docx",
    ),
    (b"%PDF", "it is a PDF; save its text as .docx or .txt, or its tables as .csv"),
    (b"\x1f\x8b", "it is compressed with gzip; unpack it first"),
    (b"7z\xbc\xaf", "it is a 7z archive; unpack it, or pack it as .zip"),
    (b"Rar!", "it is a RAR archive; unpack it, or pack it as .zip"),
    (b"BZh", "it is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "it is compressed with xz; unpack it first"),
    (b"SQLite format 3", "it is an SQLite database; export the table as .csv"),
    *((mark, "it is a Python pickle, which could run code; save the data as .jsonl") for mark in _PICKLES),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"),
    (b"ARROW1", "it is an Arrow file; save it as .parquet"),
    (b"{\\rtf", "it is RTF; save it as .docx or .txt"),
    (b"MZ", "it is a program, not data"),
    (b"\x7fELF", "it is a program, not data"),
    (b"\x89PNG", "it is an image; give its text"),
    (b"\xff\xd8\xff", "it is an image; give its text"),
    (b"GIF8", "it is an image; give its text"),
]


class Container(BaseModel):
    """How a file is packed, and by what it was recognised."""

    kind: Kind
    encoding: str = "utf-8"
    delimiter: str = ""
    evidence: list[str] = []
    """Sentences, also where the name's ending says otherwise or the encoding had to be guessed."""


def recognise(path: Path) -> Container:
    """Tell a file's container from its content.

    Raises `DataError` in one sentence for what cannot be read: empty, encrypted, compressed, binary.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Container(kind="folder", evidence=["a folder"])
        if not stat.S_ISREG(mode):
            raise DataError(f"{path.name} is a pipe or a device, not a file; give a file.")
        with path.open("rb") as file:
            first = file.read(_SAMPLE)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}).") from None
    if not first.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe") and len(first) < _SAMPLE:
        raise DataError(f"{path.name} is empty; it holds no rows.")
    for mark, sentence in _REFUSED:
        if first.startswith(mark):
            raise DataError(f"{path.name} cannot be read: {sentence}.")
    if first.startswith(b"PAR1"):
        found = Container(kind="parquet", evidence=["begins with Parquet's mark PAR1"])
    elif first.startswith(b"PK"):
        found = _zipped(path)
    else:
        found = _text(path, first)
    ending = path.suffix.lower()
    if ending in _USUAL and found.kind not in _USUAL[ending]:
        found.evidence.append(f"the ending {ending} says otherwise; the content decides")
    return found


def _zipped(path: Path) -> Container:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OverflowError):
        raise DataError(f"{path.name} is a damaged zip file (its end is missing); copy it again.") from None
    macros = (
        ["it carries macros, which are never run"] if any(name.endswith("vbaProject.bin") for name in names) else []
    )
    if "xl/workbook.xml" in names:
        return Container(kind="xlsx", evidence=["a zip with xl/workbook.xml: an Excel workbook", *macros])
    if "word/document.xml" in names:
        return Container(kind="docx", evidence=["a zip with word/document.xml: a Word document", *macros])
    if "xl/workbook.bin" in names or "ppt/presentation.xml" in names or {"mimetype", "content.xml"} <= names:
        raise DataError(
            f"{path.name} cannot be read: it is a presentation, a binary workbook or an OpenDocument file; "
            "save it as .xlsx, .docx or .csv."
        )
    return Container(kind="archive", evidence=[f"a zip of {len(names)} files"])


def _text(path: Path, first: bytes) -> Container:
    encoding, evidence = _encoding(path, first)
    sample = first.decode(encoding, errors="replace").lstrip("\ufeff")
    ending = path.suffix.lower()
    start = "".join(sample[:1000].split())[:2]
    if sample[:1000].lstrip().lower().startswith(_PAGES):
        raise DataError(f"{path.name} cannot be read: it is HTML or XML; save its text or its table as .csv or .jsonl.")
    lines = list(io.StringIO(sample, newline=None))
    if len(first) == _SAMPLE:
        lines = lines[:-1]  # may be cut
    if _is_json_lines(lines, start, ending):
        kind, said = ("fhir_lines", "a FHIR resource") if _is_resource(sample) else ("json_lines", "one JSON object")
        return Container(kind=kind, encoding=encoding, evidence=[f"each line is {said}", *evidence])
    # A note may begin with a bracket as well: "[NAME] was seen today".
    if start[:1] in ("{", "[") and (ending in _JSON_ENDINGS or start[1:] in ("{", "[", '"', "}", "]")):
        kind, said = ("fhir", "of FHIR resources") if _is_resource(sample) else ("json", f"beginning with {start[:1]}")
        return Container(kind=kind, encoding=encoding, evidence=[f"one JSON document, {said}", *evidence])
    if iob.is_iob(islice(lines, 200)):
        return Container(kind="iob", encoding=encoding, evidence=["a token and an IOB tag on each line", *evidence])
    delimiter, columns = _delimiter(lines, trusted=ending in _TABLE_ENDINGS)
    if delimiter:
        said = f"{columns} column{'s' * (columns > 1)} separated by {_MARKS[delimiter]}, named in the first line"
        return Container(kind="delimited", encoding=encoding, delimiter=delimiter, evidence=[said, *evidence])
    return Container(kind="text", encoding=encoding, evidence=["plain text: one document", *evidence])


def _encoding(path: Path, first: bytes) -> tuple[str, list[str]]:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if first.startswith(mark):
            return name, [f"a byte order mark says {'UTF-8' if name == 'utf-8-sig' else 'UTF-16'}"]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = first[offset::2]
        if half.count(0) > 0.6 * len(half) and first[1 - offset :: 2].count(0) < 0.1 * len(half):
            return name, ["every second byte is zero: UTF-16"]
    control = len(first) - len(first.translate(None, _CONTROL))
    if control > 4 + 0.02 * len(first):  # a few are damage, not another kind of file
        raise DataError(f"{path.name} cannot be read: it is a binary file of no known kind.")
    wrong, good = _foreign_bytes(path)
    if not wrong or good >= wrong:
        # A few damaged places in UTF-8 are named row by row.
        return "utf-8", []
    runs = re.findall(rb"[\x80-\xff]+", first)
    if 2 * sum(len(run) for run in runs if len(run) > 1) > sum(map(len, runs)) > 8:
        # In Western European text, letters with accents stand alone; elsewhere whole words are beyond ASCII.
        raise DataError(
            f"{path.name} cannot be read: its text is in neither UTF-8 nor a Western European encoding; "
            "save it as UTF-8."
        )
    return "cp1252", [f"not UTF-8 ({wrong} bytes are none): read as Windows-1252, Latin-1's usual form"]


def _foreign_bytes(path: Path) -> tuple[int, int]:
    """How many bytes of a file are no UTF-8, and how many characters beyond ASCII are."""
    wrong = good = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            if text.isascii():
                continue
            # A byte that is no UTF-8 comes back as a lone surrogate, which UTF-8 itself never gives.
            escaped = len(text) - len(text.encode("utf-8", "ignore").decode())
            wrong += escaped
            good += len(text) - len(text.encode("ascii", "ignore")) - escaped
    return wrong, good


def _is_json_lines(lines: list[str], start: str, ending: str) -> bool:
    """Whether each line is a value of its own: the first ones are objects, or look like damaged ones."""
    lines = [line.strip() for line in lines[:50] if line.strip()][:20]
    if not lines:
        return start[:1] == "{" and ending in {".jsonl", ".ndjson"}
    if len(lines) == 1:
        return start[:1] == "{" and ending in {".jsonl", ".ndjson"}
    whole = [_is_value(line) for line in lines]
    looks = [line.startswith("{") and len(line) > 1 for line in lines]
    if start[:1] in ("{", "[") and not whole[0]:
        # The first line of a document that goes on, or a damaged one among others.
        return start[:1] == "{" and all(looks)
    return sum(one and two for one, two in zip(whole, looks, strict=True)) * 2 >= len(lines)


def _is_resource(sample: str) -> bool:
    """Whether the first object says of itself that it is a FHIR resource, or is a bundle that says it later."""
    text = sample.lstrip(" \t\r\n[")
    try:
        value = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        # It is longer than the sample, or broken.
        return '"resourceType"' in text
    return isinstance(value, dict) and "resourceType" in value


def _is_value(line: str) -> bool:
    try:
        json.loads(line)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _delimiter(lines: list[str], trusted: bool) -> tuple[str, int]:
    """What separates cells, and into how many columns; ("", 0) for running text.

    The mark that splits the header into the most columns with half of the rows agreeing. Where the file's name does not
    say that it is a table (`trusted`), the names have to be short, without the space that follows a comma in prose, and
    nine rows in ten have to agree.
    """
    if lines and lines[0].startswith("sep=") and lines[0][4:5] in _MARKS:
        header = next(csv.reader(lines[1:2], delimiter=lines[0][4]), [])
        return lines[0][4], len(header)
    best, most, widest, columns_of_widest = "", 0, ",", 1
    for mark in _MARKS:
        try:
            rows = [row for row in islice(csv.reader(lines, delimiter=mark), 21) if row]
        except csv.Error:
            continue
        if not rows:
            continue
        columns, titles = len(rows[0]), rows[0]
        agreeing = sum(len(row) == columns for row in rows)
        if columns > columns_of_widest:
            widest, columns_of_widest = mark, columns
        named = trusted or (
            len({title.strip() for title in titles}) == columns
            and all(title and title == title.strip() and len(title) < 40 for title in titles)
            and len(rows) > 1
            and agreeing >= 0.9 * len(rows)
        )
        if columns > max(most, 1) and named and agreeing * 2 >= len(rows):
            best, most = mark, columns
    if best or not trusted:
        return best, most
    return widest, columns_of_widest
