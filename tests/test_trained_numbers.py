"""The arithmetic of what each method trains, against what is really trained on a model of that shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer import catalogue
from trainer.method_sections import LoraMethod, PromptMethod
from trainer.methods import counts
from trainer.methods.apply import apply
from trainer.sections import RunConfig

METHODS = [
    {"kind": "lora", "rank": 4},
    {"kind": "lora", "rank": 4, "dora": True},
    {"kind": "lora", "rank": 4, "target_modules": ["q_proj", "v_proj"]},
    {"kind": "lora", "rank": 4, "scaling": "rank_stabilised", "init": "pissa"},
    {"kind": "adalora", "rank": 4, "start_rank": 6},
    {"kind": "full"},
    {"kind": "prefix", "length": 10},
    {"kind": "prefix", "length": 10, "projection": True},
    {"kind": "prompt", "length": 10},
    {"kind": "p_tuning", "length": 10, "encoder_width": 16},
    {"kind": "ia3"},
    {"kind": "layer_norm"},
    {"kind": "adapter", "width": 8},
    {"kind": "adapter", "width": 8, "placement": "parallel"},
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(str(value) for value in method.values()))
def test_as_many_numbers_are_trained_as_the_arithmetic_says(tiny_model: Path, method: dict[str, Any]):
    from transformers import AutoModelForCausalLM

    run = RunConfig.model_validate({"model": {"name": str(tiny_model)}, "method": method})
    row = catalogue.base_model(str(tiny_model))
    assert row is not None
    model = apply(AutoModelForCausalLM.from_pretrained(tiny_model), run, [], total_steps=100)
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    assert counts.trained_numbers(run.method, row) == trained


def test_published_counts():
    row = catalogue.base_models()[0]
    # GPT-3: 4.7 and 37.7 million with LoRA of rank 1 and 8 on queries and values (Hu et al. 2021, table 4).
    gpt3 = row.model_copy(update={"layers": 96, "hidden": 12288, "heads": 96, "kv_heads": 96, "head_dim": 128})
    for rank, published in ((1, 4.7e6), (8, 37.7e6)):
        lora = LoraMethod(rank=rank, target_modules=["q_proj", "v_proj"])
        assert counts.trained_numbers(lora, gpt3) == pytest.approx(published, abs=0.05e6)
    # T5-XXL: 20,480 numbers in a prompt of five tokens (Lester et al. 2021, figure 2).
    assert counts.trained_numbers(PromptMethod(length=5), row.model_copy(update={"hidden": 4096})) == 20_480
