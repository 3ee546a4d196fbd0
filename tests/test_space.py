"""What a Hugging Face Space runs: `app.py` as a Space, with its sign-in, and after a restart in the middle of a run.

`make test-space` gives it the environment that a Space makes of requirements.txt (`BEDSIDE_SPACE_PYTHON`); else it is
started in this one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from itsdangerous import TimestampSigner
from local_server import free_port

from trainer import audit, events, jobs, restarts, runs
from trainer.runs import Run
from trainer.sections import RunConfig

ROOT = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("BEDSIDE_SPACE_PYTHON", sys.executable)
SPACE = {
    "SYSTEM": "spaces", "SPACE_ID": "hospital/bedside", "SPACE_AUTHOR_NAME": "hospital",
    "SPACE_HOST": "hospital-bedside.hf.space", "OPENID_PROVIDER_URL": "https://huggingface.co",
    "OAUTH_CLIENT_ID": "an-app", "OAUTH_CLIENT_SECRET": "hush", "OAUTH_SCOPES": "openid profile",
}  # fmt: skip
PATIENCE = 240  # seconds; two cores may be busy
pytestmark = pytest.mark.soak


@contextmanager
def served(home: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """The Space's app with this home, and somebody who is not signed in."""
    port = free_port()
    process = subprocess.Popen(
        [PYTHON, "app.py", "--port", str(port)], cwd=ROOT, env={**os.environ, **SPACE, "BEDSIDE_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as nobody:
            soon(lambda: answers(nobody, process))
            yield nobody, process
    finally:
        process.terminate()
        process.wait(20)


def answers(nobody: httpx.Client, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.stderr and process.stderr.read()
    with suppress(httpx.HTTPError):
        return nobody.get("/robots.txt").status_code > 0
    return False


def soon(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def said_by_hugging_face(name: str, secret: str) -> str:
    """The cookie that Gradio leaves after the sign-in of this user."""
    said = {"userinfo": {"preferred_username": name}, "expires_at": int(time.time()) + 600, "access_token": "t"}
    key = hashlib.sha256(f"{secret}-v4".encode()).hexdigest()
    return TimestampSigner(key).sign(b64encode(json.dumps({"oauth_info": said}).encode())).decode()


def test_it_is_served_with_hugging_faces_sign_in(tmp_path: Path):
    home = tmp_path / "space"
    with served(home) as (nobody, _):
        shown = nobody.get("/")
        assert "Sign in with Hugging Face" in shown.text
        assert "huggingface.co" in shown.headers["content-security-policy"]
        assert nobody.get("/config").status_code == 401
        for name, status in (("passer-by", 401), ("hospital", 200)):
            nobody.cookies.set("session", said_by_hugging_face(name, "hush"))
            assert nobody.get("/config").status_code == status, name
        assert nobody.get("/config").json()["username"] == "hospital"
        assert nobody.get("/").text.count("gradio") > 0
    assert '"who":"hospital","role":"administrator","action":"signed in"' in (home / audit.FILE).read_text()


def test_a_restart_in_the_middle_of_a_run_costs_the_steps_since_its_checkpoint(tiny_run: RunConfig, home: Path):
    tiny_run.schedule.max_steps, tiny_run.schedule.checkpoint_every = 150, 50
    tiny_run.evaluation.every = tiny_run.evaluation.sample_every = 150
    run = runs.start(runs.create(tiny_run))
    soon(lambda: checkpoints(run))
    pid = jobs.read_state(run.folder).pid
    assert pid is not None
    psutil.Process(pid).kill()  # as the whole machine is gone: nothing is said, nothing is written
    soon(lambda: not jobs.lives(run.folder))
    assert jobs.read_state(run.folder).state == "training"

    with served(home) as (_, process):
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith(f"Run {run.id} was cut off by a restart at step ") and "is in the queue again" in told
        soon(lambda: runs.get(run.id).status.state not in jobs.ACTIVE)
    ended = runs.get(run.id)
    assert ended.status.state == "done", ended.status.error
    found = ended.events()
    at = next(n for n, one in enumerate(found) if isinstance(one, events.StateEvent) and one.detail == restarts.DETAIL)
    steps = [one.step for one in found[at:] if isinstance(one, events.StepEvent)]
    assert steps[0] > 1 and steps[0] % 50 == 1 and steps[-1] == 150, "from a checkpoint on"


def checkpoints(run: Run) -> list[events.CheckpointEvent]:
    return [one for one in run.events() if isinstance(one, events.CheckpointEvent)]
