"""The two models that the app keeps in memory to answer, for every window.

They leave it when nobody has asked them for a while, and when a job that has its turn needs the memory
(`trainer.room`); the next question loads them again.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from assistant.pages.background import load_libraries
from trainer import runs
from trainer.errors import UserError
from trainer.model_refs import ModelRef

if TYPE_CHECKING:
    from trainer.pairing import Pairing

IDLE_SECONDS = 600.0
"""Models that nobody has asked for so long leave memory."""
ANSWERING_SECONDS = 5.0
"""Less than this after a token there is an answer under way."""
GRACE_SECONDS = 20.0
"""That an answer under way has to end, when a job needs the memory."""
LOOK_SECONDS = 1.0
T = TypeVar("T")
Key = tuple[tuple[str, float], ...]


class LeftMemory(UserError):
    """The models were given up while they answered; the text says why and what to do."""


class Loaded:
    """The one pairing that the app keeps in memory; loading another drops it.

    The lock is held for a load, a single token or the words of one answer, never while a page is drawn: an answer that
    is stopped is simply not asked for its next token, and would otherwise keep the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._key: Key = ()
        self._pairing: Pairing | None = None
        self._used = 0.0
        self._wanted_since: float | None = None

    def has(self, first: ModelRef, second: ModelRef) -> bool:
        """Are these two, as they are trained now, the ones in memory?"""
        return self._pairing is not None and self._key == _key(first, second)

    def get(self, first: ModelRef, second: ModelRef) -> Pairing:
        """The pairing of these two, loaded where it is not the one in memory."""
        with self._lock:
            if self._pairing is None or self._key != _key(first, second):
                load_libraries()
                from trainer import pairing

                self._pairing = None  # four models at once may not fit
                gc.collect()
                self._pairing = pairing.load(first, second)
                self._key = _key(first, second)
                threading.Thread(target=self._watch, args=[self._pairing], daemon=True).start()
            self._used = time.monotonic()
            return self._pairing

    def step(self, answers: Iterator[T]) -> T | None:
        """The answers after one more token; None at their end. Raises `LeftMemory` where the models were given up."""
        with self._lock:
            if self._pairing is None:
                raise LeftMemory(
                    "This answer was ended: a job on the Runs page needed the models' memory. Ask again; they are "
                    "loaded anew where they fit beside it."
                )
            try:
                return next(answers, None)
            finally:
                self._used = time.monotonic()

    def use(self, first: ModelRef, second: ModelRef, work: Callable[[Pairing], T]) -> T:
        """What `work` makes of the pairing, while no other window asks it."""
        with self._lock:
            try:
                return work(self.get(first, second))
            finally:
                self._used = time.monotonic()

    def _watch(self, pairing: Pairing) -> None:
        while self._look(pairing):
            time.sleep(LOOK_SECONDS)

    def _look(self, pairing: Pairing) -> bool:
        """Give the models up where it is time to; whether they are still there."""
        with self._lock:
            if self._pairing is not pairing:
                return False
            now = time.monotonic()
            if not (pairing.held and pairing.held.is_wanted()):
                self._wanted_since = None
            elif self._wanted_since is None:
                self._wanted_since = now
            idle = now - self._used
            asked = self._wanted_since is not None
            if idle < IDLE_SECONDS and not (asked and (idle > ANSWERING_SECONDS or self._grace_is_over(now))):
                return True
            # In this order: who sees that they are gone counts on their memory.
            pairing.close()
            self._pairing, self._wanted_since = None, None
            return False

    def _grace_is_over(self, now: float) -> bool:
        return self._wanted_since is not None and now - self._wanted_since > GRACE_SECONDS


def _key(first: ModelRef, second: ModelRef) -> Key:
    # A run that was resumed has a new adapter under the same id.
    trained = ((str(ref), runs.get(ref.run).weights) for ref in (first, second))
    return tuple((ref, max((file.stat().st_mtime for file in files), default=0.0)) for ref, files in trained)


loaded = Loaded()
