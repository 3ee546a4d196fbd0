"""Run folders: found again, never torn, and honest about a process that died."""

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest

from trainer import events, jobs, runs, starting
from trainer.jobs import RunError, RunState
from trainer.sections import RunConfig


def test_a_new_run_can_be_found_by_the_start_of_its_id():
    run = runs.create(RunConfig.model_validate({"output": {"name": "Röntgen: reports!"}}))
    assert run.id.endswith("-r-ntgen-reports") and run.status.state == "queued"
    assert runs.get(run.id[:-3]).id == run.id
    assert run.folder.stat().st_mode & 0o777 == 0o700
    twin = runs.clone(run)
    assert twin.id != run.id and twin.config == run.config
    with pytest.raises(RunError, match="fits 2 runs"):
        runs.get(run.id[:8])


def test_a_full_disk_leaves_no_half_made_run(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: _no_space())
    with pytest.raises(OSError, match="No space left"):
        runs.create(RunConfig(), [{"role": "user", "content": "hello"}])
    assert list(runs.runs_folder().iterdir()) == []


def test_a_death_that_cannot_be_written_down_is_told(monkeypatch):
    run = runs.create(RunConfig())
    jobs.write_state(run.folder, RunState(state="training", pid=1, step=7, total_steps=20))
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: _no_space())
        found = runs.get(run.id)
    assert (found.status.state, found.status.error) == ("failed", jobs.DISK_FULL)
    assert json.loads((run.folder / "state.json").read_text())["state"] == "training"
    assert [path.name for path in run.folder.iterdir() if path.name.endswith(".part")] == []
    later = runs.get(run.id).status.error
    assert later is not None and "ended at step 7 of 20" in later, "written down once there is room"


def _no_space() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_unknown_runs_and_paths_are_refused():
    for name in ("nothing", "", "../../etc", "/etc"):
        with pytest.raises(RunError, match="There is no run"):
            runs.get(name)


def test_a_dead_process_leaves_a_failed_run_with_the_reason():
    run = runs.create(RunConfig())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    jobs.write_state(run.folder, RunState(state="training", pid=gone.pid, step=7, total_steps=20))
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
        "EvalEvent": [
            "answer_accuracy",
            "best",
            "general_loss",
            "loss",
            "n",
            "specialties",
            "tasks",
            "token_accuracy",
            "worst",
        ],
        "SampleEvent": ["answer", "prompt"],
        "MixEvent": ["general", "levels", "rows", "share", "target"],
        "CurriculumEvent": ["level", "reason"],
        "TaskWeightsEvent": ["weights"],
        "ConflictEvent": ["cosines", "mean", "suggestion"],
        "ForgettingEvent": ["limit", "past", "scores"],
        "HarmEvent": ["base_harmful", "harmful", "high", "low", "n", "past", "refused", "share"],
        "RankEvent": [
            "decision",
            "gap",
            "rank",
            "reason",
            "train_curve",
            "train_loss",
            "validation_curve",
            "validation_loss",
        ],
        "FoldEvent": ["fold", "folds", "loss", "rows"],
        "TrialEvent": ["detail", "measured", "seconds", "state", "trial", "values"],
        "GuardEvent": ["learning_rate", "reason", "to_step"],
        "PreferenceEvent": ["accuracy", "chosen", "margin", "rejected"],
        "RewardEvent": ["alike", "by_rule", "kl", "length", "reward", "spread"],
        "AlarmEvent": ["alarm", "message"],
        "ReadingEvent": ["gpu_gib", "gpu_limit_gib", "gpu_use", "power_w", "process_gib", "temperature_c"],
        "CheckpointEvent": ["path"],
        "WarningEvent": ["message"],
        "StopEvent": ["reason"],
    }


def test_a_process_that_lives_is_not_called_dead_and_a_reused_pid_not_alive():
    run = runs.create(RunConfig())
    with (run.folder / jobs.LIFE_LOCK).open("w") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        sleeper = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=[life.fileno()], start_new_session=True
        )
    jobs.write_state(run.folder, RunState(state="training", pid=sleeper.pid, step=3))
    assert runs.get(run.id).status.state == "training"
    sleeper.kill()
    sleeper.wait()
    jobs.write_state(run.folder, RunState(state="training", pid=os.getpid(), step=3))
    assert runs.get(run.id).status.state == "failed", "this process has the pid, and is not the run's"


def test_a_run_whose_process_has_not_ended_is_not_started_again(monkeypatch):
    monkeypatch.setattr(starting, "ENDING_SECONDS", 0.2)
    run = runs.create(RunConfig())
    with (run.folder / jobs.LIFE_LOCK).open("w") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="has not ended yet; try again in a moment"):
            runs.start(run)
    assert not (run.folder / "log.txt").read_text()


def test_only_what_is_not_active_can_be_deleted():
    run = runs.create(RunConfig())
    jobs.write_state(run.folder, RunState(state="training", pid=os.getpid()))
    with (run.folder / jobs.LIFE_LOCK).open("w") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="stop it first"):
            runs.delete(run)
        with pytest.raises(RunError, match="is training already"):
            runs.start(run)
    jobs.write_state(run.folder, RunState(state="done"))
    with pytest.raises(RunError, match="nothing to stop"):
        runs.stop(run)
    runs.delete(run)
    assert not run.folder.exists()
