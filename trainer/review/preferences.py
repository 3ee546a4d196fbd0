"""Preference data: made from votes, kept in versions that never change, and given out as TRL's files.

`HOME/preferences/NAME-vN/` holds `pairs.jsonl` (TRL's preference), `labels.jsonl` (TRL's unpaired preference) and
`manifest.json`. What is known of a row stands in columns beside its text, which the data desk reads as it does those of
any other file; a run is trained on such a file by its path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from sqlmodel import col, select

from trainer import audit
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.data import row_files
from trainer.data.records import DataError
from trainer.data.rows import About, Row
from trainer.data.sources import content_hash
from trainer.review.preference_data import LeftOut, PreferenceData, ReaderAgreement, Rules
from trainer.review.queue import get_set, list_sets
from trainer.review.vote_rules import apply_rules
from trainer.store import Comparison, Vote, session

__all__ = [
    "Kind",
    "LeftOut",
    "PreferenceData",
    "PreferenceManifest",
    "Rules",
    "Saved",
    "delete",
    "export",
    "from_votes",
    "list_saved",
    "load",
    "save",
]

Kind = Literal["preference", "unpaired_preference"]
FILES: dict[Kind, str] = {"preference": "pairs.jsonl", "unpaired_preference": "labels.jsonl"}
_NAME = re.compile(r"[^a-z0-9]+")


class PreferenceManifest(BaseModel):
    """What saved preference data is and where it comes from."""

    format_version: Literal[1] = 1
    name: str
    version: int
    created: datetime
    source: str
    rules: Rules | None
    counts: dict[str, int]
    reasons: dict[str, int]
    """How many comparisons give no pair, by the reason."""
    left_out: list[LeftOut]
    agreement: ReaderAgreement
    votes: list[dict[str, Any]]
    """Comparison, reviewer, role, choice, whether corrected, and when."""
    files: dict[str, str]
    """SHA-256 of each file."""


class Saved(BaseModel):
    """Preference data on the disk."""

    id: str
    """NAME-vN"""
    folder: Path
    manifest: PreferenceManifest

    @property
    def pairs(self) -> Path:
        """File of the pairs; empty where there are none. A run's `data.sources` names it."""
        return self.folder / FILES["preference"]

    @property
    def labels(self) -> Path:
        """File of the unpaired rows."""
        return self.folder / FILES["unpaired_preference"]


def from_votes(set_ids: Sequence[str] | None, rules: Rules) -> PreferenceData:
    """What the votes of these review sets (ids or names) give under these rules; None: every vote that there is.

    Raises `ReviewError` for a set that there is not.
    """
    comparisons, votes, source = judged(set_ids)
    return apply_rules(comparisons, votes, rules, source)


def judged(set_ids: Sequence[str] | None) -> tuple[list[Comparison], list[Vote], str]:
    """The comparisons of these sets in their order, the votes on them, and where they come from, in words."""
    sets = [get_set(name) for name in set_ids] if set_ids is not None else list_sets()[::-1]
    order = {one.id: place for place, one in enumerate(sets)}
    with session() as opened:
        asked = select(Comparison)
        if set_ids is not None:
            asked = asked.where(col(Comparison.set_id).in_(list(order)))
        comparisons = list(opened.exec(asked))
        votes = list(opened.exec(select(Vote)))
    # What was asked in the Playground is in no set, and stands after them.
    comparisons.sort(key=lambda one: (order.get(one.set_id or "", len(order)), one.place, one.created, one.id))
    ids = {one.id for one in comparisons}
    source = "all votes" if set_ids is None else f"votes of {', '.join(one.name for one in sets)}"
    return comparisons, [vote for vote in votes if vote.comparison_id in ids], source


def save(data: PreferenceData, name: str) -> Saved:
    """Keep it as the next version of `name`; an earlier version is never overwritten.

    Raises `DataError` where there is nothing to learn from, or where the name has no letter and no number.
    """
    slug = _NAME.sub("-", name.lower()).strip("-")[:60]
    if not slug:
        raise DataError(f"{name!r} cannot be a name; give one with letters or numbers.")
    if not data.pairs and not data.labels:
        why = "; ".join(f"{count} x {reason}" for reason, count in data.reasons.items())
        raise DataError(f"Nothing was saved: {data.source} gives no pair and no label ({why or 'there is nothing'}).")
    partial = _folder() / f".{slug}.{os.getpid()}.{datetime.now(UTC):%H%M%S%f}.part"
    partial.mkdir(mode=0o700)
    try:
        for file, found in zip(FILES.values(), (data.pairs, data.labels), strict=True):
            lines = "".join(json.dumps(flat(row), ensure_ascii=False) + "\n" for row in found)
            write_atomically(partial / file, lines)
        manifest = PreferenceManifest(
            name=slug,
            version=1,
            created=datetime.now(UTC),
            source=data.source,
            rules=data.rules,
            counts=data.counts,
            reasons=data.reasons,
            left_out=data.left_out,
            agreement=data.agreement,
            votes=data.votes,
            files={file: content_hash(partial / file) for file in FILES.values()},
        )
        while True:
            manifest.version = max((number for _, number in _versions(slug)), default=0) + 1
            write_atomically(partial / "manifest.json", manifest.model_dump_json(indent=1))
            folder = _folder() / f"{slug}-v{manifest.version}"
            try:
                partial.rename(folder)
            except OSError:
                # Another process has saved the same version meanwhile.
                if folder.exists():
                    continue
                raise
            return Saved(id=folder.name, folder=folder, manifest=manifest)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def list_saved() -> list[Saved]:
    """All of it, the newest first. Raises `DataError` for a manifest that is damaged."""
    found = [_read(folder) for folder in _folder().iterdir() if (folder / "manifest.json").exists()]
    return sorted((one for one in found), key=lambda one: (one.manifest.created, one.id), reverse=True)


def load(identity: str) -> Saved:
    """The one of this id (NAME-vN), a name's newest version, or the newest of all for `latest`; raises `DataError`."""
    if identity == "latest":
        found = list_saved()
        if not found:
            raise DataError("There is no preference data yet; `bedside preferences make` makes it from votes.")
        return found[0]
    folder = _folder() / identity
    if re.fullmatch(r"[a-z0-9-]+", identity):
        if (folder / "manifest.json").exists():
            return _read(folder)
        if versions := _versions(identity):
            return _read(max(versions, key=lambda one: one[1])[0])
    raise DataError(f"There is no preference data {identity!r}; `bedside preferences list` shows what there is.")


def delete(identity: str) -> None:
    """Remove one version for good; raises `DataError` where there is none of this id."""
    saved = load(identity)
    if saved.id != identity:
        raise DataError(f"{identity!r} is a name; say which version is to go: {saved.id} is the newest.")
    shutil.rmtree(saved.folder)
    audit.record("deleted", f"preference data {saved.id}")


def export(identity: str, kind: Kind, path: Path) -> int:
    """Write the rows as TRL's `kind` to a new file of JSON lines, to the byte as they are kept; returns how many.

    Raises `DataError` where there are none, where the kept file was changed, or where `path` is there already.
    """
    saved = load(identity)
    own = saved.folder / FILES[kind]
    if content_hash(own) != saved.manifest.files[own.name]:
        raise DataError(f"{own} was changed after it was saved, so that it is no longer {saved.id}; make it anew.")
    text = own.read_text(encoding="utf-8")
    if not text:
        raise DataError(f"{saved.id} has no rows of {kind}; it has {_counted(saved)}.")
    if path.exists():
        raise DataError(f"{path} is there already and is not overwritten; choose another name.")
    write_atomically(path, text)
    audit.record("exported", f"{kind} rows of {saved.id}")
    return text.count("\n")


def rows(saved: Saved, kind: Kind) -> list[Row]:
    """The rows of one kind as they were saved, with all that is known of them."""
    return [lifted(line) for line in row_files.read(saved.folder / FILES[kind])]


def flat(row: Row) -> dict[str, Any]:
    """A row as a line of a file has it: what is known of it stands in columns after its text, always in one order."""
    text = {name: value for name, value in row.items() if name != "about"}
    about = row.get("about", {})
    columns = [name for name in About.__annotations__ if name in about and name not in {"place", *text}]
    return text | {name: about[name] for name in columns}


def lifted(line: Any) -> Row:
    """The row of such a line."""
    # In a pair, a label is the class that the row's answer is of.
    fields = ("prompt", "chosen", "rejected") if "chosen" in line else ("prompt", "completion", "label")
    known: Any = {name: value for name, value in line.items() if name not in fields}
    return Row(**{name: line[name] for name in fields}, about=known)


def _folder() -> Path:
    folder = run_config.home() / "preferences"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def _versions(name: str) -> list[tuple[Path, int]]:
    found = ((folder, re.fullmatch(rf"{re.escape(name)}-v(\d+)", folder.name)) for folder in _folder().iterdir())
    return [(folder, int(match[1])) for folder, match in found if match]


def _read(folder: Path) -> Saved:
    try:
        manifest = PreferenceManifest.model_validate_json((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{folder / 'manifest.json'} cannot be read; remove the folder {folder}.") from error
    return Saved(id=folder.name, folder=folder, manifest=manifest)


def _counted(saved: Saved) -> str:
    counts = saved.manifest.counts
    return f"{counts['pairs']} pairs and {counts['good'] + counts['bad']} labelled answers"
