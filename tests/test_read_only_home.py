"""A home that can only be read, by root too: every command and the app answer with a sentence, and no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_disk import mounted, read_only

import app
from assistant.planner import drafts
from trainer import config, jobs, runs, store
from trainer.jobs import RunState
from trainer.runs import Run
from trainer.sections import RunConfig

SAID = "can only be read: nothing could be saved. Make it writable, or point BEDSIDE_HOME to a folder that is.\n"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty disk that is still writable, on which the home is."""
    with mounted(tmp_path / "disk", megabytes=4) as place:
        monkeypatch.setenv("BEDSIDE_HOME", str(place / "home"))
        yield place


@pytest.fixture
def dead(disk: Path) -> Run:
    """A run, a plan and a database in the home; the run's process is gone, and nobody has said so."""
    made = runs.create(RunConfig())
    drafts.save(drafts.new("Hello."))
    jobs.write_state(made.folder, RunState(state="training", pid=1, step=7, total_steps=20))
    return made


LOOKING = ("runs list", "runs show latest", "runs queue", "plans list", "data list", "data sets", "audit",
           "search list", "evaluations list", "schema")  # fmt: skip
WRITING = ("runs resume latest", "runs clone latest", "runs delete latest --yes", "storage list", "review list",
           "people list", "versions list", "plan --say x --open PLAN")  # fmt: skip


def test_what_only_looks_shows_what_is_there_and_what_writes_says_that_it_cannot(
    disk: Path, dead: Run, command: Callable
):
    for line in LOOKING[2:]:
        assert command(*line.split()).status == 0, line  # each makes its folder
    with store.session():
        pass
    store._engines.pop(store.url()).dispose()  # a disk with a file that is open for writing stays writable
    read_only(disk)
    for line in LOOKING:
        shown = command(*line.split())
        assert shown.status == 0 and "Traceback" not in shown.err, (line, shown)
    assert dead.id in command("runs", "list").out
    (plan,), _ = drafts.saved()
    for line in WRITING:
        shown = command(*line.replace("PLAN", plan.id).split())
        assert shown.status == 2 and shown.err.endswith(SAID), (line, shown)
    assert jobs.read_state(dead.folder).state == "training", "nothing was written"


def test_a_home_that_cannot_be_made_is_said(disk: Path, command: Callable):
    read_only(disk)
    for line in ("runs list", "plans list", "data list", "doctor"):
        shown = command(*line.split())
        assert (shown.status, shown.err) == (2, f"{disk / 'home'} {SAID}"), line


def test_the_app_does_not_start_and_says_why(disk: Path, capsys: pytest.CaptureFixture[str]):
    config.home()
    read_only(disk)
    assert app.main(["--port", "0"]) == 2
    assert capsys.readouterr().err == f"{disk / 'home'} {SAID}"
