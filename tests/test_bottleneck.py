"""Bottleneck adapters: what they compute, what they train, and that PEFT's ways with adapters hold for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from torch import nn

from trainer import models
from trainer.method_sections import AdapterMethod
from trainer.methods import MethodError, bottleneck
from trainer.methods.bottleneck import BottleneckLayer
from trainer.sections import RunConfig

TOKENS = torch.arange(3, 27).reshape(2, 12)


def base(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, **options).eval()


def adapted(folder: Path, groups: Sequence[str] = ("default",), below: Sequence[Path] = (), **fields: Any) -> PeftModel:
    method = AdapterMethod(**({"width": 8, "dropout": 0.0} | fields))
    return bottleneck.apply(base(folder), method, list(groups), list(below))


def logits(model: Any, tokens: torch.Tensor = TOKENS, **options: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=tokens, **options).logits


def train(model: Any, steps: int = 3, rate: float = 0.01) -> None:
    model.train()
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=rate)
    for _ in range(steps):
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def moved(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    return {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}


def saved(folder: Path, tiny_model: Path, seed: int, **fields: Any) -> Path:
    torch.manual_seed(seed)
    model = adapted(tiny_model, **fields)
    train(model, rate=0.05)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("placement", ["sequential", "parallel"])
def test_starts_as_the_base_and_is_the_base_when_off(tiny_model: Path, placement: str) -> None:
    plain = logits(base(tiny_model))
    model = adapted(tiny_model, placement=placement)
    assert torch.equal(logits(model), plain)
    train(model)
    assert (logits(model) - plain).abs().max() > 0.01
    with model.disable_adapter():
        assert torch.equal(logits(model), plain)


@pytest.mark.parametrize("placement", ["sequential", "parallel"])
def test_exactly_the_bottlenecks_move(tiny_model: Path, placement: str) -> None:
    model = adapted(tiny_model, placement=placement)
    before = weights(model)
    train(model)
    assert moved(before, model) == {
        f"base_model.model.model.layers.{layer}.{block}.bottleneck_{half}.default.{part}"
        for layer in (0, 1)
        for block in ("self_attn", "mlp")
        for half in ("down", "up")
        for part in ("weight", "bias")
    }
    # Two blocks a layer, two layers: 2 x 64 x 8 + 8 + 64 numbers each.
    assert model.get_nb_trainable_parameters()[0] == 4 * (2 * 64 * 8 + 8 + 64)


@pytest.mark.parametrize("placement", ["sequential", "parallel"])
def test_a_layer_is_what_the_formula_says(tiny_model: Path, placement: str) -> None:
    model = adapted(tiny_model, placement=placement)
    train(model)
    layer = model.get_submodule("base_model.model.model.layers.1.mlp")
    assert isinstance(layer, BottleneckLayer)
    given = torch.randn(2, 5, 64)
    down, up = cast(nn.Linear, layer.bottleneck_down["default"]), cast(nn.Linear, layer.bottleneck_up["default"])
    with torch.no_grad():
        plain = layer.base_layer(given)
        read = plain if placement == "sequential" else given
        inner = (read @ down.weight.T + down.bias).clamp(min=0)
        torch.testing.assert_close(layer(given), plain + inner @ up.weight.T + up.bias)


def test_parallel_is_not_sequential(tiny_model: Path) -> None:
    one, other = adapted(tiny_model, placement="sequential"), adapted(tiny_model, placement="parallel")
    train(one)
    other.load_state_dict(one.state_dict())
    assert (logits(one) - logits(other)).abs().max() > 1e-3


def test_dropout_acts_in_training_alone(tiny_model: Path) -> None:
    model = adapted(tiny_model, dropout=0.5)
    train(model)
    assert torch.equal(logits(model), logits(model))
    model.train()
    with torch.no_grad():
        assert not torch.equal(model(input_ids=TOKENS).logits, model(input_ids=TOKENS).logits)


def test_saved_and_loaded_it_gives_the_same_logits(tiny_model: Path, tmp_path: Path) -> None:
    model = adapted(tiny_model, placement="parallel")
    train(model)
    model.save_pretrained(str(tmp_path))
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {one.name for one in tmp_path.iterdir()}
    again = PeftModel.from_pretrained(base(tiny_model), str(tmp_path), adapter_name="tuned")
    assert torch.equal(logits(again), logits(model))
    assert not any(one.requires_grad for one in again.parameters())


def test_in_fp32_beside_a_bf16_base(tiny_model: Path) -> None:
    plain = base(tiny_model, dtype=torch.bfloat16)
    before = logits(plain)
    model = bottleneck.apply(plain, AdapterMethod(width=8), ["default"], [])
    assert {one.dtype for one in model.parameters() if one.requires_grad} == {torch.float32}
    assert logits(model).dtype == torch.bfloat16 and torch.equal(logits(model), before)
    train(model)
    assert not torch.equal(logits(model), before)


def test_a_4_bit_base_trains(tiny_model: Path) -> None:
    run = RunConfig.model_validate({"model": {"name": str(tiny_model), "quantization": "nf4"}})
    plain, _, _ = models.load_base(run)
    before = logits(plain)
    model = bottleneck.apply(plain, AdapterMethod(width=8), ["default"], [])
    assert torch.equal(logits(model), before)
    start = weights(model)
    train(model)
    assert moved(start, model) == {name for name in start if "bottleneck" in name}
    with model.disable_adapter():
        assert torch.equal(logits(model), before)


def test_gradient_checkpointing_gives_the_same_gradients(tiny_model: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = adapted(tiny_model)
        train(model, steps=1)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        model(input_ids=TOKENS, labels=TOKENS).loss.backward()
        gradients.append([one.grad for one in model.parameters() if one.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_each_task_has_its_own(tiny_model: Path, tmp_path: Path) -> None:
    model = adapted(tiny_model, groups=["ner", "qa"])
    assert model.active_adapters == ["ner"]
    # Both stand in one optimiser, though one of them is active.
    assert all(one.requires_grad for name, one in model.named_parameters() if "bottleneck" in name)
    before = weights(model)
    train(model)
    assert moved(before, model) == {name for name in before if ".ner." in name}
    plain = logits(base(tiny_model))
    ner = logits(model)
    model.set_adapter("qa")
    assert torch.equal(logits(model), plain)
    train(model)
    qa = logits(model)
    model.set_adapter("ner")
    assert torch.equal(logits(model), ner) and not torch.equal(ner, qa)

    model.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(base(tiny_model), str(tmp_path / "ner"), adapter_name="ner")
    again.load_adapter(str(tmp_path / "qa"), "qa")
    assert torch.equal(logits(again), ner)
    again.set_adapter("qa")
    assert torch.equal(logits(again), qa)


def test_rows_of_a_mixed_batch_equal_each_alone(tiny_model: Path) -> None:
    model = adapted(tiny_model, groups=["ner", "qa"])
    for name in ("ner", "qa"):
        model.set_adapter(name)
        train(model, rate=0.05)
    tokens = torch.arange(3, 39).reshape(3, 12)
    mixed = logits(model, tokens, adapter_names=["qa", "__base__", "ner"])
    for row, name in ((0, "qa"), (2, "ner")):
        model.set_adapter(name)
        torch.testing.assert_close(mixed[row], logits(model, tokens[row : row + 1])[0])
    with model.disable_adapter():
        torch.testing.assert_close(mixed[1], logits(model, tokens[1:2])[0])
    # Also while answering, and nothing of it is left afterwards.
    answers = model.generate(
        input_ids=tokens, adapter_names=["qa", "__base__", "ner"], max_new_tokens=4, do_sample=False, pad_token_id=0
    )
    alone = model.generate(input_ids=tokens[2:], max_new_tokens=4, do_sample=False, pad_token_id=0)
    assert torch.equal(answers[2], alone[0])
    with pytest.raises(ValueError, match="no adapter typo; there are ner, qa"):
        logits(model, tokens, adapter_names=["typo", "ner", "ner"])


def test_a_stack_keeps_what_is_beneath_frozen(tiny_model: Path, tmp_path: Path) -> None:
    lower = saved(tmp_path / "lower", tiny_model, seed=1)
    beneath = logits(PeftModel.from_pretrained(base(tiny_model), str(lower)))
    model = adapted(tiny_model, below=[lower])
    assert torch.equal(logits(model), beneath)
    plain = base(tiny_model).train()
    assert bottleneck.apply(plain, AdapterMethod(width=8), ["default"], [lower]).training
    before = weights(model)
    train(model)
    assert moved(before, model) == {name for name in before if ".default." in name}

    model.save_pretrained(str(tmp_path / "stack"))
    again = PeftModel.from_pretrained(base(tiny_model), str(tmp_path / "stack"), adapter_name="tuned")
    with pytest.raises(ValueError, match="tuned stands on below_1, which is not loaded"):
        logits(again)
    again.load_adapter(str(tmp_path / "stack" / "below_1"), "below_1")
    assert torch.equal(logits(again), logits(model))
    with model.disable_adapter():
        assert torch.equal(logits(model), logits(base(tiny_model)))


def test_the_order_of_a_stack_matters(tiny_model: Path, tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one", tiny_model, seed=1), saved(tmp_path / "other", tiny_model, seed=2)
    there, back = (logits(adapted(tiny_model, below=order)) for order in ([one, other], [other, one]))
    assert (there - back).abs().max() > 1e-3


def test_a_stack_on_a_stack_brings_what_is_beneath_it(tiny_model: Path, tmp_path: Path) -> None:
    lower = saved(tmp_path / "lower", tiny_model, seed=1)
    stack = saved(tmp_path / "stack", tiny_model, seed=2, below=[lower])
    tasks = saved(tmp_path / "tasks", tiny_model, seed=3, below=[lower], groups=["ner", "qa"])
    for folder, names in ((stack, ("default",)), (tasks / "ner", ("ner",))):
        known = PeftModel.from_pretrained(base(tiny_model), str(folder), adapter_name=names[0])
        known.load_adapter(str(folder.parent / "below_1" if folder != stack else stack / "below_1"), "below_1")
        model = adapted(tiny_model, below=[folder])
        assert list(model.peft_config) == ["default", "below_1", "below_2"]
        assert [one.below for one in model.peft_config.values()] == [["below_1", "below_2"], [], []]  # pyright: ignore
        assert torch.equal(logits(model), logits(known))


def test_what_cannot_be_beneath_is_told(tiny_model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    with pytest.raises(MethodError, match=r"method\.below: there is no adapter in"):
        adapted(tiny_model, below=[tmp_path])
    get_peft_model(base(tiny_model), LoraConfig(target_modules=["q_proj"])).save_pretrained(str(tmp_path / "lora"))
    with pytest.raises(MethodError, match="kind lora; only bottleneck adapters"):
        adapted(tiny_model, below=[tmp_path / "lora"])


def test_one_of_another_shape_cannot_be_beneath(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=300
    )
    bottleneck.apply(LlamaForCausalLM(shape), AdapterMethod(width=8), ["default"], []).save_pretrained(str(tmp_path))
    with pytest.raises(MethodError, match="trained for a model of another shape"):
        adapted(tiny_model, below=[tmp_path])


def test_a_model_without_such_blocks_is_told() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, n_positions=32))
    with pytest.raises(MethodError, match=r"method\.kind: .*GPT2LMHeadModel has none"):
        bottleneck.apply(model, AdapterMethod(), ["default"], [])
