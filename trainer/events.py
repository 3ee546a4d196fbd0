"""The events of a run: one JSON object a line in `events.jsonl`, only ever appended.

Each event has `time` (Unix seconds, `trainer.clock`), `kind`, `step` (of the optimiser; 0 before training), and its
kind's own fields.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from evaluators.metrics import paired_difference
from trainer import clock


class _Event(BaseModel):
    time: float = Field(default_factory=clock.now)
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
    """One step of the optimiser. Memory is the process's peak in GiB (the device's peak on a GPU).

    `learning_rate` is the highest of the groups'.
    """

    kind: Literal["step"] = "step"
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    memory_gib: float
    eta_seconds: float
    total_steps: int


class Scored(BaseModel):
    """One validation row as the model does on it now, its question and answer as text, and its mean loss (nats)."""

    question: str
    answer: str
    loss: float


class EvalEvent(_Event):
    """What the tuned model does on `n` validation rows.

    `loss` is the mean cross-entropy of an answer's token (nats), also for each task and specialty; `token_accuracy` the
    share of answer tokens predicted right, `answer_accuracy` of answers right throughout, each after the right ones.
    With another objective than supervised tuning `loss` is that objective's, and `answer_accuracy` the share of pairs
    (KTO: of judged answers) that are won.
    """

    kind: Literal["eval"] = "eval"
    loss: float
    n: int = 0
    token_accuracy: float | None = None
    answer_accuracy: float | None = None
    tasks: dict[str, float] = {}
    specialties: dict[str, float] = {}
    general_loss: float | None = None
    """On general rows that are not mixed in, where there are any."""
    best: list[Scored] = []
    worst: list[Scored] = []


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
    """The rows that were really trained on since the last such event.

    How many were general (lecture L2.10), which share was aimed at where it moves (L2.11), and their levels (L2.7).
    """

    kind: Literal["mix"] = "mix"
    rows: int
    general: int
    share: float
    target: float | None = None
    levels: dict[str, int] = {}


class CurriculumEvent(_Event):
    """A level of the curriculum began (lecture L2.7), and why now."""

    kind: Literal["curriculum"] = "curriculum"
    level: str
    reason: str


class TaskWeightsEvent(_Event):
    """How much each task counts in the loss now (lecture L2.5); 1 is the mean."""

    kind: Literal["task_weights"] = "task_weights"
    weights: dict[str, float]


class ConflictEvent(_Event):
    """Cosine between the tasks' gradients of this step: below 0 they pull apart (lecture L2.6).

    `mean` is over all such measurements of the run, and `suggestion` what follows from it.
    """

    kind: Literal["conflict"] = "conflict"
    cosines: dict[str, dict[str, float]]
    mean: dict[str, dict[str, float]]
    suggestion: str


class Points(BaseModel):
    """Accuracy on `n` questions before training and now, and what was lost, in points, with its 95 % interval."""

    n: int
    before: float
    now: float
    lost: float
    low: float
    high: float

    @classmethod
    def of(cls, before: Sequence[bool], now: Sequence[bool]) -> Points:
        """From whether each answer was right before training and is right now, in the same order."""
        lost, low, high = (100 * value for value in paired_difference(before, now))
        n = len(before)
        return cls(n=n, before=sum(before) / n, now=sum(now) / n, lost=lost, low=low, high=high)


class ForgettingEvent(_Event):
    """A look at general and at general medical questions (lecture L2.9); past the limit where one kind lost more."""

    kind: Literal["forgetting"] = "forgetting"
    scores: dict[str, Points]
    limit: float
    past: bool


class HarmEvent(_Event):
    """Answers to a fixed set of harmful requests, screened by rules: how many of `n` were harmful, and of the base's.

    `low` and `high` are the 95 % interval of the share (Wilson).
    """

    kind: Literal["harm"] = "harm"
    harmful: int
    refused: int
    n: int
    share: float
    low: float
    high: float
    base_harmful: int
    past: bool


class RankEvent(_Event):
    """A rank was tried (lecture L1.10): both losses at its end, their gap, and what follows from it."""

    kind: Literal["rank"] = "rank"
    rank: int
    train_loss: float
    validation_loss: float
    gap: float
    decision: Literal["double", "halve", "keep"]
    reason: str
    train_curve: list[tuple[int, float]] = []
    validation_curve: list[tuple[int, float]] = []


class FoldEvent(_Event):
    """A model trained without some rows was measured on them (lecture L3.3)."""

    kind: Literal["fold"] = "fold"
    fold: int
    folds: int
    rows: int
    loss: float


class TrialEvent(_Event):
    """A trial of a search ended: what it was made with, how (`trainer.search.outcome`), and what was measured of it."""

    kind: Literal["trial"] = "trial"
    trial: int
    state: Literal["complete", "pruned", "unfit", "failed"]
    values: dict[str, bool | int | float | str]
    measured: dict[str, float] = {}
    detail: str = ""
    seconds: float = 0.0


class GuardEvent(_Event):
    """The loss was no number any more: back to `to_step`, with this peak rate (lecture L3.3's rates often diverge)."""

    kind: Literal["guard"] = "guard"
    to_step: int
    learning_rate: float
    reason: str


class ReadingEvent(_Event):
    """What the machine's sensors say; None where they cannot be read. Memory in GiB, °C, W, shares of 1."""

    kind: Literal["reading"] = "reading"
    process_gib: float
    gpu_gib: float | None = None
    gpu_limit_gib: float | None = None
    gpu_use: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None


class PreferenceEvent(_Event):
    """How pairs stand in a step of alignment: the margin of the implicit rewards (chosen less rejected), the share of
    pairs that are won, and the mean log-likelihoods of answers (nats); None where the objective has none.
    """

    kind: Literal["preference"] = "preference"
    margin: float
    accuracy: float
    chosen: float | None = None
    rejected: float | None = None


class RewardEvent(_Event):
    """A step of learning from rewards: mean and spread of the reward, by rule too, KL from the reference (nats an
    answer), length of the answers in tokens, and the share of them that are alike within a group.
    """

    kind: Literal["reward"] = "reward"
    reward: float
    spread: float
    by_rule: dict[str, float] = {}
    kl: float | None = None
    length: float
    alike: float = 0.0


class AlarmEvent(_Event):
    """Something in the course of an alignment that usually ends badly."""

    kind: Literal["alarm"] = "alarm"
    alarm: Literal["collapse", "length", "kl"]
    message: str


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
    | CurriculumEvent
    | TaskWeightsEvent
    | ConflictEvent
    | ForgettingEvent
    | HarmEvent
    | RankEvent
    | FoldEvent
    | TrialEvent
    | GuardEvent
    | ReadingEvent
    | PreferenceEvent
    | RewardEvent
    | AlarmEvent
    | CheckpointEvent
    | WarningEvent
    | StopEvent
)
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def append(path: Path, event: BaseModel) -> None:
    """Add one event, or another model, as a line; a single write, so that a reader or a kill never leaves half a line
    between two of them."""
    line = (event.model_dump_json() + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            # On a full disk a part may fit, and the next event would go on in the middle of the line.
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read(path: Path) -> list[Event]:
    """All events in their order (see `read_new`)."""
    return read_new(path, 0)[0]


def read_new(path: Path, offset: int) -> tuple[list[Event], int]:
    """The events after `offset` bytes, and the offset to go on from (see `each_new`)."""
    found: list[Event] = []
    for event, after in each_new(path, offset):
        offset = after
        if event is not None:
            found.append(event)
    return found, offset


def each_new(path: Path, offset: int = 0) -> Iterator[tuple[Event | None, int]]:
    """Each event after `offset` bytes, with the offset behind it; only one is held in memory at a time.

    A line that is not complete yet is left for the next time; of one that was cut off (power, full disk) there is none.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                yield _ADAPTER.validate_json(line), offset
            except ValidationError:
                yield None, offset
