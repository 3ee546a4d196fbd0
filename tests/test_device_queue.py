"""The queue for a device with real processes that wait: order, moves, stops, kills, two apps, a clock that is set."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainer import actor, audit, events, jobs, queue, restarts, runs
from trainer.actor import Actor
from trainer.evaluation import evaluations
from trainer.evaluation.request import EvaluationRequest, SuiteChoice
from trainer.jobs import Job, RunError
from trainer.runs import Run
from trainer.sections import RunConfig

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180  # seconds; two cores may be busy


@contextmanager
def busy_device() -> Iterator[None]:
    """The CPU is another's: what is started waits, and has imported nothing heavy."""
    with queue.lock_file("cpu").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def soon(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, queue.now()
        time.sleep(0.05)


def started(name: str) -> Run:
    """A run that waits; should it get to work, its model is not to be had."""
    run = runs.create(RunConfig.model_validate({"output": {"name": name}, "model": {"name": "no-such-model"}}))
    return runs.start(run)


def order() -> list[str]:
    return [one.id[16:] for one in queue.now().waiting]


def details(run: Run) -> list[str]:
    return [one.detail for one in run.events() if isinstance(one, events.StateEvent) and one.detail]


def at_work() -> str:
    return next((one.id[16:] for one in queue.now().running), "")


def kill(job: Job) -> None:
    pid = jobs.read_state(job.folder).pid
    assert pid is not None
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """What a test started does not outlive it."""
    yield
    for run in runs.list_runs()[0]:
        if run.status.state in jobs.ACTIVE and run.status.pid is not None:
            kill(run)


def test_each_waits_for_its_turn_and_can_be_moved_stopped_and_killed():
    with busy_device():
        a, b, c, d = (started(name) for name in "abcd")
        assert order() == ["a", "b", "c", "d"], "as they were started"
        soon(lambda: details(d))
        assert details(a) == ["Next on the CPU."]
        assert details(d) == [f"4th of 4 in the queue for the CPU, behind run {c.id}."]
        assert {runs.get(one.id).status.state for one in (a, b, c, d)} == {"queued"}

        queue.move(c.id, "first")
        assert order() == ["c", "a", "b", "d"]
        soon(lambda: len(details(a)) == 2)
        assert details(a)[1] == f"2nd of 4 in the queue for the CPU, behind run {c.id}."
        for where, expected in (("down", "acbd"), ("last", "abdc"), ("up", "abcd"), ("up", "acbd"), ("up", "cabd")):
            queue.move(c.id, where)  # pyright: ignore[reportArgumentType]
            assert "".join(order()) == expected

        runs.stop(b)
        soon(lambda: runs.get(b.id).status.state == "stopped")
        assert order() == ["c", "a", "d"]
        assert [one.reason for one in b.events() if isinstance(one, events.StopEvent)] == ["stopped by request"]
        assert details(b)[-1] == "Resume puts it in the queue again."

        kill(a)
        soon(lambda: order() == ["c", "d"])
        assert "ended while queued without a word" in str(runs.get(a.id).status.error)
        assert not (b.folder / "log.txt").read_text() + (a.folder / "log.txt").read_text()
    soon(lambda: at_work() == "c")
    soon(lambda: details(d)[-1] == f"Next on the CPU, when run {c.id} has ended.")
    kill(c)
    soon(lambda: at_work() == "d")
    assert order() == []
    kill(d)
    soon(lambda: not queue.now().running)
    with pytest.raises(RunError, match="There is no waiting job 'x'; `bedside runs queue` shows those there are"):
        queue.move("x", "first")


def test_what_a_restart_cut_off_is_in_the_queue_again_in_its_order_and_once():
    with busy_device():
        with actor.acting_as(Actor("Anna", "trainer")):
            a, b, c, d = (started(name) for name in "abcd")
        queue.move(b.id, "last")
        runs.stop(c)
        soon(lambda: runs.get(c.id).status.state == "stopped")
        assert restarts.resume() == [], "while their processes are there"
        for run in (a, b, d):
            kill(run)
        soon(lambda: not any(jobs.lives(run.folder) for run in (a, b, d)))
        # As if it had been at work: such a one goes first.
        jobs.write_state(d.folder, jobs.read_state(d.folder).model_copy(update={"state": "training", "step": 7}))
        assert restarts.resume() == [
            f"Run {d.id} was cut off by a restart at step 7, and is in the queue again.",
            f"Run {a.id} was cut off by a restart at step 0, and is in the queue again.",
            f"Run {b.id} was cut off by a restart at step 0, and is in the queue again.",
        ]
        assert order() == ["d", "a", "b"]
        assert [one.status.owner for one in map(runs.get, (a.id, b.id, d.id))] == ["Anna"] * 3
        assert restarts.DETAIL in details(d)
        assert [one.on for one in audit.entries() if one.action == "started again after a restart"] == [
            f"run {one.id}" for one in (d, a, b)
        ]

        for run in (a, d):
            kill(run)
        soon(lambda: not any(jobs.lives(run.folder) for run in (a, d)))
        jobs.write_state(d.folder, jobs.read_state(d.folder).model_copy(update={"step": 8}))
        assert restarts.resume() == [
            f"Run {d.id} was cut off by a restart at step 8, and is in the queue again.",
            f"Run {a.id} was cut off by a restart at step 0 for the second time, and is left as it is.",
        ]
        assert order() == ["b", "d"] and runs.get(a.id).status.state == "failed"
        assert restarts.resume() == []


def test_two_apps_on_one_home_start_jobs_at_once():
    start = (
        "from trainer import runs; from trainer.sections import RunConfig\n"
        "for n in range(2): runs.start(runs.create(RunConfig.model_validate("
        "{'output': {'name': 'twin'}, 'model': {'name': 'no-such-model'}})))"
    )
    with busy_device():
        apps = [subprocess.Popen([sys.executable, "-c", start], cwd=ROOT) for _ in range(2)]
        assert [app.wait(PATIENCE) for app in apps] == [0, 0]
        waiting = queue.now().waiting
        assert len({one.id for one in waiting}) == 4 and [one.place for one in waiting] == [1, 2, 3, 4]
    taken: list[str] = []
    while len(taken) < 4:
        soon(lambda: queue.now().running)
        for running in queue.now().running:
            taken += [running.id] if running.id not in taken else []
            kill(runs.get(running.id))
    assert taken == [one.id for one in waiting], "one at a time, in their order"


def test_a_clock_that_is_set_back_changes_no_order(monkeypatch: pytest.MonkeyPatch):
    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2001, 1, 1)

    with busy_device():
        first = started("first")
        monkeypatch.setattr(jobs, "datetime", Earlier)
        monkeypatch.setattr(time, "time", lambda: 978_300_000.0)
        second = started("second")
        assert second.id > first.id and order() == ["first", "second"]
    soon(lambda: at_work() == "first")


def test_one_that_is_suspended_holds_nobody_up_and_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "TERM_SECONDS", 0.5)
    with busy_device():
        stuck, next_one = started("stuck"), started("next")
        soon(lambda: (stuck.folder / jobs.PULSE).exists() and details(next_one))
        pid = runs.get(stuck.id).status.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        pulse = json.loads((stuck.folder / jobs.PULSE).read_text())
        pulse["alive"] -= 120
        (stuck.folder / jobs.PULSE).write_text(json.dumps(pulse))
        soon(lambda: details(next_one)[-1] == "Next on the CPU.")
    soon(lambda: at_work() == "next")
    shown = CliRunner().invoke(cli(), ["runs", "show", stuck.id])
    assert "Its process has not reacted for 2 min: it is suspended, or stuck. Stop ends it" in shown.stdout
    jobs.end(runs.get(stuck.id))
    ended = runs.get(stuck.id)
    assert (ended.status.state, ended.status.error) == ("stopped", None)
    assert details(ended)[-1] == (
        "It was ended while queued, after a request to stop. Resume goes on from the last checkpoint."
    )


def test_an_evaluation_of_a_run_that_waits_comes_after_it_and_holds_nobody_up():
    with busy_device():
        run = started("run")
        asked = EvaluationRequest(run=run.id, suites=[SuiteChoice(suite="safety", source="starter/safety")])
        evaluation = evaluations.start(evaluations.create(asked))
        if run.id == evaluation.id:
            with pytest.raises(RunError, match=f"There are several {run.id}; write runs/{run.id} or evaluations/"):
                queue.move(run.id, "first")
        queue.move(f"evaluations/{evaluation.id}", "first")
        waiting = queue.now().waiting
        assert [one.kind for one in waiting] == ["evaluation", "run"]
        assert waiting[0].sentence == f"Waiting for run {run.id} to end its training." and waiting[0].after == run.id
        assert waiting[1].place == 1
    soon(lambda: at_work() == "run")
    kill(run)
    soon(lambda: evaluations.get(evaluation.id).status.state == "failed")
    said = evaluations.get(evaluation.id).status.error
    assert said == f"Run {run.id} is failed and has trained nothing; resume it, then this.", "it had its turn"


def test_each_gpu_is_one_jobs_and_several_are_taken_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 1,2")
    one = queue._take("cuda", 1)
    assert one is not None and list(one[1]) == ["cuda-2"], (
        "the first is the Playground's, for as long as others are free"
    )
    assert queue._take("cuda", 3) is None
    two = queue._take("cuda", 2)
    assert two is not None and list(two[1]) == ["cuda-0", "cuda-1"]
    assert queue._take("cuda", 1) is None
    one[0].close()
    assert queue._take("cuda", 1) is not None


def test_of_those_who_sign_in_nobody_fills_the_queue_or_goes_before_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue, "MOST_WAITING", 1)
    with busy_device():
        with actor.acting_as(Actor("anna", "trainer")):
            first = started("first")
            with pytest.raises(RunError, match="1 jobs of yours wait already; start this one when some"):
                started("more")
        with actor.acting_as(Actor("ben", "trainer")):
            second = started("second")
            with pytest.raises(actor.NotAllowed, match=f"Run {first.id} is anna's"):
                queue.move(second.id, "first")
            with pytest.raises(actor.NotAllowed, match=f"Run {first.id} is anna's"):
                queue.move(first.id, "last")
            assert order() == ["first", "second"]
        with actor.acting_as(Actor("cleo", "administrator")):
            queue.move(second.id, "first")
        assert order() == ["second", "first"]


def test_the_command_line_shows_the_queue_and_moves_in_it():
    with busy_device():
        first, second = started("first"), started("second")
        moved = json.loads(CliRunner().invoke(cli(), ["runs", "move", second.id, "first", "--json"]).stdout)
        assert [one["id"] for one in moved["waiting"]] == [second.id, first.id] and moved["running"] == []
        shown = CliRunner().invoke(cli(), ["runs", "queue"]).stdout
        assert shown.splitlines()[1] == (
            f"   2.  run        {first.id}  2nd of 2 in the queue for the CPU, behind run {second.id}."
        )
        listed = CliRunner().invoke(cli(), ["runs", "list"]).stdout
        assert f"  2nd of 2 in the queue for the CPU, behind run {second.id}." in listed
        stopped = CliRunner().invoke(cli(), ["runs", "stop", first.id])
        assert f"Run {first.id} is stopped." in stopped.stdout
    assert order() in ([], ["second"])


def cli():
    from assistant.cli import app

    return app
