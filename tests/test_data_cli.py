"""`bedside data` as a user meets it: what each verb prints, and one sentence on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assistant import data_commands
from trainer import config


@pytest.fixture
def bedside(command: Callable[..., Any]) -> Callable[..., Any]:
    return partial(command, "data")


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """Twenty rows of ten patients, one of them twice, and one without an answer."""
    path = tmp_path / "visits.csv"
    drugs = ["ramipril", "apixaban", "metformin", "omeprazole", "salbutamol"]
    rows = [
        f"{number // 2},{1 + number}.02.2021,What is {drugs[number % 5]} given for at visit {number}?,"
        f"For case {number}: see the {drugs[number % 5]} page of the formulary."
        for number in range(20)
    ]
    path.write_text("\n".join(["patient,seen,question,answer", *rows, rows[0], "99,,What is left open?,"]) + "\n")
    return path


def test_inspect_counts_what_is_there_and_what_is_left_out(bedside, visits: Path, tiny_model: Path):
    told = bedside("inspect", str(visits), "--model", str(tiny_model))
    assert told.status == 0
    assert "question and answer stand in" in told.out
    assert "equal        1 row is equal to an earlier one, and left out" in told.out
    assert "left out: row 22, field answer: is empty" in told.out
    assert "left out: row 21" not in told.out  # the equal one is counted, not listed


def test_inspect_as_one_object_and_the_rejected_rows_in_a_file(bedside, visits: Path, tiny_model: Path, tmp_path: Path):
    rejected = tmp_path / "rejected.jsonl"
    shown = bedside("inspect", str(visits), "--model", str(tiny_model), "--rejected", str(rejected), "--json")
    found = json.loads(shown.out)
    assert shown.status == 0 and "2 rows written to" in shown.err
    assert (found["rows"], found["complete"], found["format"]) == (20, True, "question_answer")
    assert [json.loads(line)["place"] for line in rejected.read_text().splitlines()] == ["row 21", "row 22"]
    assert rejected.stat().st_mode & 0o777 == 0o600


def test_columns_said_by_hand(bedside, visits: Path, tiny_model: Path):
    shown = bedside("inspect", str(visits), "--model", str(tiny_model), "--column", "seen=time", "--json")
    # Dates with dots begin with the day, also where the column was only said to be a time.
    assert json.loads(shown.out)["columns"]["seen"] == "time_day_first"


def test_prepare_says_each_step_and_copies_the_rows(bedside, visits: Path, tmp_path: Path):
    out = tmp_path / "new" / "out"
    shown = bedside("prepare", str(visits), "--set", "data.contains_phi=false", "--out", str(out))
    assert shown.status == 0 and shown.out.endswith(f"Prepared in {out}\n")
    assert "read                22 →        20  1 could not be used, 1 were equal to an earlier one." in shown.out
    rows = {side: len((out / f"{side}.jsonl").read_text().splitlines()) for side in ("train", "validation", "general")}
    assert rows == {"train": 18, "validation": 2, "general": 2}
    again = json.loads(bedside("prepare", str(visits), "--set", "data.contains_phi=false", "--json").out)
    assert again["manifest"] == json.loads((out / "manifest.json").read_text())
    assert again["folder"] == str(config.home() / "prepared" / again["manifest"]["key"])


def test_off_is_a_word_and_needs_a_reason(bedside, visits: Path):
    refused = bedside("prepare", str(visits), "--set", "data.deidentify=off")
    assert refused.status == 2 and "data.not_deidentified_because: rows that may hold patient data" in refused.err
    reason = "data.not_deidentified_because=written for a course"
    shown = bedside("prepare", str(visits), "--set", "data.deidentify=off", "--set", reason, "--json")
    removed = json.loads(shown.out)["manifest"]["deidentification"]
    assert (removed["action"], removed["because"]) == ("off", "Switched off: written for a course")


def test_kept_data_is_listed_and_deleted(bedside, visits: Path):
    assert "Nothing is kept yet." in bedside("list").out
    made = json.loads(bedside("prepare", str(visits), "--set", "data.contains_phi=false", "--json").out)
    key = made["manifest"]["key"]
    assert [(one["id"], one["kind"]) for one in json.loads(bedside("list", "--json").out)["kept"]] == [
        (key, "prepared")
    ]
    kept = bedside("delete", key)
    assert kept.status == 2 and f"add --yes to delete {key} for good" in kept.err and Path(made["folder"]).exists()
    assert json.loads(bedside("delete", key, "--yes", "--json").out) == {"deleted": key}
    assert not Path(made["folder"]).exists() and json.loads(bedside("list", "--json").out) == {"kept": []}


def test_published_sets_say_what_they_may_be_used_for(bedside):
    sets = {one["name"]: one for one in json.loads(bedside("sets", "--json").out)["sets"]}
    assert sets["medqa"]["rows"] > 10_000 and all(one["licence"] for one in sets.values())
    assert f"{sets['medqa']['rows']:,} rows" in bedside("sets").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "VISITS", "--column", "seen"], "--column seen: expected its name and what it is"),
        (["inspect", "VISITS", "--column", "=answer"], "--column =answer: expected its name and what it is"),
        (["inspect", "VISITS", "--column", "sen=time"], "visits.csv, sen: is named in columns but is not in the file"),
        (["inspect", "VISITS", "--format", "poem"], "data.sources.0.format: found 'poem'; it should be 'messages', "),
        (["inspect", "VISITS", "--rejected", "/"], "--rejected /: name a file in a folder that is there."),
        (["inspect", "VISITS", "--rejected", "no/where.jsonl"], "--rejected no/where.jsonl: name a file in a folder"),
        (["inspect", "VISITS", "--model", "nothing"], "The model 'nothing' could not be had"),
        (["inspect", ""], "data.sources.0.name: found ''; it should have at least 1 character. A file or folder"),
        (["inspect", "nowhere.csv"], "There is no file 'nowhere.csv'; give the path of a file or a folder"),
        (["inspect", "medqa"], "is not on this machine, and the Hub cannot be reached"),
        (["prepare", "VISITS", "--set", "data"], "--set data: expected section.field=value"),
        (["prepare", "VISITS", "--set", "data.nothing=1"], "data.nothing: there is no such field"),
        (["prepare", "VISITS", "--set", "data.deidentify=on"], "data.deidentify: found True; it should be 'mask'"),
        (["prepare", "VISITS", "--out", "VISITS"], "visits.csv is a file; name a folder."),
        (["prepare", "VISITS", "--out", "VISITS/in"], "visits.csv/in cannot be used (Not a directory)"),
        (["prepare", "nowhere.data.yaml"], "nowhere.data.yaml: cannot be read (No such file or directory)."),
        (["prepare", "VISITS", "--set", "data.sources=VISITS"], "data.sources: found '"),
        (
            ["prepare", "VISITS", "--set", "data.sources=[VISITS]"],
            "; it should hold names with values. What is trained",
        ),
        (["delete", "nothing", "--yes"], "Nothing is kept as 'nothing'; `bedside data list` shows what is."),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    bedside, visits: Path, tiny_model: Path, arguments: list[str], said: str
):
    given = [one.replace("VISITS", str(visits)) for one in arguments]
    if given[0] == "inspect" and "--model" not in given:
        given += ["--model", str(tiny_model)]
    shown = bedside(*given)
    assert (shown.status, shown.out) == (2, "")
    assert said in shown.err and "Traceback" not in shown.err


def test_progress_is_said_at_a_stage_s_start_and_end_and_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = [0.0]
    monkeypatch.setattr(data_commands.time, "monotonic", lambda: clock[0])
    tell = data_commands._teller()
    for row in range(1, 8):
        tell("reading", row, 7)
        clock[0] += 0.9
    tell("splitting", 0, 1)
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines == ["reading: 1 of 7", "reading: 4 of 7", "reading: 7 of 7", "splitting: 0 of 1"]
