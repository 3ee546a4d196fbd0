"""What is measured on validation rows, against a plain computation one row at a time."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainer.data.tokenised import Prepared
from trainer.data.tokens import IGNORED, encode
from trainer.objectives import answer_loss
from trainer.steering import validation
from trainer.steering.stratified_sample import stratified_sample

SYSTEM = "Answer."
WORDS = ("no", "yes", "perhaps not", "it depends on the patient")


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)


def rows(tokenizer: Any, n: int, general: bool = False) -> Dataset:
    made = []
    for number in range(n):
        question = {"role": "user", "content": f"{'Rain' if general else 'Pain'} {number}?" + " Why?" * (number % 3)}
        answer = {"role": "assistant", "content": WORDS[number % 4]}
        encoded = encode(cast(Any, {"prompt": [question], "completion": [answer]}), tokenizer, SYSTEM)
        made.append(
            {
                **encoded,
                "general": general,
                "length": len(encoded["input_ids"]),
                "task": -1 if general or number == 5 else number % 2,
                "specialty": -1 if general else number % 3,
                "level": -1,
                "group": max(0, number % 2),
            }
        )
    return Dataset.from_list(made)


def prepared(tokenizer: Any, n: int = 11, general: int = 3) -> Prepared:
    empty = rows(tokenizer, 1).select([])
    return Prepared(
        train=empty,
        validation=rows(tokenizer, n),
        general_validation=rows(tokenizer, general, general=True) if general else empty,
        manifest=cast(Any, None),
        warnings=[],
        tasks=["diagnosis", "ner"],
        specialties=["cardiology", "neurology", "urology"],
        groups=["diagnosis", "ner"],
    )


def plainly(model: Any, row: Any) -> tuple[list[float], list[bool]]:
    """Loss and rightness of each answer token, from all logits of one row."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
    losses, right = [], []
    for place in range(len(row["labels"]) - 1):
        wanted = row["labels"][place + 1]
        if wanted != IGNORED:
            losses.append(-float(logits[place].log_softmax(-1)[wanted]))
            right.append(int(logits[place].argmax()) == wanted)
    return losses, right


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("plain_head", [True, False])
def test_everything_equals_a_plain_computation(loaded: tuple[Any, Any], monkeypatch, plain_head: bool):
    model, tokenizer = loaded
    data = prepared(tokenizer)
    monkeypatch.setattr(answer_loss, "CHUNK", 7)  # so that chunks end within rows and within batches
    if not plain_head:
        monkeypatch.setattr(answer_loss, "PLAIN_HEADS", set())
    found = validation.measure(model, tokenizer, data, SYSTEM, batch_size=4)
    expected = [plainly(model, row) for row in data.validation]
    assert found.n == found.rows == 11
    assert found.loss == pytest.approx(mean([loss for losses, _ in expected for loss in losses]), rel=1e-5)
    assert found.token_accuracy == pytest.approx(mean([float(one) for _, right in expected for one in right]))
    assert found.answer_accuracy == mean([float(all(right)) for _, right in expected])
    tasks: list[int] = list(data.validation["task"])
    for index, name in enumerate(data.tasks):
        own = [expected[row] for row in range(11) if tasks[row] == index]
        assert found.tasks[name].n == len(own), "the row without a task is in none"
        assert found.tasks[name].loss == pytest.approx(mean([loss for losses, _ in own for loss in losses]), rel=1e-5)
    assert found.worst_task_loss == max(task.loss for task in found.tasks.values())
    assert {name: score.n for name, score in found.specialties.items()} == {
        "cardiology": 4,
        "neurology": 4,
        "urology": 3,
    }
    general = [plainly(model, row)[0] for row in data.general_validation]
    assert found.general_loss == pytest.approx(mean([loss for losses in general for loss in losses]), rel=1e-5)
    order = sorted(range(11), key=lambda row: mean(expected[row][0]))
    assert [one.loss for one in found.best] == pytest.approx([mean(expected[row][0]) for row in order[:3]], rel=1e-5)
    assert [one.loss for one in found.worst] == pytest.approx(
        [mean(expected[row][0]) for row in order[::-1][:3]], rel=1e-5
    )
    asked = f"Pain {order[0]}?" + " Why?" * (order[0] % 3)
    assert (found.best[0].question, found.best[0].answer) == (asked, WORDS[order[0] % 4])


def test_right_tokens_and_answers_are_counted(loaded: tuple[Any, Any], monkeypatch):
    model, tokenizer = loaded
    data = prepared(tokenizer, general=0)
    # The last answer is predicted wrong at its last token, all else is right.
    last = 10

    def predicted(model: Any, inputs: dict[str, torch.Tensor], labels: torch.Tensor):
        kept = labels[:, 1:] != IGNORED
        places = kept.nonzero()[:, 0]
        right = torch.ones(len(places), dtype=torch.bool)
        for place, ids in enumerate(inputs["input_ids"]):
            if f"Pain {last}?" in tokenizer.decode(ids):
                right[(places == place).nonzero()[-1]] = False
        yield places, torch.full((len(places),), 0.5), right

    monkeypatch.setattr(validation, "_predicted", predicted)
    found = validation.measure(model, tokenizer, data, SYSTEM, batch_size=4)
    tokens = sum(label != IGNORED for row in data.validation["labels"] for label in row)
    assert found.answer_accuracy == pytest.approx(10 / 11) and found.loss == pytest.approx(0.5)
    assert found.token_accuracy == pytest.approx(1 - 1 / tokens)
    assert found.metrics() == {
        "loss": found.loss,
        "token_accuracy": found.token_accuracy,
        "answer_accuracy": found.answer_accuracy,
        "worst_task_loss": pytest.approx(0.5),
    }, "and no general loss where there are no such rows"


def test_the_batch_size_does_not_change_the_numbers(loaded: tuple[Any, Any]):
    model, tokenizer = loaded
    data = prepared(tokenizer)
    one, many = (validation.measure(model, tokenizer, data, SYSTEM, size) for size in (1, 11))
    for name, value in one.metrics().items():
        assert many.metrics()[name] == pytest.approx(value, rel=1e-5), name
    assert math.isfinite(one.loss)


def test_rows_of_a_group_are_measured_with_its_own_weights(loaded: tuple[Any, Any], monkeypatch):
    model, tokenizer = loaded
    data = prepared(tokenizer, general=0)
    active, seen = [], []
    true = validation._predicted

    def watched(model: Any, inputs: dict[str, torch.Tensor], labels: torch.Tensor):
        seen.append((active[-1], [tokenizer.decode(ids) for ids in inputs["input_ids"]]))
        yield from true(model, inputs, labels)

    monkeypatch.setattr(validation, "_predicted", watched)
    validation.measure(model, tokenizer, data, SYSTEM, batch_size=4, activate=active.append)
    numbers = [(group, int(text.split("Pain ")[1].split("?")[0])) for group, texts in seen for text in texts]
    assert sorted(number for _, number in numbers) == list(range(11))
    assert all(number % 2 == group for group, number in numbers)


def test_a_large_validation_is_sampled_by_specialty_and_task_and_measured_whole_at_the_end(
    loaded: tuple[Any, Any], monkeypatch
):
    model, tokenizer = loaded
    data = prepared(tokenizer, n=24, general=0)
    monkeypatch.setattr(validation, "MOST_ROWS", 12)
    some, again, every = (
        validation.measure(model, tokenizer, data, SYSTEM, 8, all_rows=whole) for whole in (False, False, True)
    )
    assert (some.n, some.rows, every.n) == (12, 24, 24) and some == again
    assert {name: score.n for name, score in some.specialties.items()} == {
        "cardiology": 4,
        "neurology": 4,
        "urology": 4,
    }


def test_a_stratified_sample_holds_every_stratum_in_about_its_share():
    strata = ["common"] * 600 + ["rare"] * 60 + ["once"]
    chosen = stratified_sample(strata, 100, seed=3)
    assert chosen == sorted(set(chosen)) and len(chosen) == 100 and chosen == stratified_sample(strata, 100, seed=3)
    counts = Counter(strata[index] for index in chosen)
    assert counts["once"] == 1 and 9 <= counts["rare"] <= 11
    assert chosen != stratified_sample(strata, 100, seed=4)
    assert stratified_sample(strata, 1000, seed=3) == list(range(661))
