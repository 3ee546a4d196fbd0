"""Data as it was set up on the Data page: the run file's `data` section in a file of its own, beside the data."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from trainer import config, yaml_text
from trainer.data_sections import DataSection

SUFFIX = ".data.yaml"


def folder() -> Path:
    """Where uploaded data and recipes are kept, readable by its owner alone."""
    path = config.home() / "data"
    path.mkdir(exist_ok=True, mode=0o700)
    return path


def is_recipe(name: str) -> bool:
    """Whether the name of a data source is that of a recipe."""
    return name.endswith(SUFFIX)


def shown(name: str) -> str:
    """A data source as people read it: a recipe by what it was made for, anything else as it is."""
    return f"{Path(name).name.removesuffix(SUFFIX)}, as set up on the Data page" if is_recipe(name) else name


def at(name: str) -> Path:
    """The recipe that a browser names; what would lead to another folder is left away. Raises `ConfigError`."""
    path = folder() / Path(name).name
    if not is_recipe(path.name):
        raise config.ConfigError([config.Fault(field=path.name, message="is no data of the Data page; choose one.")])
    return path


def path_for(source: str) -> Path:
    """A recipe's path for a source: named after it, in `folder()`, never over another one."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).name or source).strip("-.")[:60] or "data"
    target, number = folder() / f"{stem}{SUFFIX}", 1
    while target.exists():
        number += 1
        target = folder() / f"{stem}-{number}{SUFFIX}"
    return target


def save(path: Path, data: DataSection) -> None:
    """Write a recipe, at once and whole."""
    partial = path.with_name(f".{path.name}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(data.model_dump(mode="json"), file, sort_keys=False, allow_unicode=True, width=100)
    partial.replace(path)


def load(path: Path) -> DataSection:
    """Read a recipe; raises `ConfigError` naming each field that is at fault, or the file."""
    try:
        read = yaml_text.read(yaml_text.text_of(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or "it is not valid YAML"
        raise config.ConfigError([config.Fault(field=str(path), message=f"cannot be read ({reason}).")]) from None
    return config.parse({"data": read}).data


def saved() -> list[Path]:
    """All recipes, the one that was changed last first."""
    return sorted(folder().glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
