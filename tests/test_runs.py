"""Run folders: found again, never torn, and honest about a process that died."""

import json
import subprocess
import sys

import pytest

from trainer import events, runs
from trainer.config import RunConfig
from trainer.runs import RunError, RunState


def test_a_new_run_can_be_found_by_the_start_of_its_id():
    run = runs.create(RunConfig.model_validate({"output": {"name": "Röntgen: reports!"}}))
    assert run.id.endswith("-r-ntgen-reports") and run.status.state == "queued"
    assert runs.get(run.id[:-3]).id == run.id
    assert run.folder.stat().st_mode & 0o777 == 0o700
    twin = runs.clone(run)
    assert twin.id != run.id and twin.config == run.config
    with pytest.raises(RunError, match="fits 2 runs"):
        runs.get(run.id[:8])


def test_unknown_runs_and_paths_are_refused():
    for name in ("nothing", "", "../../etc", "/etc"):
        with pytest.raises(RunError, match="There is no run"):
            runs.get(name)


def test_a_dead_process_leaves_a_failed_run_with_the_reason():
    run = runs.create(RunConfig())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runs.write_state(run.folder, RunState(state="training", pid=gone.pid, started=1.0, step=7, total_steps=20))
    found = runs.get(run.id)
    assert found.status.state == "failed"
    assert found.status.error is not None and "ended at step 7 of 20 without a word" in found.status.error
    assert [event.kind for event in found.events()] == ["state", "state"]
    assert len(runs.get(run.id).events()) == 2, "the death is told once"


def test_an_older_run_is_named_and_left_alone():
    run = runs.create(RunConfig())
    (run.folder / "state.json").write_text(json.dumps({"format_version": 0, "phase": "x"}))
    with pytest.raises(RunError, match="was written in format 0; this Bedside reads format 1"):
        runs.get(run.id)
    readable, unreadable = runs.list_runs()
    assert readable == [] and len(unreadable) == 1 and run.id in unreadable[0]
    assert json.loads((run.folder / "state.json").read_text()) == {"format_version": 0, "phase": "x"}


def test_a_line_that_was_cut_off_does_not_hide_the_others(tmp_path):
    path = tmp_path / "events.jsonl"
    events.append(path, events.EvalEvent(loss=1.0))
    with path.open("a") as file:
        file.write('{"time": 1, "kind": "ste\n')
    events.append(path, events.StopEvent(reason="x", step=3))
    assert [event.kind for event in events.read(path)] == ["eval", "stop"]


def test_each_kind_of_event_keeps_its_fields():
    fields = {
        model.__name__: sorted(set(model.model_fields) - {"time", "kind", "step"}) for model in events.Event.__args__
    }
    assert fields == {
        "StateEvent": ["detail", "state"],
        "ProgressEvent": ["done", "stage", "total"],
        "StepEvent": [
            "eta_seconds",
            "gradient_norm",
            "learning_rate",
            "loss",
            "memory_gib",
            "tokens_per_second",
            "total_steps",
        ],
        "EvalEvent": ["loss"],
        "SampleEvent": ["answer", "prompt"],
        "CheckpointEvent": ["path"],
        "WarningEvent": ["message"],
        "StopEvent": ["reason"],
    }


def test_only_what_is_not_active_can_be_deleted():
    import os

    import psutil

    run = runs.create(RunConfig())
    me = RunState(state="training", pid=os.getpid(), started=psutil.Process().create_time())
    runs.write_state(run.folder, me)
    with pytest.raises(RunError, match="stop it first"):
        runs.delete(run)
    with pytest.raises(RunError, match="is training already"):
        runs.start(run)
    runs.write_state(run.folder, RunState(state="done"))
    with pytest.raises(RunError, match="nothing to stop"):
        runs.stop(run)
    runs.delete(run)
    assert not run.folder.exists()
