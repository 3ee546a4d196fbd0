"""`bedside preferences` and `bedside align` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from assistant import preference_commands
from assistant.preference_commands import preferences_app
from assistant.preference_words import Aligned, PreferenceDetails, PreferenceList, PreferenceMade
from assistant.terminal import BadInput
from trainer import config as run_config
from trainer import runs
from trainer.data.records import DataError
from trainer.runs import Run
from trainer.store import Comparison, ReviewSet, Vote, session

app = typer.Typer()
app.add_typer(preferences_app, name="preferences")
app.command("align")(preference_commands.align)


def bedside(*arguments: str) -> Any:
    """What the verb prints; what it raises is what `assistant.cli.main` says in one sentence."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


@pytest.fixture
def votes() -> ReviewSet:
    made = ReviewSet(name="ward", first="a", second="b")
    with session() as opened:
        opened.add(made)
        opened.flush()
        for number in range(24):
            opened.add(
                Comparison(
                    id=f"c{number}", set_id=made.id, place=number, first="a", second="b", first_answer="yes",
                    second_answer="no", prompt=[{"role": "user", "content": f"Is {number} even?"}],
                )
            )  # fmt: skip
            opened.flush()
            choice = "tie" if number == 0 else "first" if number % 2 == 0 else "second"
            opened.add(Vote(comparison_id=f"c{number}", reviewer="r1", choice=choice))
    return made


def test_votes_are_looked_at_kept_shown_exported_and_taken_in_again(votes: ReviewSet, tmp_path: Path):
    looked = bedside("preferences", "make", "ward", "--preview")
    assert "From all votes: 23 pairs, 46 labelled answers (23 good, 23 bad).\nNo pair: 1 x a tie." in looked.stdout
    assert "Is 1 even?\n    better: no\n    worse: yes" in looked.stdout and "Nothing was saved" in looked.stdout
    assert "No preference data yet" in bedside("preferences", "list").stdout
    made = PreferenceMade.model_validate_json(
        bedside("preferences", "make", "ward", "--set", "ward", "--rule", "ties=both_good", "--json").stdout
    )
    assert made.saved == "ward-v1" and made.counts["good"] == 25 and made.rules and made.rules.ties == "both_good"
    shown = PreferenceDetails.model_validate_json(bedside("preferences", "show", "ward", "--json").stdout)
    assert shown.manifest.reasons == {"a tie": 1} and shown.examples[0]["chosen"][0]["content"] == "no"
    files = [str(tmp_path / name) for name in ("pairs.jsonl", "labels.jsonl")]
    exported = bedside("preferences", "export", "ward", files[0], "--json")
    assert json.loads(exported.stdout) == {"file": files[0], "rows": 23}
    assert "48 rows written" in bedside("preferences", "export", "ward", files[1], "--labels").stdout
    assert "Saved as back-v1." in bedside("preferences", "import", "back", *files).stdout
    kept = PreferenceList.model_validate_json(bedside("preferences", "list", "--json").stdout).saved
    assert [one.id for one in kept] == ["back-v1", "ward-v1"] and kept[0].counts["pairs"] == 23
    refused = bedside("preferences", "delete", "back-v1")
    assert isinstance(refused.exception, BadInput) and "add --yes to delete back-v1" in str(refused.exception)
    assert json.loads(bedside("preferences", "delete", "back-v1", "--yes", "--json").stdout) == {"deleted": "back-v1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rule", "tie=both_good"], "There is no rule 'tie'; the rules are least_readers, ties, alike"),
        (["--rule", "least_readers"], "--rule least_readers: expected RULE=VALUE"),
        (["--rule", "least_readers=many"], "--rule least_readers: found 'many'; input should be a valid integer"),
        (["--safety", "x.jsonl"], "--safety and --against belong together"),
        (["--safety", "x.jsonl", "--against", "r", "--rule", "ties=leave_out"], "leave out --set, --rule and --judge"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], said: str):
    found = bedside("preferences", "make", "x", *arguments)
    assert isinstance(found.exception, BadInput) and said in str(found.exception)


def test_nothing_to_learn_from_is_said(finished_run: Run):
    found = bedside("preferences", "make", "x")
    assert isinstance(found.exception, DataError) and "gives no pair and no label" in str(found.exception)
    found = bedside("align", finished_run.id)
    assert isinstance(found.exception, DataError) and "bedside preferences make" in str(found.exception)


def test_a_run_file_of_an_alignment_with_its_reasons(votes: ReviewSet, finished_run: Run, tmp_path: Path):
    bedside("preferences", "make", "ward")
    out = tmp_path / "align.yaml"
    shown = bedside("align", "latest", "--out", str(out), "--set", "objective.beta=0.3")
    assert shown.exit_code == 0, shown.exception
    assert "objective.kind = dpo: 23 pairs of a better and a worse answer" in shown.stdout
    assert "objective.beta = 0.3: You asked for it. [your answer]" in shown.stdout
    config = run_config.load(out)
    assert config.objective.kind == "dpo" and config.objective.beta == 0.3
    assert config.method.start_from == finished_run.id and len(runs.list_runs()[0]) == 1
    by_rules = Aligned.model_validate_json(bedside("align", "latest", "--by-rules", "--out", str(out), "--json").stdout)
    assert by_rules.config.objective.kind == "grpo" and by_rules.data is None and by_rules.run is None


@pytest.mark.soak
def test_votes_become_a_trained_run(votes: ReviewSet, finished_run: Run):
    bedside("preferences", "make", "ward")
    done = bedside(
        "align", "latest", "--json", "--set", "evaluation.held_out=[]", "--set", "schedule.epochs=2",
        "--set", "evaluation.forgetting=false", "--set", "steering.forgetting_every=null",
        "--set", "steering.harm_every=null",
    )  # fmt: skip
    assert done.exit_code == 0, done.stdout
    found = Aligned.model_validate_json(done.stdout[done.stdout.index("{") :])
    assert found.run and found.run.state == "done" and found.data == "ward-v1"
