"""Reptile: its step by hand, what it is stopped with, which tasks it takes, and that it learns to learn."""

import math
import random
from collections.abc import Sequence
from itertools import islice, repeat
from typing import Any

import pytest
import torch

from trainer.data.records import DataError
from trainer.data.tokenised import Prepared
from trainer.steering import reptile


def test_one_step_is_the_papers_formula():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    target = torch.tensor([3.0, -1.0, 0.5])

    def loss_of(batch: int) -> torch.Tensor:
        return (weight - target).square().sum()

    reptile.train([weight], ["a"], lambda task, draw: repeat(0), loss_of, 1, 0.1, 0, inner_steps=1, outer_rate=0.5)
    # Adam's first step without momentum is rate x sign(gradient); half of the way there is kept.
    assert weight.tolist() == pytest.approx([1.05, -1.95, 0.5], abs=1e-5)
    assert weight.grad is None

    # Two steps of two: each goes 0.1 along the gradient's sign twice (the second by Adam's own average of squares).
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    target = torch.tensor([10.0])
    reptile.train([weight], ["a"], lambda task, draw: repeat(0), loss_of, 2, 0.1, 0, inner_steps=2, outer_rate=0.5)
    start = 0.0
    for rate in (0.5, 0.25):
        inner, squares = start, 0.0
        for step in (1, 2):
            gradient = 2 * (inner - 10)
            squares = 0.95 * squares + 0.05 * gradient**2
            inner -= 0.1 * gradient / (math.sqrt(squares / (1 - 0.95**step)) + 1e-8)
        start += rate * (inner - start)
    assert weight.item() == pytest.approx(start, abs=1e-5)


def few_shot_loss(model: torch.nn.Module, amplitude: float, phase: float, draw: torch.Generator) -> float:
    """Loss on a new sine after eight steps of training on ten points of it."""
    kept = [one.detach().clone() for one in model.parameters()]
    seen = torch.rand(10, 1, generator=draw) * 10 - 5
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    for _ in range(8):
        optimizer.zero_grad()
        (model(seen) - amplitude * torch.sin(seen + phase)).square().mean().backward()
        optimizer.step()
    grid = torch.linspace(-5, 5, 100)[:, None]
    with torch.no_grad():
        loss = (model(grid) - amplitude * torch.sin(grid + phase)).square().mean().item()
        for parameter, value in zip(model.parameters(), kept, strict=True):
            parameter.copy_(value)
    return loss


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_new_sine_is_learnt_better_from_the_start_that_it_finds(seed: int):
    """The paper's own problem (section 5.1): sines of random amplitude and phase, ten points of each."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
    )
    draw = random.Random(seed)
    sines = {f"sine {n}": (draw.uniform(0.5, 5), draw.uniform(0, math.pi)) for n in range(60)}

    def batches_of(task: str, draw: random.Random):
        amplitude, phase = sines[task]
        while True:
            points = torch.tensor([[draw.uniform(-5, 5)] for _ in range(10)])
            yield points, amplitude * torch.sin(points + phase)

    def loss_of(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    def on_new_ones() -> float:
        fresh, points = random.Random(100 + seed), torch.Generator().manual_seed(seed)
        return sum(few_shot_loss(model, fresh.uniform(0.5, 5), fresh.uniform(0, math.pi), points) for _ in range(20))

    plain = on_new_ones()
    parameters = list(model.parameters())
    reptile.train(parameters, list(sines), batches_of, loss_of, 600, 0.02, seed, inner_steps=5, outer_rate=0.5)
    assert on_new_ones() < 0.5 * plain


def test_stopped_it_keeps_the_start_found_so_far():
    weight = torch.nn.Parameter(torch.zeros(3))
    seen: list[torch.Tensor] = []

    class Stopped(Exception):
        pass

    def loss_of(batch: int) -> torch.Tensor:
        return (weight - 1).square().sum()

    def progress(done: int, total: int) -> None:
        assert total == 5
        seen.append(weight.detach().clone())
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        reptile.train([weight], ["a"], lambda task, draw: repeat(0), loss_of, 5, 0.1, 0, progress=progress)
    assert len(seen) == 2 and torch.equal(weight, seen[1]) and not torch.equal(seen[0], seen[1])

    # And where it stops in the middle of a task, or the loss is lost there, nothing of that task is kept.
    steps = iter([1.0, 1.0, float("nan")])
    with pytest.raises(FloatingPointError, match=r"steering\.reptile_steps"):
        reptile.train([weight], ["a"], lambda task, draw: repeat(0), lambda batch: loss_of(0) * next(steps), 5, 0.1, 0)
    assert torch.equal(weight, seen[1])
    with pytest.raises(ValueError, match="'a' gave no batch"):
        reptile.train([weight], ["a"], lambda task, draw: [], loss_of, 5, 0.1, 0)


def test_tasks_come_equally_often_and_the_seed_decides_the_order():
    def order(seed: int) -> list[str]:
        weight, asked = torch.nn.Parameter(torch.zeros(1)), []

        def batches_of(task: str, draw: random.Random):
            asked.append(task)
            return [0]

        reptile.train([weight], ["a", "b", "c"], batches_of, lambda batch: weight.sum(), 9, 0.1, seed)
        return asked

    assert all(order(1).count(task) == 3 for task in "abc")
    assert order(1) == order(1) != order(2)


def test_batches_use_every_row_before_any_comes_again():
    drawn = list(islice(reptile.batches([3, 5, 7, 9, 11], 2, random.Random(0)), 5))
    assert all(len(set(batch)) == len(batch) == 2 for batch in drawn[:2])
    assert sorted(row for batch in drawn for row in batch) == [3, 3, 5, 5, 7, 7, 9, 9, 11, 11]
    assert sorted(row for batch in drawn[:3] for row in batch[: 2 if batch != drawn[2] else 1]) == [3, 5, 7, 9, 11]
    assert all(sorted(batch) == [1, 2] for batch in islice(reptile.batches([1, 2], 4, random.Random(0)), 3))


def prepared(tasks: Sequence[str | None], specialties: Sequence[str | None], general: int = 0) -> Prepared:
    from datasets import Dataset

    names = [sorted({name for name in column if name}) for column in (tasks, specialties)]
    places = [
        [known.index(name) if name else -1 for name in column] + [-1] * general
        for known, column in zip(names, (tasks, specialties), strict=True)
    ]
    mixed_in = [False] * len(tasks) + [True] * general
    rows = Dataset.from_dict({"task": places[0], "specialty": places[1], "general": mixed_in})
    nothing: Any = None
    return Prepared(rows, rows, rows, nothing, [], tasks=names[0], specialties=names[1])


def test_tasks_are_taken_by_task_then_by_specialty_then_at_random():
    by_task = prepared(["ner"] * 5 + ["diagnosis"] * 4 + ["triage", None], ["cardiology"] * 11, 8)
    found = reptile.find_tasks(by_task, 1)
    assert found.rows == {"diagnosis": [5, 6, 7, 8], "ner": [0, 1, 2, 3, 4]}
    assert "2 parts by task: diagnosis, ner. 2 rows" in found.said

    by_specialty = prepared(["ner"] * 10, ["cardiology"] * 5 + ["neurology"] * 5, 8)
    assert set(reptile.find_tasks(by_specialty, 1).rows) == {"cardiology", "neurology"}

    alone = reptile.find_tasks(prepared(["ner"] * 10, [None] * 10, 8), 1)
    assert "one task and one specialty" in alone.said
    assert sorted(row for rows in alone.rows.values() for row in rows) == list(range(10)) and len(alone.rows) == 4
    assert alone.rows != reptile.find_tasks(prepared(["ner"] * 10, [None] * 10, 8), 2).rows
    with pytest.raises(DataError, match="1 training rows"):
        reptile.find_tasks(prepared(["ner"], [None], 8), 1)
