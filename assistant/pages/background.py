"""Long work beside a page: its progress as it goes, then its result."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from trainer.data.sources import Progress


@dataclass
class Told:
    """A word on progress; the last one is `done` and brings the result."""

    text: str
    done: bool = False
    result: Any = None


def with_progress(work: Callable[[Progress], Any]) -> Iterator[Told]:
    """Do `work` in a thread and tell how far it is; raises what the work raises.

    The work goes on where the page is left: what it makes is kept on disk, and found there the next time.
    """
    told: queue.Queue[Told | BaseException] = queue.Queue()

    def report(stage: str, done: int, total: int) -> None:
        told.put(Told(f"{stage}: {done:,} of {total:,}" if total > 1 else f"{stage}: {done:,}" if done else stage))

    def run() -> None:
        try:
            told.put(Told("", done=True, result=work(report)))
        except BaseException as error:  # handed to the page, which raises it
            told.put(error)

    threading.Thread(target=run, daemon=True).start()
    while True:
        said = told.get()
        # Only the newest word is of use to somebody who reads it.
        while not told.empty() and isinstance(said, Told) and not said.done:
            said = told.get()
        if isinstance(said, BaseException):
            raise said
        yield said
        if said.done:
            return
