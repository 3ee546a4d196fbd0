"""What a file is, told from its first bytes and never from its name; and how its text is encoded."""

from __future__ import annotations

import codecs
import csv
import json
import zipfile
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from trainer.data.reading import iob
from trainer.data.records import DataError

Kind = Literal["folder", "archive", "xlsx", "docx", "parquet", "json_lines", "json", "iob", "delimited", "text"]

_SAMPLE = 65_536
_CHUNK = 1 << 20
_TEXT_ENDINGS = {".txt", ".text", ".md", ""}
_USUAL: dict[str, set[Kind]] = {
    ".csv": {"delimited"},
    ".tsv": {"delimited", "iob"},
    ".jsonl": {"json_lines"},
    ".ndjson": {"json_lines"},
    ".json": {"json", "json_lines"},
    ".xlsx": {"xlsx"},
    ".docx": {"docx"},
    ".parquet": {"parquet"},
    ".zip": {"archive"},
}
# First bytes of what is not read, with what it is and what to do.
_REFUSED = [
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
    (b"\x80\x04\x95", "it is a Python pickle, which could run code; save the data as .jsonl"),
    (b"\x80\x05\x95", "it is a Python pickle, which could run code; save the data as .jsonl"),
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
    if path.is_dir():
        return Container(kind="folder", evidence=["a folder"])
    try:
        with path.open("rb") as file:
            first = file.read(_SAMPLE)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}).") from None
    if not first.strip(b"\0 \t\r\n\xef\xbb\xbf"):
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
    return Container(kind="archive", evidence=[f"a zip of {len(names)} files"])


def _text(path: Path, first: bytes) -> Container:
    encoding, evidence = _encoding(path, first)
    sample = first.decode(encoding, errors="replace").lstrip("\ufeff")
    start = sample.lstrip()[:1]
    if start == "<":
        raise DataError(f"{path.name} cannot be read: it is HTML or XML; save its text or its table as .csv or .jsonl.")
    if start in ("{", "["):
        lines = _is_json_lines(sample, len(first) < _SAMPLE)
        kind: Kind = "json_lines" if lines else "json"
        said = "each line is one JSON object" if lines else f"one JSON document, beginning with {start}"
        return Container(kind=kind, encoding=encoding, evidence=[said, *evidence])
    whole = sample.splitlines()
    if len(first) == _SAMPLE:
        whole = whole[:-1]
    if iob.is_iob(islice(whole, 200)):
        return Container(kind="iob", encoding=encoding, evidence=["a token and an IOB tag on each line", *evidence])
    delimiter, columns = _delimiter(whole)
    ending = path.suffix.lower()
    if delimiter and (columns > 1 or ending not in _TEXT_ENDINGS):
        name = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}[delimiter]
        said = f"{columns} column{'s' * (columns > 1)} separated by {name}, named in the first line"
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
    if first.count(0) > 0.01 * len(first):
        raise DataError(f"{path.name} cannot be read: it is a binary file of no known kind.")
    wrong, good = _foreign_bytes(path)
    if not wrong or good >= wrong:
        # A few damaged places in UTF-8 are named row by row.
        return "utf-8", []
    return "cp1252", [f"not UTF-8 ({wrong} bytes are none): read as Windows-1252, Latin-1's usual form"]


def _foreign_bytes(path: Path) -> tuple[int, int]:
    """How many bytes of a file are no UTF-8, and how many characters beyond ASCII are."""
    wrong = good = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if chunk.isascii():
                continue
            text = decoder.decode(chunk)
            # A byte that is no UTF-8 comes back as a lone surrogate, which UTF-8 itself never gives.
            escaped = sum("\udc80" <= character <= "\udcff" for character in text)
            wrong += escaped
            good += len(text) - len(text.encode("ascii", "ignore")) - escaped
    return wrong, good


def _is_json_lines(sample: str, whole: bool) -> bool:
    """Whether lines are records: any of the first is an object of its own, and not the file's only one."""
    lines = [line.strip() for line in sample.splitlines() if line.strip()]
    if not whole:
        lines = lines[:-1]
    if len(lines) < 2:
        return bool(lines) and lines[0].startswith("{") and not _is_document(lines[0])
    for line in lines[:5]:
        try:
            if isinstance(json.loads(line), dict):
                return True
        except (ValueError, RecursionError):
            continue
    # Truncated or damaged lines: still lines, where each looks like an object.
    return all(line.startswith("{") and len(line) > 1 for line in lines[:5])


def _is_document(line: str) -> bool:
    """Whether a single line's object holds records instead of being one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return "resourceType" in value or (
        all(isinstance(inner, dict | list) for inner in value.values())
        and not ({"messages", "conversations", "prompt", "chosen", "tokens"} & value.keys())
    )


def _delimiter(lines: list[str]) -> tuple[str, int]:
    """The mark that splits the header into the most columns with the rows agreeing; ("", 0) for running text."""
    best, most = "", 0
    for mark in (",", "\t", ";", "|"):
        try:
            rows = list(islice(csv.reader((line + "\n" for line in lines), delimiter=mark), 20))
        except csv.Error:
            continue
        rows = [row for row in rows if row]
        columns = len(rows[0]) if rows else 0
        agreeing = sum(len(row) == columns for row in rows)
        titles = rows[0] if rows else []
        named = len({title.strip() for title in titles}) == columns and all(len(title) < 80 for title in titles)
        if columns > most and (columns == 1 or (named and agreeing * 2 >= len(rows))):
            best, most = mark, columns
    return best, most
