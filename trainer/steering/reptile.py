"""Meta-learning before a run: a start from which each of several related tasks is learnt quickly (lecture L3.3).

Reptile (Nichol et al. 2018, "On first-order meta-learning algorithms", algorithm 1): take a task, train on it for a few
steps, move the start a part of the way to where that led, and again. No second derivatives and no second copy of the
model: only of the trained parameters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from trainer.data.records import DataError
from trainer.data.tokenised import Prepared

if TYPE_CHECKING:
    import torch

LEAST_ROWS = 4
"""Rows that a task needs to be one of the tasks."""
RANDOM_PARTS = 4


@dataclass
class Tasks:
    """What is learnt from: row numbers by name, and a sentence on what they are for whoever reads the run."""

    rows: dict[str, list[int]]
    said: str


def find_tasks(prepared: Prepared, seed: int) -> Tasks:
    """The training rows by task; where fewer than two tasks have `LEAST_ROWS` rows, by specialty; else in random parts.

    General rows, which are mixed in against forgetting, are in none. Raises `DataError` for fewer than two own rows.
    """
    own = [number for number, general in enumerate(prepared.train["general"][:]) if not general]
    for column, names in (("task", prepared.tasks), ("specialty", prepared.specialties)):
        places = prepared.train[column][:]
        by_name = {name: [row for row in own if places[row] == place] for place, name in enumerate(names)}
        large = {name: rows for name, rows in by_name.items() if len(rows) >= LEAST_ROWS}
        if len(large) > 1:
            left = len(own) - sum(map(len, large.values()))
            left_out = f" {left} rows of smaller ones, or of none, are left to the training itself." if left else ""
            said = f"Meta-learning goes over {len(large)} parts by {column}: {', '.join(large)}.{left_out}"
            return Tasks(large, said)
    if len(own) < 2:
        raise DataError(
            f"steering.reptile_steps: {len(own)} training rows cannot be divided into tasks; set it to 0, or add rows."
        )
    random.Random(f"{seed}/parts").shuffle(own)
    parts = min(RANDOM_PARTS, len(own) // 2)
    said = (
        "The rows are of one task and one specialty, as far as is known: meta-learning goes over "
        f"{parts} random parts of them, which gives a start for this task alone."
    )
    return Tasks({f"part {part + 1}": sorted(own[part::parts]) for part in range(parts)}, said)


def batches(rows: Sequence[int], size: int, draw: random.Random) -> Iterator[list[int]]:
    """Row numbers in batches without end: every row once, in random order, before any comes again."""
    waiting: list[int] = []
    while True:
        while len(waiting) < min(size, len(rows)):
            waiting += draw.sample(rows, len(rows))
        batch, waiting = waiting[:size], waiting[size:]
        yield batch


def train(
    parameters: Sequence[torch.nn.Parameter],
    tasks: Sequence[str],
    batches_of: Callable[[str, random.Random], Iterable[Any]],
    loss_of: Callable[[Any], torch.Tensor],
    steps: int,
    inner_rate: float,
    seed: int,
    inner_steps: int = 4,
    outer_rate: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Move `parameters`, in place, to a start from which each of `tasks` is learnt quickly.

    In each of `steps` steps a task is drawn, and `inner_steps` of the batches of `batches_of(task, draw)` are trained
    on from the present start p by Adam without momentum (beta1 = 0, as Nichol et al. do; an adapter's numbers then move
    by about `inner_rate` a step, whatever their gradients' scale), which leads to q. Then p becomes p + rate (q - p),
    the rate falling linearly from `outer_rate` to 0. All tasks come equally often, in random order.

    `progress(done, steps)` hears of each step and may raise to end it: `parameters` then hold the start found so far,
    as they do when `loss_of` raises. The same seed gives the same start, so that a run that resumes before its first
    checkpoint does this again. Raises `ValueError` where a task gives no batch, and `FloatingPointError` where a loss
    is not finite.
    """
    import torch

    draw = random.Random(f"{seed}/reptile")
    turns = _in_turn(tasks, draw)
    for step in range(steps):
        start = [one.detach().clone() for one in parameters]
        # Its state is new each time: what is left of one task's gradients says nothing about the next one's.
        optimizer = torch.optim.Adam(parameters, inner_rate, betas=(0.0, 0.95))
        task = next(turns)
        trained = 0
        try:
            for batch in islice(batches_of(task, draw), inner_steps):
                optimizer.zero_grad(set_to_none=True)
                loss = loss_of(batch)
                if not torch.isfinite(loss):
                    raise FloatingPointError(
                        f"Meta-learning step {step + 1} ({task}): the loss is no longer a number; lower "
                        "schedule.learning_rate, or set steering.reptile_steps to 0."
                    )
                loss.backward()
                optimizer.step()
                trained += 1
            if not trained:
                raise ValueError(f"the task {task!r} gave no batch")
        except BaseException:
            _write(parameters, start)
            raise
        rate = outer_rate * (1 - step / steps)
        _write(parameters, [p + rate * (q.detach() - p) for p, q in zip(start, parameters, strict=True)])
        if progress:
            progress(step + 1, steps)


def _in_turn(tasks: Sequence[str], draw: random.Random) -> Iterator[str]:
    for _ in count():
        yield from draw.sample(tasks, len(tasks))


def _write(parameters: Sequence[torch.nn.Parameter], values: Sequence[torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)
            parameter.grad = None
