"""Gradients of several tasks: their cosines, what surgery takes out, and what is suggested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from trainer.steering.gradient_conflict import GENERAL, LEAST_MEASUREMENTS, TaskGradients, suggestion


def _written(
    rows: list[list[float]], surgery: Literal["off", "pcgrad", "upgrad"], names: list[str] | None = None
) -> tuple[Tensor, dict[str, dict[str, float]]]:
    """The gradient that is written where the tasks' gradients are these rows, over two parameters."""
    weights = [torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1, len(rows[0]) - 1))]
    tasks = TaskGradients(weights, names or [f"task {i}" for i in range(len(rows))], surgery)
    whole = torch.cat([one.flatten() for one in weights])
    tasks.add({index: whole @ torch.tensor(row) for index, row in enumerate(rows)})
    cosines = tasks.write()
    gradients = [one.grad for one in weights if one.grad is not None]
    return torch.cat([one.flatten() for one in gradients]), cosines


@pytest.mark.parametrize("surgery", ["off", "pcgrad", "upgrad"])
def test_without_conflict_the_gradient_is_the_plain_sum(surgery: Any) -> None:
    gradient, _ = _written([[1.0, 2.0, 0.0], [0.5, 0.0, 3.0], [1.0, 1.0, 1.0]], surgery)
    assert gradient.tolist() == pytest.approx([2.5, 3.0, 4.0])


def test_pcgrad_takes_out_what_points_against_the_other_task() -> None:
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    # Each loses its projection on the other: g - (g.h / |h|^2) h.
    expected = (one - (one @ other) / (other @ other) * other) + (other - (other @ one) / (one @ one) * one)
    gradient, cosines = _written([one.tolist(), other.tolist()], "pcgrad", ["a", "b"])
    assert expected.tolist() == pytest.approx([0.5, 1.5])
    assert gradient.tolist() == pytest.approx(expected.tolist())
    assert cosines["a"]["b"] == pytest.approx(-(2**-0.5))
    assert cosines["a"]["a"] == pytest.approx(1)
    assert _written([one.tolist(), other.tolist()], "off")[0].tolist() == pytest.approx([0.0, 1.0])


def test_pcgrad_of_three_tasks_goes_through_the_others_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randperm", torch.arange)  # the order is random otherwise
    torch.manual_seed(5)
    rows = torch.randn(3, 4)
    assert (rows @ rows.T).min() < 0
    expected = torch.zeros(4)
    for task, gradient in enumerate(rows):
        for other, against in enumerate(rows):
            if other != task and gradient @ against < 0:
                gradient = gradient - (gradient @ against) / (against @ against) * against
        expected += gradient
    assert _written(rows.tolist(), "pcgrad")[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert _written(rows.tolist(), "upgrad")[0].tolist() != pytest.approx(expected.tolist(), abs=1e-2)


def test_upgrad_goes_against_no_task() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        rows = torch.randn(4, 6)
        gradient, _ = _written(rows.tolist(), "upgrad")
        assert (rows @ gradient).min() > -1e-4
    # Two tasks: each gradient's nearest point in the cone is its projection, as PCGrad's.
    gradient, _ = _written([[1.0, 0.0], [-1.0, 1.0]], "upgrad")
    assert gradient.tolist() == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("surgery", ["pcgrad", "upgrad"])
def test_gradients_of_any_size_and_alike_are_no_trouble(surgery: Any) -> None:
    for scale in (1e-6, 1e4):
        gradient, _ = _written([[scale, 0.0], [-scale, scale], [-scale, scale]], surgery)
        assert torch.isfinite(gradient).all() and gradient.norm() > 0
    gradient, _ = _written([[3.0, 1.0]], surgery)
    assert gradient.tolist() == [3.0, 1.0]


def test_a_step_of_several_batches_is_their_sum_and_terms_of_the_loss_stay(tiny_model: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(r=2, init_lora_weights=False)
    )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    tokens = torch.randint(3, 200, (4, 12))

    def losses(rows: list[int]) -> dict[int, Tensor]:
        logits = model(input_ids=tokens[rows]).logits
        return {task: logits[index].logsumexp(-1).sum() / 9 for index, task in enumerate([0, GENERAL])}

    def term() -> Tensor:
        return sum((one.square().sum() for one in model.parameters() if one.requires_grad), torch.zeros(()))

    (sum(losses([0, 1]).values()) + sum(losses([2, 3]).values()) + term()).backward()
    expected = {name: one.grad.clone() for name, one in model.named_parameters() if one.requires_grad}
    model.zero_grad()
    frozen = next(name for name in expected)
    dict(model.named_parameters())[frozen].requires_grad_(False)

    tasks = TaskGradients(model.parameters(), ["a"], "off")
    for rows in ([0, 1], [2, 3]):
        tasks.add(losses(rows))
    term().backward()
    assert set(tasks.write()) == {"a", "general"}
    for name, one in model.named_parameters():
        if one.requires_grad:
            torch.testing.assert_close(one.grad, expected[name])
        else:
            assert one.grad is None
    assert tasks.write() == {}  # the step is over


def _measured(pairs: dict[tuple[str, str], float], times: int = 12) -> tuple[Any, Any]:
    cosines: dict[str, dict[str, float]] = {}
    counts: dict[str, dict[str, int]] = {}
    for (one, other), cosine in pairs.items():
        for a, b in ((one, other), (other, one)):
            cosines.setdefault(a, {})[b] = cosine
            counts.setdefault(a, {})[b] = times
    return cosines, counts


def test_tasks_that_point_apart_are_named() -> None:
    tasks = ["diagnosis", "ner", "treatment"]
    cosines, counts = _measured(
        {("diagnosis", "treatment"): 0.4, ("ner", "diagnosis"): -0.3, ("ner", "treatment"): -0.32}
    )
    assert suggestion(cosines, counts, tasks) == (
        "Train ner apart from diagnosis, treatment: their gradients point apart (mean cosine -0.31 over 12 "
        "measurements)."
    )
    cosines, counts = _measured(
        {("diagnosis", "treatment"): 0.4, ("ner", "diagnosis"): -0.01, ("ner", "general"): -0.2}
    )
    found = suggestion(cosines, counts, tasks)
    assert found.startswith("No groups of tasks conflict: train them together (lowest mean cosine -0.01, diagnosis")
    assert "What is learnt on ner goes against the general rows (mean cosine down to -0.20)" in found


def test_nothing_is_said_after_few_measurements() -> None:
    cosines, counts = _measured({("a", "b"): -0.9}, LEAST_MEASUREMENTS - 1)
    assert suggestion(cosines, counts, ["a", "b"]).startswith("Too little is measured")
    assert suggestion({}, {}, ["a"]).startswith("Too little is measured")
    cosines, counts = _measured({("a", "b"): -0.9}, LEAST_MEASUREMENTS)
    assert suggestion(cosines, counts, ["a", "b"]).startswith("Train a apart from b")


def test_means_are_over_the_steps_in_which_both_tasks_were_there_and_survive_a_resume() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    tasks = TaskGradients([weight], ["a", "b"], "off")
    tasks.add({0: weight @ torch.tensor([1.0, 0.0])})
    tasks.write()
    for direction in ([1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]):
        tasks.add({0: weight @ torch.tensor([2.0, 0.0]), 1: weight @ torch.tensor(direction)})
        tasks.write()
    later = TaskGradients([weight], ["a", "b"], "off")
    later.restore(json.loads(json.dumps(tasks.state())))
    assert later.means()["a"]["b"] == pytest.approx(-1 / 3)
    assert "at most 3 steps" in later.suggestion()
