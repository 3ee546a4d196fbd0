"""The queue in a real browser: what waits is shown in its order, moved and taken out, also on a narrow screen."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from trainer import jobs, queue, runs
from trainer.runs import Run
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from conftest import App


@pytest.fixture
def waiting(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Run, Run]]:
    """Two runs that wait in the app's home, behind somebody who has the CPU."""
    monkeypatch.setenv("BEDSIDE_HOME", str(app.home))
    with queue.lock_file("cpu").open("a") as device:
        fcntl.flock(device, fcntl.LOCK_EX)
        device.truncate(0)  # the name of whoever had it before
        made = [runs.create(RunConfig.model_validate({"output": {"name": name}})) for name in ("early", "late")]
        early, late = (runs.start(run) for run in made)
        yield early, late
        for run in (early, late):
            pid = jobs.read_state(run.folder).pid
            if runs.get(run.id).status.state in jobs.ACTIVE and pid is not None:
                os.kill(pid, signal.SIGKILL)
    for run in (early, late):
        while jobs.lives(run.folder):
            time.sleep(0.05)
        runs.delete(runs.get(run.id))


def test_what_waits_is_moved_and_taken_out(waiting: tuple[Run, Run], page: Page):
    early, late = waiting
    page.get_by_role("tab", name="Runs", exact=True).click()
    lines = page.locator("#queue-waiting label")
    expect(lines).to_contain_text(["1. early · run", "2. late · run"])
    expect(page.locator("#runs-state")).to_contain_text(f"2nd of 2 in the queue for the CPU, behind run {early.id}.")
    expect(page.locator("#queue-waiting label.selected")).to_contain_text("late")  # the run that is looked at
    page.click("#queue-up")
    expect(lines).to_contain_text(["1. late · run", "2. early · run"])
    expect(page.locator("#runs-state")).to_contain_text("Next on the CPU.")
    assert [one.id for one in queue.now().waiting] == [late.id, early.id]
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    page.set_viewport_size({"width": 390, "height": 900})
    page.click("#queue-stop")
    expect(lines).to_have_count(1)
    expect(page.locator("#runs-state")).to_contain_text("stopped")
    assert runs.get(late.id).status.state == "stopped"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    lines.first.click()
    page.click("#queue-stop")
    expect(page.locator("#queue")).to_be_hidden()
