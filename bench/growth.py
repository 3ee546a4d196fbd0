"""How cost grows: seconds a step over model size and length of rows, seconds per 1,000 rows over the number of rows.

    python bench/growth.py models|lengths|rows [--most NUMBER]

models: random weights of 5 million to 1 billion parameters, LoRA of rank 8 on a frozen base in bf16, two rows of 128
tokens a step. lengths: the embedded model's shape, one row a step of 64 to 2,048 tokens. rows: `prepare` (reading,
splitting by near-duplicates, proving the split) of 1,000 to 1,000,000 made-up rows, as bench/data_desk.py writes them.

Each point is a process of its own, so that its peak of memory is its own. Of a model's four steps the first, which
warms up, is not counted, and the median of the others is told, with the operations a second that it comes to (four a
parameter and token, as bench/train_throughput.py counts them). Seconds are the processor's: with one thread
(OMP_NUM_THREADS=1), on a machine that does nothing else, they are the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS = 4
ROWS = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (64, 128, 256, 512, 1024, 2048)
VOCABULARY = 49_152
EMBEDDED = (576, 1536, 30, 9)
SHAPES = ((96, 256, 4, 3), (384, 1024, 12, 6), EMBEDDED, (960, 2560, 32, 15), (1536, 4096, 36, 24))
"""Hidden and inner width, layers, heads (a third of them for keys and values): SmolLM2's proportions, and 1B."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("curve", choices=("models", "lengths", "rows"))
    parser.add_argument("--most", type=int, help="no point beyond so many million parameters, tokens or rows")
    asked = parser.parse_args()
    most = asked.most or 10**9
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{len(os.sched_getaffinity(0))} processors, OMP_NUM_THREADS: {threads}")
    if asked.curve == "rows":
        print(f"{'rows':>10} {'seconds':>8} {'per 1,000':>10} {'peak GiB':>9}")
        for count in (one for one in ROWS if one <= most):
            found = point("rows", count)
            each = found["seconds"] / count * 1000
            print(f"{count:10,} {found['seconds']:8.1f} {each:10.3f} {found['gib']:9.2f}", flush=True)
        return
    print(f"{'parameters':>11} {'tokens':>7} {'s/step':>7} {'tokens/s':>9} {'GFLOP/s':>8} {'peak GiB':>9}")
    points = [(shape, 2, 128) for shape in SHAPES] if asked.curve == "models" else [(EMBEDDED, 1, n) for n in LENGTHS]
    for shape, batch, tokens in points:
        count = parameters(shape)
        if (count / 1e6 if asked.curve == "models" else tokens) > most:
            break
        found = point("step", *shape, batch, tokens)
        speed = batch * tokens / found["seconds"]
        print(f"{count / 1e6:10.0f}M {batch * tokens:7} {found['seconds']:7.2f} {speed:9.0f} "
              f"{4 * count * speed / 1e9:8.0f} {found['gib']:9.2f}", flush=True)  # fmt: skip


def point(*what: Any) -> dict[str, float]:
    """One point of a curve, in a process of its own."""
    ended = subprocess.run([sys.executable, __file__, "--one", *map(str, what)], capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(map(str, what))} failed:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def parameters(shape: tuple[int, ...]) -> int:
    hidden, inner, layers, heads = shape
    keys = hidden // heads * (heads // 3)
    each = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner + 2 * hidden
    return VOCABULARY * hidden + layers * each + hidden


def prepared(count: int) -> dict[str, float]:
    """Prepare so many rows; the file is written by another process, so that making it does not count."""
    from data_desk import prepared as prepare

    from trainer.reporting import peak_memory_gib

    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        os.environ["BEDSIDE_HOME"] = f"{folder}/home"
        write = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
            f"from data_desk import write_files; write_files(Path({folder!r}), {count}, 1, 1)"
        )
        subprocess.run([sys.executable, "-c", write], check=True)
        began = time.process_time()
        assert prepare(Path(folder) / "rows.jsonl") == count
        return {"seconds": time.process_time() - began, "gib": peak_memory_gib("cpu")}


def trained(shape: list[int], batch: int, tokens: int) -> dict[str, float]:
    """Train a random model of this shape on rows of this length, as a run trains."""
    from datasets import Dataset
    from transformers import TrainerCallback

    from trainer import models
    from trainer.data.tokenised import Prepared
    from trainer.jobs import RunState
    from trainer.objectives import sft
    from trainer.objectives.settings import Parts
    from trainer.reporting import Reporter, peak_memory_gib
    from trainer.sections import RunConfig
    from trainer.steering import steering
    from trainer.workshop import Workshop

    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *arguments: object, **known: object) -> None:
            self.began = time.process_time()

        def on_step_end(self, *arguments: object, **known: object) -> None:
            seconds.append(time.process_time() - self.began)

    never = 10**6
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-c", _SAVE, str(folder / "model"), *map(str, shape)], check=True)
        config = RunConfig.model_validate(
            {
                "model": {"name": str(folder / "model")},
                "schedule": {
                    "accumulation": 1, "max_steps": STEPS, "checkpoint_every": never, "batch_size": batch,
                    "max_length": tokens,
                },
                "evaluation": {"every": never},
            }
        )  # fmt: skip
        answer = tokens // 3
        draw = random.Random(0)
        # Other words in each row: what rows begin with alike is computed once.
        made: list[dict[str, Any]] = [
            {
                "input_ids": draw.choices(range(100, 40_000), k=tokens),
                "labels": [-100] * (tokens - answer) + [7] * answer,
                "general": False,
                "length": tokens,
                **dict.fromkeys(("task", "specialty", "level"), -1),
            }
            for _ in range(STEPS * batch)
        ]
        rows = Dataset.from_list(made)
        nothing: Any = None  # the manifest is not looked at while training
        rows_of_run = Prepared(rows, rows.select([0]), rows.select([]), nothing, [])
        reporter = Reporter(folder, RunState()).silent()
        base, tokenizer, _ = models.load_base(config)
        model = Workshop(base, tokenizer, rows_of_run, reporter).fresh(config)
        acting = steering.assemble(config, model, rows_of_run, reporter)
        parts = Parts(config, model, tokenizer, rows_of_run, acting, folder, [Clock()], False, saves=False)
        sft.build(parts).train()
        return {"seconds": statistics.median(seconds[1:]), "gib": peak_memory_gib("cpu")}


# In a process of its own, so that making the random weights does not count.
_SAVE = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from trainer import models
folder, (hidden, inner, layers, heads) = sys.argv[1], map(int, sys.argv[2:])
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
LlamaForCausalLM(LlamaConfig(
    hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
    num_key_value_heads=heads // 3, vocab_size=49152, tie_word_embeddings=True, max_position_embeddings=8192,
)).save_pretrained(folder)
models.load_tokenizer(models.EMBEDDED).save_pretrained(folder)
"""

if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        what, *numbers = sys.argv[2:]
        shape = [int(one) for one in numbers]
        print(json.dumps(prepared(shape[0]) if what == "rows" else trained(shape[:4], shape[4], shape[5])))
        sys.exit(0)
    main()
