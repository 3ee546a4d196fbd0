"""Documents: plain text, and Word's text and tables in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.data.reading.archives import check_office
from trainer.data.reading.delimited import column_names, ragged
from trainer.data.reading.lines import TOO_LONG, oddity, pieces
from trainer.data.records import LARGEST_RECORD, DataError, Fault, Record

# A table of a Word document is rows where it names one of these pairs; any other table is part of the text.
_COLUMNS = [
    {"question", "answer"},
    {"prompt", "completion"},
    {"prompt", "answer"},
    {"prompt", "chosen"},
    {"instruction", "output"},
    {"query", "response"},
    {"dialogue", "section_text"},
    {"patient", "text"},
    {"patient", "note"},
]


def read_text(path: Path, encoding: str) -> Iterator[Record | Fault]:
    """The whole file as one record: its text, and the file's name as `document`."""
    parts: list[str] = []
    length = 0
    for piece in pieces(path, encoding):
        parts.append(piece)
        length += len(piece)
        if length > LARGEST_RECORD:
            yield Fault(place=path.name, field="text", message=TOO_LONG, record=parts[0][:200] + "…")
            return
    text = "".join(parts).lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip()
    values = {"text": text, "document": path.name}
    if wrong := oddity(text, encoding):
        yield Fault(place=path.name, field="text", message=wrong, record=values)
    else:
        yield Record(path.name, values)


def read_word(path: Path) -> Iterator[Record | Fault]:
    """A record a row of the tables that hold rows (`_COLUMNS`); where there are none, one record with the whole text.

    Text is taken as it would be printed with all changes accepted: insertions, content controls and text boxes are in,
    what was deleted is not. Headers, footers, comments and footnotes are left out. Raises `DataError` where there is no
    text, or the file is damaged.
    """
    parts: list[str] = []
    rows: list[tuple[int, list[list[str]]]] = []
    for block in _blocks(path):
        if isinstance(block, str):
            parts.append(block)
        elif len(block) > 1 and _names_columns(block[0]):
            rows.append((len(rows) + 1, block))
        else:
            parts.extend(" | ".join(cells) for cells in block)
    text = "\n".join(parts).strip()
    if not rows:
        if not text:
            raise DataError(f"{path.name} holds no text (pictures are not read); give its text.")
        if len(text) > LARGEST_RECORD:
            raise DataError(f"{path.name} {TOO_LONG}.")
        yield Record(path.name, {"text": text, "document": path.name})
        return
    for number, (header, *table) in rows:
        names = column_names(f"{path.name}, table {number}", header)
        for row, cells in enumerate(table, 2):
            place = f"table {number}, row {row}"
            if any(cells):
                yield ragged(place, names, cells) or Record(place, dict(zip(names, cells, strict=True)))
    if text:
        message = "stands beside tables of rows and was left out; for training on it, put it into a file of its own"
        yield Fault(place="text", field="", message=message, record={"text": text, "document": path.name})


def _names_columns(header: list[str]) -> bool:
    names = {cell.strip().lower() for cell in header}
    return any(pair <= names for pair in _COLUMNS)


def _blocks(path: Path) -> Iterator[str | list[list[str]]]:
    """Each paragraph as text and each table as rows of cells, in the document's order."""
    import docx
    from docx.oxml.ns import qn

    check_office(path)
    try:
        body = docx.Document(str(path)).element.body
    except Exception as error:  # python-docx raises whatever its parsing stumbles over
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"{path.name} is a damaged Word document ({why}); open it and save it again.") from None
    for element in body.xpath(".//w:p[not(ancestor::w:tbl or ancestor::w:p)] | .//w:tbl[not(ancestor::w:tbl)]"):
        if element.tag == qn("w:p"):
            yield _text(element)
        else:
            yield [
                [cell for tc in tr.xpath("./w:tc | ./w:sdt//w:tc") for cell in _cell(tc)]
                for tr in element.xpath("./w:tr | ./w:sdt//w:tr | ./w:ins/w:tr")
            ]


def _cell(tc: Any) -> list[str]:
    """A cell's text; a merged cell is followed by empty ones, so that each column keeps its place."""
    spans = tc.xpath("./w:tcPr/w:gridSpan/@w:val")
    text = "\n".join(_text(p) for p in tc.xpath(".//w:p[not(ancestor::w:p)]")).strip()
    return [text] + [""] * (min(int(spans[0]), 63) - 1 if spans and spans[0].isdigit() else 0)


_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "p": "\n"}


def _text(paragraph: Any) -> str:
    # Deleted text is in w:delText; moved text stands at both places, and text boxes in two forms.
    found = paragraph.xpath(
        ".//*[self::w:t or self::w:tab[parent::w:r] or self::w:br or self::w:cr or self::w:noBreakHyphen or self::w:p]"
        "[not(ancestor::w:moveFrom or ancestor::w:pPr)]"
    )
    parts: list[str] = []
    for node in found:
        if any(ancestor.tag.endswith("}Fallback") for ancestor in node.iterancestors()):
            continue
        name = node.tag.rpartition("}")[2]
        parts.append(_MARKS.get(name, node.text or ""))
    return "".join(parts)
