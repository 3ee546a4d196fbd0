"""Reward models: the loss by hand, a run from pairs to a model that rates, and that nobody can ask it a question."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer import engine, events, model_refs, models, reward_models, runs
from trainer.combinations import faults
from trainer.errors import ModelError
from trainer.methods.apply import apply
from trainer.objectives import reward_loss
from trainer.reporting import Reporter, StopRequested
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.tuned import Tuned

GOOD, BAD = "Yes, {}.", "No {}!"


class StopsAt(Reporter):
    """Hears a request to stop after some step."""

    at = 4

    def stop_requested(self) -> bool:
        return self.status.step >= self.at


@pytest.fixture(scope="module")
def asked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run on eighty questions, each with an answer to prefer by its words alone."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {
            "prompt": f"Is case {number * 7919 % 1000} {('ill', 'well', 'old')[number % 3]}?",
            "chosen": GOOD.format("abcd"[number % 4] * (1 + number % 3)),
            "rejected": BAD.format("wxyz"[number % 4] * (1 + number % 3)),
        }
        for number in range(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RunConfig.model_validate(
        {
            "model": {"name": str(tiny_model)},
            "objective": {"kind": "reward"},
            "data": {"sources": [{"name": str(path)}], "contains_phi": False},
            "method": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1},
            "schedule": {
                "max_steps": 8,
                "batch_size": 8,
                "accumulation": 1,
                "learning_rate": 0.02,
                "checkpoint_every": 4,
            },
            "evaluation": {"every": 8, "sample_every": 4, "sample_prompts": ["Is 4 even?"]},
            "hardware": {"precision": "fp32"},
            "output": {"name": "judge"},
        }
    )


@pytest.fixture(scope="module")
def whole(asked: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that run, trained once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        return train(asked).folder


@pytest.fixture
def judged(whole: Path) -> Run:
    """That run in this test's own home."""
    shutil.copytree(whole, runs.runs_folder() / whole.name)
    return runs.get(whole.name)


def train(config: RunConfig, reporter: type[Reporter] = Reporter, run: Run | None = None) -> Run:
    run = run or runs.create(config)
    engine.train(config, reporter(run.folder, run.status))
    return runs.get(run.id)


def test_the_loss_by_hand() -> None:
    # -log sigmoid(2) = log(1 + e^-2); -log sigmoid(-1) = log(1 + e); and 0.01 x 4^2 and 0.01 x 1^2 for the centre.
    expected = (math.log(1 + math.exp(-2)) + 0.01 * 16 + math.log(1 + math.e) + 0.01 * 1) / 2
    assert reward_loss.loss([(3.0, 1.0), (0.0, 1.0)], centre=0.01) == pytest.approx(expected)
    assert reward_loss.loss([(0.0, 1000.0)], centre=0.0) == pytest.approx(1000.0), "without an overflow"


def test_a_run_of_pairs_becomes_a_model_that_rates(judged: Run) -> None:
    run = judged
    measured = [event for event in run.events() if isinstance(event, events.EvalEvent)]
    assert measured[0].loss == pytest.approx(math.log(2)), (
        "the head begins at 0, so that both answers are worth the same"
    )
    assert measured[0].answer_accuracy == 0.0 and measured[-1].answer_accuracy == 1.0
    told = [event for event in run.events() if isinstance(event, events.PreferenceEvent)]
    assert [event.step for event in told] == list(range(1, 9))
    assert told[0].margin == pytest.approx(0.0) and told[-1].margin > told[4].margin > 0
    assert not [event for event in run.events() if isinstance(event, events.SampleEvent)]

    report = run.report()
    assert report is not None
    held_out = report["held_out_pairs"]
    assert held_out["side"] == "validation" and held_out["ranking"]["accuracy"]["value"] == 1.0
    assert held_out["ranking"]["accuracy"]["low"] < 0.8, "eight pairs do not make it sure"
    assert sum(one["n"] for one in held_out["ranking"]["bins"]) == held_out["ranking"]["pairs"] == 8

    judge = reward_models.load(reward_models.find(run.id))
    conversations = [
        [{"role": "user", "content": "Is case 12 ill?"}, {"role": "assistant", "content": answer}]
        for answer in (GOOD.format("e"), BAD.format("ee, and much more to say of it"))
    ]
    good, bad = judge.rate(conversations)
    assert good > bad
    assert judge.rate(conversations[:1]) == pytest.approx([good], abs=1e-4), "alone as beside a longer one"


def test_nobody_is_offered_a_reward_model_to_ask(judged: Run) -> None:
    assert list((judged.folder / runs.REWARD).glob("*.safetensors")) and not judged.weights
    assert model_refs.of_run(judged) == [] and judged.id not in {ref.run for ref in model_refs.known()}
    with pytest.raises(ModelError, match="rates answers and gives none"):
        Tuned(judged)
    card = (judged.folder / "README.md").read_text()
    assert "ranked as people did: 1.000 (0.631 to 1.000), n = 8" in card


def test_stopped_and_resumed_it_comes_to_the_same_head(asked: RunConfig, whole: Path) -> None:
    from safetensors.torch import load_file

    run = runs.create(asked)
    with pytest.raises(StopRequested):
        train(asked, StopsAt, run)
    assert (run.folder / "checkpoints" / "checkpoint-4").is_dir()
    resumed = train(asked, run=run)
    first, second = (
        load_file(folder / runs.REWARD / "adapter_model.safetensors") for folder in (whole, resumed.folder)
    )
    assert any("score" in name for name in first), "the head is saved with the adapter"
    for name, weights in first.items():
        torch.testing.assert_close(weights, second[name], atol=1e-4, rtol=1e-3)


def test_the_head_is_fp32_on_a_bf16_base_and_is_what_trains_beside_the_adapter(asked: RunConfig) -> None:
    config = asked.model_copy(deep=True)
    config.hardware.precision = "bf16"
    base, tokenizer, _ = models.load_base(config)
    model = apply(base, config, [], total_steps=1)
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    heads = [one for name, one in trained.items() if ".modules_to_save." in name]
    assert len(heads) == 1 and heads[0].dtype == torch.float32 and not heads[0].any()
    assert all("lora_" in name for name in trained if ".modules_to_save." not in name)
    rewards = reward_models.rate(model.eval(), [[5, 6, 7], [8, 9]], tokenizer.pad_token_id)
    assert rewards == [0.0, 0.0]


def test_an_answer_that_was_cut_off_is_seen_as_such(asked: RunConfig, tiny_model: Path, tmp_path: Path) -> None:
    """Where a tokenizer pads with its end mark, the head would look for the token before it."""
    from transformers import AutoTokenizer

    folder = shutil.copytree(tiny_model, tmp_path / "same-mark")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.unk_token = "<|endoftext|>"
    tokenizer.save_pretrained(folder)
    config = asked.model_copy(deep=True)
    config.model.name = str(folder)
    model, loaded, _ = models.load_base(config)
    end: Any = loaded.eos_token_id
    assert loaded.pad_token_id != end
    torch.nn.init.normal_(model.score.weight)  # pyright: ignore
    ended, cut = reward_models.rate(model.eval(), [[5, 6, 7, end], [5, 6, 7]], loaded.pad_token_id)
    assert ended != cut


def test_a_reward_model_that_is_not_one_is_said(tiny_run: RunConfig) -> None:
    other = runs.create(tiny_run)
    with pytest.raises(ModelError, match=r"minimised sft; name one of objective\.kind reward"):
        reward_models.find(other.id)
    with pytest.raises(ModelError, match=r"objective\.reward_model: There is no run"):
        reward_models.find("nowhere")


def test_what_a_reward_model_cannot_do_is_said_with_the_way_out() -> None:
    found = faults(
        RunConfig.model_validate(
            {
                "objective": {"kind": "reward"},
                "method": {"kind": "lora", "init": "pissa", "start_from": "a-run"},
                "steering": {"harm_every": 5},
                "data": {"contains_phi": False},
            }
        )
    )
    fields = {one.field for one in found}
    assert {"method.init", "method.start_from", "steering.harm_every"} <= fields
    prefix = {"objective": {"kind": "reward"}, "method": {"kind": "prefix"}, "data": {"contains_phi": False}}
    (fault,) = [one for one in faults(RunConfig.model_validate(prefix)) if one.field == "method.kind"]
    assert "take method.kind lora" in fault.message
