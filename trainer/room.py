"""Memory of a device that trainings and models that answer share, so that neither runs the other out of it.

A job that has its turn looks whether what it is expected to take is free. Where it is not, it asks for the memory of
models that are loaded to answer (the Playground's), and waits a minute for them to leave. Who loads such models looks
first whether they fit beside what the job there is still expected to take. Beside a device's lock (`trainer.queue`)
stand two more: `DEVICE.models`, shared by all that hold models in its memory, and `DEVICE.loading`, held while some are
loaded, or while a job looks what is free.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

import psutil

from trainer import any_job, hardware, queue
from trainer.duration import Range
from trainer.errors import UserError
from trainer.jobs import Job, StopRequested
from trainer.queue import Holder, Turn

if TYPE_CHECKING:
    from trainer.reporting import Reporter
    from trainer.sections import RunConfig

RESERVE_SHARE = 0.05
"""Of a device's memory, which is never planned away: what a system at the edge needs to go on."""
LEAVE_SECONDS = 60.0
"""Longest that a job waits for models to leave memory."""
_GIB = 2**30
_POLL_SECONDS = 0.25


class NoRoomError(UserError):
    """Models do not fit beside what else is on a device; the text says what has it, and what to do."""


class Held:
    """Models of this process in the memory of devices, known to the jobs there until they are closed."""

    def __init__(self, devices: Sequence[str], locks: ExitStack):
        self._devices = [queue.lock_file(device) for device in devices]
        self._locks = locks

    def is_wanted(self) -> bool:
        """Whether a job waits for this memory."""
        return any(one.wants_room for path in self._devices if (one := queue.holder(path)))

    def close(self) -> None:
        """The models are gone, and their memory is given back to the system."""
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        with suppress(OSError, AttributeError):  # another C library, which keeps less
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._locks.close()

    def __del__(self) -> None:
        self._locks.close()  # what is simply dropped is gone as well


def device_of(config: RunConfig) -> str:
    """The device whose memory a run's model is loaded to, to answer."""
    return f"cuda-{queue.visible_gpus()[0]}" if config.hardware.device == "cuda" else "cpu"


@contextmanager
def loading(needs: Mapping[str, Range | None]) -> Iterator[Held]:
    """Room for models that are loaded within the block, by device what they need (None: not known).

    What it gives has to be closed when they are gone; where the block raises, it is. Raises `NoRoomError`.
    """
    with ExitStack() as meanwhile, ExitStack() as locks:
        for device in sorted(needs):
            file = meanwhile.enter_context(_open(device, "loading"))
            fcntl.flock(file, fcntl.LOCK_EX)
        for device, needed in needs.items():
            if reason := _no_room(device, needed):
                raise NoRoomError(reason)
        for device in needs:
            fcntl.flock(locks.enter_context(_open(device, "models")), fcntl.LOCK_SH)
        held = Held(list(needs), locks.pop_all())
        try:
            yield held
        except BaseException:
            held.close()
            raise


def spare_gib(device: str) -> float:
    """What is free on a device beyond what a job that is at work there may still take; 0 where nobody knows."""
    memory = hardware.memory(device)
    if memory is None:
        return 0.0
    holder = queue.holder(queue.lock_file(device))
    coming = _still_to_come(holder, device, memory) if holder else 0.0
    return max(0.0, memory.free_gib - coming - RESERVE_SHARE * memory.total_gib)


def make(job: Job, turn: Turn, reporter: Reporter) -> None:
    """Before a job begins: where what it is expected to take is not free, let models that answer leave its devices.

    Says so where it is not free then either. Raises `StopRequested`.
    """
    expected = job.expected_gib()
    if _is_free(expected, turn.devices, reporter):
        return
    if not _are_empty(turn.devices):
        reporter.enter("queued", "Waiting for the Playground's models to leave memory.")
        turn.wants_room(True)
        _wait(lambda: _are_empty(turn.devices), reporter)
        turn.wants_room(False)
    if expected and not _is_free(expected, turn.devices, reporter):
        free = min(one.free_gib for device in turn.devices if (one := hardware.memory(device)))
        reporter.warn(
            f"This is expected to take {expected.low:.1f} to {expected.high:.1f} GiB, and {free:.1f} are free: memory "
            "may run out. Other programs may have it."
        )


def _no_room(device: str, needed: Range | None) -> str:
    """Why models do not fit on a device now, in a sentence with the way out; empty where they do."""
    memory = hardware.memory(device)
    if needed is None or memory is None:
        return ""
    holder = queue.holder(queue.lock_file(device))
    coming = _still_to_come(holder, device, memory) if holder else 0.0
    if needed.high + coming + RESERVE_SHARE * memory.total_gib <= memory.free_gib:
        return ""
    place = "this machine's" if device == "cpu" else "the GPU's"
    sentence = (
        f"To answer, these models need about {needed.high:.1f} GiB of {place} memory, of which "
        f"{memory.free_gib:.1f} are free"
    )
    if holder is None or coming == 0.0:
        return f"{sentence}. Close other programs, or choose smaller models."
    job = any_job.of(holder)
    return (
        f"{sentence}, and {job.noun.lower()} {job.id}, which is at work there, may still take {coming:.1f}. Ask again "
        "when it has ended, or stop it on the Runs page."
    )


def _still_to_come(holder: Holder, device: str, memory: hardware.Memory) -> float:
    """GiB that a job is expected to take beyond what it has now."""
    expected = any_job.of(holder).expected_gib()
    if expected is None:
        return 0.0
    if device == "cpu":
        has = 0.0
        with suppress(psutil.Error):
            process = psutil.Process(holder.pid)
            has = sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / _GIB
    else:
        # Whatever is in use there and is not ours is its own: no two jobs share a device.
        has = memory.total_gib - memory.free_gib
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            has -= torch.cuda.memory_reserved() / _GIB
    return max(0.0, expected.high - has)


def _is_free(expected: Range | None, devices: Sequence[str], reporter: Reporter) -> bool:
    """Whether as much is free on each device; false where nobody knows how much it takes. Waits for what is loading."""
    with ExitStack() as stack:
        files = [stack.enter_context(_open(device, "loading")) for device in devices]
        _wait(lambda: all(_locks(file) for file in files), reporter)
        found = [hardware.memory(device) for device in devices]
    if expected is None:
        return False
    return all(one is None or expected.high + RESERVE_SHARE * one.total_gib <= one.free_gib for one in found)


def _are_empty(devices: Sequence[str]) -> bool:
    """Whether nobody holds models on these devices."""
    with ExitStack() as stack:
        return all(_locks(stack.enter_context(_open(device, "models"))) for device in devices)


def _wait(reached: Callable[[], bool], reporter: Reporter) -> None:
    """Until it is so, or for `LEAVE_SECONDS`; raises `StopRequested`."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while not reached() and time.monotonic() < deadline:
        if reporter.stop_requested():
            raise StopRequested
        time.sleep(_POLL_SECONDS)


def _locks(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(device: str, which: str) -> TextIO:
    return (queue.folder() / f"{device}.{which}").open("a", encoding="utf-8")
