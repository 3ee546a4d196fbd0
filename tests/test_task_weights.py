"""Weights of the tasks in the loss, on batches whose losses are made up."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from trainer.steering.batch import Batch
from trainer.steering.task_weights import MOST, task_weights


def _batch(losses: list[list[float]], tasks: list[int], general: list[bool] | None = None, last: bool = True) -> Batch:
    rows = [row for row, values in enumerate(losses) for _ in values]
    nothing = torch.zeros(len(tasks), 1)
    return Batch(
        model=None,
        inputs={},
        labels=nothing.long(),
        hidden=nothing,
        head=nothing,
        losses=torch.tensor([value for values in losses for value in values], requires_grad=True),
        rows=torch.tensor(rows),
        general=torch.tensor(general or [False] * len(tasks)),
        tasks=torch.tensor(tasks),
        count=len(rows),
        last=last,
    )


def test_uniform_makes_tasks_equal_whatever_their_share_of_the_tokens() -> None:
    weights = task_weights("uniform", ["long", "short"])
    batch = _batch([[1.0] * 9, [1.0]], [0, 1])
    found = weights(batch)
    sums = [float((batch.losses.detach() * found[batch.rows])[batch.rows == row].sum()) for row in (0, 1)]
    assert sums[0] == pytest.approx(sums[1])
    assert sum(sums) == pytest.approx(10)  # the mean weight of a token is 1
    assert weights.current() == pytest.approx({"long": 10 / 18, "short": 5.0})


def test_shares_are_those_of_all_batches_and_a_rare_task_counts_at_most_so_much() -> None:
    weights = task_weights("uniform", ["long", "short", "never"])
    for _ in range(50):
        assert weights(_batch([[1.0] * 100], [0])).tolist() == [1.0]
    assert weights(_batch([[1.0]], [1])).tolist() == [MOST]
    assert set(weights.current()) == {"long", "short"}


@pytest.mark.parametrize("kind", ["uniform", "inverse_loss", "uncertainty", "dynamic"])
def test_general_rows_and_rows_without_a_task_keep_one(kind: str) -> None:
    weights = task_weights(kind, ["a", "b"])  # pyright: ignore[reportArgumentType]
    batch = _batch([[5.0] * 8, [1.0], [3.0], [2.0]], [0, 1, -1, 0], general=[False, False, False, True])
    weights(batch)
    found = weights(batch)
    assert found[2:].tolist() == [1.0, 1.0]
    assert found[0] != 1.0
    assert found.dtype == torch.float32 and not found.requires_grad
    if kind == "uniform":
        assert weights.tokens == [16, 2]


def test_inverse_loss_gives_every_task_the_same_weighted_loss() -> None:
    weights = task_weights("inverse_loss", ["hard", "easy"])
    for _ in range(3):
        weights(_batch([[4.0] * 2, [1.0] * 2], [0, 1]))
    assert weights.current() == pytest.approx({"hard": 0.4, "easy": 1.6})
    for _ in range(60):
        weights(_batch([[1.0] * 2, [1.0] * 2], [0, 1]))
    assert weights.current() == pytest.approx({"hard": 1.0, "easy": 1.0}, abs=0.01)  # the losses are running means


def test_uncertainty_settles_at_one_over_the_loss() -> None:
    draw = random.Random(0)
    weights = task_weights("uncertainty", ["hard", "easy"])
    means = [0.0, 0.0]
    for step in range(600):
        weights(_batch([[4.0 * draw.uniform(0.8, 1.2)], [0.5 * draw.uniform(0.8, 1.2)]], [0, 1]))
        if step >= 300:
            for task in (0, 1):
                means[task] += math.exp(-vars(weights)["log_variances"][task]) / 300
    assert means == pytest.approx([1 / 4, 1 / 0.5], rel=0.05)
    current = weights.current()
    assert current["easy"] / current["hard"] == pytest.approx(8, rel=0.2)
    assert sum(current.values()) == pytest.approx(2)


def test_dynamic_average_gives_more_to_the_task_whose_loss_no_longer_falls() -> None:
    weights = task_weights("dynamic", ["falls", "stays"])
    for step in range(40):
        assert weights.current() in ({}, pytest.approx({"falls": 1.0, "stays": 1.0}))
        # Two batches to a step of the optimiser: windows are counted in steps.
        for last in (False, True):
            weights(_batch([[2.0 if step < 20 else 1.0], [3.0]], [0, 1], last=last))
    # Softmax of the ratios 0.5 and 1 at temperature 2, times the number of tasks.
    first, second = math.exp(0.25), math.exp(0.5)
    expected = {"falls": 2 * first / (first + second), "stays": 2 * second / (first + second)}
    assert weights.current() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["uniform", "inverse_loss", "uncertainty", "dynamic"])
def test_what_is_remembered_goes_on_after_a_resume(kind: str) -> None:
    draw = random.Random(1)
    batches = [_batch([[draw.random()] * 3, [3 * draw.random()]], [0, 1]) for _ in range(70)]
    whole = task_weights(kind, ["a", "b"])  # pyright: ignore[reportArgumentType]
    cut = task_weights(kind, ["a", "b"])  # pyright: ignore[reportArgumentType]
    for index, batch in enumerate(batches):
        expected = whole(batch)
        if index == 33:
            state = json.loads(json.dumps(cut.state()))
            cut = task_weights(kind, ["a", "b"])  # pyright: ignore[reportArgumentType]
            cut.restore(state)
        assert torch.equal(cut(batch), expected)


def test_a_loss_that_is_no_number_is_not_remembered() -> None:
    weights = task_weights("uncertainty", ["a", "b"])
    weights(_batch([[1.0], [1.0]], [0, 1]))
    weights(_batch([[math.nan], [1.0]], [0, 1]))
    assert weights.tokens == [1, 2]
    weights(_batch([[1.0], [1.0]], [0, 1]))
    assert all(math.isfinite(one) for one in vars(weights)["log_variances"])
