"""A run from start to end, mostly in its own process: repeatable, stoppable, and alive after kill -9."""

import json
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from trainer import config, events, jobs, runs, worker
from trainer.runs import Run
from trainer.sections import HeldOutSet, RunConfig

PATIENCE = 180  # seconds; two cores may be busy


def wait(run: Run, until=lambda run: run.status.state not in jobs.ACTIVE) -> Run:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        run = runs.get(run.id)
        if until(run):
            return run
        time.sleep(0.05)
    raise AssertionError(f"{run.status}\n{(run.folder / 'log.txt').read_text()[-2000:]}")


def ran_here(run: Run) -> Run:
    """The same without a process of its own, whose start takes most of a short run's time."""
    worker.main(run.folder)
    return runs.get(run.id)


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.StepEvent)}


def test_a_run_does_all_it_should_and_can_be_repeated(tiny_run: RunConfig, tiny_data: Path):
    held_out = tiny_data.with_name("held-out.jsonl")
    held_out.write_text('{"question": "Is 98 even?", "answer": "yes"}\n{"question": "Is 99 even?", "answer": "no"}\n')
    tiny_run.evaluation.held_out = [HeldOutSet(name=str(held_out), metric="exact_match", items=5)]
    run = wait(runs.start(runs.create(tiny_run)))
    assert run.status.state == "done", run.status.error
    assert {"run.yaml", "state.json", "events.jsonl", "log.txt", "report.json", "README.md"} <= {
        path.name for path in run.folder.iterdir()
    }
    assert (run.folder / "data" / "manifest.json").exists() and (run.adapter / "adapter_model.safetensors").exists()
    assert not list(run.folder.rglob("*.bin")), "safetensors only"
    assert list(losses(run)) == list(range(1, 13))
    kinds = [event.kind for event in run.events()]
    assert kinds.count("eval") >= 3 and kinds.count("sample") == 2 and kinds.count("checkpoint") == 3
    report = run.report()
    assert report is not None and report["validation_loss"]["after"] < report["validation_loss"]["before"]
    assert report["table"][0]["n"] == 2
    predicted = report["predicted_hours"]
    assert 0 < predicted["low"] <= predicted["high"], "said beside the time that it took"
    card = (run.folder / "README.md").read_text()
    assert "not a medical device" in card and "rows.jsonl" in card

    again = ran_here(runs.clone(run))
    assert losses(again) == losses(run), "the same run file and seed give the same losses"


def test_the_share_of_general_rows_is_held_in_every_window_and_logged(tiny_run: RunConfig, tiny_data: Path):
    tiny_data.write_text(
        "".join(json.dumps({"question": f"Is {n} even?", "answer": ("yes", "no")[n % 2]}) + "\n" for n in range(160))
    )
    tiny_run.steering.replay_share = 0.3
    tiny_run.schedule.max_steps, tiny_run.schedule.checkpoint_every = 60, 60
    tiny_run.evaluation.every = tiny_run.evaluation.sample_every = 60
    run = ran_here(runs.create(tiny_run))
    assert run.status.state == "done", run.status.error
    seen = [event for event in run.events() if isinstance(event, events.MixEvent)]
    assert [event.step for event in seen] == [20, 40, 60] and sum(event.rows for event in seen) >= 236
    assert all(abs(event.share - 0.3) <= 0.06 for event in seen), [event.share for event in seen]


# The working process, which is killed when half of its second checkpoint is written.
KILLED = """#!{python}
import os, signal, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from trainer import worker
from trainer.objectives import run_trainer
whole = run_trainer.save_file
def half(state, path):
    whole(state, path)
    if path.parent.name == "checkpoint-8":
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
run_trainer.save_file = half
sys.exit(worker.main(Path(sys.argv[-1])))
"""


def test_killed_while_it_writes_a_checkpoint_it_fails_honestly_and_resumes_to_the_same_end(
    tiny_run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = ran_here(runs.create(tiny_run))
    script = tmp_path / "killed"
    script.write_text(KILLED.format(python=sys.executable))
    script.chmod(0o700)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(script))
        run = wait(runs.start(runs.create(tiny_run)))
    assert run.status.state == "failed" and run.status.error is not None and "without a word" in run.status.error
    assert (run.folder / "checkpoints" / "checkpoint-8" / "trained.safetensors").exists()
    resumed = wait(runs.start(run))
    assert resumed.status.state == "done", resumed.status.error
    assert resumed.status.step == resumed.status.total_steps == 12
    told = [one.message for one in resumed.events() if isinstance(one, events.WarningEvent)]
    assert "checkpoint-8 was not written to its end; training goes on from checkpoint-4." in told
    assert losses(resumed)[12] == pytest.approx(losses(whole)[12], abs=1e-3)


def test_stopped_it_keeps_a_checkpoint_and_goes_on(tiny_run: RunConfig):
    tiny_run.schedule.max_steps = 400
    tiny_run.schedule.checkpoint_every = 400
    run = runs.start(runs.create(tiny_run))
    run = wait(run, lambda run: run.status.step >= 3)
    runs.stop(run)
    run = wait(run)
    assert run.status.state == "stopped" and run.status.step < 400
    assert (run.adapter / "adapter_model.safetensors").exists()
    at = run.status.step
    assert (run.folder / "checkpoints" / f"checkpoint-{at}" / "complete").exists()
    run = runs.start(run)
    run = wait(run, lambda run: run.status.step > at)
    runs.stop(run)
    assert min(step for step in losses(wait(run)) if step > at) == at + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.name": "no-such-model"}, "The model 'no-such-model' could not be had"),
        ({"method.target_modules": "[nothing_proj]"}, "method.target_modules: ['nothing_proj'] are not in this model"),
        ({"schedule.max_length": "16"}, "nothing would be trained"),
    ],
)
def test_what_cannot_be_trained_fails_with_one_sentence(tiny_run: RunConfig, change: dict[str, str], said: str):
    run = ran_here(runs.create(config.with_values(tiny_run, change)))
    assert run.status.state == "failed" and run.status.error is not None and said in run.status.error
    assert "Traceback" not in run.status.error


def test_a_full_disk_is_said_plainly(tmp_path: Path):
    import errno

    from trainer.worker import _sentence

    assert "The disk is full" in _sentence(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert "Halve schedule.batch_size" in _sentence(
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), tmp_path
    )


def test_a_run_that_no_longer_gains_ends_early_and_keeps_the_best(tiny_run: RunConfig):
    tiny_run.schedule.max_steps = 200
    # Far too fast to go on gaining: the loss falls, then rises.
    tiny_run.schedule.learning_rate = 0.08
    tiny_run.schedule.patience = 2
    tiny_run.schedule.checkpoint_every = tiny_run.evaluation.every = 3
    run = ran_here(runs.create(tiny_run))
    assert run.status.state == "done", run.status.error
    assert run.status.step < 200
    measured = {event.step: event.loss for event in run.events() if isinstance(event, events.EvalEvent)}
    report = run.report()
    assert report is not None
    best = report["best_step"]
    assert measured[best] == min(loss for step, loss in measured.items() if step > 0)
    assert report["validation_loss"]["after"] == measured[best]
    (stopped,) = [event for event in run.events() if isinstance(event, events.StopEvent)]
    assert f"what was trained until step {best}, where it was best" in stopped.reason
    # What is kept is that checkpoint's adapter, and not the last step's.
    kept = load_file(run.adapter / "adapter_model.safetensors")
    best_ones = load_file(run.folder / "checkpoints" / f"checkpoint-{best}" / "trained.safetensors")
    named = {name.replace(".default.", "."): one for name, one in best_ones.items()}
    assert named.keys() == kept.keys() and all(bool((named[name] == kept[name]).all()) for name in kept)
