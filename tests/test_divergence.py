"""The guard ends training at a bad step, before anything of it is saved, and says where it is safe to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from trainer.sections import RunConfig
from trainer.steering import divergence
from trainer.steering.divergence import Divergence, DivergenceGuard, judge

NAN = float("nan")


class Spoilt(Trainer):
    """A trainer in which something goes wrong in the forward pass of one step (counted from 1)."""

    def __init__(self, *arguments: Any, at: int, how: str, **options: Any):
        super().__init__(*arguments, **options)
        self.at, self.how = at, how
        self.evaluated: list[int] = []

    def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        loss = model(**inputs).loss
        if not model.training or self.state.global_step + 1 != self.at:
            return loss
        if self.how == "loss":
            return loss * NAN
        # A finite loss whose gradient is no number: the derivative of sqrt at 0 is infinite, times 0.
        return loss + torch.sqrt(0 * model.model.norm.weight.sum())

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        self.evaluated.append(self.state.global_step)
        return {"eval_loss": 1.0}


class Spoils(TrainerCallback):
    """Makes a weight infinite after a step, as an overflow would; asks for a checkpoint, as a stop request does."""

    def __init__(self, at: int):
        self.at = at

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == self.at:
            with torch.no_grad():
                model.model.norm.weight[0] = float("inf")
            control.should_save = True


def train(tiny_model: Path, folder: Path, at: int, how: str, save_steps: int = 1, extra: Any = ()) -> Any:
    rows = [{"input_ids": [3 + n, 7, 9 + n, 11], "labels": [3 + n, 7, 9 + n, 11]} for n in range(8)]
    guard = DivergenceGuard()
    trainer = Spoilt(
        model=AutoModelForCausalLM.from_pretrained(tiny_model),
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=6,
            per_device_train_batch_size=2,
            logging_steps=1,
            logging_nan_inf_filter=False,
            eval_strategy="steps",
            eval_steps=1,
            save_steps=save_steps,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=rows,  # pyright: ignore[reportArgumentType]
        eval_dataset=rows[:2],  # pyright: ignore[reportArgumentType]
        callbacks=[guard, *extra],
        at=at,
        how=how,
    )
    trainer.train()
    return trainer, guard.found


def saved(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("checkpoint-*")}


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("at", [3, 6])
def test_a_bad_step_is_neither_measured_nor_saved(tiny_model: Path, tmp_path: Path, how: str, at: int):
    trainer, found = train(tiny_model, tmp_path, at, how)
    assert found and found.step == at and f"the {how} of step {at} is no longer a number" in found.reason
    assert trainer.state.global_step == at
    assert saved(tmp_path) == {f"checkpoint-{step}" for step in range(1, at)}
    assert max(trainer.evaluated) == at - 1


def test_weights_that_are_no_numbers_are_not_saved(tiny_model: Path, tmp_path: Path):
    _, found = train(tiny_model, tmp_path, 0, "loss", save_steps=2, extra=[Spoils(at=3)])
    assert found == Divergence(3, 2, "after step 3 a weight is no longer a number")
    assert saved(tmp_path) == {"checkpoint-2"}


def test_a_run_without_trouble_is_left_alone(tiny_model: Path, tmp_path: Path):
    trainer, found = train(tiny_model, tmp_path, 0, "loss", save_steps=3)
    assert found is None and trainer.state.global_step == 6 and saved(tmp_path) == {"checkpoint-3", "checkpoint-6"}


def test_what_counts_as_trouble():
    assert judge(2, [2.0, NAN]) and judge(2, [2.0, float("inf")])
    assert judge(3, [2.0, 1.9, 1.8], gradient_norm=float("inf"))
    assert judge(3, [2.0, 1.9, 1.8], gradient_norm=None) is None
    assert judge(4, [2.0, 21.0, 25.0, 19.0]) is None, "one that comes back down is none"
    assert judge(4, [0.02, 1.0, 1.0, 1.0]) is None, "hard batches after an easy first one are none"
    assert judge(4, [0.02, 11.0, 12.0, 13.0])
    runaway = judge(9, [2.0, 1.5, 1.2, 1.0, 1.0, 1.0, 21.0, 25.0, 30.0])
    # The loss of step 7 is already that of the weights that step 6 made.
    assert runaway and runaway.sound_until == 5 and "above 20 for 3 steps up to step 9; it began at 2" in runaway.reason


def test_only_checkpoints_from_before_the_trouble_are_left(tmp_path: Path):
    for step in (4, 6, 7):
        (tmp_path / f"checkpoint-{step}").mkdir()
    loss = judge(8, [2.0] * 7 + [NAN])
    assert loss
    divergence.remove_unsound(tmp_path, loss)
    assert saved(tmp_path) == {"checkpoint-4", "checkpoint-6"}, (
        "the loss of step 8 is that of the weights in checkpoint-7"
    )
    gradient = judge(7, [2.0] * 7, gradient_norm=NAN)
    assert gradient and gradient.sound_until == 6


def test_the_rate_is_halved_once():
    run = RunConfig()
    halved = divergence.slower(run, times_before=0)
    assert halved and halved.schedule.learning_rate == run.schedule.learning_rate / 2 == 1e-4
    assert divergence.slower(halved, times_before=1) is None
