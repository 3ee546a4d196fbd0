"""A clock that is set back and forward: a run that trains goes on, nothing is told as negative, the order stays, and
nothing is removed for it."""

from __future__ import annotations

import itertools
import os
import re
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from reviewing import answered_set

from assistant.pages import run_queue, run_view
from assistant.pages.history import history
from assistant.terminal import tell
from trainer import energy, events, jobs, pulse, runs, storage, store, worker
from trainer.data import recipes
from trainer.review import queue
from trainer.review.ballots import Ballot
from trainer.sections import RunConfig
from trainer.training_events import TrainingEvents

SET = {4: -3600.0, 8: 86_400.0, 10: -400 * 86_400.0}
"""After these steps the clock is so many seconds off."""


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("checkpoint-*"))


def test_a_run_trains_on_and_tells_nothing_negative(
    tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    off, right = [0.0], time.time
    stepped = TrainingEvents.on_step_end
    remarks: list[str] = []

    def sets_the_clock(self: TrainingEvents, args, state, control, **named) -> None:
        off[0] = SET.get(state.global_step, off[0])
        if state.global_step == 10:  # the checkpoints so far were written before it was set back
            for one in checkpoints(self.reporter.folder):
                os.utime(one, times=(right() + 86_400, right() + 86_400))
        stepped(self, args, state, control, **named)
        job = runs.get(self.reporter.folder.name)
        remarks.extend([pulse.remark(job), run_queue.stuck(job)[0], "" if pulse.reacts(job.folder) else "no reaction"])

    monkeypatch.setattr(time, "time", lambda: right() + off[0])
    monkeypatch.setattr(TrainingEvents, "on_step_end", sets_the_clock)
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    began = time.monotonic()
    run = runs.create(tiny_run)
    assert worker.main(run.folder) == 0
    ended = runs.get(run.id)
    assert ended.status.state == "done" and set(remarks) == {""} and len(remarks) == 36

    happened = ended.events()
    waits = [after.time - before.time for before, after in itertools.pairwise(happened)]
    assert min(waits) >= 0 and happened[-1].time - happened[0].time <= time.monotonic() - began + 1
    steps = [one for one in happened if isinstance(one, events.StepEvent)]
    assert [one.step for one in steps] == list(range(1, 13)), "in the order in which they happened"
    kept = [one.name for one in checkpoints(ended.folder)]
    assert kept == ["checkpoint-12", "checkpoint-8"], "and the newest is not taken for the oldest"
    assert all(one.tokens_per_second > 0 and one.eta_seconds >= 0 for one in steps)
    report = ended.report()
    assert report is not None and report["training_minutes"] > 0 and report["evaluating_minutes"] > 0
    assert 0 < 3600 * energy.estimate(ended).hours <= time.monotonic() - began
    for one in happened:
        tell(one)
    past = history(ended.folder)
    shown = run_view.state(ended, past) + run_view.report(report) + capsys.readouterr().err
    assert not re.findall(r"[-−]\d+(?:\.\d+)? ?(?:s|min|h|tokens|GiB)\b", re.sub("<[^>]*>", " ", shown))


def test_the_last_vote_counts_whatever_the_clock_said(monkeypatch: pytest.MonkeyPatch):
    made = answered_set("ward", 1)
    case = queue.next_case(made, "Ada")
    assert case is not None
    now = store.now()
    given = (
        ("Ada", "tie", "reader"),
        ("Ben", "both_bad", "reader"),
        ("Cy", "both_bad", "adjudicator"),
        ("Di", "tie", "adjudicator"),
    )
    for hours, (name, choice, role) in enumerate(given):
        monkeypatch.setattr(store, "now", lambda hours=hours: now - timedelta(hours=hours))
        queue.vote(case.comparison_id, name, Ballot.model_validate({"choice": choice}), role=role)  # pyright: ignore
    (found,) = queue.disagreements(made)
    assert found.decision is not None and found.decision.choice == "tie", "of the adjudicators Di came last"


def test_a_clock_that_is_set_forward_makes_nothing_old(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(storage.VARIABLE, "30")
    young, old = recipes.folder() / "young.csv", recipes.folder() / "old.csv"
    for path, days in ((young, 0), (old, 40)):
        path.write_text("a,b\n")
        written = time.time() - days * 86_400
        os.utime(path, times=(written, written))
    right, hours = time.time, iter([1, 2])

    def an_hour_later(seconds: float) -> None:
        assert seconds == storage.PASSING_SECONDS and not old.exists()
        if next(hours) == 2:
            raise KeyboardInterrupt
        monkeypatch.setattr(time, "time", lambda: right() + 365 * 86_400)

    monkeypatch.setattr(time, "sleep", an_hour_later)
    with pytest.raises(KeyboardInterrupt):
        storage.keep_to_limit()
    assert young.exists()


def test_what_is_made_after_the_clock_was_set_back_is_still_the_newest(
    tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    class AnHourEarlier(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(hours=1)

    first = runs.create(tiny_run)
    monkeypatch.setattr(jobs, "datetime", AnHourEarlier)
    (runs.runs_folder() / "99999999-999999-mine").mkdir()  # no job's
    second, third = runs.create(tiny_run), runs.create(tiny_run)
    assert [one.id for one in runs.list_runs()[0]] == [third.id, second.id, first.id]
