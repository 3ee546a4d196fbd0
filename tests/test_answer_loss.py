"""The chunked loss equals PyTorch's cross-entropy, in value and gradient."""

import torch

from trainer.objectives import answer_loss as module
from trainer.objectives.answer_loss import answer_loss


def test_value_and_gradient_equal_plain_cross_entropy(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    torch.manual_seed(0)
    hidden = torch.randn(2, 7, 5, dtype=torch.float64).float().requires_grad_()
    weight = torch.randn(11, 5)
    labels = torch.randint(0, 11, (2, 7))
    labels[0, :4] = -100
    labels[1, 5:] = -100
    loss = answer_loss(hidden, weight, labels) / 3
    loss.backward()
    assert hidden.grad is not None
    ours, hidden.grad = hidden.grad.clone(), None
    logits = (hidden @ weight.T)[:, :-1].reshape(-1, 11)
    plain = torch.nn.functional.cross_entropy(logits, labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum") / 3
    plain.backward()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(ours, hidden.grad)
