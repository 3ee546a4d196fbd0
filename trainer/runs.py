"""Runs as folders: create, start, watch, stop, resume, clone, delete; each a job with a process of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from trainer import actor, events, jobs, reach, starting
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.jobs import Job, RunError, RunState, write_state
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from trainer.duration import Range

ADAPTER, MODEL = "adapter", "model"  # in a run folder: trained adapters, or the whole of a fully tuned model
REWARD = "reward"  # in a run folder: a trained reward model, apart from what can answer
CHECKPOINTS = "checkpoints"  # in a run folder
COMPLETE = "complete"  # file that stands in a checkpoint once all of it is written


class Run(Job):
    """A run folder and what stands in it now."""

    noun: ClassVar[str] = "Run"
    again: ClassVar[str] = "clone it to train again"
    goes_on: ClassVar[str] = "Resume goes on from the last checkpoint."
    trains: ClassVar[bool] = True

    config: RunConfig

    @property
    def devices(self) -> int:
        """Each of its processes has a GPU; a CPU is one."""
        return self.config.hardware.processes

    def expected_gib(self) -> Range | None:
        """The estimate of its peak; on a CPU of all its processes together."""
        from trainer import expected_memory

        return expected_memory.training_gib(self.config)

    @property
    def adapter(self) -> Path:
        """Folder of the trained adapter (there once the run is done or stopped after a step)."""
        return self.folder / ADAPTER

    @property
    def weights(self) -> list[Path]:
        """The files of what was trained to answer, an adapter's or of a whole model; none before training has ended,
        and none of a reward model, which answers nothing."""
        return sorted(file for name in (ADAPTER, MODEL) for file in (self.folder / name).rglob("*.safetensors"))

    def report(self) -> dict[str, Any] | None:
        """The report of a run that is done, or None."""
        path = self.folder / "report.json"
        return json.loads(path.read_text()) if path.exists() else None


def runs_folder() -> Path:
    """Where run folders live."""
    folder = run_config.home() / "runs"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def create(config: RunConfig, conversation: list[dict[str, str]] | None = None) -> Run:
    """Make a run folder in state `queued`; `start` sets it going.

    `conversation` (the planner's messages, role and content) is kept beside the run file. Raises `NotAllowed` where it
    names a file that whoever acts may not name.
    """
    reach.check_all(config)
    folder = jobs.new_folder(runs_folder(), config.output.name)
    try:
        if conversation:
            write_atomically(folder / "conversation.json", json.dumps(conversation, ensure_ascii=False, indent=1))
        write_state(folder, RunState(device=config.hardware.device, owner=actor.now().name))
        events.append(folder / "events.jsonl", events.StateEvent(state="queued"))
        # Last, since a folder is a run from here on.
        write_atomically(folder / "run.yaml", run_config.to_yaml(config))
    except OSError:
        shutil.rmtree(folder)
        raise
    return get(folder.name)


def get(identity: str) -> Run:
    """The run of this id, or of the one id that starts so; raises `RunError` where there is none that can be read."""
    folder = runs_folder() / jobs.find(_ids(), identity, "run", "bedside runs list")
    try:
        status = jobs.read_state(folder)
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
    return jobs.settled(Run(id=folder.name, folder=folder, config=config, status=status))


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
    return starting.start(run, get)


def stop(run: Run) -> None:
    """Ask an active run to stop: it ends after its current step, with a checkpoint to resume from."""
    jobs.stop(get(run.id))


def clone(run: Run) -> Run:
    """A new queued run from the same run file."""
    return create(run.config)


def label(run: Run) -> str:
    """A run's name and when it was made, as a list of runs shows it."""
    return f"{run.config.output.name} · {jobs.when(run.id, '%-d %b %Y, %H:%M:%S')}"


def delete(run: Run) -> None:
    """Remove a run and all that it holds, for good; raises `RunError` while it is active."""
    jobs.delete(get(run.id))


def _ids() -> list[str]:
    return jobs.ids(runs_folder(), "run.yaml")


def _format_version(folder: Path) -> object:
    try:
        return json.loads((folder / "state.json").read_text()).get("format_version")
    except (OSError, ValueError, AttributeError):
        return None
