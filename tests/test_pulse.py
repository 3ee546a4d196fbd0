"""Signs of life and of progress: what is called stuck, and what is not."""

import time

import pytest

from trainer import events, jobs, pulse, runs
from trainer.jobs import RunState
from trainer.pulse import Pulse
from trainer.runs import Run
from trainer.sections import RunConfig


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that trains, as far as one can see."""
    made = runs.create(RunConfig())
    jobs.write_state(made.folder, RunState(state="training", pid=1, step=4, total_steps=20))
    monkeypatch.setattr(jobs, "lives", lambda folder: True)
    return runs.get(made.id)


def remark(run: Run, alive: float, progressed: float, **known: float) -> str:
    """What is said of one whose last signs are so many seconds old."""
    now = time.monotonic()
    text = Pulse(alive=now - alive, progressed=now - progressed, **known).model_dump_json()
    (run.folder / jobs.PULSE).write_text(text)
    return pulse.remark(run)


def test_long_is_measured_by_what_is_usual(run: Run):
    assert remark(run, 1, 500, longest=5) == "", "less than ten minutes is never long"
    said = remark(run, 1, 1500, longest=5, step_seconds=3)
    assert said == "No progress for 25 min; a step usually takes 3 s. Stop it, or wait."
    assert remark(run, 1, 1500, longest=600, step_seconds=550) == "", "a large model's steps take ten minutes here"
    assert remark(run, 1, 1500) == "", "its first step may take half an hour"
    assert remark(run, 1, 1900) == "No progress for 32 min. Stop it, or wait."
    assert remark(run, 70, 70).startswith("Its process has not reacted for 1 min: it is suspended, or stuck. Stop ends")
    waits = run.model_copy(update={"status": run.status.model_copy(update={"state": "queued"})})
    assert remark(waits, 1, 9000) == "", "to wait is no fault"
    (run.folder / jobs.PULSE).unlink()
    assert pulse.remark(run) == "" and pulse.reacts(run.folder), "a process that has just begun"


def test_a_clock_that_is_set_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as other:
        other.setattr(time, "time", lambda: 0.0)
        assert remark(run, 1, 1500, longest=5).startswith("No progress for 25 min")
        assert remark(run, 1, 30, longest=5) == ""


def test_what_a_job_writes_is_its_progress(run: Run, monkeypatch: pytest.MonkeyPatch):
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = pulse._Watch(run.folder)

    def after(seconds: float, step: int | None = None, event: bool = False) -> Pulse:
        clock[0] += seconds
        if step is not None:
            jobs.write_state(run.folder, run.status.model_copy(update={"step": step}))
        if event:
            events.append(run.folder / "events.jsonl", events.ProgressEvent(stage="x", done=0, total=0))
        watch.look()
        return watch.pulse.model_copy()

    assert after(0).longest is None
    assert after(30) == Pulse(alive=1030, progressed=1000), "alive, and nothing new"
    assert after(10, step=8) == Pulse(alive=1040, progressed=1040, longest=40, step_seconds=10)
    assert after(5, event=True) == Pulse(alive=1045, progressed=1045, longest=40, step_seconds=10)
    jobs.write_state(run.folder, run.status.model_copy(update={"state": "evaluating"}))
    assert after(20) == Pulse(alive=1065, progressed=1065), "another kind of work has another pace"


def test_a_thread_gives_the_signs_until_the_work_ends(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    path = run.folder / jobs.PULSE
    with pulse.beating(run.folder):
        deadline = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < deadline
        first = Pulse.model_validate_json(path.read_text())
        while Pulse.model_validate_json(path.read_text()).alive == first.alive:
            assert time.monotonic() < deadline
    last = path.read_text()
    time.sleep(0.05)
    assert path.read_text() == last
