"""The work on a search's trials: in the search's own process, in further ones beside it, and in one started by hand.

    python -m trainer.search.work FOLDER PARENT

is a further process; it ends with its parent. What it does stands in the study and the events of the folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import events, jobs
from trainer.errors import UserError
from trainer.jobs import CODE_ROOT, StopRequested
from trainer.search.outcome import Poor, Report, Result, Unfit
from trainer.search.request import SearchRequest
from trainer.search.space import Values
from trainer.search.study import SharedStudy

if TYPE_CHECKING:
    from trainer.reporting import Reporter

POLL_SECONDS = 0.5
Run = Callable[[int, Values, Report], Result]
"""Trains and measures a trial: its number and values, and what is told of its losses (`trainer.search.trial`)."""


def work(study: SharedStudy, run: Run, reporter: Reporter, made: Callable[[], None] = lambda: None) -> None:
    """Make trials until as many as are asked for are made, by whoever; `made` is called after each.

    Raises `StopRequested`, and what `run` raises of the run file itself, or unexpectedly: the trial is then made again
    when the search goes on.
    """
    while True:
        if reporter.stop_requested():
            raise StopRequested
        asked = study.ask()
        if asked is not None:
            make(study, *asked, run, reporter)
            made()
        elif any(one.state == "running" for one in study.records()):
            time.sleep(POLL_SECONDS)  # should that process die, the trial is made here
        else:
            return


def make(study: SharedStudy, number: int, values: Values, run: Run, reporter: Reporter) -> None:
    """Make one trial, and tell the study and the reader what came of it."""
    try:
        result = run(number, values, lambda share, loss: study.report(number, share, loss))
    except StopRequested:
        study.put_back(number)
        raise
    except Poor as error:
        study.poor(number, str(error))
    except Unfit as error:
        study.unfit(number, str(error))
    except UserError as error:
        if values == study.request.space.values_of(study.request.run):
            raise  # the run file as it is cannot be trained, so that no other trial could be
        study.unfit(number, str(error))
    else:
        study.complete(number, result)
    tell(study, number, reporter)


def tell(study: SharedStudy, number: int, reporter: Reporter) -> None:
    """What became of a trial, as an event."""
    (record,) = (one for one in study.records() if one.number == number)
    told = record.model_dump(include={"state", "values", "measured", "detail", "seconds"})
    reporter.event(events.TrialEvent(trial=number, **told))


@contextmanager
def helpers(folder: Path, request: SearchRequest, reporter: Reporter) -> Iterator[None]:
    """Further processes beside this one, as many as the request's workers; each takes its share of the cores."""
    started = [_start(folder, number) for number in range(1, request.workers)]
    if started:
        share_cores(request.workers)
    try:
        yield
    except StopRequested:
        raise  # they hear it too
    except BaseException:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            if process.wait():
                reporter.warn(f"A further process of this search ended with status {process.returncode}; see log.txt.")


def share_cores(workers: int) -> None:
    """Use as many threads as are this process's share of the cores."""
    import torch

    from trainer.hardware import detect

    torch.set_num_threads(max(1, detect().cores // workers))


def help_with(folder: Path, parent: int | None = None) -> None:
    """Make trials of the search in `folder` beside its own process, until it is done or stopped."""
    jobs.set_environment()
    from trainer.reporting import Reporter
    from trainer.search import request as requests
    from trainer.search.searches import REQUEST
    from trainer.search.trial import Trials

    class Beside(Reporter):
        """Tells events, and leaves the state to the search's own process, whose end is a request to stop."""

        def stop_requested(self) -> bool:
            return super().stop_requested() or (parent is not None and os.getppid() != parent)

    request, status = requests.load(folder / REQUEST), jobs.read_state(folder)
    reporter = Beside(folder, status)
    if request.workers > 1:
        share_cores(request.workers)
    study = SharedStudy(folder, request)
    try:
        work(study, Trials(request, reporter).run, reporter)
    except StopRequested:
        pass
    finally:
        study.close()


def _start(folder: Path, number: int) -> subprocess.Popen[bytes]:
    from trainer.queue import visible_gpus

    environment = dict(os.environ)
    if jobs.read_state(folder).device == "cuda":
        gpus = visible_gpus()
        environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.search.work", str(folder), str(os.getpid())],
        cwd=CODE_ROOT,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


if __name__ == "__main__":
    help_with(Path(sys.argv[1]), int(sys.argv[2]))
