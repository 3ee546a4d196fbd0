"""The command line as a user meets it: exit statuses, one sentence on bad input, JSON and nothing else on stdout."""

import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant import cli
from trainer import config
from trainer.sections import RunConfig

BEDSIDE = [sys.executable, "-m", "assistant.cli"]
ROOT = Path(__file__).resolve().parent.parent


def bedside(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BEDSIDE, *arguments], input=given, capture_output=True, text=True, cwd=ROOT, env=os.environ)


def test_from_run_file_to_two_answers(tiny_run: RunConfig, tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(config.to_yaml(tiny_run))
    trained = bedside("train", str(file), "--set", "schedule.max_steps=4", "--json")
    assert trained.returncode == 0, trained.stderr
    summary = json.loads(trained.stdout)
    assert summary["state"] == "done" and summary["step"] == 4 and summary["report"]["trainable_share"] > 0
    assert "validation loss" in trained.stderr
    asked = bedside("ask", "latest", "Is 4 even?", "--prompted", "--max-new-tokens", "5", "--json")
    answers = json.loads(asked.stdout)["answers"]
    assert list(answers) == ["base", "tuned", "prompted base"] and 1 <= answers["tuned"]["tokens"] <= 5
    assert [run["id"] for run in json.loads(bedside("runs", "list", "--json").stdout)["runs"]] == [summary["id"]]
    assert json.loads(bedside("runs", "show", summary["id"], "--json").stdout)["config"]["schedule"]["max_steps"] == 4
    kept = bedside("runs", "delete", "latest")
    assert kept.returncode == 2 and "add --yes" in kept.stderr
    assert json.loads(bedside("runs", "delete", "latest", "--yes", "--json").stdout) == {"deleted": summary["id"]}


def test_a_failed_run_ends_with_status_1(tiny_run: RunConfig, tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(config.to_yaml(tiny_run))
    failed = bedside("train", str(file), "--set", "model.name=no-such-model")
    assert failed.returncode == 1 and "could not be had" in failed.stderr and "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml: cannot be read (No such file or directory)."),
        (["runs", "show", "nothing"], "There is no run 'nothing'"),
        (["ask", "latest", "hello"], "There are no runs yet"),
        (["ask", "latest", "  "], "The question is empty"),
        (["schema", "nothing"], "There is no schema for 'nothing'"),
        (["plan", "--say", "starter data on the cpu", "--set", "x"], "--set x: expected section.field=value"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments: list[str], said: str):
    shown = bedside(*arguments)
    assert shown.returncode == 2 and said in shown.stderr and "Traceback" not in shown.stderr and shown.stdout == ""


def test_three_faults_and_bad_rows_are_named(tmp_path: Path):
    file, rows = tmp_path / "run.yaml", tmp_path / "rows.jsonl"
    file.write_text("schedule: {learning_rate: -1, epoch: 3}\nhardware: {precision: fp16}\n")
    shown = bedside("train", str(file))
    assert shown.returncode == 2
    assert all(name in shown.stderr for name in ("schedule.learning_rate", "schedule.epoch", "hardware.precision"))
    rows.write_text('{"question": "a", "answer": ""}\n{"question": "c"}\n')
    file.write_text(f"data: {{contains_phi: false, sources: [{{name: {rows}}}]}}\n")
    shown = bedside("train", str(file))
    assert shown.returncode == 2 and "row 1, field answer: is empty" in shown.stderr
    assert "(and 1 more like it)" in shown.stderr


@pytest.mark.parametrize("value", ["true", "null"])
def test_patient_data_is_trained_on_as_it_is_for_a_stated_reason_only(tiny_data: Path, tmp_path: Path, value: str):
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {{contains_phi: {value}, deidentify: 'off', sources: [{{name: {tiny_data}}}]}}\n")
    shown = bedside("train", str(file))
    assert shown.returncode == 2 and "data.not_deidentified_because: rows that may hold patient data" in shown.stderr
    assert json.loads(bedside("runs", "list", "--json").stdout)["runs"] == []


def test_plan_prints_the_contract(tmp_path: Path):
    out = tmp_path / "run.yaml"
    said = "a radiology report model, about 3k reports, on a 4090, no patient data"
    shown = bedside("plan", "--say", said, "--json", "--out", str(out))
    plan = json.loads(shown.stdout)
    assert set(plan) == {"answers", "missing", "reply", "config", "reasons", "estimate", "alternatives"}
    assert (plan["answers"]["task"], plan["answers"]["examples"]) == ("report_generation", 3000)
    assert set(plan["reasons"][0]) == {"field", "value", "why", "source"}
    assert set(plan["estimate"]) == {"peak_gib", "limit_gib", "fits", "hours", "parts", "usd"}
    assert config.load(out).model_dump(mode="json") == plan["config"]
    incomplete = bedside("plan", "--json", given="a summary model\n")
    assert json.loads(incomplete.stdout)["config"] is None and incomplete.returncode == 0


def test_a_plan_is_kept_listed_continued_exported_and_deleted():
    from assistant.planner import dialogue, drafts

    draft, _ = dialogue.reply(dialogue.new_draft(), "summarise letters, 3k of them, on a 4090")
    drafts.save(draft)
    listed = json.loads(bedside("plans", "list", "--json").stdout)
    assert listed["plans"] == [{"id": draft.id, "title": "summarise letters, 3k of them, on a 4090", "messages": 3}]
    turn = json.loads(bedside("plan", "--open", draft.id, "--say", "no", "--json").stdout)
    assert turn["answers"]["contains_phi"] is False and turn["answers"]["examples"] == 3000
    exported = bedside("plans", "export", draft.id).stdout
    assert "## You\n\n> summarise letters, 3k of them, on a 4090" in exported and "\n> no\n" in exported
    assert json.loads(bedside("plans", "delete", draft.id, "--yes", "--json").stdout) == {"deleted": draft.id}
    gone = bedside("plan", "--open", draft.id, "--say", "no")
    assert gone.returncode == 2 and f"There is no plan '{draft.id}'" in gone.stderr


def test_every_verb_that_prints_json_has_a_schema():
    from assistant import cli, schemas

    def verbs(app: Any, before: str = "") -> Iterator[str]:
        for command in app.registered_commands:
            if "as_json" in inspect.signature(command.callback).parameters:
                yield before + (command.name or command.callback.__name__)
        for group in app.registered_groups:
            yield from verbs(group.typer_instance, f"{before}{group.name} ")

    found = set(verbs(cli.app))
    assert len(found) > 40
    assert found - set(schemas._MODELS) == set(), "no schema"
    assert set(schemas._MODELS) - found == {"run"}, "no such verb"
    for verb in schemas._MODELS:
        assert schemas.schema_of(verb)["properties"], verb


@pytest.mark.parametrize("terminal", [True, False])
def test_what_somebody_wrote_is_no_command_to_a_terminal(terminal: bool, monkeypatch: pytest.MonkeyPatch):
    class Shown(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    clears = "\x1b[2J\x9b2J\u202e.yaml"
    monkeypatch.setattr(sys, "argv", ["bedside", "train", clears])
    monkeypatch.setattr(sys, "stdout", Shown())
    monkeypatch.setattr(sys, "stderr", shown := Shown())
    with pytest.raises(SystemExit):
        cli.main()
    expected = "\\x1b[2J\\x9b2J\\u202e.yaml" if terminal else clears
    assert shown.getvalue().startswith(f"{expected}: "), "to a file it is written as it is"
