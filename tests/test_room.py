"""Trainings and models that answer share a device: what is too tight is refused or makes room, and both end well."""

import fcntl
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from assistant.pages import loaded as loaded_models
from assistant.pages.loaded import LeftMemory, Loaded
from evaluators.generation import Sampling
from trainer import events, expected_memory, hardware, jobs, queue, room, runs
from trainer.duration import Range
from trainer.hardware import Memory
from trainer.jobs import StopRequested
from trainer.model_refs import ModelRef
from trainer.queue import Turn
from trainer.reporting import Reporter
from trainer.room import NoRoomError
from trainer.runs import Run
from trainer.sections import RunConfig

ASK = [{"role": "user", "content": "Is 4 even?"}]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_models, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(loaded_models, "ANSWERING_SECONDS", 0.2)
    monkeypatch.setattr(room, "_POLL_SECONDS", 0.02)


@pytest.fixture
def pair(finished_run: Run) -> tuple[ModelRef, ModelRef]:
    return ModelRef(run=finished_run.id, part="base"), ModelRef(run=finished_run.id)


@contextmanager
def turn_of(run: Run) -> Iterator[tuple[Turn, Reporter]]:
    """The CPU is this run's, as its process would have it."""
    reporter = Reporter(run.folder, run.status)
    with queue.lock_file("cpu").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Turn(reporter, {"cpu": file}), reporter


def free(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    monkeypatch.setattr(hardware, "memory", lambda device: Memory(total_gib=16.0, free_gib=gib))


def wants(run: Run, monkeypatch: pytest.MonkeyPatch, low: float, high: float) -> None:
    """What a training is expected to take, whichever it is."""
    monkeypatch.setattr(Run, "expected_gib", lambda self: Range(low=low, high=high))


def warnings(run: Run) -> list[str]:
    return [one.message for one in run.events() if isinstance(one, events.WarningEvent)]


def test_models_that_do_not_fit_beside_a_training_are_refused_with_the_way_out(
    pair: tuple[ModelRef, ModelRef], tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    free(monkeypatch, 1.0)
    with pytest.raises(NoRoomError) as alone:
        Loaded().get(*pair)
    needed = expected_memory.answering_gib(runs.get(pair[0].run).config)
    assert needed is not None
    assert str(alone.value) == (
        f"To answer, these models need about {needed.high:.1f} GiB of this machine's memory, of which 1.0 are free. "
        "Close other programs, or choose smaller models."
    )
    free(monkeypatch, 7.0)
    run = runs.create(tiny_run)
    wants(run, monkeypatch, 2.0, 1000.0)
    with turn_of(run), pytest.raises(NoRoomError, match=f"and run {run.id}, which is at work there, may still take 99"):
        Loaded().get(*pair)
    loaded = Loaded()
    assert loaded.get(*pair).held is not None, "with nobody at work, seven are enough"
    wants(run, monkeypatch, 2.0, 3.0)
    with turn_of(run):
        assert Loaded().get(*pair)


def test_models_leave_where_a_training_needs_their_memory_and_stay_where_it_does_not(
    pair: tuple[ModelRef, ModelRef], tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    loaded = Loaded()
    pairing = loaded.get(*pair)
    run = runs.create(tiny_run)
    wants(run, monkeypatch, 2.0, 3.0)
    with turn_of(run) as (turn, reporter):
        free(monkeypatch, 8.0)
        room.make(run, turn, reporter)
        assert loaded.has(*pair) and not run.events()[1:]
        # What is free depends on whether the models are there.
        monkeypatch.setattr(
            hardware, "memory", lambda device: Memory(total_gib=16.0, free_gib=1.0 if loaded.has(*pair) else 10.0)
        )
        room.make(run, turn, reporter)
        assert not loaded.has(*pair)
        assert sum(one.numel() for one in pairing.halves["second"].model.parameters()) == 0, "whoever still holds it"
        states = [one for one in run.events() if isinstance(one, events.StateEvent)]
        assert states[-1].detail == "Waiting for the Playground's models to leave memory." and warnings(run) == []
        loaded.get(*pair)
        wants(run, monkeypatch, 12.0, 13.0)
        room.make(run, turn, reporter)
        (said,) = warnings(run)
        assert said.startswith("This is expected to take 12.0 to 13.0 GiB, and 10.0 are free: memory may run out.")
    assert loaded.get(*pair) is not pairing, "the next question loads them again"


def test_an_answer_under_way_may_end_first_and_one_that_takes_long_is_ended(
    pair: tuple[ModelRef, ModelRef], tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loaded_models, "ANSWERING_SECONDS", 60.0)
    monkeypatch.setattr(loaded_models, "GRACE_SECONDS", 1.0)
    loaded = Loaded()
    loaded.get(*pair)
    answers = itertools.count(1)  # of a model that does not come to an end
    assert loaded.step(answers)
    run = runs.create(tiny_run)
    wants(run, monkeypatch, 2.0, 3.0)
    free(monkeypatch, 1.0)
    with turn_of(run) as (turn, reporter):
        making = threading.Thread(target=room.make, args=(run, turn, reporter))
        began = time.monotonic()
        making.start()
        while loaded.has(*pair):
            if time.monotonic() - began < 0.5:
                assert loaded.step(answers), "it has its grace"
            assert time.monotonic() - began < 30
            time.sleep(0.01)
        assert time.monotonic() - began >= 1.0
        with pytest.raises(LeftMemory, match="a job on the Runs page needed the models' memory"):
            loaded.step(answers)
        making.join(30)
        assert not making.is_alive()


def test_a_job_waits_a_while_for_those_who_do_not_leave_and_hears_a_stop(
    tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    with room.loading({"cpu": None}) as held:
        pass  # models of another program, say `bedside ask`, which nothing makes leave
    run = runs.create(tiny_run)
    wants(run, monkeypatch, 2.0, 3.0)
    free(monkeypatch, 1.0)
    monkeypatch.setattr(room, "LEAVE_SECONDS", 0.2)
    with turn_of(run) as (turn, reporter):
        room.make(run, turn, reporter)
        assert len(warnings(run)) == 1 and not held.is_wanted()
        monkeypatch.setattr(room, "LEAVE_SECONDS", 60.0)
        (run.folder / jobs.STOP).touch()
        with pytest.raises(StopRequested):
            room.make(run, turn, reporter)
    held.close()


def test_models_that_nobody_asks_leave_memory_after_a_while(
    pair: tuple[ModelRef, ModelRef], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loaded_models, "IDLE_SECONDS", 0.3)
    loaded = Loaded()
    pairing = loaded.get(*pair)
    assert list(pairing.ask(ASK, Sampling(max_new_tokens=2)))
    deadline = time.monotonic() + 30
    while loaded.has(*pair):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert room._are_empty(["cpu"]), "a job need not wait for them"
    assert loaded.get(*pair) is not pairing


def test_a_training_that_starts_while_the_playground_holds_its_models_ends_well_and_so_does_the_answer(
    pair: tuple[ModelRef, ModelRef], tiny_run: RunConfig
):
    loaded = Loaded()
    answers = loaded.get(*pair).ask(ASK, Sampling(max_new_tokens=40))
    assert loaded.step(answers)
    tiny_run.schedule.max_steps = 4
    run = runs.start(runs.create(tiny_run))
    last = None
    while (step := loaded.step(answers)) is not None:
        last = step
    assert last is not None and last["second"].tokens >= 1
    deadline = time.monotonic() + 180
    while (run := runs.get(run.id)).status.state in jobs.ACTIVE:
        assert time.monotonic() < deadline, (run.folder / "log.txt").read_text()[-2000:]
        time.sleep(0.1)
    assert run.status.state == "done", run.status.error
    assert loaded.use(*pair, lambda one: one.together) is True
