"""Rates by group, by step and by layer: the arithmetic, the optimiser, and what moves when in a real training."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    AutoModelForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_scheduler,
    set_seed,
)

from trainer.methods.lora import MethodError
from trainer.sections import RunConfig
from trainer.steering import optimiser, rates

STEPS = 10


def a_run(method: dict[str, Any] | None = None, **schedule: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "method": {"kind": "lora", "rank": 4, "alpha": 8, **(method or {})},
            "schedule": {"learning_rate": 0.01, **schedule},
        }
    )


def lora(tiny_model: Path, dropout: float = 0.0, **settings: Any) -> Any:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    set_seed(1)
    settings = {"target_modules": ["q_proj", "down_proj"], **settings}
    return get_peft_model(base, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", lora_dropout=dropout, **settings))


def train(model: Any, run: RunConfig, folder: Path, ours: bool = True, extra: Any = (), resume: Any = None) -> Any:
    rows = [{"input_ids": [3 + n, 7, 9 + n, 11], "labels": [3 + n, 7, 9 + n, 11]} for n in range(8)]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        learning_rate=run.schedule.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": run.schedule.final_rate_share},
        warmup_steps=run.schedule.warmup_share,
        weight_decay=run.schedule.weight_decay,
        adam_beta2=0.95,
        optim="adamw_torch_fused",
        logging_steps=1,
        save_steps=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        seed=3,
    )
    made: Any = (None, None)
    callbacks = list(extra)
    if ours:
        optimizer = optimiser.optimizer(model, run)
        scheduler = optimiser.scheduler(optimizer, run, STEPS)
        made = optimizer, scheduler
        callbacks.insert(0, optimiser.GroupRates(run, optimizer, scheduler, STEPS))
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=callbacks, optimizers=made)  # pyright: ignore
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


class Weights(TrainerCallback):
    """Remembers what was trained after each step."""

    def __init__(self) -> None:
        self.after: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.after.append({name: one.detach().clone() for name, one in model.named_parameters() if one.requires_grad})


class Used(TrainerCallback):
    """Remembers the rate of each group in each step."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        self.rates.append([group["lr"] for group in optimizer.param_groups])


@pytest.mark.parametrize("share", [0.0, 0.05, 0.13])
@pytest.mark.parametrize("total", [1, 7, 200])
def test_the_cosine_is_that_of_transformers(share: float, total: int):
    run = a_run(warmup_share=share, final_rate_share=0.1)
    nothing = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    arguments = SimpleNamespace(warmup_steps=share)
    theirs = get_scheduler(
        "cosine_with_min_lr",
        nothing,
        TrainingArguments.get_warmup_steps(arguments, total),  # pyright: ignore[reportArgumentType]
        total,
        scheduler_specific_kwargs={"min_lr_rate": 0.1},
    )
    assert isinstance(theirs, LambdaLR)
    ours = rates.schedule(run, total)
    for step in range(total + 1):
        assert ours(step) == pytest.approx(theirs.lr_lambdas[0](step), abs=1e-12)


def test_the_line_falls_evenly_to_its_share_of_the_peak():
    share = rates.schedule(a_run(decay="linear", warmup_share=0.1, final_rate_share=0.2), 100)
    assert [share(step) for step in (0, 5, 10, 55, 100)] == pytest.approx([0.0, 0.5, 1.0, 0.6, 0.2])


def test_layers_learn_at_a_geometric_ladder_of_rates():
    run = a_run(layer_rate_ratio=10)
    peaks = [rates.peak(run, layer, 5) for layer in range(5)]
    assert peaks[-1] == 0.01 and peaks[-1] / peaks[0] == pytest.approx(10)
    assert [high / low for low, high in pairwise(peaks)] == pytest.approx([10**0.25] * 4)
    assert rates.peak(run, 0, 1) == 0.01


def test_layers_join_from_the_top_down():
    run = a_run(unfreezing_share=0.5)
    assert [rates.unfreezing(run, layer, 5, 200) for layer in range(5)] == [100, 75, 50, 25, 0]
    assert {rates.unfreezing(a_run(), layer, 5, 200) for layer in range(5)} == {0}


def test_curves_tell_who_learns_at_which_rate():
    assert list(rates.curves(a_run(), 30, 100)) == ["all weights"]
    assert list(rates.curves(a_run({"rate_ratio": 16}), 30, 100)) == ["A", "B"]
    run = a_run({"rate_ratio": 4}, layer_rate_ratio=10, unfreezing_share=0.5, warmup_share=0.0)
    found = rates.curves(run, 3, 100)
    assert list(found) == [f"{name} layer, {part}" for name in ("top", "middle", "bottom") for part in "AB"]
    bottom, top = dict(found["bottom layer, A"]), dict(found["top layer, A"])
    assert bottom[49] == 0.0 < bottom[50] and max(top.values()) == 0.01
    assert bottom[50] / rates.schedule(run, 100)(50) == pytest.approx(0.001)
    assert dict(found["top layer, B"])[0] == pytest.approx(0.04)
    assert list(rates.curves(a_run(layer_rate_ratio=10), 2, 100)) == ["top layer", "bottom layer"]
    assert all(len(curve) < 70 for curve in found.values())
    assert rates.curves(a_run(), 30, 1) == {"all weights": [(0, 0.0)]}


@pytest.mark.parametrize("whole", [False, True])
def test_without_options_the_groups_are_those_of_transformers(tiny_model: Path, tmp_path: Path, whole: bool):
    model = AutoModelForCausalLM.from_pretrained(tiny_model) if whole else lora(tiny_model)
    ours = {group["weight_decay"]: group["params"] for group in optimiser.groups(model, a_run(weight_decay=0.05))}
    arguments = TrainingArguments(output_dir=str(tmp_path), weight_decay=0.05, use_cpu=True, report_to="none")
    theirs = Trainer(model=model, args=arguments).create_optimizer()
    for group in theirs.param_groups:
        assert set(map(id, group["params"])) == set(map(id, ours.get(group["weight_decay"], [])))


def test_groups_by_layer_with_lora_plus(tiny_model: Path):
    model = lora(tiny_model, use_dora=True)
    found = optimiser.groups(model, a_run({"rate_ratio": 16}, layer_rate_ratio=10))
    assert [group["name"] for group in found] == ["layer 2, A", "layer 2, B", "layer 1, A", "layer 1, B"]
    assert [group["lr"] for group in found] == pytest.approx([0.01, 0.16, 0.001, 0.016])
    names = {id(one): name for name, one in model.named_parameters() if one.requires_grad}
    held = [names[id(one)] for group in found for one in group["params"]]
    assert sorted(held) == sorted(names.values())
    assert all(
        ("lora_B" in names[id(one)]) == group["name"].endswith("B") for group in found for one in group["params"]
    )


def test_embeddings_stand_below_and_the_last_norm_above(tiny_model: Path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    found = optimiser.groups(model, a_run(layer_rate_ratio=10))
    assert [group["name"] for group in found] == [
        "last norm and output layer, no decay",
        "layer 2",
        "layer 2, no decay",
        "layer 1",
        "layer 1, no decay",
        "embeddings",
    ]
    assert [group["lr"] for group in found] == pytest.approx([0.01, 0.01, 0.01, 0.001, 0.001, 0.001])


def test_layers_cannot_differ_where_weights_have_none(tiny_model: Path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for name, one in model.named_parameters():
        one.requires_grad = "embed" in name
    with pytest.raises(MethodError, match=r"schedule\.unfreezing_share.*embed_tokens.*default"):
        optimiser.groups(model, a_run(unfreezing_share=0.5))


def test_without_options_training_is_that_of_transformers(tiny_model: Path, tmp_path: Path):
    run = a_run(warmup_share=0.2)
    ours = train(lora(tiny_model, dropout=0.1), run, tmp_path / "ours")
    theirs = train(lora(tiny_model, dropout=0.1), run, tmp_path / "theirs", ours=False)
    assert losses(ours) == losses(theirs)


def test_layers_stay_equal_to_the_bit_until_their_step(tiny_model: Path, tmp_path: Path):
    run = a_run(unfreezing_share=0.5, weight_decay=0.1, warmup_share=0.0)
    model, seen = AutoModelForCausalLM.from_pretrained(tiny_model), Weights()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    trainer = train(model, run, tmp_path, extra=[seen])
    for name, start in before.items():
        waits = ".layers.0." in name or "embed" in name
        for step, after in enumerate(seen.after):
            assert torch.equal(after[name], start) == (waits and step < 5), (name, step)
    states = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert states == {10, 5}, "no momentum gathers before"


def test_a_run_resumed_in_the_middle_goes_on_the_same(tiny_model: Path, tmp_path: Path):
    run = a_run({"rate_ratio": 4}, layer_rate_ratio=10, unfreezing_share=0.6)
    whole = train(lora(tiny_model), run, tmp_path)
    again = train(lora(tiny_model), run, tmp_path, resume=str(tmp_path / "checkpoint-4"))
    assert losses(again) == losses(whole)


def test_going_on_with_another_rate_uses_that_one(tiny_model: Path, tmp_path: Path):
    first, again = Used(), Used()
    train(lora(tiny_model), a_run(layer_rate_ratio=10), tmp_path, extra=[first])
    halved = a_run(layer_rate_ratio=10, learning_rate=0.005)
    resumed = train(lora(tiny_model), halved, tmp_path, extra=[again], resume=str(tmp_path / "checkpoint-4"))
    for before, after in zip(first.rates[4:], again.rates, strict=True):
        assert after == pytest.approx([rate / 2 for rate in before])
        assert after[0] == pytest.approx(10 * after[1])
    told = [entry["learning_rate"] for entry in resumed.state.log_history if "learning_rate" in entry]
    assert told[4:] == pytest.approx([top for top, _ in again.rates]), "and it is what is told"


def test_a_4_bit_base_gets_the_paged_8_bit_optimiser(tiny_model: Path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    run = a_run(layer_rate_ratio=10)
    run.model.quantization = "nf4"
    made = optimiser.optimizer(model, run)
    for _ in range(2):
        model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss.backward()
        made.step()
    states = {name: made.state[one]["state1"].dtype for name, one in model.named_parameters()}
    assert states["model.layers.0.mlp.up_proj.weight"] == torch.uint8
    assert states["model.embed_tokens.weight"] == torch.float32
    assert [group["betas"] for group in made.param_groups] == [(0.9, 0.95)] * len(made.param_groups)
