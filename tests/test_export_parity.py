"""The parity check: an export that is the run's model passes, and each way of not being it is told apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from exports_made import made_run
from safetensors.torch import load_file, save_file

from trainer.export import ExportError
from trainer.export.merge import merge
from trainer.export.parity import check
from trainer.export.questions import questions
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.sections import RunConfig

LORA = {"kind": "lora", "rank": 4, "alpha": 8}


@pytest.fixture
def run(tiny_run: RunConfig) -> Run:
    return made_run(tiny_run, LORA)


@pytest.fixture
def merged(run: Run, tmp_path: Path) -> Path:
    merge(ModelRef(run=run.id), tmp_path / "merged")
    return tmp_path / "merged"


def test_the_questions_are_the_runs_own_and_then_the_starter_sets(tiny_run: RunConfig):
    asked = questions(tiny_run)
    assert len(asked) == 20
    assert asked[0] == [
        {"role": "system", "content": "You are a clinical assistant."},
        {"role": "user", "content": "Is 4 even?"},
    ]
    assert len({one[-1]["content"] for one in asked}) == 20


def test_a_merged_model_equals_its_run(run: Run, merged: Path):
    found = check(ModelRef(run=run.id), merged)
    assert (found.questions, found.equal_answers, found.ties) == (20, 20, 0)
    assert found.largest_difference < 2e-5 < found.tolerance
    assert found.effect is not None and found.effect > 100 * found.error
    assert found.sentence().startswith("20 of 20 greedy answers equal the run's")


def test_another_template_is_caught_and_the_place_is_named(run: Run, merged: Path):
    path = merged / "chat_template.jinja"
    path.write_text(
        path.read_text().replace("<|im_start|>{{ message['role'] }}\n", "<|im_start|>{{ message['role'] }} ")
    )
    with pytest.raises(ExportError) as caught:
        check(ModelRef(run=run.id), merged)
    told = str(caught.value)
    assert "renders a prompt otherwise than the run was trained with. They part at character 19" in told
    assert r"'<|im_start|>system\nYou are" in told and "'<|im_start|>system You are" in told


def test_a_template_without_the_runs_system_prompt_is_caught(run: Run, merged: Path):
    path = merged / "chat_template.jinja"
    path.write_text(path.read_text().partition("{% endif %}")[2])
    with pytest.raises(ExportError, match="renders a prompt without a system prompt otherwise"):
        check(ModelRef(run=run.id), merged)


def test_no_template_at_all_is_caught(run: Run, merged: Path):
    (merged / "chat_template.jinja").unlink()
    with pytest.raises(ExportError, match="holds no chat template"):
        check(ModelRef(run=run.id), merged)


def test_other_weights_are_caught(run: Run, merged: Path, tiny_model: Path):
    shutil.copy(tiny_model / "model.safetensors", merged / "model.safetensors")
    with pytest.raises(ExportError, match=r"is not the run's model: after question \d+ .* a logit is"):
        check(ModelRef(run=run.id), merged)


def test_numbers_that_are_none_are_caught(run: Run, merged: Path):
    weights = load_file(merged / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match="is not the run's model"):
        check(ModelRef(run=run.id), merged)


def test_rounding_that_takes_away_what_was_learnt_is_caught(tiny_run: RunConfig, tmp_path: Path):
    run = made_run(tiny_run, {"kind": "layer_norm"})
    weights = load_file(run.adapter / "adapter_model.safetensors")
    # As a short training leaves them: closer to the base than bf16 can tell apart.
    faint = {name: torch.ones_like(one) + 1e-4 * (one - 1) for name, one in weights.items()}
    save_file(faint, run.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    ref = ModelRef(run=run.id)
    merge(ref, tmp_path / "rounded", precision="bf16")
    with pytest.raises(ExportError, match=r"Rounding the weights to bf16 takes away what was learnt.*--precision fp32"):
        check(ref, tmp_path / "rounded", saved_in="bf16")
    merge(ref, tmp_path / "full", precision="fp32")
    assert check(ref, tmp_path / "full").equal_answers == 20


def test_a_4_bit_run_is_told_how_far_its_merged_model_is_from_what_was_measured(tiny_run: RunConfig, tmp_path: Path):
    run = made_run(tiny_run, LORA, quantization="nf4")
    merge(ModelRef(run=run.id), tmp_path / "merged")
    found = check(ModelRef(run=run.id), tmp_path / "merged")
    assert found.equal_answers == 20
    assert found.as_trained is not None and found.as_trained.largest_difference > 100 * found.largest_difference
