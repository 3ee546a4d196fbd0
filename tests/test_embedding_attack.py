"""FGM and FreeLB: what is disturbed and by how much, and which gradients come of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from trainer.methods.answering import evaluating
from trainer.objectives import answer_loss
from trainer.steering.embedding_attack import EmbeddingAttack, places

Inputs = dict[str, Tensor]
KINDS: list[Literal["fgm", "freelb"]] = ["fgm", "freelb"]


@pytest.fixture
def base(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model).train()


@pytest.fixture
def model(base: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    settings = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_dropout=0.3, target_modules="all-linear", init_lora_weights=False
    )
    return get_peft_model(base, settings).train()


def batch() -> tuple[Inputs, Tensor, Tensor]:
    """Four rows of 9, 6, 9 and 5 tokens, padded at the right, answers from the fourth token on; the third is general
    and the last is an answer throughout."""
    torch.manual_seed(0)
    mask = torch.tensor([[1] * n + [0] * (9 - n) for n in (9, 6, 9, 5)])
    ids = torch.randint(3, 200, (4, 9)) * mask
    labels = ids.masked_fill(mask == 0, -100)
    labels[:3, :3] = -100
    return {"input_ids": ids, "attention_mask": mask}, labels, torch.tensor([False, False, True, False])


def learning(model: Any, heard: list[float] | None = None) -> Callable[[float], Tensor]:
    inputs, labels, _ = batch()

    def learn(share: float) -> Tensor:
        loss = answer_loss.read(model, inputs).losses(labels)[0].mean()
        if heard is not None:
            heard.append(float(loss.detach()))
        (share * loss).backward()
        return share * loss.detach()

    return learn


def disturbed() -> Tensor:
    inputs, labels, general = batch()
    return places(inputs["attention_mask"], labels, general)


def gradients(model: Any) -> dict[str, Tensor]:
    found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys() and one
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)


def attacked(model: Any, kind: Literal["fgm", "freelb"], epsilon: float, steps: int = 3) -> list[Tensor]:
    """What the model reads in each pass, less what it reads without the attack."""
    inputs, _, _ = batch()
    embed = model.get_input_embeddings()
    plain = embed(inputs["input_ids"]).detach()
    read: list[Tensor] = []
    learn = learning(model)

    def seen(share: float) -> Tensor:
        read.append(embed(inputs["input_ids"]).detach() - plain)
        return learn(share)

    EmbeddingAttack(model, kind, epsilon, steps, 3)(disturbed(), seen)
    return read


def test_the_tokens_before_the_answer_of_own_rows_are_disturbed():
    assert disturbed().int().tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0, 0], [0] * 9, [0] * 9]


def test_fgm_goes_by_epsilon_times_the_norm_of_the_questions_embeddings(model: Any):
    clean, moved = attacked(model, "fgm", 0.25)
    assert not clean.any()
    embedded = model.get_input_embeddings()(batch()[0]["input_ids"]).detach()
    for row in (0, 1):
        assert float(moved[row].norm()) == pytest.approx(0.25 * float(embedded[row, :3].norm()), rel=1e-4)
    assert not moved[~disturbed()].any()


def test_freelb_begins_with_noise_and_stays_in_the_ball(model: Any):
    passes = attacked(model, "freelb", 0.25, steps=4)
    embedded = model.get_input_embeddings()(batch()[0]["input_ids"]).detach()
    assert len(passes) == 4 and passes[0][disturbed()].all()
    for row in (0, 1):
        norms = [float(one[row].norm() / embedded[row, :3].norm()) for one in passes]
        assert norms[0] == pytest.approx(0.25 / 3**0.5, rel=0.1), "uniform noise"
        assert all(norm <= 0.25 * 1.0001 for norm in norms) and norms[-1] > norms[0]
        assert norms[-1] == pytest.approx(0.25, rel=1e-3), "steps of 2.5 / 4 reach the border in three"
    assert not any(one[~disturbed()].any() for one in passes)


@pytest.mark.parametrize("kind", KINDS)
def test_without_epsilon_the_gradient_is_that_of_a_plain_step_also_with_dropout(model: Any, kind: Any):
    torch.manual_seed(5)
    loss = learning(model)(1.0)
    plain, after = gradients(model), torch.rand(1)
    torch.manual_seed(5)
    total = EmbeddingAttack(model, kind, 0.0, 3, 3)(disturbed(), learning(model))
    close(gradients(model), plain)
    assert float(total) == pytest.approx(float(loss), rel=1e-5)
    assert torch.equal(torch.rand(1), after), "later steps draw the same dropout"


def read_with(model: Any, change: Tensor) -> dict[str, Tensor]:
    """Gradients of the loss where this is added to what the model reads."""
    hook = model.get_input_embeddings().register_forward_hook(lambda module, arguments, embedded: embedded + change)
    torch.manual_seed(5)
    learning(model)(1.0)
    hook.remove()
    return gradients(model)


def test_fgm_averages_the_clean_gradient_and_that_of_the_steepest_direction(base: Any, model: Any):
    change = torch.zeros(4, 9, 64, requires_grad=True)
    clean = read_with(model, change)
    assert change.grad is not None
    embedded = model.get_input_embeddings()(batch()[0]["input_ids"]).detach()
    at = disturbed()[..., None]
    direction = change.grad * at
    lengths = direction.norm(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    step = 0.1 * (embedded * at).norm(dim=(1, 2), keepdim=True) * direction / lengths
    under_attack = read_with(model, step)
    torch.manual_seed(5)
    EmbeddingAttack(model, "fgm", 0.1, 3, 3)(disturbed(), learning(model))
    close(gradients(model), {name: (clean[name] + under_attack[name]) / 2 for name in clean})


def test_freelb_with_one_step_is_the_gradient_at_its_noise(model: Any):
    (noise,) = attacked(model, "freelb", 0.5, steps=1)
    model.zero_grad(set_to_none=True)
    expected = read_with(model, noise)
    torch.manual_seed(5)
    EmbeddingAttack(model, "freelb", 0.5, 1, 3)(disturbed(), learning(model))
    close(gradients(model), expected)


def test_the_loss_is_higher_under_the_attack_than_without_it_or_under_noise(model: Any):
    model.eval()  # without dropout; only the embeddings' hook has to think that it trains
    model.training = True
    heard: list[float] = []
    EmbeddingAttack(model, "fgm", 0.01, 3, 3)(disturbed(), learning(model, heard))
    clean, fgm = heard
    heard.clear()
    EmbeddingAttack(model, "freelb", 0.01, 4, 3)(disturbed(), learning(model, heard))
    assert clean < fgm < heard[-1] and abs(heard[0] - clean) < (fgm - clean) / 4, "noise alone does next to nothing"
    assert heard == sorted(heard), "each step goes higher"


def test_a_model_that_is_asked_meanwhile_is_not_disturbed(model: Any):
    inputs, _, _ = batch()
    with torch.no_grad(), evaluating(model):
        plain = model(**inputs).logits
    asked: list[Tensor] = []
    learn = learning(model)

    def also_asks(share: float) -> Tensor:
        with torch.no_grad(), evaluating(model):
            asked.append(model(**inputs).logits)
        return learn(share)

    EmbeddingAttack(model, "freelb", 0.5, 2, 3)(disturbed(), also_asks)
    assert len(asked) == 2 and all(torch.equal(one, plain) for one in asked)
    assert len(model.get_input_embeddings()._forward_hooks) == 0


def test_general_rows_alone_are_read_once(model: Any):
    heard: list[float] = []
    EmbeddingAttack(model, "freelb", 0.5, 3, 3)(torch.zeros(4, 9, dtype=torch.bool), learning(model, heard))
    assert len(heard) == 1


def test_virtual_tokens_are_not_disturbed_and_learn(base: Any):
    from peft import PromptTuningConfig, get_peft_model

    tuned: Any = get_peft_model(base, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)).train()
    read: list[Tensor] = []
    base.model.layers[0].register_forward_pre_hook(
        lambda _, arguments, options: read.append((arguments[0] if arguments else options["hidden_states"]).detach()),
        with_kwargs=True,
    )
    EmbeddingAttack(tuned, "fgm", 0.3, 2, 3)(disturbed(), learning(tuned))
    clean, moved = read
    assert torch.equal(clean[:, :5], moved[:, :5]) and not torch.equal(clean[:2, 5:8], moved[:2, 5:8])
    assert torch.equal(clean[2:], moved[2:])
    (prompt,) = gradients(tuned).values()
    assert prompt.any()


def test_a_resumed_run_is_disturbed_as_it_would_have_been(model: Any):
    attack = EmbeddingAttack(model, "freelb", 0.5, 1, 3)
    noises = [attack._first(disturbed()) for _ in range(3)]
    again = EmbeddingAttack(model, "freelb", 0.5, 1, 3)
    again.restore({"batches": 2})
    assert torch.equal(again._first(disturbed()), noises[2]) and not torch.equal(noises[1], noises[2])
    assert attack.state() == again.state()
