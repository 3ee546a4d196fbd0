"""Searches as folders in `$BEDSIDE_HOME/searches`: create, start, watch, stop, delete; and what they found.

In one stand `search.yaml`, `state.json`, `events.jsonl`, `log.txt` and `journal.log`, the study with its trials. Like a
run it has a process of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from trainer import actor, events, jobs, reach, starting
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.evaluation.request import RequestError
from trainer.jobs import Job, RunError, RunState
from trainer.search import outcome, study
from trainer.search import request as requests
from trainer.search.outcome import TrialRecord
from trainer.search.request import SearchRequest
from trainer.search.space import apply
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from trainer.duration import Range

REQUEST = "search.yaml"


class Search(Job):
    """A search's folder and what stands in it now."""

    noun: ClassVar[str] = "Search"
    again: ClassVar[str] = "start a new one"
    goes_on: ClassVar[str] = "Resume goes on after the trials that are done."
    trains: ClassVar[bool] = True

    request: SearchRequest

    @property
    def device(self) -> str | None:
        """None on a cluster: its trials do not run on this device."""
        return None if self.request.ray_address else self.status.device

    @property
    def devices(self) -> int:
        """Each of its processes has a GPU; a CPU is one."""
        return self.request.workers

    def expected_gib(self) -> Range | None:
        """Of its run file as it is, in all its processes; trials differ from it."""
        from trainer import expected_memory

        return expected_memory.training_gib(self.request.run, self.request.workers)

    def trials(self) -> list[TrialRecord]:
        """All trials so far, by number."""
        return study.read(self.folder, self.request)


def folder() -> Path:
    """Where searches live."""
    found = run_config.home() / "searches"
    found.mkdir(exist_ok=True, mode=0o700)
    return found


def create(request: SearchRequest) -> Search:
    """Make a search in state `queued`; `start` sets it going.

    Raises `RequestError` with all that is wrong with the request, `ConfigError` with the faults of its run file, and
    `NotAllowed` for a file that whoever acts may not name.
    """
    reach.check_all(request)
    run_config.parse(request.run.model_dump(mode="json"))
    if faults := request.faults():
        raise RequestError(" ".join(faults))
    made = jobs.new_folder(folder(), request.run.output.name)
    try:
        device, owner = request.run.hardware.device, actor.now().name
        jobs.write_state(made, RunState(device=device, total_steps=request.trials, owner=owner))
        events.append(made / "events.jsonl", events.StateEvent(state="queued"))
        # Last, since a folder is a search from here on.
        write_atomically(made / REQUEST, requests.to_yaml(request))
    except OSError:
        shutil.rmtree(made)
        raise
    return get(made.name)


def get(identity: str) -> Search:
    """The search of this id, or of the one id that starts so; raises `RunError`."""
    found = folder() / jobs.find(_ids(), identity, "search", "bedside search list")
    try:
        status, request = jobs.read_state(found), requests.load(found / REQUEST)
    except (OSError, ValidationError, RequestError) as error:
        reason = "it has a damaged state.json" if isinstance(error, ValidationError) else str(error)
        raise RunError(f"Search {found.name} cannot be read: {reason}. Nothing in it was changed: {found}") from None
    return jobs.settled(Search(id=found.name, folder=found, request=request, status=status))


def list_searches() -> list[Search]:
    """Those that can be read, the newest first."""
    found = []
    for identity in sorted(_ids(), reverse=True):
        try:
            found.append(get(identity))
        except RunError:
            continue  # `get` says why to whoever asks for it by name
    return found


def start(search: Search) -> Search:
    """Set it going, or on after the trials that are done; raises `RunError` where it is active or done."""
    return starting.start(search, get)


def stop(search: Search) -> None:
    """Ask an active one to stop; the trial that it is at is made again when it goes on."""
    jobs.stop(get(search.id))


def delete(search: Search) -> None:
    """Remove it and its trials for good; raises `RunError` while it is active."""
    jobs.delete(get(search.id))


def best(search: Search, trial: int | None = None) -> RunConfig:
    """The run file with the values of the trial that is taken (`outcome.best`), or of the complete one of this number.

    Raises `RunError` where there is none.
    """
    trials = search.trials()
    if trial is None:
        found = outcome.best(trials, search.request.objectives)
        if found is None:
            raise RunError(f"Search {search.id} has no complete trial yet; wait for its first ones.")
    else:
        found = next((one for one in outcome.complete(trials) if one.number == trial), None)
        if found is None:
            raise RunError(f"Search {search.id} has no complete trial {trial}; `bedside search show` lists them.")
    config = apply(search.request.run, found.values)
    config.output.name = f"{config.output.name[:70]} (found)"
    return config


def _ids() -> list[str]:
    return jobs.ids(folder(), REQUEST)
