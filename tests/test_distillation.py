"""The untouched base as a teacher on general rows, against the same from all logits at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.methods import MethodError
from trainer.methods.answering import untouched
from trainer.objectives.answer_loss import answer_losses, final_hidden
from trainer.steering.batch import Batch
from trainer.steering.distillation import Distillation

LENGTHS = (7, 12, 5)


@pytest.fixture
def base(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model)


def _with(model: Any, settings: Any) -> Any:
    from peft import get_peft_model

    torch.manual_seed(0)
    return get_peft_model(model, settings)


def _lora(model: Any, **options: Any) -> Any:
    from peft import LoraConfig

    return _with(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, target_modules="all-linear", **options))


def _forward(model: Any, general: tuple[bool, ...] = (True, False, True)) -> Batch:
    """Three rows, padded at the right, as the trainer makes a batch of them."""
    torch.manual_seed(1)
    mask = torch.tensor([[1] * n + [0] * (max(LENGTHS) - n) for n in LENGTHS])
    inputs = {"input_ids": torch.randint(3, 200, mask.shape) * mask, "attention_mask": mask}
    labels = inputs["input_ids"].masked_fill(mask == 0, -100)
    labels[:, :2] = -100
    model.train()
    hidden, head = final_hidden(model, inputs), model.get_output_embeddings().weight
    losses, rows = answer_losses(hidden, head, labels)
    return Batch(
        model=model,
        inputs=inputs,
        labels=labels,
        hidden=hidden,
        head=head,
        losses=losses,
        rows=rows,
        general=torch.tensor(general),
        tasks=torch.tensor([-1, 0, -1]),
        count=20,
        last=True,
    )


def _divergence_by_hand(model: Any, batch: Batch) -> Tensor:
    """Mean by count of KL(base || tuned) over the general rows' answer positions, from all logits at once."""
    with torch.no_grad(), model.disable_adapter():
        target = model(**batch.inputs).logits[:, -12:].softmax(-1)
    found = model(**batch.inputs).logits[:, -12:].softmax(-1)
    each = (target * (target.log() - found.log())).sum(-1)[:, :-1]
    kept = (batch.labels[:, 1:] != -100) & batch.general[:, None]
    return each[kept].sum() / batch.count


def test_distillation_is_zero_at_the_start_and_its_gradient_that_of_all_logits(base: Any) -> None:
    model = _lora(base)
    term = Distillation(model, 3.0)
    start = term(_forward(model))
    assert start is not None and float(start.detach()) == pytest.approx(0, abs=1e-6)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.normal_(std=0.3)
    frozen = model.base_model.model.model.layers[0].mlp.up_proj.lora_A["default"].weight.requires_grad_(False)
    batch = _forward(model)
    loss = term(batch)
    assert loss is not None and float(loss.detach()) > 0.01
    loss.backward()
    assert not frozen.requires_grad and model.training
    trained = [one for one in model.parameters() if one.requires_grad]
    expected = 3 * _divergence_by_hand(model, batch)
    torch.testing.assert_close(loss.detach(), expected.detach(), rtol=1e-4, atol=1e-6)
    for one, gradient in zip(trained, torch.autograd.grad(expected, trained), strict=True):
        torch.testing.assert_close(one.grad, gradient, rtol=1e-3, atol=1e-6)
    assert term(_forward(model, general=(False, False, False))) is None


def test_distillation_in_chunks_gives_the_same(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _lora(base, init_lora_weights=False)
    term, batch = Distillation(model, 1.0), _forward(model)
    whole = term(batch)
    monkeypatch.setattr("trainer.objectives.answer_loss.CHUNK", 3)
    torch.testing.assert_close(term(batch), whole)


def test_distillation_of_virtual_tokens(base: Any) -> None:
    from peft import PromptTuningConfig

    model = _with(base, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    batch = _forward(model)
    loss = Distillation(model, 1.0)(batch)
    assert loss is not None
    loss.backward()
    torch.testing.assert_close(loss.detach(), _divergence_by_hand(model, batch).detach(), rtol=1e-4, atol=1e-6)
    [prompt] = [one for one in model.parameters() if one.requires_grad]
    assert prompt.grad is not None and prompt.grad.abs().sum() > 0


def test_distillation_needs_plain_logits(base: Any) -> None:
    base.config.model_type = "gemma2"
    with pytest.raises(MethodError, match=r"steering\.distillation.*gemma2"):
        Distillation(base, 1.0)


def test_the_base_answers_without_dropout(base: Any) -> None:
    for layer in base.model.layers:
        layer.self_attn.attention_dropout = 0.5  # the base's own, beside the adapter's
    model = _lora(base, init_lora_weights=False)
    model.train()
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        with untouched(model):
            off = model(input_ids=tokens).logits
        assert model.training
        on = model(input_ids=tokens).logits
        plain = model.unload().eval()(input_ids=tokens).logits
    assert torch.equal(off, plain) and not torch.allclose(on, plain)
