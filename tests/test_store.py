"""The database under many writers, killed writers, and files that are none: on SQLite and on a real Postgres."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlmodel import col, func, select

from evaluators.generation import Sampling
from trainer import store
from trainer.model_refs import ModelRef
from trainer.review import queue
from trainer.review.ballots import Ballot
from trainer.review.prompts import Prompt
from trainer.store import Comparison, StoreError, Vote

FIRST, SECOND = ModelRef(run="20260101-000000-one"), ModelRef(run="20260101-000000-one", part="base")
REVIEWERS = [f"Reviewer {number}" for number in range(10)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The socket folder of a throwaway Postgres, run by an unprivileged user; skipped where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs Postgres' server programs in /usr/lib/postgresql, and this machine has none")
    programs, folder = found[-1].parent, Path(tempfile.mkdtemp(prefix="bedside-pg-"))
    user = None
    if os.geteuid() == 0:
        user = "postgres" if any(one.pw_name == "postgres" for one in pwd.getpwall()) else "nobody"
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        told = subprocess.run([programs / program, *arguments], cwd=folder, user=user, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr

    try:
        run("initdb", "-D", f"{folder}/data", "-U", "bedside", "-A", "trust", "-N")
        # What a crash of the machine would lose is no part of these tests, and syncing makes them slow.
        served = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-o", served, "start")
        yield folder
    finally:
        subprocess.run(
            [programs / "pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop"],
            cwd=folder, user=user, capture_output=True,
        )  # fmt: skip
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of this kind, which is the one in use."""
    if request.param == "postgres":
        import psycopg

        folder = request.getfixturevalue("cluster")
        name = f"t{time.monotonic_ns()}"
        with psycopg.connect(f"host={folder} user=bedside dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        monkeypatch.setenv("BEDSIDE_DATABASE", f"postgresql://bedside@/{name}?host={folder}")
    else:
        monkeypatch.delenv("BEDSIDE_DATABASE", raising=False)
    yield request.param
    store.engine().dispose()


def _prompts(count: int) -> list[Prompt]:
    return [Prompt(messages=[{"role": "user", "content": f"Question {number}?"}]) for number in range(count)]


def _answered_set(count: int) -> str:
    made = queue.create_set("many", _prompts(count), FIRST, SECOND)
    with store.session() as session:
        for one in session.exec(select(Comparison)):
            one.first_answer, one.second_answer = "Yes.", "No."
            session.add(one)
    return made.id


def _at_once(work: Callable[[str], None]) -> list[int | None]:
    """Exit codes of ten processes that do `work` with a reviewer's name each, at the same time."""
    store.engine().dispose()
    processes = []
    for name in REVIEWERS:
        process = multiprocessing.get_context("fork").Process(target=_alone, args=(work, name))
        process.start()
        processes.append(process)
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _alone(work: Callable[[str], None], name: str) -> None:
    store._engines.clear()  # connections are not to be shared with another process
    work(name)


def test_ten_reviewers_at_once_lose_no_vote(database: str):
    set_id = _answered_set(5)

    def judge_all(name: str) -> None:
        while (case := queue.next_case(set_id, name)) is not None:
            chosen = "left" if case.left == "Yes." else "right"
            queue.vote(case.comparison_id, name, Ballot(choice=chosen, comment=name))

    assert _at_once(judge_all) == [0] * 10
    with store.session() as session:
        votes = list(session.exec(select(Vote)))
    assert len(votes) == 50 and {vote.choice for vote in votes} == {"first"}
    assert len({(vote.comparison_id, vote.reviewer) for vote in votes}) == 50
    assert all(vote.comment == vote.reviewer for vote in votes)
    assert [(one.done, one.open) for one in queue.progress(set_id)] == [(5, 0)] * 10


def test_the_same_vote_from_everywhere_at_once_is_one_vote(database: str):
    """One reviewer with ten windows: the last vote stands, and no window is told of a fault."""
    set_id = _answered_set(1)
    case = queue.next_case(set_id, "Ada")
    assert case is not None

    def again(name: str) -> None:
        for _ in range(2):
            queue.vote(case.comparison_id, "Ada", Ballot(choice="tie", comment=name))

    assert _at_once(again) == [0] * 10
    with store.session() as session:
        votes = list(session.exec(select(Vote)))
    assert len(votes) == 1 and votes[0].comment in REVIEWERS


def test_a_new_database_may_be_opened_by_ten_at_once(database: str):
    def keep(name: str) -> None:
        queue.keep_comparison(
            _prompts(1)[0], FIRST, SECOND, f"Yes, {name}", "No", blind=True, sampling=Sampling(seed=1)
        )

    for name in REVIEWERS:  # nothing has opened it yet: `_at_once` would, through its first line
        process = multiprocessing.get_context("fork").Process(target=_alone, args=(keep, name))
        process.start()
    for process in multiprocessing.active_children():
        process.join(60)
    with store.session() as session:
        assert session.exec(select(func.count(col(Comparison.id)))).one() == 10


def test_a_writer_killed_in_between_loses_nothing_that_it_called_ok(database: str):
    set_id = _answered_set(60)
    program = (
        "import sys\n"
        "from trainer.review import queue\n"
        "while (case := queue.next_case(sys.argv[1], 'Ada')):\n"
        "    queue.vote(case.comparison_id, 'Ada', queue.Ballot(choice='tie', comment='kept'))\n"
        "    print(case.comparison_id, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, set_id], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = [writer.stdout.readline().strip() for _ in range(5)]
    writer.kill()
    told += [line for line in writer.stdout.read().splitlines() if len(line) == 16]  # without one that was cut off
    writer.wait()
    with store.session() as session:
        kept = {vote.comparison_id: vote.comment for vote in session.exec(select(Vote))}
    assert set(told) <= set(kept) and set(kept.values()) == {"kept"}
    # What was not called ok is there as a whole or not at all: a vote and its case's state are one transaction.
    assert queue.progress(set_id)[0].done == len(kept) <= len(told) + 1
    assert queue.next_case(set_id, "Ada") is not None, "and the set goes on"


def test_what_was_raised_in_between_leaves_nothing(database: str):
    _answered_set(1)
    with pytest.raises(RuntimeError), store.session() as session:
        session.add(Comparison(prompt=[], first="a", second="b"))
        session.flush()
        raise RuntimeError("in between")
    with store.session() as session:
        assert session.exec(select(func.count(col(Comparison.id)))).one() == 1


def test_a_vote_on_nothing_is_refused_by_the_database_itself(database: str):
    _answered_set(1)
    with pytest.raises(StoreError, match="did not take it"), store.session() as session:
        session.add(Vote(comparison_id="nothing", reviewer="Ada", choice="tie"))


def test_sqlite_writes_ahead_and_to_the_disk():
    with store.session() as session:
        settings = [session.connection().exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS]
    assert settings == ["wal", 2, 1]


_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys")


def test_a_file_that_is_no_database_is_a_sentence(home: Path):
    home.mkdir()
    (home / "bedside.db").write_bytes(b"not a database at all " * 500)
    with pytest.raises(
        StoreError, match=r"bedside\.db cannot be opened: file is not a database\. Set BEDSIDE_DATABASE"
    ):
        store.engine()
    assert (home / "bedside.db").read_bytes().startswith(b"not a database"), "and it is left alone"


def test_an_older_database_is_a_sentence(home: Path):
    home.mkdir()
    with sqlite3.connect(home / "bedside.db") as connection:
        connection.execute("CREATE TABLE vote (id INTEGER PRIMARY KEY, comparison_id TEXT, reviewer TEXT, choice TEXT)")
    connection.close()
    with pytest.raises(StoreError, match=r"another version of Bedside: its table vote has no role, swapped, ratings"):
        store.engine()


def test_a_column_that_came_later_is_added(home: Path):
    case = queue.next_case(_answered_set(1), "Ada")
    assert case is not None
    queue.vote(case.comparison_id, "Ada", Ballot(choice="left"))
    store.engine().dispose()
    store._engines.clear()
    with sqlite3.connect(home / "bedside.db") as connection:
        connection.execute("ALTER TABLE vote DROP COLUMN changed")
    connection.close()
    with store.session() as session:
        kept = session.exec(select(Vote)).one()
    assert kept.reviewer == "Ada" and kept.changed is False
    queue.vote(case.comparison_id, "Ada", Ballot(choice="right"))


def test_a_damaged_database_is_a_sentence(home: Path):
    _answered_set(200)
    store.engine().dispose()
    store._engines.clear()
    path = home / "bedside.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"malformed|cannot be opened"):
        queue.list_sets()


def test_a_password_is_never_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BEDSIDE_DATABASE", "postgresql://ada:secret@127.0.0.1:1/bedside")
    with pytest.raises(StoreError) as told:
        store.engine()
    assert "secret" not in str(told.value) and "postgresql+psycopg://...@127.0.0.1:1/bedside" in str(told.value)
