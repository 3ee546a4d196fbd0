"""Damaged checkpoints: what is told of them, which one is used instead, and when a run is not begun anew."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainer import checkpoints, events, runs, worker
from trainer.objectives import run_trainer
from trainer.objectives.run_trainer import RunTrainer
from trainer.reporting import Reporter
from trainer.runs import Run
from trainer.sections import RunConfig


@pytest.fixture(scope="module")
def stopped_once(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that was stopped after step 10, with the checkpoints 8 and 10."""
    home = tmp_path_factory.mktemp("stopped")
    rows = [{"question": f"Is {n} even?", "answer": "no" if n % 2 else "yes"} for n in range(40)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RunConfig.model_validate(
        {
            "model": {"name": str(tiny_model)},
            "data": {"sources": [{"name": str(home / "rows.jsonl")}], "contains_phi": False},
            "method": {"kind": "lora", "rank": 4},
            "schedule": {"max_steps": 12, "batch_size": 4, "learning_rate": 0.01, "checkpoint_every": 4},
            "evaluation": {"every": 4, "sample_every": 12, "sample_prompts": [], "forgetting": False},
            "hardware": {"precision": "fp32"},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(home))
        patch.setattr(run_trainer, "LOGGED", 6)
        patch.setattr(Reporter, "stop_requested", lambda self: self.status.step >= 10)
        run = runs.create(config)
        worker.main(run.folder)
        assert runs.get(run.id).status.state == "stopped", (runs.get(run.id).status.error, run.events())
    return home


@pytest.fixture
def run(stopped_once: Path, home: Path) -> Run:
    """That run in this test's own home."""
    shutil.copytree(stopped_once, home)
    (found,), _ = runs.list_runs()
    assert names(found) == ["checkpoint-10", "checkpoint-8"]
    return found


def names(run: Run) -> list[str]:
    return sorted(one.name for one in (run.folder / "checkpoints").iterdir() if one.is_dir())


def told(run: Run) -> list[str]:
    return [one.message for one in run.events() if isinstance(one, events.WarningEvent)]


def test_what_the_trainer_logs_does_not_grow_with_the_run(run: Run):
    state = json.loads((run.folder / "checkpoints" / "checkpoint-10" / "trainer_state.json").read_text())
    steps = [one["step"] for one in state["log_history"] if "loss" in one]
    assert len(state["log_history"]) <= 7 and (steps[0], steps[-1]) == (1, 10), "the guard asks for these"


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("trained.safetensors", half, r"trained\.safetensors has [\d,]+ bytes instead of [\d,]+"),
        ("trained.safetensors", one_bit, r"trained\.safetensors has another content than was written"),
        ("optimizer.pt", one_bit, r"optimizer\.pt has another content than was written"),
        ("optimizer.pt", Path.unlink, r"optimizer\.pt is missing"),
        ("steering.json", Path.unlink, r"steering\.json is missing"),
        ("complete", half, r"its file complete cannot be read"),
    ],
)
def test_whatever_is_damaged_is_named(run: Run, file: str, harm, said: str):
    folder = run.folder / "checkpoints"
    assert checkpoints.damage(folder / "checkpoint-10") == ""
    harm(folder / "checkpoint-10" / file)
    found = checkpoints.last(folder, Reporter(run.folder, run.status))
    assert found == folder / "checkpoint-8" and names(run) == ["checkpoint-8", "damaged-checkpoint-10"]
    (message,) = told(run)
    aside = r"and kept aside as damaged-checkpoint-10; training goes on from checkpoint-8\."
    assert re.fullmatch(rf"checkpoint-10 is damaged \({said}\) {aside}", message), message


def test_a_run_goes_on_from_the_checkpoint_before_the_damaged_one(run: Run):
    half(run.folder / "checkpoints" / "checkpoint-10" / "trained.safetensors")
    before = len(run.events())
    worker.main(run.folder)
    ended = runs.get(run.id)
    assert ended.status.state == "done", ended.status.error
    assert [one.step for one in ended.events()[before:] if isinstance(one, events.StepEvent)] == [9, 10, 11, 12]
    assert "checkpoint-10 is damaged" in told(ended)[-1]
    assert names(ended) == ["checkpoint-12", "checkpoint-8", "damaged-checkpoint-10"]


def test_with_no_checkpoint_left_a_run_is_not_begun_anew_without_a_word(run: Run):
    folder = run.folder / "checkpoints"
    half(folder / "checkpoint-10" / "trained.safetensors")
    (folder / "checkpoint-8" / "optimizer.pt").unlink()
    for _ in range(2):  # nor the second time
        worker.main(run.folder)
        failed = runs.get(run.id).status
        assert failed.state == "failed" and failed.error is not None
        assert failed.error.startswith("No checkpoint of this run can be used (checkpoint-10: trained.safetensors has ")
        assert failed.error.endswith(
            f"; checkpoint-8: optimizer.pt is missing). Put back {folder} from a backup and resume, or clone the run "
            "to train it from its first step."
        )
    assert names(run) == ["checkpoint-10", "checkpoint-8"], "nothing is removed that may be of use"


def test_a_first_checkpoint_that_was_cut_off_costs_its_steps_alone(run: Run):
    folder = run.folder / "checkpoints"
    shutil.rmtree(folder / "checkpoint-8")
    (folder / "checkpoint-10" / "complete").unlink()
    assert checkpoints.last(folder, Reporter(run.folder, run.status)) is None and names(run) == []
    assert told(run) == ["checkpoint-10 was not written to its end; there is none before it, and training begins anew."]


def test_where_the_best_checkpoint_is_damaged_the_last_weights_are_kept(run: Run):
    best = run.folder / "checkpoints" / "checkpoint-8"
    taken: list[Path] = []
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(best_model_checkpoint=str(best)),
        steering=SimpleNamespace(reporter=Reporter(run.folder, run.status)),
        take_weights=taken.append,
    )
    RunTrainer._load_best_model(trainer)
    assert taken == [best] and told(run) == []
    half(best / "trained.safetensors")
    RunTrainer._load_best_model(trainer)
    assert taken == [best] and trainer.state.best_model_checkpoint is None, "the step that is reported is the last"
    assert told(run)[0].startswith("The best checkpoint, checkpoint-8, is damaged (trained.safetensors has ")
