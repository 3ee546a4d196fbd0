"""Checkpoints that a run can go on from: marked once they are whole, and looked at before one is used.

A process is killed, a disk is full or dies, a folder is copied in part: what a checkpoint's mark lists is compared with
what is there, and the newest that is as it was written is taken.
"""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.atomic import write_atomically
from trainer.jobs import RunError
from trainer.runs import COMPLETE

if TYPE_CHECKING:
    from trainer.reporting import Reporter

ASIDE = "damaged-"
_CHUNK = 1 << 20


def mark_complete(checkpoint: Path) -> None:
    """Say that all of it is written, with the size and the checksum of each file."""
    found = {str(one.relative_to(checkpoint)): [one.stat().st_size, _checksum(one)] for one in _files(checkpoint)}
    write_atomically(checkpoint / COMPLETE, json.dumps(found, indent=1))


def damage(checkpoint: Path) -> str:
    """What is not as it was written, as a part of a sentence; empty where all of it is."""
    try:
        text = (checkpoint / COMPLETE).read_text(encoding="utf-8")
        # Bedside once marked them with an empty file: there is nothing to compare with.
        listed = json.loads(text) if text else {}
    except FileNotFoundError:
        return "it is not there as a whole"
    except (OSError, ValueError):
        return f"its file {COMPLETE} cannot be read"
    for name, (size, checksum) in listed.items():
        path = checkpoint / name
        try:
            found = path.stat().st_size
            if found != size:
                return f"{name} has {found:,} bytes instead of {size:,}"
            if _checksum(path) != checksum:
                return f"{name} has another content than was written"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return ""


def last(folder: Path, reporter: Reporter) -> Path | None:
    """The newest checkpoint in `folder` that is whole; None where none was ever written to its end.

    One that was cut off while it was written is removed, and a damaged one kept aside; both are told. Raises `RunError`
    where all are damaged: what was trained is not begun anew without a word.
    """
    cut_off = remove_unfinished(folder)
    damaged: dict[Path, str] = {}
    whole = None
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True):
        if not (found := damage(checkpoint)):
            whole = checkpoint
            break
        damaged[checkpoint] = found
    if damaged and whole is None:
        each = "; ".join(f"{one.name}: {found}" for one, found in damaged.items())
        raise RunError(
            f"No checkpoint of this run can be used ({each}). Put back {folder} from a backup and resume, or clone the "
            "run to train it from its first step."
        )
    goes_on = f"training goes on from {whole.name}" if whole else "there is none before it, and training begins anew"
    for name in cut_off:
        reporter.warn(f"{name} was not written to its end; {goes_on}.")
    for checkpoint, found in damaged.items():
        aside = checkpoint.with_name(f"{ASIDE}{checkpoint.name}")
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
        reporter.warn(f"{checkpoint.name} is damaged ({found}) and kept aside as {aside.name}; {goes_on}.")
    return whole


def remove_unfinished(folder: Path) -> list[str]:
    """Remove the checkpoints in `folder` that were cut off while they were written; returns their names."""
    names = []
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)
            names.append(checkpoint.name)
    return names


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _files(checkpoint: Path) -> list[Path]:
    return sorted(one for one in checkpoint.rglob("*") if one.is_file() and one.name != COMPLETE)


def _checksum(path: Path) -> int:
    # Against chance and not against malice: more than twice as fast as a hash, which large checkpoints would wait for.
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found
