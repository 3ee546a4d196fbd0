"""The chunked loss equals PyTorch's cross-entropy, in value and gradient."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from trainer.objectives import answer_loss as module
from trainer.objectives.answer_loss import answer_losses


def test_value_and_gradient_equal_plain_cross_entropy(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    torch.manual_seed(0)
    hidden = torch.randn(2, 7, 5, dtype=torch.float64).float().requires_grad_()
    weight = torch.randn(11, 5)
    labels = torch.randint(0, 11, (2, 7))
    labels[0, :4] = -100
    labels[1, 5:] = -100
    loss = answer_losses(hidden, weight, labels)[0].sum() / 3
    loss.backward()
    assert hidden.grad is not None
    ours, hidden.grad = hidden.grad.clone(), None
    logits = (hidden @ weight.T)[:, :-1].reshape(-1, 11)
    plain = torch.nn.functional.cross_entropy(logits, labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum") / 3
    plain.backward()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(ours, hidden.grad)


def test_a_trained_output_layer_gets_its_gradient_and_rows_are_told_apart(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    torch.manual_seed(0)
    hidden, weight = torch.randn(3, 6, 5).requires_grad_(), torch.randn(11, 5).requires_grad_()
    labels = torch.randint(0, 11, (3, 6))
    labels[0, :3] = labels[1] = -100
    losses, rows = answer_losses(hidden, weight, labels)
    assert rows.tolist() == [0, 0, 0, 2, 2, 2, 2, 2]
    (losses * torch.arange(8)).sum().backward()
    ours = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    logits, following = (hidden @ weight.T)[:, :-1], labels[:, 1:]
    kept = following != -100
    plain = torch.nn.functional.cross_entropy(logits[kept], following[kept], reduction="none")
    torch.testing.assert_close(losses, plain)
    (plain * torch.arange(8)).sum().backward()
    for own, expected in zip(ours, (hidden.grad, weight.grad), strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("model_type", sorted(module.PLAIN_HEADS))
def test_the_logits_of_each_plain_head_are_the_hidden_state_times_the_output_matrix(model_type: str):
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 50, "pad_token_id": 0}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape, **heads)).eval()
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(hidden @ model.get_output_embeddings().weight.T, logits)
