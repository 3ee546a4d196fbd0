"""The one trained run that the app keeps in memory to answer, for every window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from evaluators.generation import Answer
from trainer.runs import Run

if TYPE_CHECKING:
    from trainer.comparison import Comparison

T = TypeVar("T")


class Loaded:
    """The one comparison that the app keeps in memory; loading another run's drops it.

    The lock is held for a load, a single token or the words of one answer, never while a page is drawn: an answer that
    is stopped is simply not asked for its next token, and would otherwise keep the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._key: tuple[str, float] | None = None
        self._comparison: Comparison | None = None

    def has(self, run: Run) -> bool:
        """Is this run, as it is trained now, the one in memory?"""
        return self._comparison is not None and self._key == _key(run)

    def get(self, run: Run) -> Comparison:
        """The run's comparison, loaded where it is not the one in memory."""
        with self._lock:
            if self._comparison is None or self._key != _key(run):
                from trainer.comparison import load_comparison

                self._comparison = None  # two models at once may not fit
                self._comparison = load_comparison(run)
                self._key = _key(run)
            return self._comparison

    def step(self, answers: Iterator[dict[str, Answer]]) -> dict[str, Answer] | None:
        """The answers after one more token; None at their end."""
        with self._lock:
            return next(answers, None)

    def use(self, run: Run, work: Callable[[Comparison], T]) -> T:
        """What `work` makes of the run's comparison, while no other window asks it."""
        with self._lock:
            return work(self.get(run))


def _key(run: Run) -> tuple[str, float]:
    # A run that was resumed has a new adapter under the same id.
    return run.id, run.weights[0].stat().st_mtime


loaded = Loaded()
