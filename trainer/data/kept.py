"""What the home keeps of a user's data, and how it is removed for good."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from trainer import audit, config
from trainer.config import ConfigError
from trainer.data import recipes
from trainer.data.records import DataError
from trainer.data_sections import DataSection


class Kept(BaseModel):
    """One thing that is kept: an uploaded file, a recipe, a fetched set, or prepared data."""

    id: str
    kind: Literal["upload", "recipe", "fetched", "prepared"]
    path: Path
    megabytes: float


def all_kept() -> list[Kept]:
    """Everything, by kind and name."""
    found = [
        _kept(path, "recipe" if recipes.is_recipe(path.name) else "upload")
        for path in sorted(recipes.folder().iterdir())
        if not path.name.startswith(".")
    ]
    kinds: tuple[tuple[str, Literal["fetched", "prepared"]], ...] = (("datasets", "fetched"), ("prepared", "prepared"))
    for name, kind in kinds:
        place = config.home() / name
        found += [_kept(path, kind) for path in sorted(place.glob("*")) if path.is_dir()]
    return found


def find(identity: str) -> Kept:
    """The one with this id; raises `DataError` where there is none."""
    for one in all_kept():
        if one.id == identity:
            return one
    raise DataError(f"Nothing is kept as {identity!r}; `bedside data list` shows what is.")


def delete(one: Kept) -> None:
    """Remove it from the disk. Runs that were trained on it keep their manifest and their model."""
    if one.path.is_dir():
        shutil.rmtree(one.path)
        one.path.with_name(f"{one.path.name.removesuffix('.part')}.lock").unlink(missing_ok=True)
    else:
        one.path.unlink()
    audit.record("deleted", f"{one.kind} data {one.id}")


def delete_recipe(path: Path) -> None:
    """Remove a recipe for good, with its corrections, the uploads that it names, and the data prepared from them."""
    try:
        data = recipes.load(path)
    except ConfigError:
        data = DataSection()
    named = {source.name for source in data.sources}
    own = [*named, *(source.corrections for source in data.sources if source.corrections)]
    for prepared in (config.home() / "prepared").glob("*/manifest.json"):
        made = json.loads(prepared.read_text(encoding="utf-8"))
        if named & {source["name"] for source in made["sources"] if source["role"] == "training"}:
            delete(_kept(prepared.parent, "prepared"))
    for begun in (config.home() / "prepared").glob("*.part/rows.jsonl"):
        if named & _sources_of(begun):
            delete(_kept(begun.parent, "prepared"))
    path.unlink(missing_ok=True)
    for name in own:
        # Only what was uploaded: a file elsewhere on the disk is its owner's.
        if Path(name).parent == recipes.folder() and not _named_elsewhere(name):
            Path(name).unlink(missing_ok=True)


def _sources_of(gathered: Path) -> set[str]:
    """The sources of the rows that a preparation had gathered before it was cut off."""
    with gathered.open(encoding="utf-8", errors="replace") as lines:
        found = [json.loads(line)["row"] for line in lines if line.endswith("\n")]
    return {row["about"]["source"] for row in found if row is not None}


def _named_elsewhere(name: str) -> bool:
    return any(name in recipe.read_text(encoding="utf-8") for recipe in recipes.saved())


def _kept(path: Path, kind: Literal["upload", "recipe", "fetched", "prepared"]) -> Kept:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Kept(id=path.name, kind=kind, path=path, megabytes=sum(file.stat().st_size for file in files) / 1e6)
