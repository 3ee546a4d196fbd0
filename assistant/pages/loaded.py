"""The two models that the app keeps in memory to answer, for every window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from trainer import runs
from trainer.model_refs import ModelRef

if TYPE_CHECKING:
    from trainer.pairing import Pairing

T = TypeVar("T")
Key = tuple[tuple[str, float], ...]


class Loaded:
    """The one pairing that the app keeps in memory; loading another drops it.

    The lock is held for a load, a single token or the words of one answer, never while a page is drawn: an answer that
    is stopped is simply not asked for its next token, and would otherwise keep the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._key: Key = ()
        self._pairing: Pairing | None = None

    def has(self, first: ModelRef, second: ModelRef) -> bool:
        """Are these two, as they are trained now, the ones in memory?"""
        return self._pairing is not None and self._key == _key(first, second)

    def get(self, first: ModelRef, second: ModelRef) -> Pairing:
        """The pairing of these two, loaded where it is not the one in memory."""
        with self._lock:
            if self._pairing is None or self._key != _key(first, second):
                from trainer import pairing

                self._pairing = None  # four models at once may not fit
                self._pairing = pairing.load(first, second)
                self._key = _key(first, second)
            return self._pairing

    def step(self, answers: Iterator[T]) -> T | None:
        """The answers after one more token; None at their end."""
        with self._lock:
            return next(answers, None)

    def use(self, first: ModelRef, second: ModelRef, work: Callable[[Pairing], T]) -> T:
        """What `work` makes of the pairing, while no other window asks it."""
        with self._lock:
            return work(self.get(first, second))


def _key(first: ModelRef, second: ModelRef) -> Key:
    # A run that was resumed has a new adapter under the same id.
    trained = ((str(ref), runs.get(ref.run).weights) for ref in (first, second))
    return tuple((ref, max((file.stat().st_mtime for file in files), default=0.0)) for ref, files in trained)


loaded = Loaded()
