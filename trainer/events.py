"""The events of a run: one JSON object a line in `events.jsonl`, only ever appended.

Each event has `time` (Unix seconds), `kind`, `step` (of the optimiser; 0 before training), and its kind's own fields.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError


class _Event(BaseModel):
    time: float = Field(default_factory=time.time)
    step: int = 0


class StateEvent(_Event):
    """The run entered a state; `detail` says why where that is not plain."""

    kind: Literal["state"] = "state"
    state: str
    detail: str = ""


class ProgressEvent(_Event):
    """Work other than training moved on: fetching the model, reading data, scoring answers."""

    kind: Literal["progress"] = "progress"
    stage: str
    done: int
    total: int


class StepEvent(_Event):
    """One step of the optimiser. Memory is the process's peak in GiB (the device's peak on a GPU)."""

    kind: Literal["step"] = "step"
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    memory_gib: float
    eta_seconds: float
    total_steps: int


class EvalEvent(_Event):
    """The validation loss (mean cross-entropy of an answer's token, nats) with the adapter on."""

    kind: Literal["eval"] = "eval"
    loss: float


class SampleEvent(_Event):
    """The tuned model's answer to one of the run's sample questions."""

    kind: Literal["sample"] = "sample"
    prompt: str
    answer: str


class CheckpointEvent(_Event):
    """A checkpoint is complete and can be resumed from."""

    kind: Literal["checkpoint"] = "checkpoint"
    path: str


class MixEvent(_Event):
    """The rows that were really trained on since the last such event, and how many were general (lecture L2.10)."""

    kind: Literal["mix"] = "mix"
    rows: int
    general: int
    share: float


class WarningEvent(_Event):
    """Something went another way than planned, and the run went on."""

    kind: Literal["warning"] = "warning"
    message: str


class StopEvent(_Event):
    """Training ended before its last step, and why."""

    kind: Literal["stop"] = "stop"
    reason: str


Event = (
    StateEvent
    | ProgressEvent
    | StepEvent
    | EvalEvent
    | SampleEvent
    | MixEvent
    | CheckpointEvent
    | WarningEvent
    | StopEvent
)
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def append(path: Path, event: Event) -> None:
    """Add one event; a single write, so that a reader or a kill never leaves half a line between two events."""
    line = event.model_dump_json() + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> list[Event]:
    """All events in their order (see `read_new`)."""
    return read_new(path, 0)[0]


def read_new(path: Path, offset: int) -> tuple[list[Event], int]:
    """The events after `offset` bytes, and the offset to go on from.

    A line that is not complete yet is left for the next time; one that was cut off (power, full disk) is passed over.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        new = file.read()
    new = new[: new.rfind(b"\n") + 1]
    found: list[Event] = []
    for line in new.splitlines():
        try:
            found.append(_ADAPTER.validate_json(line))
        except ValidationError:
            continue
    return found, offset + len(new)
