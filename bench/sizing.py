"""Predicted against measured peak memory of training on this CPU, one process a set-up.

`python bench/sizing.py` trains set-ups of three model shapes (the embedded model, and two of random weights) for three
steps each on rows of full length, and prints the table, the share of peaks inside their range, and how far the middle
of the range is off in the median. `python bench/sizing.py NUMBER` runs one set-up alone.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from trainer import hardware, models, sizing
from trainer.catalogue import BaseModelRow, base_model
from trainer.method_sections import LoraMethod
from trainer.sections import RunConfig

# Shape (None: the embedded model), batch, tokens a row, precision, and what else differs from a plain LoRA run.
SMALL = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 6}
LARGE = {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 15}
SETUPS: list[tuple[str, dict[str, int] | None, int, int, str, dict[str, Any]]] = [
    ("135M", None, 1, 256, "bf16", {}),
    ("135M", None, 4, 256, "bf16", {}),
    ("135M", None, 4, 512, "bf16", {}),
    ("135M", None, 4, 512, "bf16", {"schedule.gradient_checkpointing": True}),
    ("135M", None, 2, 1024, "bf16", {}),
    ("135M", None, 2, 256, "fp32", {}),
    ("135M", None, 4, 256, "bf16", {"model.quantization": "nf4"}),
    ("135M", None, 4, 256, "bf16", {"method.rank": 64, "method.alpha": 128}),
    ("40M", SMALL, 8, 256, "bf16", {}),
    ("40M", SMALL, 4, 512, "fp32", {}),
    ("40M", SMALL, 2, 1024, "bf16", {"schedule.gradient_checkpointing": True}),
    ("360M", LARGE, 1, 256, "bf16", {}),
    ("360M", LARGE, 2, 512, "bf16", {}),
    ("360M", LARGE, 4, 256, "bf16", {"schedule.gradient_checkpointing": True}),
]
VOCABULARY = 49152
ANSWER_SHARE, MOST_ANSWER = 0.35, 225  # the middle of what the estimate assumes


def main() -> int:
    if len(sys.argv) > 1:
        print(json.dumps({"peak_gib": train(int(sys.argv[1]))}))
        return 0
    rows = []
    print(f"{'model':5} {'batch':>5} {'tokens':>6} {'base':>5}  {'else':42} {'predicted GiB':>14} {'measured':>8}  off")
    for number, (name, _, batch, tokens, precision, other) in enumerate(SETUPS):
        config, row = setup(number)
        estimate = sizing.estimate(config, hardware.detect(), model=row)
        assert estimate is not None
        ended = subprocess.run([sys.executable, __file__, str(number)], capture_output=True, text=True)
        if ended.returncode:
            print(f"set-up {number} failed:\n{ended.stderr[-1500:]}", file=sys.stderr)
            return 1
        peak = json.loads(ended.stdout.splitlines()[-1])["peak_gib"]
        low, high = estimate.peak_gib.low, estimate.peak_gib.high
        off = (low + high) / 2 / peak - 1
        rows.append((low <= peak <= high, abs(off)))
        what = ", ".join(f"{field.partition('.')[2]} {value}" for field, value in other.items())
        print(
            f"{name:5} {batch:5} {tokens:6} {precision:>5}  {what:42} {low:6.2f}-{high:6.2f}  {peak:8.2f} {off:+5.0%}"
            f"{'' if rows[-1][0] else '  outside'}",
            flush=True,
        )
    inside = statistics.mean(within for within, _ in rows)
    print(f"inside the range: {inside:.0%} of {len(rows)}; middle off by {statistics.median(o for _, o in rows):.0%}")
    return 0


def setup(number: int, folder: str = models.EMBEDDED) -> tuple[RunConfig, BaseModelRow]:
    """The run file of a set-up, on the model in `folder`, and the shape of its model."""
    _, shape, batch, tokens, precision, other = SETUPS[number]
    settings = {"schedule.batch_size": batch, "schedule.max_length": tokens, "hardware.precision": precision}
    data = RunConfig().model_dump()
    data["model"]["name"] = folder
    data["schedule"] |= {"accumulation": 1, "max_steps": 3, "checkpoint_every": 10**6}
    data["evaluation"] |= {"every": 10**6}
    for field, value in (settings | other).items():
        section, _, name = field.partition(".")
        data[section][name] = value
    row = base_model(models.EMBEDDED)
    assert row is not None
    if shape is not None:
        hidden, inner, layers, heads = shape.values()
        keys, head = heads // 3, hidden // heads
        each = 2 * hidden * hidden + 2 * hidden * keys * head + 3 * hidden * inner + 2 * hidden
        row = row.model_copy(
            update={
                "hidden": hidden,
                "intermediate": inner,
                "layers": layers,
                "heads": heads,
                "kv_heads": keys,
                "head_dim": head,
                "params_b": (VOCABULARY * hidden + layers * each + hidden) / 1e9,
            }
        )
    return RunConfig.model_validate(data), row


def train(number: int) -> float:
    """Train one set-up in this process; returns its peak in GiB."""
    from datasets import Dataset

    from trainer.data.tokenised import Prepared
    from trainer.jobs import RunState
    from trainer.methods import lora
    from trainer.objectives import sft
    from trainer.objectives.settings import Parts
    from trainer.reporting import Reporter, peak_memory_gib
    from trainer.steering import steering

    with tempfile.TemporaryDirectory() as folder:
        name = models.EMBEDDED
        if SETUPS[number][1] is not None:
            name = f"{folder}/model"
            subprocess.run([sys.executable, "-c", _SAVE, name, json.dumps(SETUPS[number][1])], check=True)
        config, _ = setup(number, name)
        base, tokenizer, _ = models.load_base(config)
        assert isinstance(config.method, LoraMethod)
        model = lora.apply(base, config.method)
        tokens = config.schedule.max_length
        answer = min(MOST_ANSWER, round(ANSWER_SHARE * tokens))
        row: Any = {
            "input_ids": [5 + place % 1000 for place in range(tokens)],
            "labels": [-100] * (tokens - answer) + [7] * answer,
            "general": False,
            "length": tokens,
            **dict.fromkeys(("task", "specialty", "level"), -1),
        }
        rows = Dataset.from_list([row] * (3 * config.schedule.batch_size))
        nothing: Any = None  # the manifest is not looked at while training
        prepared = Prepared(rows, rows.select([0]), rows.select([]), nothing, [])
        acting = steering.assemble(config, model, prepared, Reporter(Path(folder), RunState()).silent())
        parts = Parts(config, model, tokenizer, prepared, acting, Path(folder), [], evaluate_first=False, saves=False)
        sft.build(parts).train()
        return peak_memory_gib("cpu")


# In a process of its own, so that making the random weights does not count.
_SAVE = """
import json, shutil, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from trainer import models
from trainer.sections import RunConfig
folder, shape = sys.argv[1], json.loads(sys.argv[2])
torch.manual_seed(0)
heads = shape["num_attention_heads"]
config = LlamaConfig(**shape, num_key_value_heads=heads // 3, vocab_size=49152, tie_word_embeddings=True)
LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
_, tokenizer, _ = models.load_base(RunConfig())
tokenizer.save_pretrained(folder)
"""

if __name__ == "__main__":
    sys.exit(main())
