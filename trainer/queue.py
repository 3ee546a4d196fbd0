"""Whose turn it is on a device: the order of the jobs that wait for it, and how a job's process waits.

Nothing hands turns out, since the app may be closed and the command line used alone. `queue/order.json` in the home
lists the waiting jobs; each job's own process goes on when the device's lock is free and nobody before it could take
it. Locks are the kernel's (flock), so that a killed process gives up its device and its place at once; the order is a
list and not a matter of times, so that a clock that is set changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from pydantic import BaseModel, RootModel, ValidationError

from trainer import actor, jobs, pulse
from trainer import config as run_config
from trainer.atomic import write_atomically
from trainer.jobs import Job, RunError, StopRequested

if TYPE_CHECKING:
    from trainer.reporting import Reporter

POLL_SECONDS = 0.5
MOST_WAITING = 10
"""Jobs of one person who is signed in that may wait at the same time."""
Where = Literal["first", "up", "down", "last"]
Kind = Literal["run", "evaluation", "search"]
_KINDS: dict[str, Kind] = {"runs": "run", "evaluations": "evaluation", "searches": "search"}
_DEVICES = {"cpu": "the CPU", "cuda": "the GPU"}


class Named(BaseModel):
    """A job as the queue's files name it."""

    job: str
    """As in the home: `runs/ID`, `evaluations/ID` or `searches/ID`."""

    @property
    def folder(self) -> Path:
        return run_config.home() / self.job

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> Kind:
        return _KINDS[self.folder.parent.name]


class Entry(Named):
    """A place in the queue."""

    device: str
    """Of what kind: cpu or cuda."""
    after: str | None = None
    """A job that has to end before this one can begin; until then, others go first."""


class _Order(RootModel[list[Entry]]):
    pass


class Holder(Named):
    """Who has a device, as written in its lock file; true for as long as that is locked."""

    pid: int
    wants_room: bool = False
    """It needs the memory of models that wait for questions (`trainer.room`)."""


class Waiting(BaseModel):
    """A job that waits for a device."""

    job: str
    """As in the home: `runs/ID`, `evaluations/ID` or `searches/ID`."""
    id: str
    kind: Kind
    device: str
    place: int
    """1 is next."""
    after: str | None
    """Id of a run that has to end before."""
    sentence: str


class Running(BaseModel):
    """A job that has a device to itself."""

    id: str
    kind: Kind
    device: str
    """Which one: cpu, cuda-0 and so on."""


class Queue(BaseModel):
    """`runs queue --json`: what has a device, and what waits for one, in the order of its turn."""

    running: list[Running]
    waiting: list[Waiting]


class Turn:
    """Devices that are a job's own, until their locks are given up."""

    def __init__(self, reporter: Reporter, held: dict[str, TextIO]):
        self.devices = list(held)
        self._files = list(held.values())
        self._holder = Holder(job=_name(reporter.folder), pid=os.getpid())
        self.wants_room(False)

    def wants_room(self, wanted: bool) -> None:
        """Ask for the memory of models that wait for questions on these devices, or no longer."""
        self._holder.wants_room = wanted
        text = self._holder.model_dump_json()
        for file in self._files:
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()


def folder() -> Path:
    """Where the order and the locks stand."""
    found = run_config.home() / "queue"
    found.mkdir(exist_ok=True, mode=0o700)
    return found


def join(job: Job) -> None:
    """Put a job at the end; nothing is done for one that needs no device. Its life lock has to be held.

    Raises `RunError` where whoever acts has `MOST_WAITING` jobs there.
    """
    if job.device is None:
        return
    entry = Entry(job=_name(job.folder), device=job.device, after=_name(job.after) if job.after else None)
    with _changing() as order:
        others = [one for one in order if one.job != entry.job]
        who = actor.now()
        if who.role and sum(_owner(one) == who.name for one in _living(others)) >= MOST_WAITING:
            raise RunError(
                f"{MOST_WAITING} jobs of yours wait already; start this one when some of them have ended, or stop some."
            )
        order[:] = [*others, entry]


def move(identity: str, where: Where) -> Queue:
    """Give a waiting job another place among those of its device. `identity`: its id, which may be cut short, or
    `evaluations/ID`, since a run and its evaluation may have been made in the same second.

    Only an administrator goes before others' jobs. Raises `RunError` and `NotAllowed`.
    """
    with _changing() as order:
        waiting = _living(order)
        known = [one.job if "/" in identity else one.id for one in waiting]
        chosen = jobs.find(known, identity, "waiting job", "bedside runs queue")
        if known.count(chosen) > 1:
            names = " or ".join(one.job for one in waiting if one.id == chosen)
            raise RunError(f"There are several {chosen}; write {names}.")
        mine = waiting[known.index(chosen)]
        others = [one for one in waiting if one.device == mine.device]
        at = others.index(mine)
        others.remove(mine)
        to = {"first": 0, "up": max(0, at - 1), "down": at + 1, "last": len(others)}[where]
        for one in (mine, *others[to:at]):
            actor.must_own(_owner(one), f"{one.kind.capitalize()} {one.id}")
        others.insert(to, mine)
        following = iter(others)
        order[:] = [next(following) if one.device == mine.device else one for one in waiting]
    return now()


def now() -> Queue:
    """What has a device and what waits for one, now."""
    order = _living(_read())
    waiting = [
        Waiting(
            job=one.job,
            id=one.id,
            kind=one.kind,
            device=one.device,
            place=_place(one, order)[0],
            after=Path(one.after).name if one.after and _comes_after(one) else None,
            sentence=_sentence(one, order),
        )
        for one in order
    ]
    running = [Running(id=one.id, kind=one.kind, device=name) for name, one in holders().items()]
    return Queue(running=running, waiting=waiting)


def listed() -> list[str]:
    """The jobs that have a place, in their order and as `Named.job` names them, whether their processes live or not."""
    return [one.job for one in _read()]


def all_jobs() -> Iterator[Named]:
    """Every job of the home, whatever its state; whether it can be read is not looked at."""
    for parent in _KINDS:
        place = run_config.home() / parent
        if place.is_dir():
            yield from (Named(job=f"{parent}/{one.name}") for one in sorted(place.iterdir()) if one.is_dir())


def place(job: Job) -> str:
    """Where a job stands in the queue, in a sentence; empty for one that does not wait."""
    order = _living(_read())
    mine = next((one for one in order if one.job == _name(job.folder)), None)
    return _sentence(mine, order) if mine else ""


def remark(job: Job) -> str:
    """That a job does not get on (`trainer.pulse`), or where it stands in the queue; empty where all is well."""
    return pulse.remark(job) or (place(job) if job.status.state == "queued" else "")


def holders() -> dict[str, Holder]:
    """Who has which device."""
    return {path.stem: one for path in sorted(folder().glob("*.device")) if (one := holder(path))}


def holder(path: Path) -> Holder | None:
    """Who has the device of this lock file; None where nobody does, or has not yet written it down."""
    with suppress(FileNotFoundError, ValidationError):
        if jobs.is_held(path):
            return Holder.model_validate_json(path.read_text(encoding="utf-8"))
    return None


def lock_file(device: str) -> Path:
    """Of a device: cpu, cuda-0 and so on."""
    return folder() / f"{device}.device"


@contextmanager
def turn(job: Job, reporter: Reporter) -> Iterator[Turn]:
    """The device that this process's job needs, as soon as it is its turn; says meanwhile where it stands.

    A GPU is chosen by CUDA_VISIBLE_DEVICES, so that CUDA must not have been touched yet. Raises `StopRequested`.
    """
    device = job.device
    assert device is not None
    said = ""
    if all(one.job != _name(job.folder) for one in _read()):
        join(job)  # its process was started by hand
    while True:
        if reporter.stop_requested():
            _leave(job)
            raise StopRequested
        order = _living(_read())
        mine = next((one for one in order if one.job == _name(job.folder)), None)
        if mine is None:
            reporter.warn("This job's place in the queue was lost; it waits at the end.")
            join(job)
            continue
        held = None if _place(mine, order)[0] > 1 or _comes_after(mine) else _take(device, job.devices)
        if held is not None:
            break
        sentence = _sentence(mine, order)
        if sentence != said:
            reporter.enter("queued", sentence)
            said = sentence
        time.sleep(POLL_SECONDS)
    files, taken = held
    with files:
        _leave(job)
        if device == "cuda":
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # numbers as nvidia-smi's
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(name.removeprefix("cuda-") for name in taken)
        yield Turn(reporter, taken)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; one where none is found."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if said.strip(", "):
        return [one.strip() for one in said.split(",") if one.strip()]
    from trainer import hardware

    return [str(number) for number in range(len(hardware.detect().gpus) or 1)]


def _take(device: str, count: int) -> tuple[ExitStack, dict[str, TextIO]] | None:
    """The locks of as many devices of this kind, or of all that there are; None where fewer are free."""
    # The last GPUs first: the Playground's models are on the first.
    names = [f"cuda-{one}" for one in reversed(visible_gpus())] if device == "cuda" else [device]
    with ExitStack() as stack:
        held: dict[str, TextIO] = {}
        for name in names:
            if len(held) == count:
                break
            # Not emptied before it is ours: its holder's name stands in it.
            file = stack.enter_context(lock_file(name).open("a", encoding="utf-8"))
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held[name] = file
        if len(held) < min(count, len(names)):
            return None
        return stack.pop_all(), dict(reversed(held.items()))


def _place(mine: Entry, order: list[Entry]) -> tuple[int, int]:
    """Its place among those that wait for its device, from 1, and how many they are; who cannot go is not counted."""
    same = [one for one in order if one.device == mine.device and (one == mine or not _has_to_wait(one))]
    return same.index(mine) + 1, len(same)


def _sentence(mine: Entry, order: list[Entry]) -> str:
    if mine.after and _comes_after(mine):
        return f"Waiting for run {Path(mine.after).name} to end its training."
    device = _DEVICES[mine.device]
    at, count = _place(mine, order)
    before = [one for one in order if one.device == mine.device and not _has_to_wait(one)][: at - 1]
    if before:
        return f"{_ordinal(at)} of {count} in the queue for {device}, behind {before[-1].kind} {before[-1].id}."
    running = [one for name, one in holders().items() if name.startswith(mine.device)]
    if not running:
        return f"Next on {device}."
    names = " or ".join(f"{one.kind} {one.id}" for one in running)
    return f"Next on {device}, when {names} has ended."


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


def _has_to_wait(entry: Entry) -> bool:
    """Whether it could not go on if it were its turn; nobody else waits for such a one."""
    return _comes_after(entry) or not pulse.reacts(entry.folder)


def _comes_after(entry: Entry) -> bool:
    """Whether a job that has to end before it has not ended yet."""
    if entry.after:
        earlier = run_config.home() / entry.after
        with suppress(OSError, ValidationError):
            return jobs.read_state(earlier).state in jobs.ACTIVE and jobs.lives(earlier)
    return False


def _owner(entry: Entry) -> str:
    """Who made the job; empty where it cannot be read."""
    with suppress(OSError, ValidationError):
        return jobs.read_state(entry.folder).owner
    return ""


def _leave(job: Job) -> None:
    with _changing() as order:
        order[:] = [one for one in order if one.job != _name(job.folder)]


def _living(order: list[Entry]) -> list[Entry]:
    """Those whose process is there: of the dead, nothing is waited for."""
    return [one for one in order if jobs.lives(one.folder)]


def _read() -> list[Entry]:
    try:
        return _Order.model_validate_json((folder() / "order.json").read_text(encoding="utf-8")).root
    except (FileNotFoundError, ValidationError):
        return []  # whoever waits finds its place gone, says so, and joins again


@contextmanager
def _changing() -> Iterator[list[Entry]]:
    """The order, to be changed by nobody else meanwhile; written down afterwards, without the dead."""
    with (folder() / "order.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        order = _read()
        yield order
        write_atomically(folder() / "order.json", _Order(_living(order)).model_dump_json(indent=1))


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
