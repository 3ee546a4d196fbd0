"""What holds the base's weights, L2-SP and elastic weight consolidation, each against a computation by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor

from trainer.data.records import DataError
from trainer.method_sections import LoraMethod
from trainer.methods import MethodError, lora
from trainer.sections import RunConfig
from trainer.steering import fisher, retention
from trainer.steering.batch import Batch
from trainer.steering.retention import Retention
from trainer.steering.weight_changes import changes


def _nothing(stage: str, done: int, total: int) -> None:
    return


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


def _rows() -> list[dict[str, Any]]:
    torch.manual_seed(1)
    rows = [torch.randint(3, 200, (n,)).tolist() for n in (7, 12, 5)]
    return [{"input_ids": row, "labels": [-100] * 2 + row[2:], "general": True} for row in rows]


def _by_hand(model: Any, names: list[str]) -> dict[str, Tensor]:
    """Mean over rows of the squared gradient of each row's mean loss, by autograd on dense weights."""
    model.requires_grad_(True)
    weights = dict(model.named_parameters())
    total = {name: torch.zeros_like(weights[name]) for name in names}
    for row in _rows():
        tokens, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
        logits = model(input_ids=tokens).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits[labels[1:] != -100], labels[labels != -100])
        for name, one in zip(names, torch.autograd.grad(loss, [weights[name] for name in names]), strict=True):
            total[name] += one.square() / len(_rows())
    return total


def _plain_name(name: str) -> str:
    return name.removeprefix("base_model.model.")


def _step(last: bool = True) -> Batch:
    """A batch of which only matters whether the optimiser steps after it."""
    empty = torch.zeros(1, 1)
    none, no_row = empty[0].long(), empty[0] > 0
    return Batch(None, {}, empty.long(), empty, empty, empty[0], none, no_row, none, count=1, last=last)


@pytest.mark.parametrize("trained", [False, True], ids=["untrained adapter", "adapter to go on from"])
def test_fisher_of_a_frozen_base_is_that_of_its_dense_weights(base: Any, tiny_model: Path, trained: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = _lora(base, lora_dropout=0.5, init_lora_weights=not trained)
    model.train()
    before = [one.requires_grad for one in model.parameters()]
    found = fisher.fisher_information(model, changes(model), _rows(), _nothing)
    assert [one.requires_grad for one in model.parameters()] == before and model.training
    assert all(one.grad is None for one in model.parameters())
    expected = _by_hand(AutoModelForCausalLM.from_pretrained(tiny_model), [_plain_name(name) for name in found])
    assert len(found) == 14  # seven linear layers in each of two blocks
    for name, one in found.items():
        torch.testing.assert_close(one, expected[_plain_name(name)], rtol=1e-3, atol=1e-12)


def test_fisher_of_a_pissa_adapter_is_that_of_the_whole_weights(base: Any, tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = lora.apply(base, LoraMethod(init="pissa", rank=4))
    found = fisher.fisher_information(model, changes(model), _rows(), _nothing)
    expected = _by_hand(AutoModelForCausalLM.from_pretrained(tiny_model), [_plain_name(name) for name in found])
    for name, one in found.items():
        torch.testing.assert_close(one, expected[_plain_name(name)], rtol=1e-2, atol=1e-10)


def test_fisher_of_full_and_of_layer_norm_tuning(base: Any, tiny_model: Path) -> None:
    from peft import LNTuningConfig
    from transformers import AutoModelForCausalLM

    dense = AutoModelForCausalLM.from_pretrained(tiny_model)
    expected = _by_hand(dense, [name for name, _ in dense.named_parameters()])
    base.model.layers[0].requires_grad_(False)  # as while layers join in one by one
    found = fisher.fisher_information(base, changes(base), _rows(), _nothing)
    assert not next(base.model.layers[0].parameters()).requires_grad
    assert set(found) == set(expected)
    for name, one in found.items():
        torch.testing.assert_close(one, expected[name], rtol=1e-3, atol=1e-12)

    model = _with(base, LNTuningConfig(task_type="CAUSAL_LM"))
    with torch.no_grad():
        for layer in model.modules():
            if hasattr(layer, "ln_tuning_layers"):
                layer.ln_tuning_layers["default"].weight.mul_(2)
    found = fisher.fisher_information(model, changes(model), _rows(), _nothing)
    assert len(found) == 5  # two norms a block, and the last
    for name, one in found.items():
        torch.testing.assert_close(one, expected[_plain_name(name)], rtol=1e-3, atol=1e-12)


def test_fisher_of_a_base_in_4_bits(tiny_model: Path) -> None:
    import bitsandbytes.functional as bnb
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    quantised = AutoModelForCausalLM.from_pretrained(
        tiny_model, quantization_config=settings, device_map="cpu", dtype=torch.float32
    )
    model = _lora(quantised)
    found = fisher.fisher_information(model, changes(model), _rows(), _nothing)
    dense = AutoModelForCausalLM.from_pretrained(tiny_model)
    layers = dict(model.named_modules())
    for name in found:
        packed: Any = layers[name.removesuffix(".weight")].base_layer.weight
        with torch.no_grad():
            weight = dense.get_parameter(_plain_name(name))
            weight.copy_(bnb.dequantize_4bit(packed.data, packed.quant_state).view_as(weight))
    expected = _by_hand(dense, [_plain_name(name) for name in found])
    assert len(found) == 14
    for name, one in found.items():
        torch.testing.assert_close(one, expected[_plain_name(name)], rtol=0.02, atol=1e-9)


def test_pull_to_the_base_sees_the_change_and_not_its_factors(base: Any) -> None:
    model = _lora(base)
    term = Retention(changes(model), l2_sp=0.5, ewc=0.0, information={})
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "lora_A" in name:
                one.mul_(100)
    still = term(_step())
    assert still is not None and float(still.detach()) == 0
    assert term(_step(last=False)) is None

    layer = model.base_model.model.model.layers[1].mlp.down_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.normal_()
    loss = term(_step())
    assert loss is not None
    loss.backward()
    change = 3 * (b @ a).detach()  # alpha / rank = 12 / 4
    assert float(loss.detach()) == pytest.approx(0.5 / 2 * float(change.square().sum()), rel=1e-4)
    torch.testing.assert_close(b.grad, 0.5 * 3 * change @ a.detach().T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(a.grad, 0.5 * 3 * b.detach().T @ change, rtol=1e-4, atol=1e-4)


def test_ewc_weighs_each_change_by_its_information(base: Any) -> None:
    model = _lora(base)
    moved = changes(model)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    name = next(one.name for one in moved if "layers.0.self_attn.q_proj" in one.name)
    torch.manual_seed(2)
    information = {one.name: torch.rand(one.by().shape) for one in moved}
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
    loss = Retention(moved, l2_sp=0.1, ewc=2.0, information=information)(_step())
    assert loss is not None
    loss.backward()
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    change = 3 * (b @ a).detach()
    weight = 0.1 + 2.0 * information[name]
    assert float(loss.detach()) == pytest.approx(float((weight * change.square()).sum()) / 2, rel=1e-4)
    torch.testing.assert_close(a.grad, 3 * b.detach().T @ (weight * change), rtol=1e-4, atol=1e-4)


def test_change_of_other_methods(base: Any, tiny_model: Path) -> None:
    from peft import AdaLoraConfig, LNTuningConfig
    from transformers import AutoModelForCausalLM

    def moved(model: Any) -> dict[str, float]:
        return {one.name: float(one.by().detach().norm()) for one in changes(model)}

    full = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = changes(full)
    with torch.no_grad():
        full.model.norm.weight.add_(0.5)
    found = {one.name: float(one.by().detach().norm()) for one in before}
    assert found.pop("model.norm.weight") == pytest.approx(0.5 * 64**0.5)
    assert set(found.values()) == {0.0}

    ranks = _with(base, AdaLoraConfig(task_type="CAUSAL_LM", init_r=4, total_step=10, tinit=1, tfinal=1))
    assert set(moved(ranks).values()) == {0.0}
    base = ranks.unload()
    norms = _with(base, LNTuningConfig(task_type="CAUSAL_LM"))
    with torch.no_grad():
        norms.base_model.model.model.norm.ln_tuning_layers["default"].weight.add_(0.5)
    found = moved(norms)
    assert max(found.values()) == pytest.approx(0.5 * 64**0.5) and sorted(found.values())[-2] == 0.0
    base = norms.unload()

    pissa = lora.apply(base, LoraMethod(init="pissa", rank=4))
    assert max(moved(pissa).values()) == 0.0
    layer: Any = pissa.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    with torch.no_grad():
        layer.lora_B["default"].weight.zero_()
    assert max(moved(pissa).values()) > 0.1


def _run(**steering: Any) -> RunConfig:
    return RunConfig.model_validate({"steering": steering})


def test_the_information_is_measured_once_and_read_again(base: Any, tmp_path: Path) -> None:
    model = _lora(base)
    rows = [{**row, "general": row["general"] and index > 0} for index, row in enumerate(_rows())]
    train = Dataset.from_list(rows)
    seen: list[tuple[int, int]] = []
    first = retention.retention(
        _run(ewc=2.0), model, [train], tmp_path, lambda _, done, total: seen.append((done, total))
    )
    assert seen == [(0, 2), (1, 2)]  # the two general rows
    values = torch.cat([one.float().flatten() for one in first.information.values()])
    assert float(values.mean()) == pytest.approx(1, rel=0.01)
    with torch.no_grad():
        for one in model.parameters():
            one.add_(0.01)
    again = retention.retention(_run(ewc=2.0), model, [train], tmp_path, _nothing)
    assert all(torch.equal(one, again.information[name]) for name, one in first.information.items())
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".jsonl" and path.is_file()] == [
        retention.FISHER
    ]


def test_where_there_is_nothing_to_measure_or_to_hold(base: Any, tmp_path: Path) -> None:
    from peft import PromptTuningConfig

    model = _lora(base)
    train = Dataset.from_list([{**row, "general": False} for row in _rows()])
    with pytest.raises(DataError, match=r"steering\.ewc.*general_sources"):
        retention.retention(_run(ewc=2.0), model, [train], tmp_path, _nothing)
    retention.retention(_run(l2_sp=2.0), model, [train], tmp_path, _nothing)
    prompt = _with(model.unload(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(MethodError, match=r"changes no weight"):
        retention.retention(_run(l2_sp=2.0), prompt, [train], tmp_path, _nothing)
