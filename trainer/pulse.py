"""Whether a job's process still gets on: signs of life and of progress, by a clock that nobody can set.

A thread of the process looks every few seconds whether the job's events or state have changed, and writes down when
they last did. A suspended process, or one that is stuck in foreign code, writes nothing any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from trainer import jobs
from trainer.atomic import write_atomically
from trainer.jobs import Job

BEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""Without a sign of life for so long a process does not react: a busy machine delays a thread by seconds."""
LONG_SECONDS = 600.0
"""Less than this without progress is never called long."""
FIRST_SECONDS = 1800.0
"""For what has shown no pace yet: large weights that are loaded, and the first step of a large model on a CPU."""
LONG_FACTOR = 10
"""Times the longest pause so far in what the job is doing."""


class Pulse(BaseModel):
    """In a job's `pulse.json`. Times are seconds of this machine's monotonic clock, which stands while it sleeps."""

    alive: float
    progressed: float
    longest: float | None = None
    """The longest pause between two signs of progress in the present state, in seconds."""
    step_seconds: float | None = None
    """Of a step, on the mean, while it trains."""


class _Watch:
    """What has been seen of a job so far."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._state, self._began = "", 0.0
        self._first = self._step = 0
        self._seen: tuple[int, ...] = ()
        self.pulse = Pulse(alive=time.monotonic(), progressed=time.monotonic())

    def look(self) -> None:
        now, pulse = time.monotonic(), self.pulse
        pulse.alive = now
        written = tuple((self._folder / name).stat() for name in ("events.jsonl", "state.json"))
        seen = (written[0].st_size, written[1].st_mtime_ns, written[1].st_ino)
        if seen == self._seen:
            return
        status = jobs.read_state(self._folder)
        if status.state != self._state:
            self._state, self._first, self._step, self._began = status.state, status.step, status.step, now
            pulse.longest = pulse.step_seconds = None
        elif self._seen:
            pulse.longest = max(pulse.longest or 0.0, now - pulse.progressed)
        if status.state == "training" and status.step > self._step:
            self._step = status.step
            pulse.step_seconds = (now - self._began) / (self._step - self._first)
        self._seen, pulse.progressed = seen, now


@contextmanager
def beating(folder: Path) -> Iterator[None]:
    """Give signs of life and of progress of the job in `folder` until the block ends."""
    ended = threading.Event()
    watch = _Watch(folder)

    def beat() -> None:
        while True:
            # A full disk is told by whoever has something to say.
            with suppress(OSError, ValidationError):
                watch.look()
                write_atomically(folder / jobs.PULSE, watch.pulse.model_dump_json())
            if ended.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def reacts(folder: Path) -> bool:
    """Whether the process of the job in `folder` has given a sign of life lately; true where it has not begun to."""
    pulse = _read(folder)
    return pulse is None or time.monotonic() - pulse.alive < SILENT_SECONDS


def remark(job: Job) -> str:
    """That an active job does not get on, and what to do, in a sentence or two; empty where all is well."""
    pulse = _read(job.folder) if job.status.state in jobs.ACTIVE else None
    if pulse is None or not jobs.lives(job.folder):
        return ""
    silent, quiet = time.monotonic() - pulse.alive, time.monotonic() - pulse.progressed
    if silent >= SILENT_SECONDS:
        return (
            f"Its process has not reacted for {_minutes(silent)}: it is suspended, or stuck. Stop ends it; what was "
            "trained until the last checkpoint is kept."
        )
    long = FIRST_SECONDS if pulse.longest is None else max(LONG_SECONDS, LONG_FACTOR * pulse.longest)
    if job.status.state == "queued" or quiet < long:
        return ""
    usual = f"; a step usually takes {_seconds(pulse.step_seconds)}" if pulse.step_seconds else ""
    return f"No progress for {_minutes(quiet)}{usual}. Stop it, or wait."


def _read(folder: Path) -> Pulse | None:
    try:
        return Pulse.model_validate_json((folder / jobs.PULSE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _seconds(value: float) -> str:
    return _minutes(value) if value >= 90 else f"{value:.0f} s" if value >= 1 else "less than a second"


def _minutes(value: float) -> str:
    return f"{value / 60:.0f} min"
