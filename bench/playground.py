"""How fast two models answer in the Playground, beside transformers' own `generate` and beside llama.cpp.

    BEDSIDE_HOME=... python bench/playground.py RUN [--tokens 64] [--rounds 5]

RUN is a run on a CPU whose adapter shares a batch with its base. Measured, with the same question and as many tokens:

- plain: `generate` of the base by itself, as it is loaded for its run
- tuned: `generate` of the tuned model, its adapter not merged
- both: base and tuned in the Playground
- llama.cpp: the base as a GGUF file in f16, one answer, as many threads (where xllamacpp is installed)

Wanted: under 2 s to the first token once the models are loaded; both answers in at most 1.2 times the time of the
plain one, at 40 tokens/s or more a side; a further token of both in at most 1.5 times the time of one of llama.cpp.
The ways take turns, so that what else the machine does falls on all alike, and the median of the rounds' ratios is told
with their range: by the clock, and by CPU time, which depends less on what else the machine does. What came
of it is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from pydantic import BaseModel
from transformers.generation.streamers import BaseStreamer

from evaluators.generation import Sampling
from trainer import model_refs, models, pairing, runs, server_process
from trainer.data.tokens import conversation
from trainer.export import gguf, llama_cpp
from trainer.model_refs import BASE, ModelRef

QUESTION = (
    "58-year-old man, long-standing hypertension, abrupt ripping pain between the shoulder blades that has moved to "
    "the low back. BP 190/105 in the right arm, 150/90 in the left. Leading diagnosis?"
)
FIRST_TOKEN_SECONDS, BOTH_TO_PLAIN, TOKENS_PER_SECOND, BOTH_TO_LLAMA = 2.0, 1.2, 40.0, 1.5
HOST, PORT = "127.0.0.1", 8731


class Timed(BaseModel):
    """One way, once: seconds by the clock to the first token and to the last, and of CPU between the two."""

    first: float
    whole: float
    cpu: float

    @property
    def further(self) -> float:
        """Seconds from the first token to the last."""
        return self.whole - self.first


Round = dict[str, Timed]
"""By way."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run's id or its beginning, or 'latest'")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    tuned = model_refs.parse(asked.run)

    began = time.perf_counter()
    pair = pairing.load(ModelRef(run=tuned.run, part=BASE), tuned)
    half = pair.halves["second"]
    print(
        f"{tuned} and its base: loaded in {time.perf_counter() - began:.1f} s, in one batch: {pair.together}, "
        f"the quick way: {bool(half.quick)}; {torch.get_num_threads()} threads"
    )
    config = runs.get(tuned.run).config
    plain, _, _ = models.load_base(config)
    messages = [{"role": "user", "content": QUESTION}]
    asks: Any = half.tokenizer.apply_chat_template(conversation(messages, pair.system), add_generation_prompt=True)
    ids: list[int] = asks["input_ids"]
    # No token ends an answer here: all ways say the same number of tokens.
    half.model.generation_config.eos_token_id = plain.generation_config.eos_token_id = None  # pyright: ignore
    half.tokenizer.eos_token = None
    half.switch()
    ways: dict[str, Callable[[], Timed]] = {
        "plain": lambda: generated(plain, ids, asked.tokens),
        "tuned": lambda: generated(half.model, ids, asked.tokens),
        "both": lambda: streamed(pair.ask(messages, Sampling(max_new_tokens=asked.tokens))),
    }
    with tempfile.TemporaryDirectory() as folder:
        if llama_cpp.is_installed():
            file = Path(folder) / "base.gguf"
            gguf.write(models.find(config.model.name).folder, file, "f16", "base")
            with served(file) as pid:
                ways["llama.cpp"] = lambda: by_llama_cpp(pid, ids, asked.tokens)
                rounds = measure(ways, asked.rounds)
        else:
            print("xllamacpp is not installed here, so that llama.cpp is not measured.")
            rounds = measure(ways, asked.rounds)
    show(rounds, asked.tokens)


def measure(ways: dict[str, Callable[[], Timed]], count: int) -> list[Round]:
    """All ways in turn; once before, which is not counted."""
    return [{name: way() for name, way in ways.items()} for _ in range(count + 1)][1:]


def generated(model: Any, ids: list[int], tokens: int) -> Timed:
    """transformers' own way to answer, greedily."""
    heard = Listener()
    began = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=0,
            streamer=heard,
        )
    ended, cpu = time.perf_counter(), time.process_time()
    assert len(heard.times) == tokens + 1, "the prompt, and as many tokens as were asked for"
    first, cpu_then = heard.times[1]
    return Timed(first=first - began, whole=ended - began, cpu=cpu - cpu_then)


class Listener(BaseStreamer):
    """Hears the prompt and then each token: when, and what CPU time had been used."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def put(self, value: Any) -> None:
        self.times.append((time.perf_counter(), time.process_time()))

    def end(self) -> None: ...


def streamed(answers: Iterator[Any]) -> Timed:
    """An answer of the Playground, token by token."""
    began = time.perf_counter()
    next(answers)
    first, cpu = time.perf_counter(), time.process_time()
    for _ in answers:
        pass
    return Timed(first=first - began, whole=time.perf_counter() - began, cpu=time.process_time() - cpu)


@contextmanager
def served(file: Path) -> Iterator[int]:
    """llama.cpp's server with this file; gives its process."""
    with server_process.running(file, "llama.cpp", HOST, PORT, "base") as process:
        yield process.pid


def by_llama_cpp(pid: int, ids: list[int], tokens: int) -> Timed:
    """llama.cpp's answer, greedily, by its own clock; its CPU time for the prompt is taken for as long as that took."""
    asked = {
        "prompt": ids, "n_predict": tokens, "ignore_eos": True, "temperature": 0, "cache_prompt": False,
    }  # fmt: skip
    request = urllib.request.Request(
        f"{server_process.address(HOST, PORT)}/completion",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    before = sum(psutil.Process(pid).cpu_times()[:2])
    with urllib.request.urlopen(request) as answer:
        told = json.load(answer)["timings"]
    cpu = sum(psutil.Process(pid).cpu_times()[:2]) - before
    assert told["predicted_n"] == tokens and told["prompt_n"] == len(ids)
    # The first token is chosen from the prompt's own logits: what it then counts are the further ones.
    first, further = told["prompt_ms"] / 1000, told["predicted_ms"] / 1000
    return Timed(first=first, whole=first + further, cpu=cpu * further / (first + further))


def show(rounds: list[Round], tokens: int) -> None:
    """A line for each way, and for each ratio; each side of `both` says as many tokens as a single answer."""
    print(
        f"{'':12}{'first token (s)':>16}{'all (s)':>9}{'tokens/s a side':>17}{'further token (ms)':>20}{'CPU (ms)':>10}"
    )
    for name in rounds[0]:
        mine = [one[name] for one in rounds]
        first, whole, further, cpu = (
            statistics.median(getattr(one, what) for one in mine) for what in ("first", "whole", "further", "cpu")
        )
        each = 1000 / (tokens - 1)
        print(
            f"{name:12}{first:16.2f}{whole:9.2f}{(tokens - 1) / further:17.1f}{further * each:20.1f}{cpu * each:10.1f}"
        )
    print(f"ratios: median of {len(rounds)} rounds (least to most)")
    tell("both / plain, whole answer", [one["both"].whole / one["plain"].whole for one in rounds], BOTH_TO_PLAIN)
    tell(
        "both / plain and tuned one after another",
        [one["both"].whole / (one["plain"].whole + one["tuned"].whole) for one in rounds],
    )
    tell("both / plain, a further token", [one["both"].further / one["plain"].further for one in rounds])
    tell("both / plain, a further token, of CPU", [one["both"].cpu / one["plain"].cpu for one in rounds])
    if "llama.cpp" in rounds[0]:
        tell(
            "both / llama.cpp, a further token",
            [one["both"].further / one["llama.cpp"].further for one in rounds],
            BOTH_TO_LLAMA,
        )
        tell("both / llama.cpp, a further token, of CPU", [one["both"].cpu / one["llama.cpp"].cpu for one in rounds])
    speed = statistics.median((tokens - 1) / one["both"].further for one in rounds)
    print(
        f"tokens/s a side: {speed:.1f}, at least {TOKENS_PER_SECOND:g}: {'yes' if speed >= TOKENS_PER_SECOND else 'NO'}"
    )
    slowest = max(one["both"].first for one in rounds)
    met = "yes" if slowest < FIRST_TOKEN_SECONDS else "NO"
    print(f"slowest first token: {slowest:.2f} s, under {FIRST_TOKEN_SECONDS:g}: {met}")


def tell(what: str, ratios: list[float], most: float | None = None) -> None:
    """A ratio's line, with whether it is as wanted."""
    middle = statistics.median(ratios)
    wanted = f", at most {most:g}: {'yes' if middle <= most else 'NO'}" if most else ""
    print(f"{what}: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){wanted}")


if __name__ == "__main__":
    main()
