"""What the home keeps, by kind: how much, since when, whether patients' text may be in it; and its removal for good.

All that Bedside writes is in the home (`trainer.config.home`), so this is the one place to see it and to delete it.
Removed is what a file system removes: an SSD, a snapshot or a backup may hold a copy for longer.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel

from trainer import actor, audit, clock, config, jobs
from trainer.data import kept, recipes
from trainer.errors import UserError

Kind = Literal[
    "plans",
    "uploads",
    "passing",
    "fetched",
    "prepared",
    "runs",
    "evaluations",
    "searches",
    "votes",
    "preferences",
    "replay",
    "answers",
    "exports",
    "dossiers",
    "versions",
    "models",
    "temporary",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
VARIABLE = "BEDSIDE_KEEP_DAYS"
"""Environment variable: days after which `BY_THEMSELVES` are removed without anybody asking; never where it is not set.
"""
BY_THEMSELVES: tuple[Kind, ...] = ("uploads", "prepared", "answers")
PASSING_SECONDS = 3600
"""Age at which a file in passing is removed, always (Gradio's `delete_cache`)."""
LEFT_SECONDS = 3600.0
"""What was begun and not touched for so long was left by a process that is gone."""
_DAY = 86_400.0


class StorageError(UserError):
    """What is kept cannot be removed as asked; the text says why and what to do."""


class About(NamedTuple):
    """What a kind is."""

    what: str
    """In words for whoever answers for the data."""
    folder: str = ""
    """In the home, a thing in it for each entry; empty where it is not so simple."""
    patient_text: bool = True
    """Whether patients' text may be in it, where it was in what people gave."""
    read_by_jobs: bool = True
    """Whether a training, an evaluation or a search may be reading it."""


ABOUT: dict[Kind, About] = {
    "plans": About("conversations with the planner that are no run yet", "plans", read_by_jobs=False),
    "uploads": About("files that people uploaded, and what was set for them on the Data page", "data"),
    "passing": About("copies for the browser, removed after an hour", "uploads", read_by_jobs=False),
    "fetched": About("published data sets that were fetched", "datasets"),
    "prepared": About("rows as models are trained on them", "prepared"),
    "runs": About("trained models with their checkpoints, logs and answers", "runs"),
    "evaluations": About("evaluations with all questions and answers", "evaluations"),
    "searches": About("searches for better settings", "searches", patient_text=False),
    "votes": About("questions and answers that were judged, and what reviewers said", read_by_jobs=False),
    "preferences": About("preference data made of votes", "preferences"),
    "replay": About("earlier rows that an update trains on again", "replay"),
    "answers": About("what base models answered in evaluations", "answers"),
    "exports": About("models made for use elsewhere", "exports"),
    "dossiers": About("release dossiers", "dossiers", read_by_jobs=False),
    "versions": About("versions, sign-offs and A/B tests", patient_text=False, read_by_jobs=False),
    "models": About("base models, which can be had again", patient_text=False),
    "temporary": About("what processes left that were killed", "temporary"),
    "other": About("everything else in the home, such as the key of the pseudonyms", patient_text=False),
}
SERVING = "serving-"
"""Beginning of the folders that `bedside serve` serves from."""
_STAYS = ("queue", "audit.jsonl", "bedside.db", "bedside.db-wal", "bedside.db-shm")


class Stored(BaseModel):
    """What is kept of one kind."""

    kind: Kind
    what: str
    entries: int
    megabytes: float
    oldest: datetime
    """When the entry was changed that was changed longest ago."""
    patient_text: bool
    """Whether patients' text may be in it."""


class Removed(BaseModel):
    """What was removed for good."""

    entries: dict[Kind, int]
    megabytes: float
    stayed: list[str]
    """What of it was not removed, and why, in sentences."""


class _Entry(NamedTuple):
    bytes: int
    changed: float
    """Seconds since 1970."""
    remove: Callable[[], None]


def stored() -> list[Stored]:
    """What there is of every kind, in the order of the work; kinds of which there is nothing are left out."""
    found = []
    for kind in KINDS:
        if entries := list(_entries(kind)):
            about = ABOUT[kind]
            found.append(
                Stored(
                    kind=kind,
                    what=about.what,
                    entries=len(entries),
                    megabytes=sum(one.bytes for one in entries) / 1e6,
                    oldest=datetime.fromtimestamp(min(one.changed for one in entries), UTC),
                    patient_text=about.patient_text,
                )
            )
    return found


def count(kinds: Sequence[Kind], older_than_days: float = 0) -> int:
    """How many entries `remove` would take, were nothing in use."""
    return sum(len(list(_older(kind, older_than_days))) for kind in kinds)


def remove(kinds: Sequence[Kind], older_than_days: float = 0, now: float | None = None) -> Removed:
    """Remove the entries of these kinds that were last changed longer ago, for good. `now`: another moment than the
    clock's, in seconds since 1970.

    While a job is active, nothing that it may read is removed, and that is said. Raises `NotAllowed` where somebody is
    signed in who is no administrator, and `StorageError` for kinds that do not go by age.
    """
    if not actor.now().may("administrator"):
        raise actor.NotAllowed(f"You ({actor.now().name}) may not delete what is kept; ask an administrator.")
    if older_than_days and (timeless := [kind for kind in kinds if kind in ("versions", "other")]):
        raise StorageError(
            f"What is kept of {timeless[0]} does not go by age: one part needs the other. Delete all of it, or none."
        )
    active = _active()
    removed = Removed(entries={}, megabytes=0.0, stayed=[])
    for kind in kinds:
        entries = list(_older(kind, older_than_days, now))
        if not entries:
            continue
        if active and ABOUT[kind].read_by_jobs:
            removed.stayed.append(
                f"{kind}: {len(entries)} stayed, since {active[0]} is at work and may read them; stop it first."
            )
            continue
        for entry in entries:
            try:
                entry.remove()
            except (OSError, UserError) as error:
                removed.stayed.append(f"{kind}: {getattr(error, 'strerror', None) or error}")
            else:
                removed.entries[kind] = removed.entries.get(kind, 0) + 1
                removed.megabytes += entry.bytes / 1e6
    if {"votes", "versions"} & removed.entries.keys() and (fault := _compact()):
        removed.stayed.append(fault)
    for kind, number in removed.entries.items():
        audit.record("deleted", f"{kind}: {number} entries")
    return removed


def days_to_keep() -> float | None:
    """What `VARIABLE` says, or None where it is not set; raises `StorageError` where it is no number of days."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < float("inf"):
        raise StorageError(f"{VARIABLE} is {text!r}; set it to a number of days, such as 30, or leave it empty.")
    return days


def keep_to_limit() -> None:
    """Every hour, for as long as the app runs: remove what is older than `days_to_keep`."""
    while (days := days_to_keep()) is not None:
        try:
            remove(BY_THEMSELVES, days, now=clock.now())  # a clock that is set forward makes everything old at once
        except (OSError, UserError) as error:  # of a full disk, or a database that is away: the next hour may do
            logging.getLogger(__name__).error("What is old could not be removed: %s", error)
        time.sleep(PASSING_SECONDS)


def by_itself() -> str:
    """What is removed without anybody asking, in a sentence."""
    days, kinds = days_to_keep(), ", ".join(BY_THEMSELVES)
    rule = (
        f"After {days:g} days ({VARIABLE}): {kinds}"
        if days
        else f"Nothing else goes by itself: set {VARIABLE} to a number of days, and {kinds} go after them"
    )
    return f"Removed without asking: copies for the browser (passing) after an hour. {rule}."


def told(removed: Removed) -> list[str]:
    """What was removed, what stayed, and what no deletion reaches, in sentences."""
    kinds = ", ".join(f"{number:,} of {kind}" for kind, number in removed.entries.items())
    said = f"Deleted for good: {kinds} ({removed.megabytes:,.1f} MB)." if kinds else "Nothing was deleted."
    copies = "An SSD, a snapshot or a backup may hold a copy for longer. The audit log and accounts of people stay."
    return [said, *removed.stayed, *([copies] if kinds else [])]


def sweep_passing() -> int:
    """Remove files in passing that an app which was killed left behind; returns how many.

    Gradio removes those that it remembers, and it forgets them with its process.
    """
    left = [one for one in _entries("passing") if time.time() - one.changed > PASSING_SECONDS]
    for entry in left:
        entry.remove()
    return len(left)


def _older(kind: Kind, days: float, now: float | None = None) -> Iterator[_Entry]:
    limit = (time.time() if now is None else now) - days * _DAY
    return (one for one in _entries(kind) if one.changed < limit or not days)


def _entries(kind: Kind) -> Iterator[_Entry]:
    """Each thing that is kept of a kind; what is being made at this moment is none yet."""
    if kind == "votes":
        yield from _votes()
    elif kind == "versions":
        yield from _versions()
    elif kind == "uploads":
        for path in _within(config.home() / "data"):
            yield _of_files(path, partial(_remove_upload, path))
    elif kind == "prepared":
        for one in kept.all_kept():
            if one.kind == "prepared" and not _is_being_made(one.path):
                yield _of_files(one.path, partial(kept.delete, one))
    else:
        for path in _paths(kind):
            yield _of_files(path, partial(_remove, path))


def _paths(kind: Kind) -> Iterator[Path]:
    home = config.home()
    if kind == "models":
        from trainer import models

        yield from _within(models.cache_folder())
    elif kind == "temporary":
        left = [*(home / ABOUT[kind].folder).glob("*"), *home.glob(f"{SERVING}*")]
        yield from (path for path in left if time.time() - _changed(path) > LEFT_SECONDS)
    elif kind == "other":
        known = {about.folder for about in ABOUT.values()} | {"models", *_STAYS}
        yield from (path for path in _within(home) if path.name not in known and not path.name.startswith(SERVING))
    else:
        yield from _within(home / ABOUT[kind].folder)


def _within(folder: Path) -> list[Path]:
    """What stands in a folder, but for what is being made there and for locks."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".lock" and not _is_being_made(path)]


def _is_being_made(path: Path) -> bool:
    """Whether this is a part of something that a living process makes, as far as its name and its age tell."""
    part = path.name.startswith(".") or path.suffix == ".part" or ".again-" in path.name
    return part and time.time() - _changed(path) < LEFT_SECONDS


def _of_files(path: Path, remove: Callable[[], None]) -> _Entry:
    return _Entry(sum(file.lstat().st_size for file in _files(path)), _changed(path), remove)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in names)


def _changed(path: Path) -> float:
    """When anything in it was last changed."""
    return max((file.lstat().st_mtime for file in _files(path)), default=path.lstat().st_mtime)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_upload(path: Path) -> None:
    """An upload, with the recipes that name it and what was prepared of them; a recipe with all that is its own."""
    naming = [one for one in recipes.saved() if str(path) in one.read_text(encoding="utf-8", errors="replace")]
    for recipe in [path] if recipes.is_recipe(path.name) else naming:
        kept.delete_recipe(recipe)
    path.unlink(missing_ok=True)


def _active() -> list[str]:
    """Jobs whose process lives, whatever their files say."""
    found = []
    for kind in ("runs", "evaluations", "searches"):
        found += [path.name for path in _within(config.home() / kind) if jobs.lives(path)]
    return found


def _votes() -> Iterator[_Entry]:
    """Each review set, and each comparison of the Playground."""
    from sqlmodel import col, delete, select

    from trainer import store
    from trainer.review import sets
    from trainer.store import Assignment, Comparison, Vote

    def remove(one: str) -> None:
        with store.session() as session:
            session.exec(delete(Vote).where(col(Vote.comparison_id) == one))
            session.exec(delete(Assignment).where(col(Assignment.comparison_id) == one))
            session.exec(delete(Comparison).where(col(Comparison.id) == one))

    with store.session() as session:
        comparisons = list(session.exec(select(Comparison)))
    size: dict[str | None, int] = {}
    for one in comparisons:
        size[one.set_id] = size.get(one.set_id, 0) + len(one.model_dump_json())
    for found in sets.list_sets():
        when = store.as_utc(found.created).timestamp()
        yield _Entry(size.get(found.id, 0), when, partial(_remove_set, found.id))
    for one in comparisons:
        if one.set_id is None:
            when = store.as_utc(one.created).timestamp()
            yield _Entry(len(one.model_dump_json()), when, partial(remove, one.id))


def _remove_set(identity: str) -> None:
    from trainer.review import sets

    sets.delete_set(identity)


def _versions() -> Iterator[_Entry]:
    """Each line's versions and each model's sign-offs, row by row."""
    from sqlmodel import col, delete, select

    from trainer import store
    from trainer.store import ABTest, Deployment, Outcome, SignOff, Version

    def remove(table: type[Outcome] | type[ABTest] | type[Deployment] | type[SignOff] | type[Version], row: object):
        with store.session() as session:
            session.exec(delete(table).where(col(table.id) == row))

    for table in (Outcome, ABTest, Deployment, SignOff, Version):  # an outcome needs its test
        with store.session() as session:
            rows = list(session.exec(select(table)))
        for row in rows:
            when = store.as_utc(row.created).timestamp()
            yield _Entry(len(row.model_dump_json()), when, partial(remove, table, row.id))


def _compact() -> str:
    """Write the database's file anew, without what was deleted; a sentence where that could not be done."""
    from trainer import store

    engine = store.engine()
    if engine.dialect.name != "sqlite":
        return ""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM")
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except Exception as error:  # whatever the driver raises, the rows are gone already
        return f"votes: the database's file may hold deleted rows until it is written anew ({error})."
    finally:
        connection.close()
    return ""
