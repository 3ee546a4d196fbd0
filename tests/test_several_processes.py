"""Several processes that train one run: the same losses as one, one of them killed, and what cannot be shared out."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from trainer import config, engine, events, jobs, runs
from trainer.reporting import Reporter
from trainer.runs import Run
from trainer.sections import RunConfig

STEPS = 14


@pytest.fixture
def shared_run(tiny_run: RunConfig, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run whose epochs end in a step of one batch where the others have two; no dropout, which no two share."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = tiny_run.model_copy(deep=True)
    run.method.dropout = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    run.schedule.max_steps, run.schedule.batch_size, run.schedule.accumulation = STEPS, 4, 2
    run.schedule.checkpoint_every = run.evaluation.every = 3
    run.steering.replay_share = 0.0
    return run


def alone(run: RunConfig) -> Run:
    made = runs.create(run)
    engine.train(run, Reporter(made.folder, made.status))
    return runs.get(made.id)


def together(run: RunConfig, processes: int = 2, strategy: str = "ddp") -> RunConfig:
    both = run.model_copy(deep=True)
    both.hardware.processes = processes
    both.hardware.strategy = strategy  # pyright: ignore[reportAttributeAccessIssue]
    return config.parse(both.model_dump(mode="json"))


def ended(run: Run, seconds: float = 90) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = runs.get(run.id)
        if run.status.state not in jobs.ACTIVE:
            return run
        time.sleep(0.2)
    raise AssertionError(f"still {run.status.state}: {(run.folder / 'log.txt').read_text()[-2000:]}")


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.StepEvent)}


def measured(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events() if isinstance(event, events.EvalEvent)}


def process_of_rank(run: Run, rank: int) -> int:
    assert run.status.pid is not None
    for child in psutil.Process(run.status.pid).children():
        if child.environ().get("RANK") == str(rank):
            return child.pid
    raise AssertionError(f"no process of rank {rank}")


def test_two_processes_learn_as_one_and_a_killed_one_ends_the_run_which_goes_on(shared_run: RunConfig):
    one = alone(shared_run)
    two = runs.start(runs.create(together(shared_run)))
    while not list(two.folder.glob("checkpoints/checkpoint-*/complete")):
        assert runs.get(two.id).status.state in jobs.ACTIVE, (two.folder / "log.txt").read_text()[-3000:]
        time.sleep(0.02)
    os.kill(process_of_rank(runs.get(two.id), 1), signal.SIGKILL)
    killed = ended(two)
    assert killed.status.state == "failed"
    assert "rank 1 of 2) was killed (SIGKILL)" in str(killed.status.error), (two.folder / "log.txt").read_text()
    assert "Resume goes on from the last checkpoint" in str(killed.status.error)
    reached = killed.status.step
    assert 3 <= reached < STEPS

    done = ended(runs.start(killed))
    assert done.status.state == "done", (done.folder / "log.txt").read_text()
    details = [event.detail for event in done.events() if isinstance(event, events.StateEvent)]
    assert details.count("2 processes train together (ddp).") == 2
    assert losses(done) == pytest.approx(losses(one), abs=2e-5)
    assert measured(done) == pytest.approx(measured(one), abs=2e-5)
    report = done.report()
    assert report is not None and report["tokens_per_second"] > 0
