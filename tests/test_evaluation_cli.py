"""`bedside eval`, `attack` and `evaluations` as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer import runs
from trainer.runs import Run

BEDSIDE = [sys.executable, "-m", "assistant.cli"]
ROOT = Path(__file__).resolve().parent.parent


def bedside(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BEDSIDE, *arguments], capture_output=True, text=True, cwd=ROOT, env=os.environ)


def test_a_report_in_words_and_as_json(finished_run: Run, asked_rows: Path):
    shown = bedside("eval", "latest", "--suite", "answers", "--no-latency")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Evaluation ") and f"of run {finished_run.id} is done." in shown.stdout
    assert "answers (asked): Exact match" in shown.stdout and "NOT ENOUGH EVIDENCE" in shown.stdout
    assert "2,995 cases are needed" in shown.stdout
    listed = json.loads(bedside("evaluations", "list", "--json").stdout)["evaluations"]
    assert [one["run"] for one in listed] == [finished_run.id]
    details = bedside("evaluations", "show", "latest", "--json")
    found = json.loads(details.stdout)
    assert found["report"]["complete"] and found["request"]["suites"][0]["source"] == str(asked_rows)
    schema = json.loads(bedside("schema", "eval").stdout)
    assert set(found) == set(schema["properties"])
    kept = bedside("evaluations", "delete", "latest")
    assert kept.returncode == 2 and "add --yes" in kept.stderr
    assert json.loads(bedside("evaluations", "delete", "latest", "--yes", "--json").stdout) == {"deleted": found["id"]}
    assert json.loads(bedside("evaluations", "forget", "--json").stdout) == {"files": 1}


def test_bad_input_is_one_sentence_and_status_2(finished_run: Run):
    for arguments, said in (
        (["eval", "nothing"], "There is no run 'nothing'"),
        (["eval", "latest", "--suite", "speed"], "There is no suite called 'speed'"),
        (["eval", "latest", "--data", "nowhere.csv"], "nowhere.csv: nothing in it fits a suite"),
        (["attack", "latest", "--kind", "rain"], "There is no way of disturbing called 'rain'"),
        (["attack", "latest", "--set", "adversarial.share=0.3"], "--set says how to train against attacks"),
        (["evaluations", "show", "latest"], "There are no evaluations yet"),
    ):
        shown = bedside(*arguments)
        assert shown.returncode == 2 and said in shown.stderr, (arguments, shown.stderr)
        assert "Traceback" not in shown.stderr and shown.stdout == ""


@pytest.mark.soak
def test_attack_train_against_it_attack_again_in_one_command(finished_run: Run, asked_rows: Path):
    shown = bedside(
        "attack", "latest", "--harden", "--variants", "2", "--kind", "style", "--kind", "paraphrase",
        "--set", "adversarial.consistency=0", "--set", "adversarial.perturbations=[style]", "--json",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["state"] == "done" and found["request"]["against"] == finished_run.id
    hardened = runs.get(found["request"]["run"])
    assert hardened.config.output.name == "tiny hardened" and hardened.status.state == "done"
    perturbed = json.loads((hardened.folder / "data" / "manifest.json").read_text())["perturbed_rows"]
    assert perturbed > 0
    assert [one["suite"] for one in found["report"]["suites"]] == ["consistency", "robustness"]
    first = json.loads(bedside("evaluations", "list", "--json").stdout)["evaluations"][-1]
    assert first["run"] == finished_run.id and first["state"] == "done"
