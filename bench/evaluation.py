"""Multiple choice by likelihood: Bedside beside lm-evaluation-harness on the same model, prompts and threads, in turn.

    python bench/evaluation.py [--items FILE] [--count 40] [--rounds 3] [--precision bf16|fp32] [--ways letters ...]

The harness is Bedside's extra (`pip install 'bedside[harness]'`). Both sides get the embedded model, loaded once, and
the same rendered prompts, in three ways that evaluations ask: `letters` (options listed, a letter replies), `texts`
(the reply is an option's text), and `examples` (letters, after five worked examples that all prompts begin with). The
harness evaluates a task that is written as its own are, a YAML over a local file; when it asks its model for
likelihoods, both sides are timed on these requests, turn by turn: of the harness `loglikelihood` alone, without its
building of requests and its metrics, of Bedside `reply_likelihoods` whole. The harness has its cache of one-token
replies (its default), and for each way the batch size that is fastest here, tried on a part of the items.

The ratio is told by the clock and by the processor's time, which others on the machine disturb less; with one thread
(OMP_NUM_THREADS=1) they are the same on a machine of one's own. Items a second, and the goal, are by the latter.

`nats apart` is the largest difference of any option's log-likelihood, and `right` how many items each side got right.
In fp32 they agree to rounding; in bf16 differently laid out batches round differently, so that a choice between two
options of nearly one likelihood may fall the other way.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

SYSTEM = "You are a clinical assistant."
WAYS = ("letters", "texts", "examples")
EXAMPLES = 5
BATCHES = (1, 4, 16)
TRIED = 6  # items on which the harness's batch sizes are tried, and both sides warm up
GOAL = 3.0
TYPES = {"bf16": "bfloat16", "fp32": "float32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", default="starter/questions", help="a file, folder or starter set of multiple choice")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=tuple(TYPES), default="bf16")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory(prefix="evaluation-") as folder:
        os.environ["HF_HOME"] = f"{folder}/hub"
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from trainer import models

        base = models.find(models.EMBEDDED).folder
        model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, TYPES[asked.precision])).eval()
        tokenizer = AutoTokenizer.from_pretrained(base)
        print(f"{asked.count} items of {Path(asked.items).name}, {asked.precision}, {torch.get_num_threads()} threads, "
              f"median of {asked.rounds} rounds in turn (range)")  # fmt: skip
        print(f"{'':9} {'items/s':>8} {'lm-eval':>8} {'batch':>6} {'ratio by the clock':>22} {'by processor time':>22} "
              f"{'goal':>5} {'nats apart':>11} {'right':>13}")  # fmt: skip
        for way in asked.ways:
            compare(
                way, model, tokenizer, questions(asked.items, asked.count, way, tokenizer), Path(folder), asked.rounds
            )


def compare(way: str, model: Any, tokenizer: Any, documents: list[dict[str, Any]], folder: Path, rounds: int) -> None:
    """Let both sides do the documents in turn, and print a line of the table."""
    try:
        from lm_eval import evaluator
        from lm_eval.models import huggingface
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise SystemExit("lm-evaluation-harness is not installed; pip install 'bedside[harness]'") from error
    from evaluators.likelihood import reply_likelihoods
    from evaluators.suites.multiple_choice import likeliest

    # Its annotations do not survive its decorators.
    wrap: Any = huggingface.HFLM
    evaluate: Any = evaluator.simple_evaluate
    harness = wrap(pretrained=model, tokenizer=tokenizer, batch_size=1, add_bos_token=False)
    ask = harness.loglikelihood
    found: dict[str, Any] = {"ours": [], "theirs": []}

    def ours(chosen: list[dict[str, Any]]) -> list[list[float]]:
        messages, choices = [one["messages"] for one in chosen], [one["choices"] for one in chosen]
        return [[one.total for one in own] for own in reply_likelihoods(model, tokenizer, messages, choices, True)]

    def loglikelihood(requests: list[Any]) -> list[tuple[float, bool]]:
        """What the harness calls with all requests of its task."""
        first = [request for request in requests if request.doc_id < TRIED]
        tried = {}
        ask(first, True)
        ours(documents[:TRIED])
        for batch in BATCHES:
            harness.batch_size_per_gpu = batch
            tried[batch] = timed(lambda: ask(first, True))[0][1]
        found["batch"] = harness.batch_size_per_gpu = min(tried, key=lambda batch: tried[batch])
        for _ in range(rounds):
            seconds, found["likelihoods"] = timed(lambda: ours(documents))
            found["ours"].append(seconds)
            seconds, found["answers"] = timed(lambda: ask(requests, True))
            found["theirs"].append(seconds)
        return found["answers"]

    harness.loglikelihood = loglikelihood
    evaluated = evaluate(
        harness,
        tasks=[way],
        task_manager=TaskManager(include_path=str(write_task(way, documents, folder))),
        bootstrap_iters=0,
        log_samples=True,
    )
    theirs = {
        sample["doc_id"]: [float(answer[0][0]) for answer in sample["resps"]] for sample in evaluated["samples"][way]
    }
    count = len(documents)
    apart = max(
        abs(own - other)
        for place, row in enumerate(found["likelihoods"])
        for own, other in zip(row, theirs[place], strict=True)
    )
    right = sum(likeliest(row) == one["key"] for row, one in zip(found["likelihoods"], documents, strict=True))
    told = []
    for clock in (0, 1):
        ratios = sorted(their[clock] / our[clock] for our, their in zip(found["ours"], found["theirs"], strict=True))
        told.append((statistics.median(ratios), f"({ratios[0]:.2f} to {ratios[-1]:.2f})"))
    speeds = [count / statistics.median(processor for _, processor in found[side]) for side in ("ours", "theirs")]
    shown = [f"{middle:.2f} {spread}" for middle, spread in told]
    scores = f"{right}, {evaluated['results'][way]['acc,none'] * count:.0f} of {count}"
    print(f"{way:9} {speeds[0]:8.2f} {speeds[1]:8.2f} {found['batch']:6} {shown[0]:>22} {shown[1]:>22} "
          f"{'yes' if told[1][0] >= GOAL else 'NO':>5} {apart:11.5f} {scores:>13}", flush=True)  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Seconds by the clock and of the processor, and what came of it."""
    clock, processor = time.perf_counter(), time.process_time()
    done = work()
    return (time.perf_counter() - clock, time.process_time() - processor), done


def write_task(way: str, documents: list[dict[str, Any]], folder: Path) -> Path:
    """The documents, and the task that reads them, as the harness's own tasks are written; returns their folder."""
    place = folder / way
    place.mkdir()
    (place / "items.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    task = {
        "task": way, "dataset_path": "json", "test_split": "test", "output_type": "multiple_choice",
        "dataset_kwargs": {"data_files": {"test": str(place / "items.jsonl")}}, "doc_to_text": "{{asked}}",
        "doc_to_choice": "{{choices}}", "doc_to_target": "{{key}}", "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (place / "task.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    return place


def questions(source: str, count: int, way: str, tokenizer: Any) -> list[dict[str, Any]]:
    """`count` items as they are asked: messages, the same rendered, replies, and the right one's index."""
    from evaluators.suites.multiple_choice import lettered
    from trainer.evaluation.items import read_items

    items = read_items("multiple_choice", source, EXAMPLES + count, 17)
    if len(items) < EXAMPLES + count:
        raise SystemExit(f"{source} holds {len(items)} items; {EXAMPLES + count} are needed: give a smaller --count")
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


if __name__ == "__main__":
    main()
