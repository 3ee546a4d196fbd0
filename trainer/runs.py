"""Runs as folders: create, start, watch, stop, resume, clone, delete.

The run folder is the truth about a run. Pages, command line and the training process talk through it alone, so a
refreshed page, a killed app or a second window loses nothing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import BaseModel, ValidationError

from trainer import config as run_config
from trainer import events
from trainer.sections import RunConfig

State = Literal["queued", "preparing", "training", "evaluating", "done", "stopped", "failed"]
DISK_FULL = "The disk is full: nothing more could be saved. Free some space and resume from the last checkpoint."
ACTIVE: tuple[State, ...] = ("queued", "preparing", "training", "evaluating")
# For the training process: keep freed memory in it (glibc). Every step allocates the same large buffers anew, and
# getting them from the system page by page cost a tenth of the time on two cores.
PROCESS_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
}
ADAPTER, MODEL = "adapter", "model"  # in a run folder: trained adapters, or the whole of a fully tuned model
LIFE_LOCK = ".lock"  # in a run folder, held by its process for as long as that lives
ENDING_SECONDS = 20.0
CODE_ROOT = Path(__file__).resolve().parent.parent


class RunError(Exception):
    """A run cannot be found, read or changed; the text says which, why and what to do."""


class RunState(BaseModel):
    """What a run is doing now, as in its `state.json`."""

    format_version: Literal[1] = run_config.FORMAT_VERSION
    state: State = "queued"
    pid: int | None = None
    device: str = "cpu"
    step: int = 0
    total_steps: int = 0
    error: str | None = None
    updated: float = 0.0


class Run(BaseModel):
    """A run folder and what stands in it now."""

    id: str
    folder: Path
    config: RunConfig
    status: RunState

    @property
    def adapter(self) -> Path:
        """Folder of the trained adapter (there once the run is done or stopped after a step)."""
        return self.folder / ADAPTER

    @property
    def weights(self) -> list[Path]:
        """The files of what was trained, an adapter's or of a whole model; none before training has ended."""
        return sorted(file for name in (ADAPTER, MODEL) for file in (self.folder / name).rglob("*.safetensors"))

    def report(self) -> dict[str, Any] | None:
        """The report of a run that is done, or None."""
        path = self.folder / "report.json"
        return json.loads(path.read_text()) if path.exists() else None

    def events(self) -> list[events.Event]:
        """Everything that happened in this run, in order."""
        return events.read(self.folder / "events.jsonl")


def runs_folder() -> Path:
    """Where run folders live."""
    folder = run_config.home() / "runs"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader, or a kill at any moment, sees the old or the new one, never a half."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_state(folder: Path, status: RunState) -> None:
    """Write `state.json` atomically."""
    status.updated = time.time()
    write_atomically(folder / "state.json", status.model_dump_json(indent=1))


def create(config: RunConfig, conversation: list[dict[str, str]] | None = None) -> Run:
    """Make a run folder in state `queued`; `start` sets it going.

    `conversation` (the planner's messages, role and content) is kept beside the run file.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", config.output.name.lower()).strip("-")[:40] or "run"
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 1000):
        identity = f"{stamp}-{slug}" + (f"-{attempt}" if attempt > 1 else "")
        folder = runs_folder() / identity
        try:
            folder.mkdir(mode=0o700)
            break
        except FileExistsError:
            continue
    else:
        raise RunError(f"{runs_folder()}: no free name for {stamp}-{slug}; choose another output.name.")
    try:
        if conversation:
            write_atomically(folder / "conversation.json", json.dumps(conversation, ensure_ascii=False, indent=1))
        write_state(folder, RunState(device=config.hardware.device))
        events.append(folder / "events.jsonl", events.StateEvent(state="queued"))
        # Last, since a folder is a run from here on.
        write_atomically(folder / "run.yaml", run_config.to_yaml(config))
    except OSError:
        shutil.rmtree(folder)
        raise
    return get(identity)


def get(identity: str) -> Run:
    """The run of this id, or of the one id that starts so; raises `RunError` where there is none that can be read."""
    matches = [name for name in _ids() if name == identity] or [name for name in _ids() if name.startswith(identity)]
    if not identity or not matches:
        raise RunError(f"There is no run {identity!r}; `bedside runs list` shows those there are.")
    if len(matches) > 1:
        raise RunError(f"{identity!r} fits {len(matches)} runs ({', '.join(matches[:3])} ...); give more of the id.")
    folder = runs_folder() / matches[0]
    try:
        status = RunState.model_validate_json((folder / "state.json").read_text(encoding="utf-8"))
        config = run_config.load(folder / "run.yaml")
    except (OSError, ValidationError, run_config.ConfigError) as error:
        version = _format_version(folder)
        if version is not None and version != run_config.FORMAT_VERSION:
            reason = f"was written in format {version}; this Bedside reads format {run_config.FORMAT_VERSION}"
        elif isinstance(error, ValidationError):
            reason = "has a damaged state.json"
        else:
            reason = f"cannot be read ({error})"
        raise RunError(f"Run {folder.name} {reason}. Nothing in it was changed: {folder}") from None
    return _without_a_process_that_died(Run(id=folder.name, folder=folder, config=config, status=status))


def list_runs() -> tuple[list[Run], list[str]]:
    """All readable runs, newest first, and a sentence for each folder that could not be read."""
    runs, unreadable = [], []
    for identity in sorted(_ids(), reverse=True):
        try:
            runs.append(get(identity))
        except RunError as error:
            unreadable.append(str(error))
    return runs, unreadable


def start(run: Run) -> Run:
    """Set a queued, stopped or failed run going in a process of its own, which outlives this one.

    A run with a complete checkpoint goes on from its last one. Raises `RunError` where the run is active or done.
    """
    # The process inherits the lock and never opens it anew: it is held from here until that process is gone.
    with (run.folder / LIFE_LOCK).open("a") as life, (run.folder / "log.txt").open("a") as log:
        run = _claim(run.id, life)
        (run.folder / "stop").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.worker", str(run.folder)],
            cwd=CODE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | PROCESS_SETTINGS,
            pass_fds=[life.fileno()],
        )
    write_state(run.folder, run.status.model_copy(update={"state": "queued", "pid": process.pid, "error": None}))
    # Nobody waits for the process; without this it would stay a zombie for as long as the app lives.
    _reap_later(process)
    return get(run.id)


def stop(run: Run) -> None:
    """Ask an active run to stop: it ends after its current step, with a checkpoint to resume from."""
    run = get(run.id)
    if run.status.state not in ACTIVE:
        raise RunError(f"Run {run.id} is {run.status.state}; there is nothing to stop.")
    if run.status.pid is None:
        write_state(run.folder, run.status.model_copy(update={"state": "stopped"}))
        return
    (run.folder / "stop").touch()


def clone(run: Run) -> Run:
    """A new queued run from the same run file."""
    return create(run.config)


def delete(run: Run) -> None:
    """Remove a run and all that it holds, for good; raises `RunError` while it is active."""
    run = get(run.id)
    if run.status.state in ACTIVE and run.status.pid is not None:
        raise RunError(f"Run {run.id} is {run.status.state}; stop it first.")
    shutil.rmtree(run.folder)


def _ids() -> list[str]:
    return [entry.name for entry in runs_folder().iterdir() if entry.is_dir() and (entry / "run.yaml").exists()]


def _format_version(folder: Path) -> object:
    try:
        return json.loads((folder / "state.json").read_text()).get("format_version")
    except (OSError, ValueError, AttributeError):
        return None


def _reap_later(process: subprocess.Popen[bytes]) -> None:
    threading.Thread(target=process.wait, daemon=True).start()


def _lives(folder: Path) -> bool:
    """Whether a run's process is there: by the lock that it holds, since pids are used again and clocks shift."""
    try:
        with (folder / LIFE_LOCK).open("rb") as life:
            fcntl.flock(life, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def _claim(identity: str, life: TextIO) -> Run:
    """The run, as it is once its lock is ours: a process that has just stopped takes seconds to end."""
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        run = get(identity)
        if run.status.state == "done":
            raise RunError(f"Run {run.id} is done; clone it to train again.")
        if run.status.pid is not None and run.status.state in ACTIVE:
            raise RunError(f"Run {run.id} is {run.status.state} already.")
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return run
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RunError(f"The last process of run {run.id} has not ended yet; try again in a moment.") from None
            time.sleep(0.1)


def _without_a_process_that_died(run: Run) -> Run:
    """A run whose process is gone without having said so is failed, with the reason."""
    if run.status.state not in ACTIVE or run.status.pid is None or _lives(run.folder):
        return run
    try:
        # One at a time, page or command, so that the event is written once.
        with (run.folder / "events.jsonl").open("rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            status = _say_that_it_died(run)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # Nothing can be written, but the truth can be told; the next look writes it down.
        status = run.status.model_copy(update={"state": "failed", "error": DISK_FULL})
    return run.model_copy(update={"status": status})


def _say_that_it_died(run: Run) -> RunState:
    # The process may have written its last state between our reading and our look at its pid.
    status = RunState.model_validate_json((run.folder / "state.json").read_text(encoding="utf-8"))
    if status.state in ACTIVE and status.pid == run.status.pid:
        during = f"at step {status.step} of {status.total_steps}" if status.total_steps else f"while {status.state}"
        status.error = (
            f"The training process ended {during} without a word (killed, or out of memory). "
            "Resume goes on from the last checkpoint; log.txt may say more."
        )
        status.state = "failed"
        write_state(run.folder, status)
        events.append(
            run.folder / "events.jsonl", events.StateEvent(state="failed", detail=status.error, step=status.step)
        )
    return status
