"""What a job says of itself while it works: events, state, and the ear for a stop request.

Nothing heavy is imported here: a job that waits for its turn tells by this as well.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

from trainer import events, jobs
from trainer.jobs import RunState, State, StopRequested


class Reporter:
    """Writes a run's events and state; every call that reports progress also hears a stop request."""

    def __init__(self, folder: Path, status: RunState):
        self.folder = folder
        self.status = status

    def enter(self, state: State, detail: str = "") -> None:
        """Move to a state and say so."""
        self.status.state = state
        jobs.write_state(self.folder, self.status)
        self.event(events.StateEvent(state=state, detail=detail))

    def event(self, event: events.Event) -> None:
        """Append an event, with the current step."""
        event.step = self.status.step
        events.append(self.folder / "events.jsonl", event)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far some work is; raises `StopRequested`."""
        self.event(events.ProgressEvent(stage=stage, done=done, total=total))
        if self.stop_requested():
            raise StopRequested

    def warn(self, message: str) -> None:
        """Something went another way than planned."""
        self.event(events.WarningEvent(message=message))

    def silent(self) -> Reporter:
        """One for trainings that are only tried: their parts tell nothing but progress, and hear a stop request."""
        return _Silent(self.folder, self.status)

    def stop_requested(self) -> bool:
        """Has `runs.stop` been called?"""
        return (self.folder / jobs.STOP).exists()


class _Silent(Reporter):
    def event(self, event: events.Event) -> None:
        if isinstance(event, events.ProgressEvent):
            super().event(event)


class Mute(Reporter):
    """That of a process beside the main one (`trainer.launch`), which tells and hears for all of them."""

    def enter(self, state: State, detail: str = "") -> None:
        self.status.state = state

    def event(self, event: events.Event) -> None:
        event.step = self.status.step

    def silent(self) -> Reporter:
        return self

    def stop_requested(self) -> bool:
        return False


def peak_memory_gib(device: str) -> float:
    """The most memory that this process has used so far on its device, in GiB (on a CPU: of the machine)."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1024 if os.uname().sysname == "Linux" else 1  # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
