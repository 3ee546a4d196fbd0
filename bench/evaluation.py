"""Multiple choice by likelihood: Bedside beside lm-evaluation-harness on the same model, prompts and threads, in turn.

    python bench/evaluation.py [--items FILE] [--count 60] [--rounds 3] [--threads 1] [--precision bf16|fp32]

The harness is Bedside's extra (`pip install 'bedside[harness]'`), so that both sides compute with the same torch and
transformers; each is a process of its own, offline, and its task is a YAML over a local file. Both get the embedded
model and the same rendered prompts, in three ways that evaluations ask: `letters` (options listed, the reply is a
letter), `texts` (the reply is an option's text), and `examples` (letters, after five worked examples that all prompts
begin with). What is timed is what comes between prompts and likelihoods: of the harness `loglikelihood` alone, without
building its requests and without its metrics, of Bedside `reply_likelihoods` whole; loading, and a warm-up before it,
are not. The harness has its cache of one-token replies (its default), and for each way the batch size that is fastest
here, tried on a part of the items.

`nats apart` is the largest difference of any option's log-likelihood, and `right` how many items each side got right.
In fp32 they agree to rounding; in bf16 differently laid out batches round differently, so that a choice between two
options of nearly one likelihood may fall the other way.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

SYSTEM = "You are a clinical assistant."
WAYS = ("letters", "texts", "examples")
EXAMPLES = 5
BATCHES = (1, 2, 4, 8, 16)
TRIED = 8  # items on which the harness's batch sizes are tried
WARM_UP = 2
GOAL = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", default="starter/questions", help="a file, folder or starter set of multiple choice")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(asked.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    print(f"{asked.count} items of {Path(asked.items).name}, {asked.precision}, {asked.threads} threads, "
          f"median of {asked.rounds} rounds in turn (range)")  # fmt: skip
    print(
        f"{'':9} {'items/s':>8} {'lm-eval':>8} {'batch':>6} {'ratio':>22} {'goal':>5} {'nats apart':>11} {'right':>13}"
    )
    with tempfile.TemporaryDirectory(prefix="evaluation-") as name:
        folder = Path(name)
        os.environ["HF_HOME"] = str(folder / "hub")
        base = base_folder()
        for way in asked.ways:
            documents = questions(asked.items, asked.count, way, base)
            show(way, documents, *measured(folder / way, documents, base, asked.precision, asked.rounds))


def measured(
    place: Path, documents: list[dict[str, Any]], base: Path, precision: str, rounds: int
) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """The harness's fastest batch size, and what each side found in each round."""
    place.mkdir()

    write_task(place, documents[:TRIED])
    tried = one("harness", place, base, precision, BATCHES)["seconds"]
    batch = min(zip(tried, BATCHES, strict=True))[1]
    write_task(place, documents)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(one("bedside", place, base, precision))
        theirs.append(one("harness", place, base, precision, [batch]))
    return batch, ours, theirs


def one(side: str, place: Path, base: Path, precision: str, batches: Sequence[int] = ()) -> dict[str, Any]:
    """One side in a process of its own: each item's likelihoods, and the seconds with each batch size."""
    command = [sys.executable, __file__, "--as", side, str(place), str(base), precision, *map(str, batches)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{side} failed; the end of what it said:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def as_bedside(place: Path, base: Path, precision: str) -> dict[str, Any]:
    """What Bedside computes, as its suites call it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evaluators.likelihood import reply_likelihoods

    documents = read(place)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, TYPES[precision])).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)

    def ask(chosen: list[dict[str, Any]]) -> Any:
        return reply_likelihoods(
            model, tokenizer, [one["messages"] for one in chosen], [one["choices"] for one in chosen], True
        )

    ask(documents[:WARM_UP])
    began = time.perf_counter()
    found = ask(documents)
    return {
        "seconds": [time.perf_counter() - began],
        "likelihoods": [[option.total for option in each] for each in found],
    }


def as_harness(place: Path, base: Path, precision: str, batches: list[int]) -> dict[str, Any]:
    """What the harness computes, by its own evaluation of the task in the folder."""
    try:
        from lm_eval import evaluator
        from lm_eval.models import huggingface
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise SystemExit("lm-evaluation-harness is not installed; pip install 'bedside[harness]'") from error
    # Its annotations do not survive its decorators.
    wrap: Any = huggingface.HFLM
    evaluate: Any = evaluator.simple_evaluate
    model = wrap(pretrained=str(base), device="cpu", dtype=TYPES[precision], batch_size=batches[0], add_bos_token=False)
    own = model.loglikelihood
    timed: dict[str, Any] = {"seconds": []}

    def loglikelihood(requests: list[Any]) -> list[tuple[float, bool]]:
        own([request for request in requests if request.doc_id < WARM_UP], True)
        found = []
        for batch in batches:
            model.batch_size_per_gpu = batch
            began = time.perf_counter()
            found = own(requests, True)
            timed["seconds"].append(time.perf_counter() - began)
        rows: dict[int, list[float]] = {}
        for request, (value, _) in zip(requests, found, strict=True):
            rows.setdefault(request.doc_id, []).append(value)
        timed["likelihoods"] = list(rows.values())
        return found

    model.loglikelihood = loglikelihood
    evaluated = evaluate(
        model, tasks=["bench"], task_manager=TaskManager(include_path=str(place)), bootstrap_iters=0, log_samples=False
    )
    return timed | {"accuracy": evaluated["results"]["bench"]["acc,none"]}


TYPES = {"bf16": "bfloat16", "fp32": "float32"}


def write_task(place: Path, documents: list[dict[str, Any]]) -> None:
    """The documents, and the task that reads them, as the harness's own tasks are written."""
    (place / "items.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    task = {
        "task": "bench", "dataset_path": "json", "test_split": "test", "output_type": "multiple_choice",
        "dataset_kwargs": {"data_files": {"test": str(place / "items.jsonl")}}, "doc_to_text": "{{asked}}",
        "doc_to_choice": "{{choices}}", "doc_to_target": "{{key}}", "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (place / "bench.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


def read(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "items.jsonl").read_text(encoding="utf-8").splitlines()]


def questions(source: str, count: int, way: str, base: Path) -> list[dict[str, Any]]:
    """`count` items as they are asked: messages, the same rendered, replies, and the right one's index."""
    from string import ascii_uppercase

    from transformers import AutoTokenizer

    from evaluators.suites.multiple_choice import lettered
    from trainer.evaluation.items import read_items

    tokenizer = AutoTokenizer.from_pretrained(base)
    wanted = EXAMPLES + count
    items = read_items("multiple_choice", source, wanted, 17)
    if len(items) < wanted:
        raise SystemExit(f"{source} holds {len(items)} items; {wanted} are needed, so give a smaller --count")
    before = [{"role": "system", "content": SYSTEM}]
    if way == "examples":
        for item in items[:EXAMPLES]:
            assert item.answer is not None
            before += [*lettered(item), {"role": "assistant", "content": ascii_uppercase[item.answer]}]
    found = []
    for item in items[EXAMPLES:]:
        messages = before + (item.prompt if way == "texts" else lettered(item))
        found.append(
            {
                "messages": messages,
                "asked": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
                "choices": item.options if way == "texts" else list(ascii_uppercase[: len(item.options)]),
                "key": item.answer,
            }
        )
    return found


def base_folder() -> Path:
    from trainer import models

    return models.find(models.EMBEDDED).folder


def show(
    way: str, documents: list[dict[str, Any]], batch: int, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> None:
    """One line of the table."""
    from evaluators.suites.multiple_choice import likeliest

    count = len(documents)
    ratios = sorted(their["seconds"][0] / our["seconds"][0] for our, their in zip(ours, theirs, strict=True))
    speeds = [count / statistics.median(one["seconds"][0] for one in side) for side in (ours, theirs)]
    apart = [
        abs(own - other)
        for pair in zip(ours[0]["likelihoods"], theirs[0]["likelihoods"], strict=True)
        for own, other in zip(*pair, strict=True)
    ]
    right = sum(likeliest(row) == one["key"] for row, one in zip(ours[0]["likelihoods"], documents, strict=True))
    ratio = statistics.median(ratios)
    told = f"{ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    scores = f"{right}, {theirs[0]['accuracy'] * count:.0f} of {count}"
    print(f"{way:9} {speeds[0]:8.2f} {speeds[1]:8.2f} {batch:6} {told:>22} {'yes' if ratio >= GOAL else 'NO':>5} "
          f"{max(apart):11.5f} {scores:>13}", flush=True)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        side, place, base, precision, *batches = sys.argv[2:]
        work = as_bedside(Path(place), Path(base), precision) if side == "bedside" else None
        print(json.dumps(work or as_harness(Path(place), Path(base), precision, [int(one) for one in batches])))
        sys.exit(0)
    main()
