"""Full tuning: every weight moves, in fp32; and with the weights' home in memory it is the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainer import models
from trainer.method_sections import FullMethod
from trainer.methods import full
from trainer.sections import RunConfig

TOKENS = torch.arange(3, 27).reshape(2, 12)


def base(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, **options)


def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> float:
    loss = model(input_ids=TOKENS, labels=TOKENS).loss
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    return float(loss.detach())


def moved(model: nn.Module, rate: float) -> float:
    """Share of the weights that one step of AdamW at this rate changes, of those that have a gradient."""
    before = [one.detach().clone() for one in model.parameters()]
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    reached = [one.grad != 0 for one in model.parameters() if one.grad is not None]
    torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0).step()
    pairs = zip(before, model.parameters(), strict=True)
    changed = sum(int(((old != new) & at).sum()) for (old, new), at in zip(pairs, reached, strict=True))
    return changed / sum(int(at.sum()) for at in reached)


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The copy to a device as a copy in memory; how many numbers each one had."""
    sizes: list[int] = []

    def copy(tensor: torch.Tensor, device: str) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor.clone()

    monkeypatch.setattr(full, "_copy", copy)
    return sizes


def test_every_weight_moves_at_the_rates_of_full_tuning(tiny_model: Path):
    kept = base(tiny_model, dtype=torch.bfloat16)
    model = full.apply(base(tiny_model, dtype=torch.bfloat16), FullMethod())
    assert {one.dtype for one in model.parameters()} == {torch.float32}
    assert all(one.requires_grad for one in model.parameters())
    assert moved(model, rate=1e-5) > 0.99
    # Which is why: as loaded, most of the steps would be rounded away.
    assert moved(kept, rate=1e-5) < 0.2


def test_saved_and_loaded_it_gives_the_same_logits(tiny_model: Path, tmp_path: Path):
    config = RunConfig.model_validate(
        {"model": {"name": str(tiny_model)}, "method": {"kind": "full"}, "hardware": {"precision": "fp32"}}
    )
    plain, tokenizer, _ = models.load_base(config)
    model = full.apply(plain, FullMethod())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(2):
        step(model, optimiser)
        full.save(model, tokenizer, tmp_path / "model")
        again, words = full.load(tmp_path / "model", config)
        with torch.no_grad():
            expected = model.eval()(input_ids=TOKENS).logits
            assert torch.equal(again(input_ids=TOKENS).logits, expected)
        assert words.chat_template == tokenizer.chat_template
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_a_save_that_is_cut_off_leaves_the_one_before(tiny_model: Path, tmp_path: Path, monkeypatch: Any):
    config = RunConfig.model_validate({"model": {"name": str(tiny_model)}, "method": {"kind": "full"}})
    model, tokenizer, _ = models.load_base(config)
    full.save(model, tokenizer, tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()

    def fails(folder: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(tokenizer, "save_pretrained", fails)
    with pytest.raises(OSError, match="No space"):
        full.save(full.apply(model, FullMethod()), tokenizer, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before


def test_offloaded_it_trains_the_same(tiny_model: Path, visits: list[int]):
    losses, gradients = [], []
    for away in (False, True):
        model = full.apply(base(tiny_model), FullMethod()).train()
        if away:
            full.offload(model, "cpu")
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        gradients.append({name: one.grad for name, one in model.named_parameters()})
        model.zero_grad()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        losses.append([step(model, optimiser) for _ in range(5)])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-6)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5) and losses[0][4] < losses[0][0]


def test_offloaded_layers_are_copied_for_each_pass_and_embeddings_by_row(tiny_model: Path, visits: list[int]):
    model = base(tiny_model)
    layer = sum(one.numel() for one in model.model.layers[0].parameters())
    head, norm, rows = model.lm_head.weight.numel(), 64, TOKENS.numel() * 64
    full.offload(model, "cpu")
    with torch.no_grad():
        model(input_ids=TOKENS)
    assert sum(visits) == 2 * layer + head + norm + rows
    visits.clear()
    loss = model(input_ids=TOKENS, labels=TOKENS).loss
    assert sum(visits) == 2 * layer + head + norm + rows
    loss.backward()
    assert sum(visits) == 2 * (2 * layer + head + norm) + rows


def test_no_copy_of_a_layer_outlives_its_computation(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    import gc
    import weakref

    copies: list[Any] = []

    def copy(tensor: torch.Tensor, device: str) -> torch.Tensor:
        made = tensor.clone()
        if isinstance(tensor, nn.Parameter):
            copies.append(weakref.ref(made))
        return made

    monkeypatch.setattr(full, "_copy", copy)
    model = full.apply(base(tiny_model), FullMethod())
    full.offload(model, "cpu")
    loss = model(input_ids=TOKENS, labels=TOKENS).loss
    gc.collect()
    assert copies and not any(one() is not None for one in copies)
    loss.backward()
    gc.collect()
    assert not any(one() is not None for one in copies)


def test_offloaded_it_answers_the_same_and_is_saved_under_its_own_names(
    tiny_model: Path, tmp_path: Path, visits: list[int]
):
    model = base(tiny_model).eval()
    asked = {"input_ids": TOKENS, "max_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    expected = model.generate(**asked)
    names = set(model.state_dict())
    full.offload(model, "cpu")
    assert torch.equal(model.generate(**asked), expected)
    assert set(model.state_dict()) == names
    model.save_pretrained(tmp_path)
    assert torch.equal(base(tmp_path).eval().generate(**asked), expected)


def test_nobody_moves_an_offloaded_model(tiny_model: Path):
    model = base(tiny_model)
    full.offload(model, "cuda")
    # What a trainer and a generator ask: where to put the tokens; and what a trainer does first.
    assert model.device == torch.device("cuda")
    assert model.to(torch.device("meta")) is model
    assert {one.device.type for one in model.parameters()} == {"cpu"}


def test_all_that_an_offloaded_model_computes_is_on_its_device(tiny_model: Path):
    model = base(tiny_model)
    # A device without numbers stands for the GPU: what is left in memory cannot be computed with it.
    full.offload(model, "meta")
    embedded, labels = torch.empty(2, 12, 64, device="meta"), TOKENS.to("meta")
    output = model(inputs_embeds=embedded, labels=labels)
    assert output.logits.device.type == output.loss.device.type == "meta"


def test_fisher_information_can_be_read_from_an_offloaded_model(tiny_model: Path, visits: list[int]):
    model = base(tiny_model)
    parameters = list(model.parameters())
    mask = torch.ones_like(TOKENS)
    mask[0, :3] = 0
    # With a cache, as a model keeps one unless it is told not to.
    asked = {"input_ids": TOKENS, "attention_mask": mask, "labels": TOKENS, "use_cache": True}
    expected = torch.autograd.grad(model(**asked).loss, parameters)
    full.offload(model, "cpu")
    found = torch.autograd.grad(model(**asked).loss, parameters)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.gpu
def test_offloaded_the_gpu_holds_one_layer_at_a_time():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        hidden_size=512, intermediate_size=2048, num_hidden_layers=16, num_attention_heads=8, vocab_size=1000
    )
    model = full.apply(LlamaForCausalLM(shape), FullMethod(offload=True))
    layer = 4 * sum(one.numel() for one in model.model.layers[0].parameters())
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    tokens = TOKENS.cuda()
    model(input_ids=tokens, labels=tokens).loss.backward()
    assert {one.grad.device.type for one in model.parameters() if one.grad is not None} == {"cpu"}
    # One layer's weights and gradients, with what a few tokens need; all sixteen with gradients would be 32.
    assert torch.cuda.max_memory_allocated() - before < 6 * layer
