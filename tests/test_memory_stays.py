"""The memory of an app that is used, and of a run that trains, for as long as `BEDSIDE_SOAK_MINUTES` says: it is flat.

What is kept of models and caches grows at first; from a third of the time on, the straight line through what was
measured must not rise by more than `MOST_MIB` until the end.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from reviewing import answered_set, kept, votes
from served_app import served
from window import Window

from trainer import jobs, runs
from trainer.runs import Run
from trainer.sections import RunConfig

MINUTES = float(os.environ.get("BEDSIDE_SOAK_MINUTES", "20"))
MOST_MIB = 30.0
"""That the line may rise: an allocator gives pages back when it likes."""
MEASURED_SECONDS = 5.0
EVERY = 200  # steps between two checkpoints, measurements and samples
TABS = ("page-plan", "page-data", "page-runs", "page-playground", "page-review")
pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 600)]


class Measured:
    """How much memory a process has had, and when."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.began = time.monotonic()
        self.points: list[tuple[float, float]] = []

    def look(self) -> None:
        """Take a measurement, where the last is old enough."""
        now = time.monotonic() - self.began
        if not self.points or now - self.points[-1][0] >= MEASURED_SECONDS:
            self.points.append((now, self.process.memory_info().rss / 2**20))

    def rise(self, what: str) -> float:
        """By how many MiB the line rises over the last two thirds of the time; printed with what it is made of."""
        late = [(at, mib) for at, mib in self.points if at >= self.points[-1][0] / 3]
        at_mean, mib_mean = (sum(column) / len(late) for column in zip(*late, strict=True))
        slope = sum((at - at_mean) * (mib - mib_mean) for at, mib in late) / sum((at - at_mean) ** 2 for at, _ in late)
        rise = slope * (late[-1][0] - late[0][0])
        print(
            f"\n{what}, {len(self.points)} times in {self.points[-1][0] / 60:.1f} min: {self.points[0][1]:.0f} MiB at "
            f"first, {late[0][1]:.0f} after a third of the time, {late[-1][1]:.0f} at the end, "
            f"{max(mib for _, mib in self.points):.0f} at most; the line rises by {rise:+.1f} MiB.",
            flush=True,
        )
        return rise


def test_of_an_app_that_is_used_and_of_a_run_that_trains_beside_it(home: Path, tiny_run: RunConfig):
    """Windows are opened and left, pages gone through, plans talked over and votes given; and steps, measurements,
    samples and checkpoints follow each other."""
    tiny_run.schedule.max_steps = 10_000_000
    tiny_run.schedule.checkpoint_every = tiny_run.evaluation.every = tiny_run.evaluation.sample_every = EVERY
    set_id = answered_set("ward", 5)
    run = runs.start(runs.create(tiny_run))
    try:
        rises = measured(run, home, set_id)
    finally:
        jobs.end(runs.get(run.id))
    assert max(rises) < MOST_MIB


def measured(run: Run, home: Path, set_id: str) -> list[float]:
    """By how many MiB the memory of the app rises that is used meanwhile, and that of this run's process."""
    deadline = time.monotonic() + 300
    while (status := runs.get(run.id).status).state != "training":
        assert status.state in jobs.ACTIVE and time.monotonic() < deadline, status
        time.sleep(0.2)
    assert status.pid is not None
    voted: list[str] = []
    windows = 0
    with served(home) as served_app:
        app, worker = Measured(served_app.process.pid), Measured(status.pid)
        until = time.monotonic() + 60 * MINUTES
        while time.monotonic() < until:
            app.look()
            worker.look()
            use(served_app.url, set_id, f"Voter {windows}", voted)
            windows += 1
    steps = runs.get(run.id).status.step - status.step
    assert windows and steps > 0 and sorted(one.comment for one in kept(set_id)) == sorted(voted)
    return [
        app.rise(f"The app, {windows} windows and {len(voted)} votes"),
        worker.rise(f"The worker, {steps} steps and {steps // EVERY} checkpoints"),
    ]


def use(url: str, set_id: str, name: str, voted: list[str]) -> None:
    """What somebody does in one window."""
    with Window(url) as window:
        window.open()
        for tab in TABS:
            window.happen(tab, "select")
        window.type_in("plan-say", "summarise discharge notes, about 3k of them, RTX 4090, no patient data")
        window.happen("plan-say", "submit")
        voted.extend(votes(window, set_id, name))
