"""A job of whatever kind, by what the queue's files say of it."""

from __future__ import annotations

from trainer.jobs import Job
from trainer.queue import Kind, Named


def get(kind: Kind, identity: str) -> Job:
    """The job of this id; raises `RunError`."""
    match kind:
        case "run":
            from trainer import runs

            return runs.get(identity)
        case "evaluation":
            from trainer.evaluation import evaluations

            return evaluations.get(identity)
        case "search":
            from trainer.search import searches

            return searches.get(identity)


def of(named: Named) -> Job:
    """The job that is named; raises `RunError` where it cannot be read."""
    return get(named.kind, named.id)
