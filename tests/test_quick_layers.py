"""Layers written out by hand compute what transformers and PEFT compute, for rows of any length, forwards and back."""

from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM

from trainer.method_sections import LoraMethod
from trainer.methods import lora, quick_layers
from trainer.objectives import answer_loss
from trainer.sections import RunConfig

LENGTHS = [11, 4, 7]


def adapted(model_type: str, quick: bool, dtype: torch.dtype = torch.float32, dropout: float = 0.0) -> PeftModel:
    """A random model with an adapter that is not at its start; the same one for both ways."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50, "pad_token_id": 0}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    base: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape, **heads))
    for name, part in base.named_parameters():
        if name.endswith(("norm.weight", ".bias")):
            part.data = part.data + 0.1 * torch.randn_like(part)
    model = lora.apply(base.to(dtype), LoraMethod(rank=4, alpha=8, dropout=dropout))
    for name, part in model.named_parameters():
        if "lora_B" in name:
            part.data = 0.1 * torch.randn_like(part)
    if quick:
        quick_layers.quicken(model)
    return model.train()


def batch(left: bool = False, shared: bool = False) -> dict[str, torch.Tensor]:
    """Rows of `LENGTHS`. `shared`: the third begins like the first with five tokens, the second like both with two."""
    torch.manual_seed(1)
    mask = torch.tensor([[int(place < length) for place in range(max(LENGTHS))] for length in LENGTHS])
    ids = torch.randint(1, 50, mask.shape)
    if shared:
        ids[2, :5], ids[1, :2] = ids[0, :5], ids[0, :2]
    ids = ids * mask
    return {"input_ids": ids.flip(1), "attention_mask": mask.flip(1)} if left else {
        "input_ids": ids, "attention_mask": mask
    }  # fmt: skip


def losses_and_gradients(model: PeftModel, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    losses, _ = answer_loss.read(model, inputs).losses(labels)
    losses.mean().backward()
    found = {name: part.grad for name, part in model.named_parameters() if part.requires_grad}
    assert len(found) == 2 * 7 * 2 and all(one is not None for one in found.values())
    return losses.detach(), found


@pytest.mark.parametrize("model_type", sorted(quick_layers.MODELS))
@pytest.mark.parametrize(
    "bounds",
    [{}, {"LONGEST": 5}, {"BLOCK": 2}, {"BLOCK": 2, "KEPT": 0}],
    ids=["whole rows", "PyTorch's attention", "blocks", "blocks, computed again"],
)
@pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])
@pytest.mark.parametrize("shared", [False, True], ids=["all different", "beginnings shared"])
def test_losses_and_gradients_are_those_of_the_plain_layers(
    monkeypatch: pytest.MonkeyPatch, model_type: str, bounds: dict[str, int], left: bool, shared: bool
):
    for name, bound in bounds.items():
        monkeypatch.setattr(quick_layers, name, bound)
    plain, slow = losses_and_gradients(adapted(model_type, quick=False), batch(left, shared))
    quick, fast = losses_and_gradients(adapted(model_type, quick=True), batch(left, shared))
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-5)
    for name, gradient in slow.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-4, atol=1e-6)


def test_in_bf16_the_gradient_is_within_a_few_roundings_of_the_exact_one():
    exact = losses_and_gradients(adapted("llama", quick=False), batch())[1]
    found = losses_and_gradients(adapted("llama", quick=True, dtype=torch.bfloat16), batch())[1]
    apart = sum(float((found[name] - one).square().sum()) for name, one in exact.items())
    assert 0 < (apart / sum(float(one.square().sum()) for one in exact.values())) ** 0.5 < 0.03


def watched(model: PeftModel) -> list[int]:
    """How many tokens go through its first layer, each time that it reads."""
    seen: list[int] = []
    mlp: Any = model.get_base_model().get_submodule("model.layers.0.mlp")
    mlp.register_forward_hook(lambda part, read, out: seen.append(read[0].shape[1]))
    return seen


def test_what_rows_begin_with_is_computed_once_where_it_is_the_same_for_all():
    rows = batch(shared=True)
    model = adapted("llama", quick=True)
    seen = watched(model)
    answer_loss.read(model, rows)
    assert seen == [sum(LENGTHS) - 5 - 2]

    def noisy(part: Any, read: Any, out: torch.Tensor) -> torch.Tensor:
        return out + 0.01 * torch.randn_like(out)  # as NEFTune

    core: Any = model.get_base_model()
    for acting in (noisy, lambda part, read, out: out.requires_grad_()):  # the second: each row's own gradient
        handle = core.get_input_embeddings().register_forward_hook(acting)
        answer_loss.read(model, rows)
        handle.remove()
    assert seen[1:] == [sum(LENGTHS)] * 2

    model = adapted("llama", quick=True, dropout=0.5)
    seen = watched(model)
    answer_loss.read(model, rows)
    answer_loss.read(model.eval(), rows)
    assert seen == [sum(LENGTHS), sum(LENGTHS) - 5 - 2], "what is dropped differs from row to row"


def test_padding_changes_nothing_and_is_not_computed():
    model, rows = adapted("llama", quick=True), batch()
    seen = watched(model)
    together = answer_loss.read(model, rows).hidden
    assert seen == [sum(LENGTHS)]
    for row, length in enumerate(LENGTHS):
        alone = answer_loss.read(model, {name: one[row : row + 1, :length] for name, one in rows.items()}).hidden
        torch.testing.assert_close(together[row : row + 1, :length], alone)


def test_what_is_dropped_is_dropped_in_the_backward_pass_too():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(6, 5, requires_grad=True), torch.randn(3, 5), torch.randn(3)
    first, second = torch.randn(2, 5, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    kept = torch.bernoulli(torch.full((6, 5), 0.5)) * 2

    def gradients(out: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad((out * torch.arange(18.0).view(6, 3)).sum(), [x, first, second]))

    ours: Any = quick_layers._Adapted.apply(x, x * kept, weight, bias, first, second, 0.5)
    plain = torch.nn.functional.linear(x, weight, bias) + 0.5 * (x * kept) @ first.T @ second.T
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(gradients(ours), gradients(plain))


def test_dropout_acts_while_training_and_not_otherwise():
    model, rows = adapted("llama", quick=True, dropout=0.5), batch()
    one, other = (answer_loss.read(model, rows).hidden for _ in range(2))
    assert not torch.equal(one, other)
    model.eval()
    torch.testing.assert_close(answer_loss.read(model, rows).hidden, answer_loss.read(model, rows).hidden)


def test_with_the_adapter_off_it_is_the_base_and_answers_are_as_the_plain_layers_give_them():
    quick, plain = (adapted("llama", quick=way).eval() for way in (True, False))
    for name, part in plain.named_parameters():
        if "lora_B" in name:
            part.data.zero_()
    with torch.no_grad(), quick.disable_adapter():
        torch.testing.assert_close(quick(**batch()).logits, plain(**batch()).logits)
    quick, plain = (adapted("llama", quick=way).eval() for way in (True, False))
    asked = {name: one[:1, :6] for name, one in batch().items()}
    said = [model.generate(**asked, max_new_tokens=12, do_sample=False).tolist() for model in (quick, plain)]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("changes", "model_type", "wanted"),
    [
        ({}, "llama", True),
        ({"method": {"kind": "lora", "scaling": "rank_stabilised"}}, "qwen3", True),
        ({"method": {"kind": "lora", "dora": True}}, "llama", False),
        ({"method": {"kind": "ia3"}}, "llama", False),
        ({"model": {"quantization": "nf4"}}, "llama", False),
        ({"hardware": {"device": "cuda"}}, "llama", False),
        ({"hardware": {"processes": 2}}, "llama", False),
        ({"steering": {"ewc": 0.01}}, "llama", False),
        ({}, "gpt2", False),
    ],
)
def test_which_runs_it_is_for(changes: dict[str, Any], model_type: str, wanted: bool):
    run = RunConfig.model_validate({"data": {"sources": [{"name": "starter/lab"}]}} | changes)
    assert quick_layers.fits(run, AutoConfig.for_model(model_type)) is wanted
