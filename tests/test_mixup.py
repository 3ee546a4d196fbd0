"""Mixup in the embeddings, with an adapter and with virtual tokens before the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.steering.mixup import Mixup


@pytest.fixture
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model).train()


def _batch() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Four rows of 9, 6, 9 and 4 tokens, padded at the right; the third is general."""
    torch.manual_seed(0)
    mask = torch.tensor([[1] * n + [0] * (9 - n) for n in (9, 6, 9, 4)])
    return {"input_ids": torch.randint(3, 200, (4, 9)) * mask, "attention_mask": mask}, torch.tensor([0, 0, 1, 0]) > 0


def test_what_the_model_reads_is_mixed_by_hand(model: Any) -> None:
    inputs, general = _batch()
    embed = model.get_input_embeddings()
    plain = embed(inputs["input_ids"]).detach()
    with Mixup(model, 1.0, 3)(inputs, general) as mixed:
        assert mixed is not None
        read = embed(mixed.inputs["input_ids"])
    assert 0.5 <= mixed.share < 1
    order = mixed.order.tolist()
    assert sorted(order) == [0, 1, 2, 3]
    assert [row for row in range(4) if order[row] == row] == [2]  # the general row is left alone, no other is
    lengths = inputs["attention_mask"].sum(1).tolist()
    for row, other in enumerate(order):
        for place in range(9):
            if place < min(lengths[row], lengths[other]):
                expected = mixed.share * plain[row, place] + (1 - mixed.share) * plain[other, place]
            else:
                expected = plain[other if place < lengths[other] else row, place]
            torch.testing.assert_close(read[row, place], expected)
        assert mixed.inputs["attention_mask"][row].sum() == max(lengths[row], lengths[other])
    assert torch.equal(read[2], plain[2])
    assert torch.equal(embed(inputs["input_ids"]), plain)  # afterwards nothing is mixed


def test_virtual_tokens_are_not_mixed_and_learn(model: Any) -> None:
    from peft import PromptTuningConfig, get_peft_model

    tuned: Any = get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5))
    tuned.train()
    inputs, general = _batch()
    read: list[torch.Tensor] = []
    model.model.layers[0].register_forward_pre_hook(
        lambda _, arguments, options: read.append(arguments[0] if arguments else options["hidden_states"]),
        with_kwargs=True,
    )
    plain = tuned(**inputs).logits
    with Mixup(tuned, 1.0, 3)(inputs, general) as mixed:
        assert mixed is not None
        logits = tuned(**mixed.inputs).logits
    assert torch.equal(read[0][:, :5], read[1][:, :5])
    assert not torch.allclose(read[0][[0, 1, 3], 5:], read[1][[0, 1, 3], 5:])
    torch.testing.assert_close(logits[2], plain[2])
    logits.logsumexp(-1).sum().backward()
    trained = [one for one in tuned.parameters() if one.requires_grad]
    assert len(trained) == 1 and trained[0].grad is not None and trained[0].grad.abs().sum() > 0


def test_gradients_reach_an_adapter_through_mixed_rows(model: Any) -> None:
    from peft import LoraConfig, get_peft_model

    tuned: Any = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM"))
    tuned.train()
    tuned.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    tuned.enable_input_require_grads()
    inputs, general = _batch()
    with Mixup(tuned, 0.4, 3)(inputs, general) as mixed:
        assert mixed is not None
        loss = tuned(**mixed.inputs).logits.logsumexp(-1).sum()
    loss.backward()
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in tuned.parameters())


def test_nothing_is_mixed_in_eval_mode_or_alone(model: Any) -> None:
    inputs, general = _batch()
    mixup = Mixup(model, 1.0, 3)
    with mixup(inputs, torch.tensor([True, True, True, False])) as alone:
        assert alone is None
    model.eval()
    with mixup(inputs, general) as measured:
        assert measured is None
    assert mixup.state() == {"batches": 0}


def test_a_resumed_run_mixes_as_it_would_have(model: Any) -> None:
    inputs, general = _batch()

    def drawn(mixup: Mixup) -> tuple[float, list[int]]:
        with mixup(inputs, general) as mixed:
            assert mixed is not None
            return mixed.share, mixed.order.tolist()

    whole = Mixup(model, 0.4, 3)
    draws = [drawn(whole) for _ in range(4)]
    assert len({share for share, _ in draws}) == 4
    later = Mixup(model, 0.4, 3)
    later.restore({"batches": 2})
    assert [drawn(later) for _ in range(2)] == draws[2:]
