"""Long work beside a page: its progress as it goes, then its result."""

from __future__ import annotations

import contextvars
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from trainer.data.sources import Progress
from trainer.errors import UserError, of_the_disk

_loading = threading.Lock()


@dataclass
class Told:
    """A word on progress; the last one is `done` and brings the result."""

    text: str
    done: bool = False
    result: Any = None


def said(sentence: str, tone: str = "quiet") -> str:
    """A sentence on what is being done, or why it was not, as a page shows it."""
    return f'<div class="bs-notice bs-{tone}" role="status">{escape(sentence)}</div>'


def in_a_sentence(error: Exception) -> str:
    """What a page says of an error: our own sentence, or of an unexpected one the first line, else its name."""
    if isinstance(error, UserError):
        return str(error)
    text = of_the_disk(error) or str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def load_libraries() -> None:
    """Load what models and data need, before a thread uses it: of several threads that load them at once, one finds
    half of a module, and fails with an error that is gone a moment later."""
    with _loading:
        import datasets  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401


def with_progress(work: Callable[[Progress], Any]) -> Iterator[Told]:
    """Do `work` in a thread and tell how far it is; raises what the work raises.

    The work goes on where the page is left: what it makes is kept on disk, and found there the next time.
    """
    told: queue.Queue[Told | BaseException] = queue.Queue()

    def report(stage: str, done: int, total: int) -> None:
        told.put(Told(f"{stage}: {done:,} of {total:,}" if total > 1 else f"{stage}: {done:,}" if done else stage))

    def run() -> None:
        try:
            if "transformers" not in sys.modules:
                report("Loading libraries", 0, 0)
            load_libraries()
            told.put(Told("", done=True, result=work(report)))
        except BaseException as error:  # handed to the page, which raises it
            told.put(error)

    # In this call's context: who acts is told from it.
    threading.Thread(target=contextvars.copy_context().run, args=[run], daemon=True).start()
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
