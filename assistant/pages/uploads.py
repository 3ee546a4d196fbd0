"""Files that the user gives: bounded, with a safe name, kept in the home's `data/`; and those that are given out."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from trainer import config
from trainer.errors import UserError

ACCEPTED = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".xlsx", ".docx", ".txt", ".zip")
MOST_MB = 200
_SECRET = secrets.token_bytes(32)
"""Of this process: what makes names that nobody can guess."""


class UploadError(UserError):
    """A file cannot be taken; the text says why and what to do."""


def keep(upload: Path) -> Path:
    """Move an uploaded file into `data/`, under its own name made safe; never over another file.

    Moved, not copied: no second copy of what may be patient text stays in the upload cache.
    """
    if upload.suffix.lower() not in ACCEPTED:
        raise UploadError(f"{upload.name} is not a {', '.join(ACCEPTED)} file; save it as one of these.")
    if upload.stat().st_size > MOST_MB * 1024**2:
        raise UploadError(f"{upload.name} is larger than {MOST_MB} MB; name its path in the chat instead.")
    folder = config.home() / "data"
    folder.mkdir(exist_ok=True, mode=0o700)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", upload.stem).strip("-.")[:60] or "data"
    target, number = folder / f"{stem}{upload.suffix.lower()}", 1
    while target.exists():
        number += 1
        target = folder / f"{stem}-{number}{upload.suffix.lower()}"
    shutil.move(upload, target)
    target.chmod(0o600)
    return target


def given_out(name: str) -> Path:
    """Where a file of this name is written that the browser is to fetch: under a name that nobody can guess.

    It is removed with the browser's other copies; the gate lets nothing else of that folder be fetched.
    """
    hidden = hashlib.blake2b(name.encode(), key=_SECRET, digest_size=32).hexdigest()
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / hidden
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name
