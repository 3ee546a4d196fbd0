"""The process of one job: `python -m trainer.worker FOLDER` of a run, an evaluation or a search, and talks through it
alone."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from trainer import config as run_config
from trainer import jobs
from trainer.errors import UserError
from trainer.jobs import DISK_FULL, RunState

if TYPE_CHECKING:
    from trainer.reporting import Reporter

QUEUE_POLL_SECONDS = 1.0


def main(folder: Path) -> int:
    """Do the job in `folder`, after any other on this device; returns the exit status (0 done or stopped)."""
    jobs.set_environment()
    status = RunState.model_validate_json((folder / "state.json").read_text(encoding="utf-8"))
    status.pid = os.getpid()

    from trainer.reporting import Reporter

    reporter = Reporter(folder, status)
    return told(reporter, lambda: _work(folder, reporter))


def _work(folder: Path, reporter: Reporter) -> None:
    if (folder / "run.yaml").exists():
        _train(folder, reporter)
    elif (folder / "search.yaml").exists():
        _search(folder, reporter)
    else:
        _evaluate(folder, reporter)


def told(reporter: Reporter, work: Callable[[], None], not_ours: Callable[[Exception], bool] | None = None) -> int:
    """Do the work; where it is stopped or fails, say so in the job's folder. Returns the exit status.

    Errors that are for somebody else to tell (`not_ours`) are passed on.
    """
    from trainer import events, training
    from trainer.reporting import StopRequested

    try:
        work()
        return 1 if reporter.status.state == "failed" else 0
    except StopRequested:
        reporter.event(events.StopEvent(reason="stopped by request"))
        reporter.enter("stopped", "Resume goes on from here.")
        return 0
    except UserError as error:
        sentence = str(error)
    except Exception as error:  # the last stand: whatever a library raises becomes a state and a sentence
        if not_ours and not_ours(error):
            raise
        sentence = _sentence(error)
        if sentence == DISK_FULL:
            # What was half written is of no use, and its room is needed to say what happened.
            training.remove_unfinished(reporter.folder / "checkpoints")
        traceback.print_exc()
    reporter.status.error = sentence
    reporter.enter("failed", sentence)
    return 1


def _train(folder: Path, reporter: Reporter) -> None:
    config = run_config.load(folder / "run.yaml")
    with _device(reporter):
        if config.hardware.processes * config.hardware.machines > 1:
            from trainer.launch import supervise

            supervise.train(config, reporter)
        else:
            from trainer import engine

            engine.train(config, reporter)


def _search(folder: Path, reporter: Reporter) -> None:
    from trainer.search import request, searches
    from trainer.search.search import search

    asked = request.load(folder / searches.REQUEST)
    # A cluster's trials do not run on this device.
    with nullcontext() if asked.ray_address else _device(reporter):
        search(asked, reporter)


def _evaluate(folder: Path, reporter: Reporter) -> None:
    from trainer import runs
    from trainer.evaluation import evaluations, request
    from trainer.evaluation.evaluate import evaluate
    from trainer.evaluation.harden import follow, wait_for

    asked = request.load(folder / evaluations.REQUEST)
    wait_for(runs.get(asked.run), reporter)
    with _device(reporter):
        evaluate(asked, reporter)
    if asked.harden is not None:
        follow(asked, reporter)
    reporter.enter("done")


@contextmanager
def _device(reporter: Reporter) -> Iterator[None]:
    """This device, once no other job is using it."""
    with (run_config.home() / f"{reporter.status.device}.lock").open("w") as device:
        _wait_for(device, reporter)
        yield


def _wait_for(device: TextIO, reporter: Reporter) -> None:
    from trainer.reporting import StopRequested

    said = False
    while True:
        try:
            fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not said:
                reporter.enter("queued", "Another job is using this device; this one starts after it.")
                said = True
            if reporter.stop_requested():
                raise StopRequested from None
            time.sleep(QUEUE_POLL_SECONDS)


def _sentence(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error) or "os error 28" in str(error):
        return DISK_FULL
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return (
            "Out of memory. Halve schedule.batch_size and double schedule.accumulation, or switch on "
            "schedule.gradient_checkpointing, and start again."
        )
    return f"{type(error).__name__}: {text} (the whole message is in log.txt)"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
