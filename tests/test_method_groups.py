"""One adapter for each task or specialty: which acts, which trains, and prefixes put together at inference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, DynamicCache

from trainer.methods import MethodError, groups, saved, soft_prompts
from trainer.methods.answering import untouched
from trainer.methods.apply import apply, trainable_share
from trainer.sections import RunConfig

TASKS = ["diagnosis", "report writing", "Report-Writing"]
NAMES = ["task_diagnosis", "task_report_writing", "task_report_writing_2"]
KINDS: dict[str, dict[str, Any]] = {
    "prefix": {"kind": "prefix", "length": 3, "per": "task"},
    "prefix with projection": {"kind": "prefix", "length": 3, "per": "task", "projection": True},
    "layer norm": {"kind": "layer_norm", "per": "task"},
    "bottleneck": {"kind": "adapter", "width": 8, "dropout": 0.0, "per": "task"},
}
ALL = pytest.mark.parametrize("kind", KINDS)


def run_with(tiny_model: Path, method: dict[str, Any]) -> RunConfig:
    return RunConfig.model_validate({"model": {"name": str(tiny_model)}, "method": method})


def fresh_base(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


def rows(seed: int) -> torch.Tensor:
    return torch.randint(3, 259, (2, 12), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = rows(7)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def trained(model: Any, order: list[str]) -> Any:
    """Each task's adapter on rows of its own, with one optimiser for all."""
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.05, weight_decay=0.0)
    for step, name in enumerate(order):
        groups.activate(model, name)
        ids = rows(step)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def test_names_are_safe_and_do_not_collide():
    assert groups.adapter_names("task", TASKS) == dict(zip(TASKS, NAMES, strict=True))
    assert groups.adapter_names("specialty", ["Ears, nose & throat"]) == {
        "Ears, nose & throat": "specialty_ears_nose_throat"
    }
    assert groups.adapter_names("run", TASKS) == {"default": "default"}
    with pytest.raises(MethodError, match=r"method.per: no row's specialty is known"):
        groups.adapter_names("specialty", [])


@ALL
def test_all_train_with_one_optimiser_and_only_the_active_one_moves(tiny_model: Path, kind: str):
    one = apply(fresh_base(tiny_model), run_with(tiny_model, KINDS[kind] | {"per": "run"}), TASKS, 10)
    model = apply(fresh_base(tiny_model), run_with(tiny_model, KINDS[kind]), TASKS, 10)
    assert list(model.peft_config) == NAMES and model.active_adapter == NAMES[0]
    assert model.get_nb_trainable_parameters()[0] == 3 * one.get_nb_trainable_parameters()[0]
    assert trainable_share(model) > trainable_share(one)
    flags = {name: value.requires_grad for name, value in model.named_parameters()}
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    trained(model, [NAMES[1]] * 2)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if f".{NAMES[1]}." in name}
    assert flags == {name: value.requires_grad for name, value in model.named_parameters()}


@ALL
def test_the_base_is_there_while_it_trains_and_nothing_is_frozen_behind_it(tiny_model: Path, kind: str):
    base = fresh_base(tiny_model)
    expected = logits(base)
    model = trained(apply(base, run_with(tiny_model, KINDS[kind]), TASKS, 10), NAMES)
    held_back = next(value for value in model.parameters() if value.requires_grad)
    held_back.requires_grad_(False)  # as gradual unfreezing does
    flags = [value.requires_grad for value in model.parameters()]
    with untouched(model):
        assert torch.equal(logits(model), expected)
    assert not torch.allclose(logits(model), expected, atol=1e-3)
    assert [value.requires_grad for value in model.parameters()] == flags


@ALL
def test_saved_and_loaded_each_answers_as_it_did(tiny_model: Path, tmp_path: Path, kind: str):
    run = run_with(tiny_model, KINDS[kind])
    model = trained(apply(fresh_base(tiny_model), run, TASKS, 10), NAMES * 2)
    before = {}
    for name in NAMES:
        groups.activate(model, name)
        before[name] = logits(model)
    assert not torch.allclose(before[NAMES[0]], before[NAMES[1]], atol=1e-3)
    saved.save(model, run, tmp_path / "adapter")
    assert saved.names(tmp_path / "adapter") == NAMES
    again = saved.load(fresh_base(tiny_model), tmp_path / "adapter")
    assert torch.allclose(logits(again), before[NAMES[0]], atol=1e-5), "the first one acts"
    for name in reversed(NAMES):
        groups.activate(again, name)
        assert torch.allclose(logits(again), before[name], atol=1e-5)
    assert not any(value.requires_grad for value in again.parameters())


@ALL
def test_a_run_goes_on_with_all_of_them(tiny_model: Path, tmp_path: Path, kind: str):
    run = run_with(tiny_model, KINDS[kind])
    model = trained(apply(fresh_base(tiny_model), run, TASKS, 10), NAMES)
    save_file(saved.training_state(model), tmp_path / "trained.safetensors")
    again = apply(fresh_base(tiny_model), run, TASKS, 10)
    saved.set_training_state(again, load_file(tmp_path / "trained.safetensors"))
    for name in NAMES:
        groups.activate(model, name)
        groups.activate(again, name)
        assert torch.allclose(logits(again), logits(model), atol=1e-6)


@pytest.mark.parametrize("kind", ["prefix", "layer norm", "bottleneck"])
def test_all_can_start_from_one_and_each_from_its_own(tiny_model: Path, tmp_path: Path, kind: str):
    shared, apart = run_with(tiny_model, KINDS[kind] | {"per": "run"}), run_with(tiny_model, KINDS[kind])
    first = trained(apply(fresh_base(tiny_model), shared, [], 10), ["default"] * 3)
    saved.save(first, shared, tmp_path / "shared")
    model = apply(fresh_base(tiny_model), apart, TASKS, 10, start=tmp_path / "shared").eval()
    for name in NAMES:
        groups.activate(model, name)
        assert torch.allclose(logits(model), logits(first), atol=1e-5)
    saved.save(trained(model, NAMES), apart, tmp_path / "apart")
    again = apply(fresh_base(tiny_model), apart, TASKS[:2], 10, start=tmp_path / "apart").eval()
    groups.activate(model, NAMES[1])
    groups.activate(again, NAMES[1])
    assert torch.allclose(logits(again), logits(model), atol=1e-5)
    with pytest.raises(MethodError, match=r"method.start_from: .* has task_diagnosis, .* and no task_triage"):
        apply(fresh_base(tiny_model), apart, ["triage"], 10, start=tmp_path / "apart")


@pytest.mark.parametrize("kind", ["prefix", "prefix with projection"])
def test_composed_prefixes_are_one_after_the_other(tiny_model: Path, tmp_path: Path, kind: str):
    run = run_with(tiny_model, KINDS[kind])
    model = trained(apply(fresh_base(tiny_model), run, TASKS, 10), NAMES)
    saved.save(model, run, tmp_path / "adapter")
    # By hand: the base, after a cache that holds the keys and values of the two.
    parts = [model.get_prompt_embedding_to_save(name) for name in NAMES[:2]]
    numbers = torch.cat(parts).view(6, 2, 2, 2, 16)  # tokens, layers, keys and values, heads, width
    cache = DynamicCache()
    for layer in range(2):
        keys, values = numbers[:, layer].permute(1, 2, 0, 3).unsqueeze(1).expand(2, 2, 2, 6, 16)
        cache.update(keys, values, layer)
    with torch.no_grad():
        expected = fresh_base(tiny_model)(rows(7), past_key_values=cache).logits
    for one in (model, saved.load(fresh_base(tiny_model), tmp_path / "adapter")):
        soft_prompts.compose(one, NAMES[:2], "both")
        groups.activate(one, "both")
        assert torch.allclose(logits(one), expected, atol=1e-5)
        assert not any(value.requires_grad for value in one.prompt_encoder["both"].parameters())
        soft_prompts.compose(one, [NAMES[1], NAMES[0]], "turned")
        groups.activate(one, "turned")
        assert torch.allclose(logits(one), expected, atol=1e-5), "keys without places have no order"
        answer = one.generate(input_ids=rows(7), max_new_tokens=3, do_sample=False, pad_token_id=0)
        assert answer.shape == (2, 15)
    with pytest.raises(MethodError, match=r"nobody: is no prefix of this model; it has task_diagnosis"):
        soft_prompts.compose(model, ["nobody"], "more")
    with pytest.raises(MethodError, match=r"both: there is a prefix of this name already"):
        soft_prompts.compose(model, NAMES[:2], "both")
