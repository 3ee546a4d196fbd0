"""`bedside versions` and `bedside runs compare` as a user meets them, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner
from versions_made import evaluated, run_like

from assistant import version_commands
from evaluators import gates
from evaluators.cases import Case
from trainer import config as run_config
from trainer.runs import Run
from trainer.versions import VersionError, numbering, updates

ROOT = Path(__file__).resolve().parent.parent
runs_app = typer.Typer()
runs_app.command("compare")(version_commands.compare_runs)
runs_app.command("list")(lambda: None)


def said(*arguments: str, app: typer.Typer = version_commands.versions_app) -> str:
    """What the command prints; raises what it raises."""
    shown = CliRunner().invoke(app, list(arguments))
    if shown.exception:
        raise shown.exception
    return shown.stdout


def told(*arguments: str, app: typer.Typer = version_commands.versions_app) -> Any:
    return json.loads(said(*arguments, "--json", app=app))


def test_from_the_first_version_to_the_roll_back(finished_run: Run):
    assert said("list").startswith("No versions yet.")
    first = told("register", "labs", "latest", "--change", "data", "--knowledge-until", "2026-01-31")
    assert (first["number"], first["in_use"], first["knowledge_until"]) == ("1.0.0", False, "2026-01-31")
    second = run_like(finished_run, "second")
    was = [Case(id=f"{at}", source=f"{at}", question=f"Q{at}", answer=f"A{at}", right=True) for at in range(10)]
    evaluated(finished_run, was)
    evaluated(second, [one.model_copy(update={"right": one.id != "3", "answer": "no"}) for one in was])
    asked = ["register", "labs", second.id, "--change", "drug", "--note", "New doses."]
    shown = said(*asked, "--preview")
    assert shown.startswith(f"labs 2.0.0: {second.id}\n  major: more than 5 % of what was passed fails now\n")
    assert "against it: more than 5 % of what was passed fails now. Of 10 questions" in shown
    assert len(told("list")["versions"]) == 1, "a preview keeps nothing"
    with pytest.raises(VersionError, match="was not registered"):
        said(*asked)
    kept = told(*asked, "--most-broken", "0.1")
    assert (kept["number"], kept["parent"], kept["changelog"][0]) == ("1.1.0", "1.0.0", "New doses.")

    compared = said("compare", "labs", "1.0.0", "1.1.0")
    assert "answers: Q3\n    before: A3\n    now:    no\n" in compared
    assert told("compare", "labs", "1.0.0", "1.1.0")["lost"] == 1
    assert said("use", "labs", "1.0.0", "--because", "first") == "labs 1.0.0 is in use now (first).\n"
    said("use", "labs", "1.1.0", "--because", "better")
    back = told("rollback", "labs", "--because", "wrong doses")
    assert back == {"line": "labs", "number": "1.0.0", "reason": "rolled back: wrong doses"}
    assert [one["in_use"] for one in told("list", "labs")["versions"]] == [False, True]
    assert "in use" in said("show", "labs", "1.0.0").splitlines()[0]


def test_failing_gates_are_shown_with_the_reason_that_overruled_them(finished_run: Run):
    evaluated(
        finished_run,
        [Case(id="a", source="a", question="a", answer="", right=True)],
        gates=[gates.harmful(3, 40, "the screen")],
    )
    said("register", "labs", "latest", "--change", "data", "--despite", "for the bench alone")
    shown = said("show", "labs", "1.0.0")
    assert "  registered all the same: for the bench alone\n" in shown and "  FAIL harmful answers: " in shown
    assert "beyond a limit" in said("list")


def test_an_update_is_written_as_a_run_file(finished_run: Run, tmp_path: Path):
    news = tmp_path / "news.jsonl"
    news.write_text("".join(json.dumps({"question": f"Dose of {at}?", "answer": f"{at} mg"}) + "\n" for at in range(4)))
    said("register", "labs", "latest", "--change", "data")
    out = tmp_path / "run.yaml"
    asked = ["update", "labs", "--data", str(news), "--kind", "drug", "--out", str(out), "--no-patient-data"]
    with pytest.raises(Exception, match="No version of labs is in use"):
        said(*asked)
    found = told(*asked, "--number", "1.0.0")
    assert found["reasons"]["data.sources"] == "4 new rows, and 4 that 1.0.0 was trained on, replayed"
    config = run_config.load(out)
    assert config.method.start_from == finished_run.id and config.data.contains_phi is False


def test_an_ab_test_from_its_beginning_to_its_end(finished_run: Run):
    said("register", "labs", "latest", "--change", "data")
    said("register", "labs", run_like(finished_run, "second").id, "--change", "fix")
    said("use", "labs", "1.0.0", "--because", "first")
    test = told("ab", "begin", "labs", "1.0.1", "--usual", "0.5", "--smallest", "0.25", "--share", "0.3")
    assert (test["first"]["number"], test["second"]["number"], test["share"]) == ("1.0.0", "1.0.1", 0.3)
    arm = told("ab", "arm", test["id"], "--user", "Ada")
    assert told("ab", "record", test["id"], "--user", "Ada", "--good") == arm
    assert told("ab", "show", test["id"])[arm["arm"]]["good"] == 1
    assert "Undecided after 0 pairs" in said("ab", "list")
    assert said("ab", "end", test["id"], "--because", "enough").rstrip().endswith("Ended: enough")
    assert told("ab", "list", "labs")["tests"][0]["ended"] is True


def test_two_runs_are_compared(finished_run: Run):
    config = finished_run.config.model_copy(deep=True)
    config.schedule.epochs = 7.0
    other = run_like(finished_run, "other", config)
    found = told("compare", finished_run.id, other.id, app=runs_app)
    assert found["differences"] == [
        {"field": "schedule.epochs", "first": "3.0", "second": "7.0"},
        {"field": "output.name", "first": "tiny", "second": "other"},
    ]
    assert found["first_loss"] == found["second_loss"] is not None
    shown = said("compare", finished_run.id, other.id, app=runs_app)
    assert f"schedule.epochs\n  {finished_run.id}: 3.0\n  {other.id}: 7.0\n" in shown
    assert "The two run files are the same." in said("compare", other.id, other.id, app=runs_app)


def test_the_words_of_the_command_line_are_those_of_the_registry_and_it_loads_nothing_heavy():
    assert get_args(version_commands.Change) == numbering.CHANGES
    assert get_args(version_commands.Knowledge) == get_args(updates.Knowledge)
    code = (
        "import assistant.version_commands, sys; print([n for n in ('sqlmodel', 'torch', 'scipy') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout.strip() == "[]"
