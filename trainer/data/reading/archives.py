"""Zip files, also as the inside of Office documents: unpacked within bounds, and never to a place that they choose."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from trainer import config
from trainer.data.records import DataError, Fault

MOST_MEMBERS = 10_000
LARGEST_UNPACKED = 2 << 30  # bytes, all members together
HIGHEST_RATIO = 200  # of unpacked to packed; text rarely packs better than 20 to 1
HARMLESS = 1 << 20  # bytes; below them the ratio is no danger
MUCH_LARGER = f"unpacks to more than {HIGHEST_RATIO} times its size, as files made to do harm do"
_PIECE = 1 << 20
_LARGEST_WHOLE = 1 << 28  # bytes of a part that the libraries hold in memory; sheets are read as a stream
_DOCTYPE = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)
_UTF8_XML = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<(?!\?xml[^>]*encoding=[\"'](?!utf-8[\"']))", re.IGNORECASE)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)


class TooMuch(Exception):
    """An archive holds more than it may; the text says what."""


class Unpacking:
    """Takes members piece by piece and counts what they really hold; what the archive says is not trusted."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive, self._total = archive, 0

    def pieces(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """A member's content. Raises `TooMuch` past the bounds, and what zipfile raises for damage."""
        unpacked = 0  # zipfile reads no more than the packed size, so a size that is too large only ends in damage
        with self._archive.open(member) as content:
            while piece := content.read(_PIECE):
                unpacked += len(piece)
                self._total += len(piece)
                if self._total > LARGEST_UNPACKED:
                    raise TooMuch(f"unpacks to more than {LARGEST_UNPACKED >> 30} GiB")
                if unpacked > HARMLESS and unpacked > HIGHEST_RATIO * member.compress_size:
                    raise TooMuch(MUCH_LARGER)
                yield piece


def unpacked(path: Path) -> Iterator[tuple[str, Path | Fault]]:
    """Each member's name with a file of its own that holds it, for as long as the next is not asked for; or a fault.

    Hidden members (and __MACOSX) are left out. A member is written to a temporary folder that only the owner may read,
    under a name made from the last part of its own.
    """
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if not members:
            raise DataError(f"{path.name} is an archive without files; pack the data into it.")
        if len(members) > MOST_MEMBERS:
            raise DataError(f"{path.name} holds {len(members):,} files; more than {MOST_MEMBERS:,} are not unpacked.")
        unpacking = Unpacking(archive)
        for member in sorted(members, key=lambda member: member.filename):
            parts = PurePosixPath(member.filename).parts
            place = member.filename.encode("utf-8", "replace").decode()
            if wrong := _refused(member, parts):
                yield place, Fault(place=place, field="", message=wrong)
                continue
            if any(part.startswith(".") or part == "__MACOSX" for part in parts):
                continue
            with config.temporary() as folder:
                target = Path(folder) / (re.sub(r"[^\w.() -]", "_", parts[-1])[-100:].lstrip(".") or "file")
                try:
                    with target.open("wb") as file:
                        for piece in unpacking.pieces(member):
                            file.write(piece)
                except TooMuch as error:
                    yield place, Fault(place=place, field="", message=f"{error}; it was not read")
                    continue
                except _DAMAGE as error:
                    message = f"cannot be unpacked ({_short(error)}); pack it again"
                    yield place, Fault(place=place, field="", message=message)
                    continue
                yield place, target


def check_office(path: Path) -> set[str]:
    """Read an Office file's parts within the bounds, before a library opens it; gives the parts that hold formulas.

    Raises `DataError` for a part that declares entities or is not UTF-8 (both could hide what a parser would expand),
    for too much inside, and for damage.
    """
    formulas: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        if len(archive.infolist()) > MOST_MEMBERS:
            raise DataError(f"{path.name} holds more than {MOST_MEMBERS:,} parts; it is not opened.")
        unpacking = Unpacking(archive)
        for member in archive.infolist():
            try:
                if _has_formulas(path, member, unpacking):
                    formulas.add(member.filename)
            except TooMuch as error:
                raise DataError(f"{path.name} {error}; it is not opened.") from None
            except _DAMAGE as error:
                raise DataError(f"{path.name} is damaged ({_short(error)}); open it and save it again.") from None
    return formulas


def _has_formulas(path: Path, member: zipfile.ZipInfo, unpacking: Unpacking) -> bool:
    """Look through one part of an Office file for what must not be in it, and for formulas."""
    before, formulas, size = b"", False, 0
    for number, piece in enumerate(unpacking.pieces(member)):
        text = before + piece
        size += len(piece)
        if size > _LARGEST_WHOLE and not member.filename.startswith("xl/worksheets/"):
            raise DataError(f"{path.name}: its part {member.filename} is larger than 256 MiB; split the file.")
        if not member.filename.lower().endswith((".xml", ".rels")):
            continue
        if number == 0 and not _UTF8_XML.match(text):
            raise DataError(f"{path.name}: its part {member.filename} is not UTF-8 XML; open it and save it again.")
        if _DOCTYPE.search(text):
            raise DataError(
                f"{path.name}: its part {member.filename} declares a DOCTYPE, which no Office program writes."
            )
        formulas = formulas or b"<f>" in text or b"<f " in text
        before = text[-16:]
    return formulas


def _refused(member: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    name = member.filename
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name) or ".." in parts:
        return "has a name that leads out of the archive; it was not unpacked"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link, not a file; it was not unpacked"
    if member.flag_bits & 1:
        return "is protected with a password; pack it without one"
    return ""


def _short(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
