"""Work in a process of its own, as a folder: how it is watched, stopped, and found dead.

Runs, evaluations and searches are such jobs. The folder is the truth about one: pages, command line and the working
process talk through it alone, so a refreshed page, a killed app or a second window loses nothing. Whose turn it is on a
device: `trainer.queue`; how a process is started: `trainer.starting`; whether a process still gets on: `trainer.pulse`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from pydantic import BaseModel

from trainer import actor, audit, errors, events
from trainer.atomic import write_atomically
from trainer.errors import UserError, of_the_disk
from trainer.sections import FORMAT_VERSION

if TYPE_CHECKING:
    from trainer.duration import Range

State = Literal["queued", "preparing", "training", "evaluating", "done", "stopped", "failed"]
DISK_FULL = "The disk is full: nothing more could be saved. Free some space and resume from the last checkpoint."
ACTIVE: tuple[State, ...] = ("queued", "preparing", "training", "evaluating")
LIFE_LOCK = ".lock"  # in a job's folder, held by its process for as long as that lives
STOP, PULSE = "stop", "pulse.json"  # in a job's folder: the request to stop; signs of life (`trainer.pulse`)
_STAMP = "%Y%m%d-%H%M%S"  # how a job's id begins
TERM_SECONDS = 10.0  # that a process has between being asked to end by the system and being killed
CODE_ROOT = Path(__file__).resolve().parent.parent


class RunError(UserError):
    """A run or an evaluation cannot be found, read or changed; the text says which, why and what to do."""


class StopRequested(Exception):
    """Somebody asked the job to stop."""


class RunState(BaseModel):
    """What a job is doing now, as in its `state.json`."""

    format_version: Literal[1] = FORMAT_VERSION
    state: State = "queued"
    owner: str = ""
    """Who made the job; empty where nobody knows."""
    pid: int | None = None
    device: str = "cpu"
    step: int = 0
    total_steps: int = 0
    error: str | None = None
    updated: float = 0.0


class Job(BaseModel):
    """A job's folder and its state now."""

    noun: ClassVar[str] = "Job"
    again: ClassVar[str] = "start another one"
    """What to do instead of starting one that is done."""
    goes_on: ClassVar[str] = "It can be started again."
    """What follows from its process having died."""
    trains: ClassVar[bool] = False

    id: str
    folder: Path
    status: RunState

    @property
    def device(self) -> str | None:
        """The kind of device that it needs for itself (cpu or cuda); None where it computes elsewhere."""
        return self.status.device

    @property
    def devices(self) -> int:
        """How many of them, where there are several."""
        return 1

    @property
    def after(self) -> Path | None:
        """Folder of a job that has to end before this one can begin."""
        return None

    def expected_gib(self) -> Range | None:
        """Memory that it is expected to take of each of its devices at the peak; None where nobody knows."""
        return None

    def events(self) -> list[events.Event]:
        """Everything that happened in it, in order."""
        return events.read(self.folder / "events.jsonl")


J = TypeVar("J", bound=Job)


def set_environment() -> None:
    """What libraries are told before they are imported."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def write_state(folder: Path, status: RunState) -> None:
    """Write `state.json` atomically."""
    status.updated = time.time()
    write_atomically(folder / "state.json", status.model_dump_json(indent=1))


def new_folder(parent: Path, name: str) -> Path:
    """A folder of its own for a new job: the time and the name; raises `RunError` where none is free.

    Its id sorts behind those that are there, also in the hour that summer time gives back or after a clock was set.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
    stamp = f"{datetime.now():{_STAMP}}"
    newest = max((when for one in parent.iterdir() if (when := made_at(one.name))), default=None)
    if newest and f"{newest:{_STAMP}}" >= stamp:
        stamp = f"{newest + timedelta(seconds=1):{_STAMP}}"
    for attempt in range(1, 1000):
        folder = parent / (f"{stamp}-{slug}" + (f"-{attempt}" if attempt > 1 else ""))
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise RunError(f"{parent}: no free name for {stamp}-{slug}; choose another name.")


def made_at(identity: str) -> datetime | None:
    """The time that a job's id, or a draft's, begins with; None where it begins with none."""
    with suppress(ValueError):
        return datetime.strptime(identity[:15], _STAMP)
    return None


def when(identity: str, form: str) -> str:
    """The time that an id begins with, as `strftime` writes it; the id itself where it begins with none."""
    made = made_at(identity)
    return made.strftime(form) if made else identity


def find(known: list[str], identity: str, noun: str, command: str) -> str:
    """The one id that is `identity`, or that starts so; raises `RunError`."""
    matches = [name for name in known if name == identity] or [name for name in known if name.startswith(identity)]
    if not identity or not matches:
        raise RunError(f"There is no {noun} {identity!r}; `{command}` shows those there are.")
    if len(set(matches)) > 1:
        raise RunError(f"{identity!r} fits {len(matches)} {noun}s ({', '.join(matches[:3])} ...); give more of the id.")
    return matches[0]


def ids(parent: Path, file: str) -> list[str]:
    """The ids of the jobs whose folders stand in `parent`: those with this file, which is written last."""
    return [entry.name for entry in parent.iterdir() if entry.is_dir() and (entry / file).exists()]


def stop(job: Job) -> None:
    """Ask an active job (as just read) to stop, at the next moment from which it can go on."""
    if job.status.state not in ACTIVE:
        raise RunError(f"{job.noun} {job.id} is {job.status.state}; there is nothing to stop.")
    actor.must_own(job.status.owner, f"{job.noun} {job.id}")
    audit.record("stopped", f"{job.noun.lower()} {job.id}")
    if job.status.pid is None:
        write_state(job.folder, job.status.model_copy(update={"state": "stopped"}))
        return
    (job.folder / STOP).touch()


def end(job: Job) -> None:
    """End an active job (as just read) at once; what it did since its last checkpoint is lost, and it can be resumed.

    Its process is asked to end, with those that it started, and what is there after `TERM_SECONDS` is killed. Raises
    `RunError` where it is not on this machine.
    """
    import psutil

    stop(job)
    if job.status.pid is None:
        return
    with suppress(psutil.Error):
        process = psutil.Process(job.status.pid)
        if str(job.folder) not in process.cmdline():  # the number is another's by now, or of another machine's process
            raise psutil.NoSuchProcess(process.pid)
        processes = [process, *process.children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(processes, timeout=TERM_SECONDS)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=TERM_SECONDS)
        return
    if lives(job.folder):
        raise RunError(f"The process of {job.noun.lower()} {job.id} is not to be found on this machine; end it there.")


def delete(job: Job) -> None:
    """Remove a job (as just read) and all that it holds, for good; raises `RunError` while it is active."""
    if job.status.state in ACTIVE and job.status.pid is not None:
        raise RunError(f"{job.noun} {job.id} is {job.status.state}; stop it first.")
    actor.must_own(job.status.owner, f"{job.noun} {job.id}")
    shutil.rmtree(job.folder)
    audit.record("deleted", f"{job.noun.lower()} {job.id}")


def of_a_jobs_disk(error: BaseException) -> str:
    """As `errors.of_the_disk`, for somebody whose job it ended: with what is there to go on from."""
    told = of_the_disk(error)
    return DISK_FULL if told == errors.DISK_FULL else told


def settled(job: J) -> J:
    """The job, failed and with the reason where its process is gone without having said so; stopped, if it was asked
    to."""
    if job.status.state not in ACTIVE or job.status.pid is None or lives(job.folder):
        return job
    try:
        # One at a time, page or command, so that the event is written once.
        with (job.folder / "events.jsonl").open("rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            status = _say_that_it_died(job)
    except OSError as error:
        told = of_a_jobs_disk(error)
        if not told:
            raise
        # Nothing can be written, but the truth can be told; the next look writes it down.
        status = job.status.model_copy(update={"state": "failed", "error": told})
    return job.model_copy(update={"status": status})


def read_state(folder: Path) -> RunState:
    """The state in a job's folder; raises `OSError` and `ValidationError`."""
    return RunState.model_validate_json((folder / "state.json").read_text(encoding="utf-8"))


def lives(folder: Path) -> bool:
    """Whether a job's process is there: by the lock that it holds, since pids are used again and clocks shift."""
    return is_held(folder / LIFE_LOCK)


def is_held(lock: Path) -> bool:
    """Whether a process holds this lock file; not where there is none."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def _say_that_it_died(job: Job) -> RunState:
    # The process may have written its last state between our reading and our look at its pid.
    status = read_state(job.folder)
    if status.state in ACTIVE and status.pid == job.status.pid:
        during = f"at step {status.step} of {status.total_steps}" if status.total_steps else f"while {status.state}"
        if (job.folder / STOP).exists():
            status.state, detail = "stopped", f"It was ended {during}, after a request to stop. {job.goes_on}"
        else:
            detail = (
                f"The process ended {during} without a word (killed, out of memory, or on a full disk). {job.goes_on} "
                "log.txt may say more."
            )
            status.state, status.error = "failed", detail
        write_state(job.folder, status)
        events.append(
            job.folder / "events.jsonl", events.StateEvent(state=status.state, detail=detail, step=status.step)
        )
    return status
