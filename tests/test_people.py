"""Who may sign in, who acts, and what the audit log says of it; no password and no patient text is anywhere in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from assistant import cli
from evaluators.generation import Sampling
from trainer import actor, audit, jobs, passwords, people, runs, store
from trainer.actor import Actor, NotAllowed, acting_as
from trainer.model_refs import ModelRef
from trainer.people import PeopleError
from trainer.review import queue
from trainer.review.ballots import Ballot, own_name
from trainer.review.prompts import Prompt, ReviewError
from trainer.sections import RunConfig
from trainer.store import Person, Vote

ANNA, BEN, CLARA = Actor("Anna Berg", "reviewer"), Actor("Ben Carter", "trainer"), Actor("Clara Diaz", "administrator")
SECRET = "three blue herons"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_LOG2_N", 4)


def told(action: str) -> list[str]:
    return [f"{one.who} {one.action} {one.on}" for one in audit.entries() if one.action == action]


def test_a_person_is_added_checked_changed_and_removed(home: Path):
    people.add("  Anna   Berg ", "reviewer", SECRET)
    found = people.check("anna berg", SECRET)
    assert found is not None and (found.name, found.role) == ("Anna Berg", "reviewer")
    assert people.check("Anna Berg", "three blue heron") is None and people.check("Nobody", SECRET) is None
    people.set_role("ANNA BERG", "trainer")
    people.set_password("Anna Berg", "four grey geese")
    assert people.check("Anna Berg", SECRET) is None
    assert [(one.name, one.role) for one in people.everybody()] == [("Anna Berg", "trainer")]
    people.remove("Anna Berg")
    assert people.everybody() == [] and people.check("Anna Berg", "four grey geese") is None
    people.add("Anna Berg", "reviewer")
    assert people.check("Anna Berg", "") is None, "without a password nobody gets in by one"
    assert [one.action for one in audit.entries()] == [
        "added a person", "changed a role", "changed a password", "removed a person", "added a person",
    ]  # fmt: skip
    assert SECRET not in "".join(file.read_bytes().decode("latin1") for file in home.glob("*") if file.is_file())


def test_what_is_wrong_with_a_person_is_said(home: Path):
    people.add("Anna Berg", "reviewer", SECRET)
    for work, said in (
        (lambda: people.add("anna berg", "trainer", SECRET), "Anna Berg is registered already, as reviewer."),
        (lambda: people.add("Ben", "trainer", "short"), "The password has 5 characters; 12 to 200 are taken."),
        (lambda: people.add("Ben Carter", "trainer", "xx ben carter xx"), "easily guessed"),
        (lambda: people.add("Ben", "trainer", "aaaaaaaaaaaab"), "easily guessed"),
        (lambda: people.add("Ben", "owner", SECRET), "There is no role 'owner'; there are: reviewer, trainer, admin"),  # type: ignore[arg-type]
        (lambda: people.set_role("Ben", "trainer"), "Nobody is registered as 'Ben'; `bedside people list` shows who"),
        (lambda: people.remove("Ben"), "Nobody is registered as 'Ben'"),
    ):
        with pytest.raises(PeopleError, match=said.replace("(", r"\(")):
            work()
    assert [one.name for one in people.everybody()] == ["Anna Berg"]


def test_hashes_are_salted_and_keep_their_cost(monkeypatch: pytest.MonkeyPatch):
    first, second = passwords.hashed(SECRET), passwords.hashed(SECRET)
    assert first != second and SECRET not in first
    monkeypatch.setattr(passwords, "_LOG2_N", 5)
    assert passwords.fits(SECRET, first) and not passwords.fits(SECRET + " ", first)
    assert not passwords.fits("", "") and not passwords.fits(SECRET, "")
    made = {passwords.made() for _ in range(50)}
    assert len(made) == 50 and all(len(one) == 19 for one in made)


def test_others_jobs_are_neither_stopped_deleted_nor_started(home: Path):
    with acting_as(BEN):
        own = runs.create(RunConfig())
    assert own.status.owner == "Ben Carter" and jobs.read_state(own.folder).owner == "Ben Carter"
    said = f"Run {own.id} is Ben Carter's: ask Ben Carter or an administrator to do this."
    for deed in (runs.start, runs.stop, runs.delete):
        with acting_as(Actor("Eve", "trainer")), pytest.raises(NotAllowed) as refused:
            deed(own)
        assert str(refused.value) == said
    assert runs.get(own.id).status.state == "queued" and audit.entries() == []
    with acting_as(BEN):
        runs.stop(own)
    with acting_as(CLARA):
        runs.delete(runs.get(own.id))
    assert [(one.who, one.role, one.action, one.on) for one in audit.entries()] == [
        ("Ben Carter", "trainer", "stopped", f"run {own.id}"),
        ("Clara Diaz", "administrator", "deleted", f"run {own.id}"),
    ]
    nobodys = runs.create(RunConfig())
    jobs.write_state(nobodys.folder, nobodys.status.model_copy(update={"owner": ""}))
    with acting_as(BEN), pytest.raises(NotAllowed, match="may be other people's work: ask an administrator"):
        runs.delete(nobodys)
    runs.delete(nobodys)  # this machine's own account may


def test_whoever_is_signed_in_judges_under_that_name():
    assert own_name(" Zoe  Hill ") == "Zoe Hill", "without a sign-in the name is what is typed"
    with acting_as(ANNA):
        assert own_name("anna berg") == "Anna Berg"
        with pytest.raises(
            ReviewError, match="You are signed in as Anna Berg, and judge under that name; 'Ben Carter'"
        ):
            own_name("Ben Carter")


def test_nobody_looks_votes_or_skips_for_somebody_else(home: Path):
    prompt = Prompt(messages=[{"role": "user", "content": "Is 4 even?"}])
    models = (ModelRef(run="a"), ModelRef(run="b"))
    case = queue.keep_comparison(prompt, *models, "yes", "no", blind=True, sampling=Sampling())
    queue.vote(case, "Ben Carter", Ballot(choice="left"))
    with acting_as(ANNA):
        for deed in (
            lambda: queue.vote(case, "Ben Carter", Ballot(choice="right")),
            lambda: queue.skip(case, "Ben Carter", "not my field"),
            lambda: queue.reveal(case, "Ben Carter"),
            lambda: queue.shown(case, "Ben Carter"),
        ):
            with pytest.raises(ReviewError, match="You are signed in as Anna Berg"):
                deed()
        assert queue.shown(case, "anna berg").names is None, "Ben's vote shows Anna no names"
        queue.vote(case, "anna berg", Ballot(choice="tie"))
    with store.session() as session:
        kept = {one.reviewer: one.choice for one in session.exec(select(Vote))}
    assert kept["Anna Berg"] == "tie" and kept["Ben Carter"] in ("first", "second") and len(kept) == 2


def test_a_set_with_everybodys_votes_is_deleted_by_an_administrator(home: Path):
    prompt = Prompt(messages=[{"role": "user", "content": "Is 4 even?"}])
    made = queue.create_set("ward", [prompt], ModelRef(run="a"), ModelRef(run="b"))
    with acting_as(BEN), pytest.raises(NotAllowed, match="The set 'ward' with its votes may be other people's work"):
        queue.delete_set(made.id)
    with acting_as(CLARA):
        queue.delete_set(made.id)
    assert queue.list_sets() == [] and told("deleted") == [f"Clara Diaz deleted review set {made.id}"]


def test_who_acts_ends_with_the_call_and_begins_with_this_machines_account(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ward")
    assert actor.now() == Actor("ward") and actor.now().may("administrator")
    with acting_as(ANNA):
        assert actor.now() is ANNA and ANNA.may("reviewer") and not ANNA.may("trainer")
    assert actor.now() == Actor("ward")
    with acting_as(ANNA):
        handed_on = actor.handed_on()
    for name, value in handed_on.items():
        monkeypatch.setenv(name, value)
    assert actor.now() == Actor("Anna Berg"), "in the process of a job that Anna started"

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    for name in handed_on:
        monkeypatch.delenv(name)
    assert actor.now().name.startswith("account ")


def test_the_audit_log_is_appended_to_and_read_past_a_cut_line(home: Path, caplog: pytest.LogCaptureFixture):
    audit.record("exported", "merged of 2026-x as y", ANNA)
    with audit.file().open("a") as file:
        file.write('{"who": "cut o\n')
    audit.record("signed in", "from 10.0.0.7", BEN)
    assert [one.who for one in audit.entries()] == ["Anna Berg", "Ben Carter"]
    assert [one.who for one in audit.entries(1)] == ["Ben Carter"]
    assert audit.file().stat().st_mode & 0o077 == 0, "for the home's owner alone"
    audit.file().unlink()
    audit.file().mkdir()
    audit.record("signed in", "from 10.0.0.7", BEN)
    assert "cannot be written (Is a directory); not in it: Ben Carter signed in from 10.0.0.7" in caplog.text


def test_a_database_that_was_made_before_there_were_people_takes_them(home: Path):
    with store.session() as session:
        session.connection().exec_driver_sql("DROP TABLE person")
    store._engines.clear()
    people.add("Anna Berg", "reviewer", SECRET)
    with store.session() as session:
        assert [one.name for one in session.exec(select(Person))] == ["Anna Berg"]


def test_the_command_takes_a_password_from_stdin_or_makes_one(home: Path):
    def bedside(*given: str, stdin: str = "") -> Any:
        return CliRunner().invoke(cli.app, list(given), input=stdin)

    added = bedside("people", "add", "Anna Berg", "--role", "administrator", "--json", stdin=f"{SECRET}\n")
    assert json.loads(added.stdout)["password"] is None and people.check("Anna Berg", SECRET) is not None
    made = json.loads(bedside("people", "add", "Ben", "--json").stdout)["password"]
    assert people.check("Ben", made) is not None
    assert str(bedside("people", "add", "ben").exception) == "Ben is registered already, as reviewer."
    assert "--password" not in bedside("people", "add", "--help").stdout, "never in what other users see of a call"
    log = json.loads(bedside("audit", "--json").stdout)
    assert [one["on"] for one in log["entries"]] == ["Anna Berg, administrator", "Ben, reviewer"]
    assert SECRET not in audit.file().read_text() and made not in audit.file().read_text()
