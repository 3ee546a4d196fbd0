"""What a restart of the machine cut off goes on by itself, where nobody sits at the machine: a Space, a team's server.

A Space sleeps and wakes, and is moved to other machines; its processes end without a word then, and what stands in its
storage is all that is left. Jobs that were under way, or waited, are put into the queue again, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from trainer import actor, any_job, audit, events, jobs, queue, starting
from trainer.jobs import Job, RunError
from trainer.queue import Named

DETAIL = "The machine was restarted; this goes on from where it was."
_WAITED = "queued"


def resume() -> list[str]:
    """Start again what a restart cut off; returns a sentence for each such job, also for one that is left as it is.

    What was cut off twice at the same step is left: it may be what brings the machine down.
    """
    return [_resumed(one) for one in cut_off()]


def cut_off() -> list[Named]:
    """Jobs whose process is gone without having said so, and that nobody asked to stop: what was under way first, then
    what waited, in the order of the queue."""
    places = {job: place for place, job in enumerate(queue.listed())}
    found = [(places.get(one.job, len(places)) if waited else -1, one.id, one) for one, waited in _gone()]
    return [one for _, _, one in sorted(found, key=lambda row: row[:2])]


def _gone() -> Iterator[tuple[Named, bool]]:
    """Such jobs, and whether they waited. Nothing is written: to look at a job is to settle it as failed."""
    for one in queue.all_jobs():
        with suppress(OSError, ValidationError):
            status = jobs.read_state(one.folder)
            if status.state not in jobs.ACTIVE or status.pid is None or jobs.lives(one.folder):
                continue
            if not (one.folder / jobs.STOP).exists():
                yield one, status.state == _WAITED


def _resumed(one: Named) -> str:
    try:
        job = any_job.of(one)
        named = f"{job.noun} {job.id}"
        if _was_cut_off_here(job):
            return (
                f"{named} was cut off by a restart at step {job.status.step} for the second time, and is left as it is."
            )
        detail = events.StateEvent(state=_WAITED, detail=DETAIL, step=job.status.step)
        events.append(job.folder / "events.jsonl", detail)
        with actor.acting_as(actor.Actor(job.status.owner or actor.now().name)):  # what it makes is its owner's
            starting.go(job, lambda identity: any_job.get(one.kind, identity))
        audit.record("started again after a restart", f"{job.noun.lower()} {job.id}")
        return f"{named} was cut off by a restart at step {job.status.step}, and is in the queue again."
    except (RunError, OSError) as error:
        return f"{one.kind.capitalize()} {one.id} was cut off by a restart, and cannot be started again: {error}"


def _was_cut_off_here(job: Job) -> bool:
    again = [one for one in job.events() if isinstance(one, events.StateEvent) and one.detail == DETAIL]
    return bool(again) and again[-1].step == job.status.step
