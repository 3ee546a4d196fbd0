"""Disks of their own for tests: a small one that fills up, and one that can only be read. Mounting needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FILLER = "filler"


@contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[Path]:
    """An empty disk of this size at `place`; the test is skipped, and says so, where none can be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "bedside-test"]
    try:
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs the command mount")
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def read_only(place: Path) -> None:
    """From now on, what is mounted here can only be read, by root too."""
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> None:
    """Fill the disk up, but for about so many bytes."""
    with (place / FILLER).open("ab", buffering=0) as file, suppress(OSError):
        while os.statvfs(place).f_bavail * os.statvfs(place).f_frsize > leave:
            file.write(bytes(4096))


def make_room(place: Path) -> None:
    """Free what `fill` took."""
    (place / FILLER).unlink()
