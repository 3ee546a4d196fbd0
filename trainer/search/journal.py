"""The file of a search's study: Optuna's journal, one line for each thing that happened, shared by processes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

FILE = "journal.log"


def storage(folder: Path, mend: bool = False) -> Any:
    """Optuna's storage in the search's folder; `mend` a journal that a power failure cut off."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock: Any = _JournalLock(folder / f"{FILE}.lock")
    if mend and (folder / FILE).exists():
        lock.acquire()
        try:
            _mend(folder / FILE)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(folder / FILE), lock_obj=lock))


def _mend(journal: Path) -> None:
    """Take away half a line at the end, which a power failure may leave and Optuna would stumble over."""
    with journal.open("rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)


class _JournalLock:
    """Optuna's lock on its journal, but one that the system takes from a process that dies: no one waits for it."""

    def __init__(self, path: Path):
        self.path = path
        self._file: TextIO | None = None

    def acquire(self) -> bool:
        self._file = self.path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        assert self._file is not None
        self._file.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file, as soon as nobody else does."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
