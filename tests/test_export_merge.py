"""Merging: what was trained goes into the base's weights, whatever the method, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from exports_made import made_run
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainer import runs
from trainer.export import ExportError
from trainer.export.merge import load_adapted, merge
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.sections import RunConfig

IDS = torch.tensor([[1, 40, 90, 120, 70, 33, 2, 77]])


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def of_folder(folder: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return logits(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval())


@pytest.mark.parametrize(
    "method",
    [
        {"kind": "lora", "rank": 4, "alpha": 8},
        pytest.param(
            {"kind": "lora", "rank": 4, "alpha": 8, "scaling": "rank_stabilised", "target_modules": ["q_proj"]},
            marks=pytest.mark.soak,
        ),
        {"kind": "lora", "rank": 4, "alpha": 8, "dora": True},
        {"kind": "lora", "rank": 4, "alpha": 8, "init": "pissa"},
        {"kind": "lora", "rank": 4, "alpha": 8, "target_modules": ["lm_head", "q_proj"]},
        pytest.param({"kind": "adalora", "rank": 2, "start_rank": 3, "alpha": 8}, marks=pytest.mark.soak),
        {"kind": "ia3"},
        {"kind": "layer_norm"},
        {"kind": "full"},
    ],
    ids=["lora", "rslora", "dora", "pissa", "tied", "adalora", "ia3", "layer_norm", "full"],
)
def test_the_merged_model_gives_the_adapters_logits(tiny_run: RunConfig, tmp_path: Path, method: dict[str, Any]):
    run = made_run(tiny_run, method)
    ref = ModelRef(run=run.id)
    expected = logits(load_adapted(run, ref, "fp32")[0])
    base = logits(load_adapted(run, ModelRef(run=run.id, part="base"), "fp32")[0])
    made = merge(ref, tmp_path / "merged")
    found = of_folder(tmp_path / "merged")
    assert float((expected - base).abs().max()) > 0.05
    assert float((found - expected).abs().max()) < 2e-5
    assert made.precision == "fp32"


def test_a_run_with_an_adapter_for_each_task_says_which_there_are(tiny_run: RunConfig, tmp_path: Path):
    run = made_run(tiny_run, {"kind": "layer_norm", "per": "task"}, ["diagnosis", "treatment"])
    ref = ModelRef(run=run.id)
    with pytest.raises(ExportError, match=r"task_diagnosis, task_treatment\. Name the one that is meant \(--adapter\)"):
        merge(ref, tmp_path / "merged")
    merged = {}
    for name in ("task_diagnosis", "task_treatment"):
        expected = logits(load_adapted(run, ref, "fp32", name)[0])
        assert merge(ref, tmp_path / name, adapter=name).adapter == name
        merged[name] = of_folder(tmp_path / name)
        assert float((merged[name] - expected).abs().max()) < 2e-5
    assert float((merged["task_diagnosis"] - merged["task_treatment"]).abs().max()) > 0.05
    with pytest.raises(ExportError, match="There is no adapter 'task_ner'"):
        merge(ref, tmp_path / "other", adapter="task_ner")


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ({"kind": "prefix", "length": 4}, "before every layer's keys and values"),
        ({"kind": "prompt", "length": 4}, "before the input"),
        ({"kind": "adapter", "width": 8}, "a ReLU inside"),
    ],
)
def test_what_cannot_be_merged_says_what_can_be_done(
    tiny_run: RunConfig, tmp_path: Path, method: dict[str, Any], why: str
):
    run = made_run(tiny_run, method)
    with pytest.raises(ExportError, match=rf"{why}.*--as adapter"):
        merge(ModelRef(run=run.id), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_4_bit_run_is_merged_into_the_bases_own_weights(tiny_run: RunConfig, tmp_path: Path):
    run = made_run(tiny_run, {"kind": "lora", "rank": 4, "alpha": 8}, quantization="nf4")
    made = merge(ModelRef(run=run.id), tmp_path / "merged")
    expected = logits(load_adapted(run, ModelRef(run=run.id), "fp32")[0])
    assert float((of_folder(tmp_path / "merged") - expected).abs().max()) < 2e-5
    assert made.notes and "4-bit base" in made.notes[0]


def test_a_checkpoint_is_merged_as_it_was(finished_run: Run, tmp_path: Path):
    at_end = runs.get(finished_run.id)
    ref = ModelRef(run=at_end.id, part="checkpoint-4")
    merge(ref, tmp_path / "merged")
    expected = logits(load_adapted(at_end, ref, "fp32")[0])
    assert float((of_folder(tmp_path / "merged") - expected).abs().max()) < 2e-5


def test_the_template_brings_the_runs_system_prompt(finished_run: Run, tmp_path: Path):
    merge(ModelRef(run=finished_run.id), tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    asked = [{"role": "user", "content": "Is 4 even?"}]
    system = [{"role": "system", "content": "You are a clinical assistant."}]
    expected = (
        "<|im_start|>system\nYou are a clinical assistant.<|im_end|>\n<|im_start|>user\nIs 4 even?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    for messages in (asked, system + asked):
        assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == expected
    other = [{"role": "system", "content": "Be brief."}, *asked]
    assert "clinical" not in str(tokenizer.apply_chat_template(other, tokenize=False))
