"""A real Chromium and a real app for the page tests: each has a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_server import free_port
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from trainer import runs
from trainer.runs import Run

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HEAR = """
window.heard = '';
const fetched = window.fetch;
window.fetch = async (...asked) => {
  const response = await fetched(...asked);
  const reader = response.clone().body?.getReader(), decoder = new TextDecoder();
  const read = ({done, value}) => { if (!done) { window.heard += decoder.decode(value); reader.read().then(read); } };
  reader?.read().then(read).catch(() => {});
  return response;
};
"""
WAIT_MS = 20_000  # for what a page is to show: other work may share this machine's cores
START_SECONDS = 60  # generous: other work may share this machine's cores


@dataclass
class App:
    """A served app: its address, its home and its port."""

    url: str
    home: Path
    port: int


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def _served(home: Path, *arguments: str) -> Iterator[App]:
    """`python app.py` with this home and these arguments; what it writes to stderr is shown where it does not start."""
    port, said = free_port(), home.parent / "stderr.txt"
    environment = {**os.environ, "BEDSIDE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("SPACE_ID", None)
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), *arguments], cwd=ROOT, env=environment, stderr=stderr
        )
    one = App(f"http://127.0.0.1:{port}", home, port)
    try:
        _wait(one.url, process, said)
        yield one
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def serve(embedded_cache: Path) -> Callable[..., AbstractContextManager[App]]:
    """Serves a home of a test's own (the folder, then arguments of `app.py`), as long as the `with` lasts."""
    return _served


@pytest.fixture(scope="session")
def app(embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app with an empty home, the same for all tests; the embedded model is converted once for all homes."""
    with _served(tmp_path_factory.mktemp("app") / "home") as one:
        yield one


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What all windows keep of the app's scripts: compiling them takes most of the time until a page is shown."""
    one = browser.new_context(viewport={"width": 1280, "height": 900})
    yield one
    one.close()


@pytest.fixture
def page(context: BrowserContext, app: App) -> Iterator[Page]:
    """A new window on the app; anything that the page asks of another server fails the test."""
    foreign: list[str] = []
    window = context.new_page()
    own = (app.url, "data:", "blob:")
    window.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    window.goto(app.url)
    window.wait_for_selector("#plan-chip-0", state="visible")
    yield window
    window.evaluate("localStorage.clear()")
    window.close()
    context.clear_cookies()
    assert foreign == []


@pytest.fixture
def hear() -> str:
    """A script for a window: all that it is sent from then on, also streamed answers, whose bodies Playwright cannot
    read, stands in `window.heard`."""
    return HEAR


@pytest.fixture
def trained(app: App, trained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of the tiny model in the app's home, removed afterwards."""
    monkeypatch.setenv("BEDSIDE_HOME", str(app.home))
    shutil.copytree(trained_folder, runs.runs_folder() / trained_folder.name)
    yield runs.get(trained_folder.name)
    runs.delete(runs.get(trained_folder.name))


def _wait(url: str, process: subprocess.Popen[bytes], said: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"app.py ended with {process.returncode}: {said.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"app.py did not serve within {START_SECONDS} s: {said.read_text()}")
