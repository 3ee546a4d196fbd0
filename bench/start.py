"""How soon Bedside is there: the command's help, the page beside a bare Gradio page, the first plan.

    python bench/start.py [--rounds 5]

Wanted: help under 0.5 s, the page within 1 s of the bare one, the first plan under 0.3 s. Each start is a process of
its own, in turn, after one of each that is not counted (it fills the system's cache of files). The page is there when
its address answers with all of it; the bare one is a `gr.Blocks` with one line of text, served with the same options.
The first plan is what passes between the first message that the app gets and its reply, with a run file in it; the
whole command `bedside plan --say` is told too. Medians, with their range, by the clock and of the processor's time,
which others on the machine disturb less; the goals go by the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Seconds = tuple[float, float]
"""By the clock, and of the processor."""
COMMAND = [sys.executable, "-c", "from assistant.cli import main; main()"]
SAID = "Question answering in cardiology, 2,000 rows without patient data, on a single RTX 4090, balanced."
HELP, PAGE, PLAN = 0.5, 1.0, 0.3
BARE = """
import gradio as gr
with gr.Blocks() as demo:
    gr.Markdown("Here.")
demo.queue(default_concurrency_limit=8).launch(
    server_name="127.0.0.1", server_port={port}, share=False, inbrowser=False, quiet=True, ssr_mode=False
)
"""
FIRST_PLAN = """
import json, time
import app
app.build()
from assistant.planner import dialogue
began, used = time.perf_counter(), time.process_time()
_, turn = dialogue.reply(dialogue.new_draft(), {said!r})
took = time.perf_counter() - began, time.process_time() - used
print(json.dumps([*took, turn.missing if turn.config is None else []]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="start-") as home:
        os.environ |= {
            "BEDSIDE_HOME": home, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)
        }  # fmt: skip
        measures: dict[str, Callable[[], Seconds]] = {
            "help": lambda: command("--help"),
            "page": lambda: page([sys.executable, str(ROOT / "app.py"), "--port"]),
            "bare": bare,
            "plan": first_plan,
            "plan command": lambda: command("plan", "--say", SAID),
        }
        found: dict[str, list[Seconds]] = {name: [] for name in measures}
        for number in range(rounds + 1):
            for name, measure in measures.items():
                seconds = measure()
                if number:
                    found[name].append(seconds)
    more = [(page[0] - bare[0], page[1] - bare[1]) for page, bare in zip(found["page"], found["bare"], strict=True)]
    print(f"{os.cpu_count()} processors, {len(os.sched_getaffinity(0))} of them used; median of {rounds} (range)")
    print(f"{'':36} {'seconds by the clock':>24} {'of the processor':>24}")
    show("bedside --help", found["help"], HELP)
    show("page served", found["page"])
    show("bare Gradio page served", found["bare"])
    show("page, beyond the bare one", more, PAGE)
    show("first plan in the app", found["plan"], PLAN)
    show("bedside plan --say, whole command", found["plan command"])


def command(*arguments: str) -> Seconds:
    """A command from its start to its end."""
    began, used = time.perf_counter(), children()
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began, children() - used


def bare() -> Seconds:
    """A page with nothing on it."""
    port = free_port()
    return page([sys.executable, "-c", BARE.format(port=port)], port)


def page(start: list[str], port: int = 0) -> Seconds:
    """From the start of a process to its page; without a `port` one is given to it as its last argument."""
    began, used = time.perf_counter(), children()
    if not port:
        port = free_port()
        start = [*start, str(port)]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    answer.read()
                seconds = time.perf_counter() - began
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        else:
            assert process.stderr
            raise SystemExit(f"the page never came: {process.stderr.read().decode()[-2000:]}")
    finally:
        process.kill()
        process.communicate()
    return seconds, children() - used


def first_plan() -> Seconds:
    """The first reply in a process that has drawn all pages."""
    code = FIRST_PLAN.format(said=SAID)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, processor, missing = json.loads(ended.stdout.splitlines()[-1])
    if missing:
        raise SystemExit(f"the message gives no plan; still to be said: {missing}")
    return seconds, processor


def children() -> float:
    """The processor's time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def show(what: str, found: list[Seconds], most: float | None = None) -> None:
    """A line of the table; whether the goal is met goes by the processor's time."""
    told = []
    for clock in (0, 1):
        seconds = [one[clock] for one in found]
        told.append(f"{statistics.median(seconds):6.2f} ({min(seconds):.2f} to {max(seconds):.2f})")
    goal = ""
    if most is not None:
        met = statistics.median(processor for _, processor in found) < most
        goal = f"   under {most:g}: {'yes' if met else 'NO'}"
    print(f"{what:36} {told[0]:>24} {told[1]:>24}{goal}")


if __name__ == "__main__":
    main()
