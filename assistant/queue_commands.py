"""`bedside runs queue` and `move`: what has a device, what waits for one, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from assistant.terminal import Json

if TYPE_CHECKING:
    from trainer.queue import Queue

# As in `trainer.queue`, without loading it here.
Where = Literal["first", "up", "down", "last"]
JobId = Annotated[str, typer.Argument(help="Id of a run, an evaluation or a search that waits, or its beginning.")]


def show_queue(as_json: Json = False) -> None:
    """What is at work and what waits for its turn: runs, evaluations and searches, in their order."""
    from trainer import queue

    _print(queue.now(), as_json)


def move(
    job_id: JobId,
    where: Annotated[Where, typer.Argument(help="Its new place among those that wait for the same device.")],
    as_json: Json = False,
) -> None:
    """Give a waiting job another place in the queue; to take it out, stop it."""
    from trainer import queue

    _print(queue.move(job_id, where), as_json)


def _print(found: Queue, as_json: bool) -> None:
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    for one in found.running:
        print(f"{one.device:6} {one.kind:10} {one.id}")
    for one in found.waiting:
        print(f"{one.place:>4}.  {one.kind:10} {one.id}  {one.sentence}")
    if not found.running:
        print("Nothing is at work." if found.waiting else "Nothing is at work, and nothing waits.")
    elif not found.waiting:
        print("Nothing waits.")
