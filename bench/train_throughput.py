"""Training speed: Bedside, plain TRL and LLaMA-Factory on the same model, rows, batch and steps, in turn.

    python bench/train_throughput.py [--rounds 3] [--steps 60] [--threads 2] [--out FILE]
    BENCH_LLAMAFACTORY=/path/to/llamafactory-cli python bench/train_throughput.py

Each side trains LoRA (rank 8, all linear layers) on the embedded model in a process of its own, four rows a step, one
pass over the same rows: clinical answers and lab values by halves, mixed, about 150 tokens each, so that their lengths
differ as real ones do. The first steps, which warm up, are not counted. Tokens are those of the rows, padding left out.
What each has learnt is measured by one function: the mean loss of the answers of held-out rows, in fp32.

LLaMA-Factory 0.9.5 on a CPU needs an environment of its own: torch's wheel for CPUs first, then its dependencies
without torchvision and torchaudio (an empty module of the second's name does), then itself without dependencies.

TRL is its SFTTrainer with bf16 autocast and no gradient checkpointing, which costs time and saves memory. The ceiling
is what the same threads multiply in bf16, at four operations a parameter and token: twice forward, twice backward,
since a frozen layer's own gradients are not computed.
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

import yaml
from methods import finished, keep
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
ROWS, BATCH, WARM_UP = "rows.jsonl", 4, 5
RANK, ALPHA, RATE, MOST_TOKENS = 8, 16, 1e-3, 512
SYSTEM = "You are a clinical assistant."
LLAMA_FACTORY = os.environ.get("BENCH_LLAMAFACTORY", "")
PARAMETERS = 134_515_008
POLL_SECONDS = 0.02


class Side(BaseModel):
    """One side of one round."""

    side: str
    round: int
    steps: int
    threads: int
    tokens_per_second: float
    losses: list[float]
    """Of each step, as that side counts them."""
    held_out: float
    """Mean loss of held-out answers' tokens, nats."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="rows that stand in it are not measured again")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    sides = {"Bedside": bedside, "TRL": trl} | ({"LLaMA-Factory": llama_factory} if LLAMA_FACTORY else {})
    rows = starter_rows(asked.steps * BATCH)
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        out = (asked.out or Path(folder) / "rows.jsonl").absolute()
        base = base_folder()
        for number in range(1, asked.rounds + 1):
            for name, train in sides.items():
                done = [(one.side, one.round, one.steps, one.threads) for one in finished(out, Side)]
                if (name, number, asked.steps, asked.threads) in done:
                    continue
                place = Path(folder) / f"{name}-{number}"
                place.mkdir()
                (place / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
                times, losses, adapter, tokens = train(place, base)
                counted = tokens * (len(times) - WARM_UP) / len(times)
                found = Side(
                    side=name,
                    round=number,
                    steps=asked.steps,
                    threads=asked.threads,
                    tokens_per_second=counted / (times[-1] - times[WARM_UP - 1]),
                    losses=losses,
                    held_out=held_out_loss(base, adapter),
                )
                keep(out, found)
                print(f"{name}, round {number}: {found.tokens_per_second:.0f} tokens/s", file=sys.stderr, flush=True)
        show([one for one in finished(out, Side) if (one.steps, one.threads) == (asked.steps, asked.threads)])
    return 0


Trained = tuple[list[float], list[float], Path, int]
"""When each step ended (seconds), its loss, the adapter's folder, and the tokens of all rows that were trained on."""


def bedside(folder: Path, base: Path) -> Trained:
    """A run as `bedside train` starts it, with nothing measured in between."""
    os.environ["BEDSIDE_HOME"] = str(folder / "home")
    from trainer import events, runs
    from trainer.data.manifest import RunManifest
    from trainer.sections import RunConfig

    never = 100_000
    config = RunConfig.model_validate(
        {
            "model": {"name": str(base)},
            "task": {"system_prompt": SYSTEM},
            "data": {"sources": [{"name": str(folder / ROWS)}], "contains_phi": False, "validation_share": 0.02},
            "method": {"kind": "lora", "rank": RANK, "alpha": ALPHA},
            "schedule": {
                "epochs": 1, "batch_size": BATCH, "accumulation": 1, "learning_rate": RATE,
                "max_length": MOST_TOKENS, "checkpoint_every": never,
            },
            "steering": {"replay_share": 0.0},
            "evaluation": {"every": never, "sample_every": never, "forgetting": False},
            "output": {"name": "throughput"},
        }
    )  # fmt: skip
    run = runs.start(runs.create(config))
    while (run := runs.get(run.id)).status.state not in ("done", "failed", "stopped"):
        time.sleep(0.5)
    if run.status.state != "done":
        raise SystemExit(f"Bedside's run failed: {run.status.error}")
    told = [one for one in run.events() if isinstance(one, events.StepEvent)]
    manifest = RunManifest.model_validate_json((run.folder / "data" / "manifest.json").read_text(encoding="utf-8"))
    return [one.time for one in told], [one.loss for one in told], run.adapter, manifest.all_tokens


def trl(folder: Path, base: Path) -> Trained:
    """TRL's SFTTrainer, in a process of its own (`--as-trl` of this file)."""
    told = folder / "steps.jsonl"
    command = [sys.executable, __file__, "--as-trl", str(folder), str(base), str(told)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_plain_environment())
    found = [json.loads(line) for line in told.read_text().splitlines()]
    return [one["time"] for one in found], [one["loss"] for one in found], folder / "adapter", all_tokens(folder, base)


def train_with_trl(folder: Path, base: Path, told: Path) -> None:
    """What `trl` runs: as its documentation has it, with the settings that the others have too."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    class Told(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "loss" in logs:
                with told.open("a") as file:
                    file.write(json.dumps({"time": time.time(), "loss": float(logs["loss"])}) + "\n")

    rows = [
        {
            "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in read_rows(folder)
    ]
    settings = SFTConfig(
        str(folder / "out"), bf16=True, use_cpu=True, gradient_checkpointing=False, num_train_epochs=1,
        per_device_train_batch_size=BATCH, learning_rate=RATE, warmup_steps=0.05, max_length=MOST_TOKENS,
        lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1}, weight_decay=0.01,
        logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        str(base),
        args=settings,
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Told()],
    )
    trainer.train()
    trainer.save_model(str(folder / "adapter"))


def llama_factory(folder: Path, base: Path) -> Trained:
    """LLaMA-Factory's command; when a step ended is when its line came into its log."""
    rows = [{"instruction": row["prompt"], "output": row["answer"], "system": SYSTEM} for row in read_rows(folder)]
    (folder / "alpaca.json").write_text(json.dumps(rows))
    columns = {"prompt": "instruction", "response": "output", "system": "system"}
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "alpaca.json", "columns": columns}}))
    settings = {
        "model_name_or_path": str(base), "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "lora_rank": RANK, "lora_alpha": ALPHA, "lora_target": "all", "dataset": "rows", "dataset_dir": str(folder),
        "template": "smollm2", "cutoff_len": MOST_TOKENS, "output_dir": str(folder / "adapter"),
        "per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1, "learning_rate": RATE,
        "num_train_epochs": 1, "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_ratio": 0.05, "weight_decay": 0.01, "bf16": True, "use_cpu": True, "logging_steps": 1,
        "save_strategy": "no", "report_to": "none", "overwrite_output_dir": True,
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [LLAMA_FACTORY, "train", str(folder / "run.yaml")], stdout=log, stderr=log, env=_plain_environment()
        )
        times: list[float] = []
        while process.poll() is None:
            times += [time.time()] * (len(_logged(folder)) - len(times))
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"LLaMA-Factory failed; the end of its log:\n{(folder / 'log.txt').read_text()[-2000:]}")
    losses = _logged(folder)[: len(times)]
    return times[: len(losses)], losses, folder / "adapter", all_tokens(folder, base)


def _plain_environment() -> dict[str, str]:
    """The others run as their users start them: how memory is given back (`trainer.starting`) is Bedside's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}


def _logged(folder: Path) -> list[float]:
    path = folder / "adapter" / "trainer_log.jsonl"
    lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
    return [found["loss"] for line in lines if "loss" in (found := json.loads(line))]


def starter_rows(count: int) -> list[dict[str, str]]:
    """Clinical answers and lab values by halves, in an order of their own."""
    rows = []
    for name in ("clinical", "lab"):
        lines = (ROOT / "examples" / "data" / f"{name}.train.jsonl").read_text(encoding="utf-8").splitlines()
        rows += [{key: json.loads(line)[key] for key in ("prompt", "answer")} for line in lines[: count // 2]]
    random.Random(17).shuffle(rows)
    return rows


def read_rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]


def base_folder() -> Path:
    """The embedded model as safetensors."""
    from trainer import models

    os.environ["BEDSIDE_CACHE"] = str(models.cache_folder())
    return models.find(models.EMBEDDED).folder


def encoded(rows: list[dict[str, str]], base: Path) -> list[Any]:
    """Tokens and labels of rows, as the model reads them on all sides."""
    from transformers import AutoTokenizer

    from trainer.data.tokens import encode

    tokenizer = AutoTokenizer.from_pretrained(base)
    asked = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in rows
    ]
    return [encode(row, tokenizer, SYSTEM) for row in asked]  # pyright: ignore[reportArgumentType]


def all_tokens(folder: Path, base: Path) -> int:
    return sum(min(MOST_TOKENS, len(one["input_ids"])) for one in encoded(read_rows(folder), base))


def held_out_loss(base: Path, adapter: Path) -> float:
    """Mean loss (nats) of the tokens of 36 clinical and 40 lab answers that nobody was trained on."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    rows = []
    for name, count in (("clinical", 36), ("lab", 40)):
        lines = (ROOT / "examples" / "data" / f"{name}.heldout.jsonl").read_text(encoding="utf-8").splitlines()
        rows += [json.loads(line) for line in lines[:count]]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()
    total = count = 0
    with torch.inference_mode():
        for one in encoded(rows, base):
            ids, labels = torch.tensor([one["input_ids"]]), torch.tensor(one["labels"][1:])
            losses = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], labels, reduction="sum")
            total += losses.item()
            count += int((labels >= 0).sum())
    return total / count


def ceiling() -> float:
    """Operations a second of a large product in bf16, the best of ten."""
    import torch

    size = 2048
    left, right = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def show(rows: list[Side]) -> None:
    """A line for each side, and the ratios to Bedside round by round."""
    most = ceiling() / (4 * PARAMETERS)
    print(f"{'':14} {'tokens/s':>9} {'of ceiling':>10} {'held-out loss':>13} {'Bedside is so many times as fast':>33}")
    ours = {one.round: one for one in rows if one.side == "Bedside"}
    for name in dict.fromkeys(one.side for one in rows):
        mine = [one for one in rows if one.side == name]
        speed = statistics.median(one.tokens_per_second for one in mine)
        loss = statistics.median(one.held_out for one in mine)
        ratios = [ours[one.round].tokens_per_second / one.tokens_per_second for one in mine if one.round in ours]
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if name != "Bedside" else ""
        print(f"{name:14} {speed:9.0f} {speed / most:10.0%} {loss:13.4f} {told:>33}")
    print(f"ceiling: {most:.0f} tokens/s")
    print("mean loss of the steps, by tenths of the run:")
    for name in dict.fromkeys(one.side for one in rows):
        losses = next(one.losses for one in rows if one.side == name)
        tenth = max(1, len(losses) // 10)
        parts = [statistics.fmean(losses[at : at + tenth]) for at in range(0, len(losses) - tenth + 1, tenth)]
        print(f"{name:14} " + " ".join(f"{one:5.2f}" for one in parts))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-trl"]:
        train_with_trl(*map(Path, sys.argv[2:]))
        sys.exit(0)
    sys.exit(main())
