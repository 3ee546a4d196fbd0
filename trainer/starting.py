"""How a job gets a process of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO, TypeVar

from trainer import actor, audit, hardware, jobs, queue
from trainer.jobs import Job, RunError

# For the working process: keep freed memory in it (glibc). Every step allocates the same large buffers anew, and
# getting them from the system page by page cost a tenth of the time on two cores.
PROCESS_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
}
ENDING_SECONDS = 20.0
NOT_ON_ZERO_GPU = (
    "Nothing is trained on this Space: ZeroGPU lends it a GPU for the length of an answer, and a training takes "
    "longer. Give the Space hardware of its own (for the smallest models a CPU will do), or export the run file and "
    "train where you have a machine."
)
J = TypeVar("J", bound=Job)


def start(job: J, reread: Callable[[str], J]) -> J:
    """Set a queued, stopped or failed job going in a process of its own, which outlives this one.

    It waits there for its turn (`trainer.queue`). `reread` gives the job of an id as it is now. Raises `RunError` where
    it is active or done.
    """
    actor.must_own(job.status.owner, f"{job.noun} {job.id}")
    started = go(job, reread)
    audit.record("started", f"{job.noun.lower()} {job.id}")
    return started


def go(job: J, reread: Callable[[str], J]) -> J:
    """`start`, without asking whose the job is and without a line in the audit log."""
    if job.trains and hardware.is_zero_gpu():
        raise RunError(NOT_ON_ZERO_GPU)
    # The process inherits the lock and never opens it anew: it is held from here until that process is gone.
    with (job.folder / jobs.LIFE_LOCK).open("a") as life, (job.folder / "log.txt").open("a") as log:
        job = _claim(job, reread, life)
        queue.join(job)
        for old in (jobs.STOP, jobs.PULSE):
            (job.folder / old).unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.worker", str(job.folder)],
            cwd=jobs.CODE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | PROCESS_SETTINGS | actor.handed_on(),
            pass_fds=[life.fileno()],
        )
    jobs.write_state(job.folder, job.status.model_copy(update={"state": "queued", "pid": process.pid, "error": None}))
    # Nobody waits for the process; without this it would stay a zombie for as long as the app lives.
    threading.Thread(target=process.wait, daemon=True).start()
    return reread(job.id)


def _claim(job: J, reread: Callable[[str], J], life: TextIO) -> J:
    """The job, as it is once its lock is ours: a process that has just stopped takes seconds to end."""
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        job = reread(job.id)
        if job.status.state == "done":
            raise RunError(f"{job.noun} {job.id} is done; {job.again}.")
        if job.status.pid is not None and job.status.state in jobs.ACTIVE:
            raise RunError(f"{job.noun} {job.id} is {job.status.state} already.")
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return job
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RunError(
                    f"The last process of {job.noun.lower()} {job.id} has not ended yet; try again in a moment."
                ) from None
            time.sleep(0.1)
