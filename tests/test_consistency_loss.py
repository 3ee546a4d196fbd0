"""The consistency loss against the same from all logits at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.methods import MethodError
from trainer.objectives.answer_loss import answer_losses, final_hidden
from trainer.steering.batch import Batch
from trainer.steering.consistency_loss import ConsistencyLoss

ANSWER = 3  # tokens, at the end of each row and of its twin
LENGTHS, TWINS = (7, 12, 5), (9, 0, 4)


@pytest.fixture
def base(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.fixture
def model(base: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    settings = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_dropout=0.3, target_modules="all-linear", init_lora_weights=False
    )
    return get_peft_model(base, settings)


def forward(model: Any) -> Batch:
    """Three rows with the same answer in row and twin; the second is not disturbed and has no twin."""
    torch.manual_seed(1)
    answers = torch.randint(3, 200, (3, ANSWER))

    def row(length: int, answer: Tensor) -> Tensor:
        return torch.cat([torch.randint(3, 200, (length - ANSWER,)), answer])

    pad = torch.nn.utils.rnn.pad_sequence
    rows = [row(length, answer) for length, answer in zip(LENGTHS, answers, strict=True)]
    empty = torch.zeros(0, dtype=torch.long)
    twins = [row(length, answer) if length else empty for length, answer in zip(TWINS, answers, strict=True)]
    labels = pad([torch.cat([one[:-ANSWER] * 0 - 100, one[-ANSWER:]]) for one in rows], True, -100)
    mask = pad([torch.ones_like(one) for one in rows], True)
    inputs = {"input_ids": pad(rows, True), "attention_mask": mask}
    model.train()
    hidden, head = final_hidden(model, inputs), model.get_output_embeddings().weight
    losses, at = answer_losses(hidden, head, labels)
    return Batch(
        model=model,
        inputs=inputs,
        labels=labels,
        hidden=hidden,
        head=head,
        losses=losses,
        rows=at,
        general=torch.tensor([False] * 3),
        tasks=torch.tensor([-1] * 3),
        count=20,
        last=True,
        twins=pad(twins, True, -100),
    )


def by_hand(model: Any, batch: Batch) -> Tensor:
    """Row by row, the clean question without padding and dropout: KL at the positions that say the answer."""
    assert batch.twins is not None
    total = torch.zeros(())
    for row, (length, twin) in enumerate(zip(LENGTHS, TWINS, strict=True)):
        if twin:
            model.eval()
            with torch.no_grad():
                clean = model(batch.twins[row : row + 1, :twin]).logits[0, -ANSWER - 1 : -1].softmax(-1)
            model.train()
            said = (batch.hidden[row, length - ANSWER - 1 : length - 1] @ batch.head.T).log_softmax(-1)
            total = total + (clean * (clean.log() - said)).sum()
    return total / batch.count


def test_value_and_gradient_are_those_of_all_logits(model: Any):
    batch = forward(model)
    loss = ConsistencyLoss(model, 3.0)(batch)
    expected = 3 * by_hand(model, batch)
    assert loss is not None and float(expected.detach()) > 1e-3
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    loss.backward(retain_graph=True)
    assert model.training
    trained = [one for one in model.parameters() if one.requires_grad]
    for one, gradient in zip(trained, torch.autograd.grad(expected, trained), strict=True):
        torch.testing.assert_close(one.grad, gradient, rtol=1e-3, atol=1e-6)


def test_in_chunks_it_is_the_same(model: Any, monkeypatch: pytest.MonkeyPatch):
    batch = forward(model)
    whole = ConsistencyLoss(model, 1.0)(batch)
    monkeypatch.setattr("trainer.objectives.answer_loss.CHUNK", 2)
    torch.testing.assert_close(ConsistencyLoss(model, 1.0)(batch), whole)


def test_where_nothing_is_disturbed_it_adds_nothing(base: Any):
    batch = forward(base)
    assert batch.twins is not None
    batch.twins = torch.full_like(batch.twins, -100)
    assert ConsistencyLoss(base, 1.0)(batch) is None
    batch.twins = batch.twins[:, :0]
    assert ConsistencyLoss(base, 1.0)(batch) is None
    # A twin that is the row itself: what is said to it is the target already.
    same = forward(base)
    ids, mask = same.inputs["input_ids"], same.inputs["attention_mask"]
    same.twins = ids.masked_fill(mask == 0, -100)
    loss = ConsistencyLoss(base, 1.0)(same)
    assert loss is not None and float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_where_the_head_is_trained_it_learns_from_the_disturbed_side(base: Any):
    batch = forward(base)
    loss = ConsistencyLoss(base, 1.0)(batch)
    expected = by_hand(base, batch)
    assert loss is not None
    head = base.get_output_embeddings().weight
    torch.testing.assert_close(
        torch.autograd.grad(loss, head, retain_graph=True)[0],
        torch.autograd.grad(expected, head)[0],
        rtol=1e-3,
        atol=1e-6,
    )


def test_it_needs_plain_logits(base: Any):
    base.config.model_type = "gemma2"
    with pytest.raises(MethodError, match=r"adversarial\.consistency.*gemma2"):
        ConsistencyLoss(base, 1.0)
