"""The process of one job: `python -m trainer.worker FOLDER` of a run, an evaluation or a search, and talks through it
alone.

Until it is the job's turn on its device nothing heavy is imported, so that many may wait.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import jobs, pulse
from trainer.errors import UserError
from trainer.jobs import DISK_FULL, RunState

if TYPE_CHECKING:
    from trainer.evaluation.evaluations import Evaluation
    from trainer.reporting import Reporter
    from trainer.runs import Run
    from trainer.search.searches import Search

STARTED_SECONDS = 5.0
FULL_BYTES = 1 << 16
"""A disk with less than this free is full: a file takes pages of 4 KiB, and some systems keep a few back."""


def main(folder: Path) -> int:
    """Do the job in `folder`, when it is its turn on its device; returns the exit status (0 done or stopped)."""
    jobs.set_environment()

    from trainer.reporting import Reporter

    with _life(folder):
        reporter = Reporter(folder, _started(folder))
        with pulse.beating(folder):
            return told(reporter, lambda: _work(folder, reporter))


@contextmanager
def _life(folder: Path) -> Iterator[None]:
    """Hold the job's lock, where this process was started by hand; `starting.go` gives it to those that it starts."""
    with (folder / jobs.LIFE_LOCK).open("a") as life:
        with suppress(BlockingIOError):
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = jobs.read_state(folder)
            jobs.write_state(folder, status.model_copy(update={"pid": os.getpid(), "error": None}))
        yield


def _started(folder: Path) -> RunState:
    """The state as whoever started this process wrote it down, a moment after; sooner, it would undo what we write."""
    deadline = time.monotonic() + STARTED_SECONDS
    status = jobs.read_state(folder)
    while status.pid != os.getpid():
        if time.monotonic() > deadline:  # it was killed before it did
            jobs.write_state(folder, status.model_copy(update={"pid": os.getpid()}))
        time.sleep(0.02)
        status = jobs.read_state(folder)
    return status


def _work(folder: Path, reporter: Reporter) -> None:
    job, carry_out = _job(folder)
    if job.device is None:
        carry_out(reporter)
        return

    from trainer import queue, room

    with queue.turn(job, reporter) as turn:
        room.make(job, turn, reporter)
        carry_out(reporter)


def _job(folder: Path) -> tuple[Run | Evaluation | Search, Callable[[Reporter], None]]:
    """What stands in the folder, and the function that does it."""
    if (folder / "run.yaml").exists():
        from trainer import runs

        run = runs.get(folder.name)
        return run, lambda reporter: _train(run, reporter)
    if (folder / "search.yaml").exists():
        from trainer.search import searches

        search = searches.get(folder.name)
        return search, lambda reporter: _search(search, reporter)

    from trainer.evaluation import evaluations

    evaluation = evaluations.get(folder.name)
    return evaluation, lambda reporter: _evaluate(evaluation, reporter)


def told(reporter: Reporter, work: Callable[[], None], not_ours: Callable[[Exception], bool] | None = None) -> int:
    """Do the work; where it is stopped or fails, say so in the job's folder. Returns the exit status.

    Errors that are for somebody else to tell (`not_ours`) are passed on.
    """
    from trainer import events

    try:
        work()
        return 1 if reporter.status.state == "failed" else 0
    except jobs.StopRequested:
        waited = reporter.status.state == "queued"
        reporter.event(events.StopEvent(reason="stopped by request"))
        reporter.enter("stopped", "Resume puts it in the queue again." if waited else "Resume goes on from here.")
        return 0
    except UserError as error:
        sentence = str(error)
    except Exception as error:  # the last stand: whatever a library raises becomes a state and a sentence
        if not_ours and not_ours(error):
            raise
        sentence = _sentence(error, reporter.folder)
        if sentence == DISK_FULL:
            from trainer import checkpoints

            # What was half written is of no use, and its room is needed to say what happened.
            checkpoints.remove_unfinished(reporter.folder / "checkpoints")
        traceback.print_exc()
    reporter.status.error = sentence
    try:
        reporter.enter("failed", sentence)
    except OSError:  # not even this can be written; whoever looks finds the process gone, and why (`jobs.settled`)
        traceback.print_exc()
    return 1


def _train(run: Run, reporter: Reporter) -> None:
    if run.config.hardware.processes * run.config.hardware.machines > 1:
        from trainer.launch import supervise

        supervise.train(run.config, reporter)
    else:
        from trainer import engine

        keep_what_was_loaded()
        engine.train(run.config, reporter)


def _search(search: Search, reporter: Reporter) -> None:
    from trainer.search import search as order_of_work

    keep_what_was_loaded()
    order_of_work.search(search.request, reporter)


def _evaluate(evaluation: Evaluation, reporter: Reporter) -> None:
    from trainer import runs

    run = runs.get(evaluation.request.run)
    if not run.weights:
        raise jobs.RunError(f"Run {run.id} is {run.status.state} and has trained nothing; resume it, then this.")

    from trainer.evaluation.evaluate import evaluate
    from trainer.evaluation.harden import follow

    keep_what_was_loaded()
    evaluate(evaluation.request, reporter)
    if evaluation.request.harden is not None:
        follow(evaluation.request, reporter)
    reporter.enter("done")


def keep_what_was_loaded() -> None:
    """The libraries stay until the process ends: looking through them for garbage takes a third of a second each time,
    and a run does it half a dozen times."""
    gc.freeze()


def _sentence(error: Exception, folder: Path) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if said := jobs.of_a_jobs_disk(error):
        return said
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return (
            "Out of memory. Halve schedule.batch_size and double schedule.accumulation, or switch on "
            "schedule.gradient_checkpointing, and start again."
        )
    if shutil.disk_usage(folder).free < FULL_BYTES:  # PyTorch does not say what kept it from writing
        return DISK_FULL
    return f"{type(error).__name__}: {text} (the whole message is in log.txt)"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
