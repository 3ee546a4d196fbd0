"""A disk that really fills up: what is said, that nothing half-written is left, and that work goes on once there is
room."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reviewing import answered_set
from small_disk import fill, make_room, mounted
from sqlmodel import select

from assistant.pages.background import in_a_sentence
from assistant.planner import drafts
from trainer import checkpoints, events, jobs, runs, store, worker
from trainer.errors import DISK_FULL
from trainer.review import queue
from trainer.review.ballots import Ballot
from trainer.sections import RunConfig
from trainer.store import Assignment, Vote
from trainer.training_events import TrainingEvents


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of four megabytes, on which the home is."""
    with mounted(tmp_path / "disk", megabytes=4) as place:
        monkeypatch.setenv("BEDSIDE_HOME", str(place / "home"))
        yield place


def half_written(disk: Path) -> list[str]:
    return [one.name for one in disk.rglob("*") if one.name.endswith(".part")]


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(0, id="an event", marks=pytest.mark.soak),
        pytest.param(20_000, id="the weights", marks=pytest.mark.soak),
        pytest.param(60_000, id="what the optimiser remembers"),
        pytest.param(90_000, id="the rest", marks=pytest.mark.soak),
    ],
)
def test_a_run_says_so_and_goes_on_once_there_is_room(
    disk: Path, leave: int, tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    stepped = TrainingEvents.on_step_end

    def fills_up(self: TrainingEvents, args, state, control, **named) -> None:
        if state.global_step == 7:
            fill(disk, leave)
        stepped(self, args, state, control, **named)

    run = runs.create(tiny_run)
    with monkeypatch.context() as patched:
        patched.setattr(TrainingEvents, "on_step_end", fills_up)
        assert worker.main(run.folder) == 1
    found = runs.get(run.id).status
    assert (found.state, found.error) == ("failed", jobs.DISK_FULL), (run.folder / "log.txt").exists()
    kept = [one for one in (run.folder / "checkpoints").iterdir() if one.is_dir()]
    assert [one.name for one in kept] == ["checkpoint-4"] and checkpoints.damage(kept[0]) == ""
    assert half_written(disk) == []
    assert (run.folder / "events.jsonl").read_bytes().endswith(b"\n")

    make_room(disk)
    worker.main(run.folder)
    ended = runs.get(run.id)
    assert ended.status.state == "done", ended.status.error
    steps = [one.step for one in ended.events() if isinstance(one, events.StepEvent)]
    assert steps[-8:] == [5, 6, 7, 8, 9, 10, 11, 12]


def test_an_event_that_does_not_fit_leaves_no_part_of_a_line(disk: Path):
    path = disk / "events.jsonl"
    events.append(path, events.WarningEvent(message="a" * 3500))
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        events.append(path, events.WarningEvent(message="b" * 3500))
    assert path.read_bytes().endswith(b"\n"), "a part of it would have fitted into the page that was begun"
    make_room(disk)
    events.append(path, events.StopEvent(reason="c"))
    assert [one.kind for one in events.read(path)] == ["warning", "stop"]


def test_a_vote_is_told_not_to_be_kept_and_is_not_and_can_be_given_again(disk: Path):
    made = answered_set("ward", 1)
    case = queue.next_case(made, "Ada")
    assert case is not None
    fill(disk)
    ballot = Ballot(choice="tie", comment="c" * 20_000, correction="d" * 20_000)
    with pytest.raises(store.StoreError) as told:
        queue.vote(case.comparison_id, "Ada", ballot)
    assert str(told.value) == in_a_sentence(told.value) == DISK_FULL
    assert queue.next_case(made, "Ada") is not None, "what is there can still be read"
    make_room(disk)
    with store.session() as session:
        assert (session.exec(select(Vote)).all(), session.exec(select(Assignment)).all()) == ([], [])
    queue.vote(case.comparison_id, "Ada", ballot)
    assert [one.done for one in queue.progress(made)] == [1]
    with sqlite3.connect(disk / "home" / "bedside.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_plan_is_told_not_to_be_saved_and_the_saved_one_stays(disk: Path, command: Callable):
    saved = drafts.new("Hello.")
    drafts.save(saved)
    fill(disk)
    changed = saved.model_copy(update={"edited_yaml": "x" * 10_000})
    for one in (changed, drafts.new("x" * 10_000)):
        with pytest.raises(OSError) as told:
            drafts.save(one)
        assert in_a_sentence(told.value) == DISK_FULL
    assert half_written(disk) == []
    assert drafts.saved() == ([saved], []), "of the new one nothing is left that cannot be read"
    shown = command("plans", "delete", saved.id, "--yes")
    assert shown.status == 0, "what takes no room still works"
    make_room(disk)
    drafts.save(changed)
    assert drafts.load(saved.id) == changed
