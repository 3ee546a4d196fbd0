"""`bedside review` as a user meets it, on a run that was really trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assistant.review_commands import review_app
from assistant.schemas import schema_of
from assistant.terminal import BadInput
from trainer.jobs import RunError
from trainer.review.prompts import ReviewError
from trainer.runs import Run


def review(*arguments: str) -> str:
    result = CliRunner().invoke(review_app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_questions_to_results(finished_run: Run, asked_rows: Path):
    made = json.loads(review("create", "First", "--data", str(asked_rows), "--first", "latest", "--items", "4",
                             "--max-new-tokens", "4", "--json"))  # fmt: skip
    assert (made["name"], made["cases"], made["answered"], made["models"]) == ("First", 4, 0, None)
    assert json.loads(review("answer", "First", "--json")) == {"set": made["id"], "answered": 4}
    dealt = json.loads(review("assign", "First", "--reviewer", "Ada", "--reviewer", "Ben", "--twice", "0.5", "--json"))
    assert dealt["dealt"] == 6 and [one["total"] for one in dealt["reviewers"]] == [3, 3]
    for reader in ("Ada", "Ben"):
        while (case := json.loads(review("show", "First", "--reviewer", reader, "--json"))["case"]) is not None:
            assert case["names"] is None and "Is 10" in case["messages"][0]["content"]
            voted = json.loads(review("vote", case["comparison_id"], "--reviewer", reader, "--choice", "left",
                                      "--rate", "left.safety=4", "--rate", "right.clarity=2", "--json"))  # fmt: skip
            assert {voted["revealed"]["left"], voted["revealed"]["right"]} == {
                finished_run.id,
                f"{finished_run.id}:base",
            }
    shown = review("show", "First")
    assert "4 of 4 cases answered, 4 judged." in shown and f"compares {finished_run.id} with" in shown, "all is judged"
    listed = json.loads(review("list", "--json"))["sets"]
    assert [one["votes"] for one in listed] == [6] and set(listed[0]) == set(schema_of("review show")["properties"])
    found = json.loads(review("results", "First", "--json"))
    assert set(found) == set(schema_of("review results")["properties"])
    assert found["votes"] == 6 and found["position"]["share"]["score"] == 1
    words = review("results", "First")
    assert "6 votes of 2 reviewers on 4 comparisons; 0 adjudicated." in words
    assert "The left answer won 100% of 6 votes" in words and "bias by position: left is preferred." in words
    assert "Cohen's kappa of Ada and Ben" in words
    with pytest.raises(BadInput, match="add --yes to delete 'First' with its 6 votes"):
        review("delete", "First")
    assert json.loads(review("delete", "First", "--yes", "--json")) == {"deleted": made["id"]}
    assert review("list").startswith("No review sets yet")


def test_what_cannot_be_done_is_one_sentence(finished_run: Run, asked_rows: Path):
    create = ("create", "First", "--data", str(asked_rows), "--first")
    with pytest.raises(RunError, match="There is no run 'nothing'"):
        review(*create, "nothing")
    with pytest.raises(ReviewError, match="choose two different ones"):
        review(*create, "latest", "--second", "latest")
    with pytest.raises(ReviewError, match="There is no review set 'First'; there are none yet"):
        review("show", "First")
    with pytest.raises(ReviewError, match="There is no comparison 'abc'"):
        review("vote", "abc", "--reviewer", "Ada", "--choice", "tie")
    for wrong, said in (("safety=5", "expected SIDE.CRITERION=STARS"), ("left.safety=9", "rated 1 to 5 on accuracy")):
        with pytest.raises(BadInput, match=said):
            review("vote", "abc", "--reviewer", "Ada", "--choice", "tie", "--rate", wrong)
