"""Where rows come from: the starter sets, files and folders of the user's, published sets and the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from trainer import config
from trainer.catalogue.datasets import data_set
from trainer.data.records import DataError

STARTER_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "data"
STARTER_PREFIX = "starter/"
STARTER_LICENCE = "Apache-2.0 (written for Bedside)"
Split = Literal["train", "heldout"]
Progress = Callable[[str, int, int], None]  # stage, done, total (0: not known)
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


class Located(BaseModel):
    """A source on this machine: the file or folder that holds its rows, and what is known of it."""

    name: str
    path: Path
    licence: str
    restriction: str = ""
    """What has to be known before it is used, in a sentence; empty where any use is allowed."""
    patient_text: bool
    """Whether it may hold text about real patients, as far as its publisher says: a user's own file may."""


def locate(name: str, split: Split = "train", progress: Progress | None = None) -> Located:
    """Find a source by its name, and fetch a published set that is not on this machine yet.

    A starter set has a file for each split; any other source is itself. Raises `DataError` in one sentence.
    """
    if name.startswith(STARTER_PREFIX):
        return Located(name=name, path=_starter(name, split), licence=STARTER_LICENCE, patient_text=False)
    path = config.path_of(name)
    if path.exists():
        return Located(name=name, path=path.absolute(), licence="the user's own", patient_text=True)
    if not needs_fetching(name):
        raise DataError(
            f"There is no file {name!r}; give the path of a file or a folder, a starter set, a published set's name, "
            "or owner/name of a data set on the Hugging Face Hub."
        )
    from trainer.data import hub

    published = data_set(name)
    fetched = hub.fetch(name, config.home() / "datasets", progress or (lambda stage, done, total: None))
    if published is None:
        licence = hub.licence_of(fetched)
        return Located(
            name=name,
            path=fetched,
            licence=licence,
            restriction=f"{name} is not in Bedside's catalogue; read its card for what may be done with it.",
            patient_text=True,
        )
    return Located(
        name=published.name,
        path=fetched,
        licence=published.licence,
        restriction=published.restriction(),
        patient_text=published.patient_text,
    )


def needs_fetching(name: str) -> bool:
    """Whether a source is a published set or of the Hub, so that its rows may not be on this machine yet."""
    if name.startswith(STARTER_PREFIX) or config.path_of(name).exists():
        return False
    return data_set(name) is not None or bool(_HUB_ID.match(name) and not Path(name).suffix)


def is_here(name: str) -> bool:
    """Whether a source's rows are on this machine now, so that nothing has to be fetched or found first."""
    if not needs_fetching(name):
        return name.startswith(STARTER_PREFIX) or config.path_of(name).exists()
    from trainer.data import hub

    return hub.is_fetched(name, config.home() / "datasets")


def content_hash(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes; of a folder, of its files' names and hashes in order.

    Raises `DataError` for a file that cannot be read.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = "".join(f"{file.relative_to(path)}\0{content_hash(file)}\n" for file in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}).") from None


def _starter(name: str, split: Split) -> Path:
    path = STARTER_FOLDER / f"{name.removeprefix(STARTER_PREFIX)}.{split}.jsonl"
    if path.resolve().parent != STARTER_FOLDER or not path.is_file():
        sets = sorted({file.name.split(".")[0] for file in STARTER_FOLDER.glob(f"*.{split}.jsonl")})
        have = ", ".join(STARTER_PREFIX + one for one in sets)
        raise DataError(f"There is no starter set {name!r} with a {split} split; there are {have}.")
    return path
