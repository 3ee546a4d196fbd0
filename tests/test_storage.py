"""What is kept is all listed, and all of it can be deleted: by kind, by age, and never from under a job."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from trainer import actor, audit, config, jobs, runs, storage, store
from trainer.actor import Actor, NotAllowed
from trainer.data import recipes
from trainer.data_sections import DataSection, DataSource
from trainer.sections import RunConfig
from trainer.storage import Kind
from trainer.store import Comparison, ReviewSet, SignOff, Version, Vote

PATIENT = "Olga Sternberg, born 3 May 1951"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converted model that other tests share is none of these."""
    monkeypatch.delenv("BEDSIDE_CACHE", raising=False)


def write(path: Path, text: str = PATIENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def upload() -> tuple[Path, Path]:
    """An upload with its recipe, prepared; returns the two files."""
    path, recipe = recipes.folder() / "mine.jsonl", recipes.folder() / "mine.jsonl.data.yaml"
    write(path, json.dumps({"question": PATIENT, "answer": "Look into it."}))
    data = DataSection(sources=[DataSource(name=str(path))], contains_phi=False)
    recipes.save(recipe, data)
    made = {"sources": [{"name": str(path), "role": "training"}]}
    write(config.home() / "prepared" / "0a" / "manifest.json", json.dumps(made))
    return path, recipe


def judge() -> None:
    """A set with a comparison and a vote, a question of the Playground, and a version that somebody signed."""
    with store.session() as session:
        made = ReviewSet(name="first", first="a:base", second="a")
        asked = [Comparison(set_id=one, prompt=[{"role": "user", "content": PATIENT}], first="a:base", second="a")
                 for one in (made.id, None)]  # fmt: skip
        for one in (made, *asked):
            session.add(one)
            session.flush()
        session.add(Vote(comparison_id=asked[0].id, reviewer="Ann", choice="first", comment=PATIENT))
        session.add(Version(line="clinic", number="1.0.0", model="a"))
        session.add(SignOff(model="a", evidence_sha256="0" * 64, reviewer="Ann", role="clinician", statement="Read."))


@pytest.fixture
def full(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with something of every kind, all of it with a patient's name in it where that is possible."""
    monkeypatch.delenv("BEDSIDE_CACHE", raising=False)  # base models are in the home, too
    upload()
    run = runs.create(RunConfig())
    jobs.write_state(run.folder, run.status.model_copy(update={"state": "done"}))
    write(run.folder / "adapter" / "adapter_model.safetensors", PATIENT * 10_000)
    for name in ("plans/1/draft.json", "uploads/0a/x.csv", "datasets/medqa/a.jsonl", "evaluations/1/report.json"):
        write(home / name)
    for name in ("searches/1/journal.log", "preferences/p-v1/pairs.jsonl", "replay/r.jsonl", "exports/e/model.txt"):
        write(home / name)
    for name in ("dossiers/d/dossier.md", "models/m/config.json", "temporary/t/x", "pseudonyms.key"):
        write(home / name)
    write(home / "answers" / "base.jsonl")
    for path in (home / "temporary").rglob("*"):
        os.utime(path, (0, 0))
    judge()
    audit.record("started", "run 1")
    return home


def kinds() -> list[Kind]:
    return [one.kind for one in storage.stored()]


def test_everything_is_listed_and_nothing_of_it_is_left(full: Path):
    assert kinds() == list(storage.KINDS)
    listed = {one.kind: one for one in storage.stored()}
    assert listed["uploads"].entries == 2 and listed["votes"].entries == 2 and listed["versions"].entries == 2
    assert listed["runs"].megabytes > 0.1 and listed["temporary"].oldest.year == 1970
    assert [kind for kind, one in listed.items() if not one.patient_text] == ["searches", "versions", "models", "other"]
    removed = storage.remove(storage.KINDS)
    assert removed.stayed == [] and kinds() == [] and removed.megabytes > 0.1
    # What stays holds nothing of a patient: the log of deeds, and a database without rows.
    left = {path for path in full.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert {path.name for path in left} <= {"audit.jsonl", "bedside.db", "bedside.db-wal", "bedside.db-shm"}
    assert all(PATIENT.encode() not in path.read_bytes() for path in left)
    told = [entry.on for entry in audit.entries() if entry.action == "deleted"]
    assert "runs: 1 entries" in told and "votes: 2 entries" in told


def test_an_upload_goes_with_what_was_made_of_it(home: Path):
    path, recipe = upload()
    other = write(recipes.folder() / "other.csv")
    os.utime(path, (0, 0))
    removed = storage.remove(["uploads"], older_than_days=30)
    assert removed.entries == {"uploads": 1} and other.exists()
    assert not path.exists() and not recipe.exists() and not list((home / "prepared").glob("*/manifest.json"))


def test_only_what_is_older_goes(home: Path):
    old, new = write(home / "plans/old/draft.json"), write(home / "plans/new/draft.json")
    then = time.time() - 40 * 86_400
    os.utime(old, (then, then))
    assert storage.count(["plans"], 30) == 1
    assert storage.remove(["plans"], 30).entries == {"plans": 1}
    assert not old.parent.exists() and new.exists()
    with pytest.raises(storage.StorageError, match=r"^What is kept of versions does not go by age"):
        storage.remove(["plans", "versions"], 30)


def test_nothing_is_taken_from_under_a_job(full: Path):
    (run,) = runs.list_runs()[0]
    with (run.folder / jobs.LIFE_LOCK).open("w") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        removed = storage.remove(storage.KINDS)
        assert set(removed.entries) == {"plans", "passing", "votes", "dossiers", "versions"}
        assert f"runs: 1 stayed, since {run.id} is at work and may read them; stop it first." in removed.stayed
        assert (run.folder / "run.yaml").exists() and (full / "data" / "mine.jsonl").exists()
    assert storage.remove(["runs"]).entries == {"runs": 1}


def test_what_is_being_made_is_no_entry_until_it_was_left(home: Path):
    part = write(home / "exports" / ".e.part" / "model.safetensors")
    write(home / "temporary" / "t" / "visit.txt")
    assert kinds() == []
    for path in (part, part.parent, home / "temporary" / "t" / "visit.txt"):
        os.utime(path, (0, 0))
    assert kinds() == ["exports", "temporary"]


def test_an_administrator_alone_deletes_for_all(home: Path):
    plan = write(home / "plans/1/draft.json")
    with actor.acting_as(Actor("Tess", "trainer")), pytest.raises(NotAllowed) as caught:
        storage.remove(["plans"])
    assert str(caught.value) == "You (Tess) may not delete what is kept; ask an administrator." and plan.exists()
    with actor.acting_as(Actor("Ada", "administrator")):
        assert storage.remove(["plans"]).entries == {"plans": 1}


def test_uploads_and_answers_go_by_themselves_where_that_is_set(home: Path, monkeypatch: pytest.MonkeyPatch):
    path, plan = write(recipes.folder() / "old.csv"), write(home / "plans/1/draft.json")
    answers = write(home / "answers/base.jsonl")
    for one in (path, plan, answers):
        os.utime(one, (0, 0))
    monkeypatch.delenv(storage.VARIABLE, raising=False)
    storage.keep_to_limit()
    assert path.exists() and "set BEDSIDE_KEEP_DAYS to a number of days" in storage.by_itself()
    monkeypatch.setenv(storage.VARIABLE, "30")
    assert "After 30 days (BEDSIDE_KEEP_DAYS): uploads, prepared, answers" in storage.by_itself()
    # The hour's wait is the end of this test.
    monkeypatch.setattr(storage.time, "sleep", lambda _: monkeypatch.delenv(storage.VARIABLE))
    storage.keep_to_limit()
    assert not path.exists() and not answers.exists() and plan.exists()
    for wrong in ("soon", "0", "-3", "nan", "inf"):
        monkeypatch.setenv(storage.VARIABLE, wrong)
        with pytest.raises(storage.StorageError, match=f"^BEDSIDE_KEEP_DAYS is '{wrong}'; set it to a number of days"):
            storage.days_to_keep()


def test_what_a_killed_app_left_in_passing_is_swept(home: Path):
    left, fresh = write(home / "uploads/0a/left.csv"), write(home / "uploads/0b/fresh.csv")
    os.utime(left, (0, 0))
    assert storage.sweep_passing() == 1
    assert not left.parent.exists() and fresh.exists()


@pytest.fixture
def bedside(command: Callable[..., Any]) -> Callable[..., Any]:
    return partial(command, "storage")


def test_the_command_lists_asks_and_deletes(bedside: Any, home: Path):
    plan, data = write(home / "plans/1/draft.json"), write(recipes.folder() / "a.csv")
    listed = bedside("list")
    assert "may hold patients' text" in listed.out and f"All of it is in {home}." in listed.out
    found = json.loads(bedside("list", "--json").out)
    assert [one["kind"] for one in found["stored"]] == ["plans", "uploads"]
    refused = bedside("delete", "plans")
    assert refused.status == 2 and plan.exists()
    assert refused.err == (
        "1 entry goes for good. To go on, type: plans\n"
        "Nothing was deleted; type exactly what is asked for, or add --yes.\n"
    )
    assert bedside("delete").err == "Name the kinds that `bedside storage list` shows, or say --everything.\n"
    assert bedside("delete", "plans", "--everything").status == 2
    assert bedside("delete", "plan").err.startswith("Nothing is kept as 'plan'; there are: plans, uploads, ")
    assert bedside("delete", "plans", "--yes").out.startswith("Deleted for good: 1 of plans (0.0 MB).\nAn SSD")
    done = json.loads(bedside("delete", "--everything", "--yes", "--json").out)
    assert done["entries"] == {"uploads": 1} and done["stayed"] == [] and not data.exists()
    assert bedside("delete", "--everything", "--yes").out == "Nothing was deleted.\n"


def test_the_word_that_is_asked_for_has_to_be_typed(bedside: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    plan = write(home / "plans/1/draft.json")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for typed, gone in (("plan", False), ("everything", True)):
        monkeypatch.setattr("builtins.input", lambda typed=typed: typed)
        bedside("delete", "--everything")
        assert plan.exists() is not gone


def test_the_page_shows_what_is_kept_and_deletes_what_is_typed(home: Path):
    import gradio as gr

    from assistant.pages.storage import StoragePart

    plan = write(home / "plans/1/draft.json")
    with gr.Blocks():
        part = StoragePart()
        part.connect()
    assert "Conversations with the planner" in part._show()[part.kept]
    for kinds, typed in (([], "delete"), (["plans"], "yes")):
        assert "Nothing was deleted" in part._delete(kinds, 0, typed)[part.said].value and plan.exists()
    page = part._delete(["plans"], 0, " Delete ")
    assert "Deleted for good: 1 of plans" in page[part.said].value and not plan.exists()
    assert "Nothing is kept" in page[part.kept]
    assert config.home() == home
