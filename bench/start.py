"""How soon Bedside is there: the command's help, the page beside a bare Gradio page, the first plan.

    python bench/start.py [--rounds 5]

Wanted: help under 0.5 s, the page within 1 s of the bare one, the first plan under 0.3 s. Each start is a process of
its own, in turn, after one of each that is not counted (it fills the system's cache of files). The page is there when
its address answers with all of it; the bare one is a `gr.Blocks` with one line of text, served with the same options.
The first plan is what passes between the first message that the app gets and its reply, with a run file in it; the
whole command `bedside plan --say` is told too. Medians, with their range.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
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
began = time.perf_counter()
_, turn = dialogue.reply(dialogue.new_draft(), {said!r})
print(json.dumps([time.perf_counter() - began, turn.missing if turn.config is None else []]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="start-") as home:
        os.environ |= {
            "BEDSIDE_HOME": home, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)
        }  # fmt: skip
        measures: dict[str, Callable[[], float]] = {
            "help": lambda: command("--help"),
            "page": lambda: page([sys.executable, str(ROOT / "app.py"), "--port"]),
            "bare": bare,
            "plan": first_plan,
            "plan command": lambda: command("plan", "--say", SAID),
        }
        found: dict[str, list[float]] = {name: [] for name in measures}
        for number in range(rounds + 1):
            for name, measure in measures.items():
                seconds = measure()
                if number:
                    found[name].append(seconds)
    more = [page - bare for page, bare in zip(found["page"], found["bare"], strict=True)]
    print(f"{os.cpu_count()} processors, {len(os.sched_getaffinity(0))} of them used; median of {rounds} (range)")
    show("bedside --help", found["help"], HELP)
    show("page served", found["page"])
    show("bare Gradio page served", found["bare"])
    show("page, beyond the bare one", more, PAGE)
    show("first plan in the app", found["plan"], PLAN)
    show("bedside plan --say, whole command", found["plan command"])


def command(*arguments: str) -> float:
    """Seconds of a command from its start to its end."""
    began = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def bare() -> float:
    """Seconds until a page with nothing on it is there."""
    port = free_port()
    return page([sys.executable, "-c", BARE.format(port=port)], port)


def page(start: list[str], port: int = 0) -> float:
    """Seconds from the start of a process to its page; without a `port` one is given to it as its last argument."""
    began = time.perf_counter()
    if not port:
        port = free_port()
        start = [*start, str(port)]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    answer.read()
                return time.perf_counter() - began
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        assert process.stderr
        raise SystemExit(f"the page never came: {process.stderr.read().decode()[-2000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def first_plan() -> float:
    """Seconds of the first reply in a process that has drawn all pages."""
    code = FIRST_PLAN.format(said=SAID)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, missing = json.loads(ended.stdout.splitlines()[-1])
    if missing:
        raise SystemExit(f"the message gives no plan; still to be said: {missing}")
    return seconds


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def show(what: str, seconds: list[float], most: float | None = None) -> None:
    middle = statistics.median(seconds)
    goal = "" if most is None else f"   under {most:g}: {'yes' if middle < most else 'NO'}"
    print(f"{what:36} {middle:6.2f} s ({min(seconds):.2f} to {max(seconds):.2f}){goal}")


if __name__ == "__main__":
    main()
