"""The queue on the Runs page, and what it says of a run that is stuck, without a browser."""

from __future__ import annotations

import os
import time
from typing import Any

import gradio as gr
import pytest

from assistant.pages import run_queue
from assistant.pages.run_queue import QueuePart
from trainer import jobs, pulse, queue, runs
from trainer.jobs import RunState
from trainer.queue import Queue, Running, Waiting
from trainer.runs import Run
from trainer.sections import RunConfig


def waiting(place: int, name: str, after: str | None = None) -> Waiting:
    identity = f"20261130-03{place:02d}00-{name}"
    return Waiting(job=f"runs/{identity}", id=identity, kind="run", device="cpu", place=place, after=after, sentence="")


@pytest.fixture
def part() -> QueuePart:
    with gr.Blocks():
        return QueuePart()


def test_it_is_there_while_something_waits_and_not_drawn_again(part: QueuePart, monkeypatch: pytest.MonkeyPatch):
    running = [Running(id="20261130-030000-<b>", kind="search", device="cuda-1")]
    found = Queue(running=running, waiting=[waiting(1, "one"), waiting(2, "two", after="20261130-025900-x")])
    monkeypatch.setattr(queue, "now", lambda: found)
    page = part.show(chosen="runs/20261130-030200-two")
    assert page[part._body].visible
    assert page[part._chosen].value == "runs/20261130-030200-two", "what was chosen stays so"
    assert page[part._chosen].choices == [
        ("1. one · run · 30 Nov, 03:01", "runs/20261130-030100-one"),
        ("2. two · run · 30 Nov, 03:02, after run 20261130-025900-x has ended", "runs/20261130-030200-two"),
    ]
    assert "&lt;b&gt; · search · 30 Nov, 03:00, on the GPU" in page[part._running]
    again = part.show(page[part._shown], "runs/20261130-030200-two")
    assert set(again) == {part._shown}
    monkeypatch.setattr(queue, "now", lambda: Queue(running=[], waiting=[]))
    empty = part.show(page[part._shown])
    assert empty[part._body].visible is False


def test_buttons_move_and_take_out_and_say_why_they_cannot(part: QueuePart, monkeypatch: pytest.MonkeyPatch):
    warned: list[str] = []
    moved: list[tuple[str, str]] = []
    monkeypatch.setattr(gr, "Warning", warned.append)
    monkeypatch.setattr(queue, "move", lambda identity, where: moved.append((identity, where)))
    part.move("runs/20261130-030100-one", "up")
    assert moved == [("runs/20261130-030100-one", "up")]
    monkeypatch.undo()
    monkeypatch.setattr(gr, "Warning", warned.append)
    part.move("runs/20261130-030100-one", "up")
    part._take_out("runs/20261130-030100-one")
    assert warned[0].startswith("There is no waiting job 'runs/20261130-030100-one'") and "waits no longer" in warned[1]


def test_a_run_that_is_stuck_is_said_and_can_be_ended_after_a_minute(monkeypatch: pytest.MonkeyPatch):
    run = runs.create(RunConfig())
    jobs.write_state(run.folder, RunState(state="training", pid=1))
    monkeypatch.setattr(jobs, "lives", lambda folder: True)
    said: dict[str, Any] = {"remark": "", "reacts": True}
    monkeypatch.setattr(pulse, "remark", lambda job: said["remark"])
    monkeypatch.setattr(pulse, "reacts", lambda folder: said["reacts"])

    def stuck() -> tuple[str, bool]:
        return run_queue.stuck(runs.get(run.id))

    assert stuck() == ("", False)
    said["remark"] = "No progress for 25 min."
    assert "No progress for 25 min." in stuck()[0] and not stuck()[1], "Stop is asked first"
    (run.folder / jobs.STOP).touch()
    assert stuck() == ("", False), "it has a minute"
    os.utime(run.folder / jobs.STOP, (0, time.time() - 61))
    text, offered = stuck()
    assert offered and "Ended at once, it loses what it did since its last checkpoint." in text
    os.utime(run.folder / jobs.STOP, (0, time.time() + 3600))
    assert stuck()[1], "a clock that was set back hides no button"
    (run.folder / jobs.STOP).touch()
    said["reacts"] = False
    assert stuck()[1], "one that does not react will not stop by itself"


def test_a_queued_run_says_where_it_stands(monkeypatch: pytest.MonkeyPatch):
    from assistant.pages import run_view
    from assistant.pages.history import history
    from trainer.reporting import Reporter

    run: Run = runs.create(RunConfig())
    Reporter(run.folder, run.status).enter("queued", "2nd of 3 in the queue for the CPU, behind run <x>.")
    assert "2nd of 3 in the queue for the CPU, behind run &lt;x&gt;." in run_view.state(run, history(run.folder))
