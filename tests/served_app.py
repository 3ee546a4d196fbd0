"""`python app.py` in a process of its own, as long as a test needs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from local_server import free_port

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120  # other work may share this machine's cores


@dataclass
class Served:
    """Where it is served, and its process."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def served(home: Path) -> Iterator[Served]:
    """The app with this home; what it writes to stderr is shown where it does not start."""
    port, said = free_port(), home.parent / "stderr.txt"
    environment = {**os.environ, "BEDSIDE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("SPACE_ID", None)
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, env=environment, stdout=stderr, stderr=stderr
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()
            time.sleep(0.2)
        yield Served(url, process)
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
