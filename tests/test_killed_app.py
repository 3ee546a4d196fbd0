"""The app, killed while several people vote: what it called kept is kept, a vote is whole or absent, and they go on."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import httpx
import pytest
from reviewing import answered_set, kept, votes
from served_app import served
from window import NotDone, Window

from trainer.review import queue

VOTERS = ("Anna", "Ben", "Cleo", "Dana")
BEFORE = 12  # votes that are called kept before the app is killed
pytestmark = pytest.mark.soak  # the app is started twice


def test_killed_in_the_middle_of_votes_the_app_has_all_that_it_called_kept_and_they_go_on(home: Path):
    set_id = answered_set("ward", 40)
    told: list[str] = []

    def vote_on(window: Window, name: str, most: int) -> None:
        window.open()
        for number, comment in enumerate(votes(window, set_id, name)):
            told.append(comment)
            if number + 1 == most:
                return

    def until_it_is_gone(url: str, name: str) -> None:
        with Window(url) as window:
            try:
                vote_on(window, name, 10_000)
            except (httpx.HTTPError, NotDone):
                ended.append(name)

    ended: list[str] = []
    with served(home) as app:
        voters = [threading.Thread(target=until_it_is_gone, args=(app.url, name)) for name in VOTERS]
        for one in voters:
            one.start()
        deadline = time.monotonic() + 120
        while len(told) < BEFORE:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        app.process.kill()
        for one in voters:
            one.join(60)
    assert sorted(ended) == sorted(VOTERS), "each was in the middle of it"

    comments = [one.comment for one in kept(set_id)]
    assert set(told) <= set(comments) and len(set(comments)) == len(comments)
    assert len(comments) <= len(told) + len(VOTERS), "at most one of each was kept that nobody was told of"
    with sqlite3.connect(home / "bedside.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    before = {one.reviewer: one.done for one in queue.progress(set_id)}
    with served(home) as app:
        for name in VOTERS:
            with Window(app.url) as window:
                vote_on(window, name, 1)
    assert {one.reviewer: one.done for one in queue.progress(set_id)} == {name: before[name] + 1 for name in VOTERS}
    kept(set_id)
