"""`bedside search` as a user meets it, on searches whose trials are there already."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assistant import cli
from assistant.terminal import BadInput
from trainer import config as run_config
from trainer import jobs
from trainer.search import searches
from trainer.search.outcome import Result
from trainer.search.request import SearchRequest
from trainer.search.searches import Search
from trainer.search.study import SharedStudy
from trainer.sections import RunConfig

SPACE = {"schedule.learning_rate": {"low": 1e-4, "high": 5e-3, "log": True}, "method.rank": {"choices": [8, 16]}}


@pytest.fixture
def made() -> Search:
    """A stopped search of which three trials are made: as the run file is, better, and ended early."""
    request = SearchRequest.model_validate({"run": RunConfig(), "space": SPACE, "trials": 5})
    search = searches.create(request)
    study = SharedStudy(search.folder, request)
    for loss in (1.0, 0.8):
        number, _ = study.ask() or (0, {})
        study.complete(number, Result(measured={"quality": loss}, curve=[(100, loss)], steps=4, seconds=2.0))
    number, _ = study.ask() or (0, {})
    study.report(number, 50, 2.0)
    study.poor(number, "Poorer than most trials after 50 % of the budget.")
    study.close()
    jobs.write_state(search.folder, search.status.model_copy(update={"state": "stopped"}))
    return searches.get(search.id)


def bedside(*words: str) -> str:
    found = CliRunner().invoke(cli.app, ["search", *words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_search_is_listed_shown_promoted_and_deleted(made: Search, tmp_path: Path):
    (listed,) = json.loads(bedside("list", "--json"))["searches"]
    assert (listed["id"], listed["done"], listed["trials"], listed["best"]) == (made.id, 3, 5, 1)
    shown = json.loads(bedside("show", "latest", "--json"))
    assert [one["state"] for one in shown["trials"]] == ["complete", "complete", "pruned"] and shown["front"] == [1]
    words = bedside("show", made.id)
    assert "1*" in words and "(2.000)" in words and "ended early" in words
    out = tmp_path / "found.yaml"
    promoted = json.loads(bedside("promote", "latest", "--out", str(out), "--json"))
    config = run_config.load(out)
    assert promoted["values"] == made.trials()[1].values
    assert config.schedule.learning_rate == made.trials()[1].values["schedule.learning_rate"]
    first = json.loads(bedside("promote", "latest", "--trial", "0", "--json"))
    assert first["values"] == {"schedule.learning_rate": 2e-4, "method.rank": 16} and first["file"] is None
    with pytest.raises(BadInput, match="is stopped; `bedside search resume"):
        bedside("work", "latest")
    assert json.loads(bedside("delete", "latest", "--yes", "--json")) == {"deleted": made.id}
    assert bedside("list").startswith("No searches yet")


def test_a_proposal_is_written_changed_and_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file, out = tmp_path / "run.yaml", tmp_path / "search.yaml"
    run = RunConfig.model_validate({"data": {"sources": [{"name": "starter/lab"}], "contains_phi": False}})
    file.write_text(run_config.to_yaml(run))
    reasons = bedside("propose", str(file), "--out", str(out))
    assert "method.rank: 4, 8, 16, 32, 64." in reasons and "[lecture L1.9]" in reasons
    out.write_text(re.sub(r"(?m)^trials: \d+", "trials: 7", out.read_text()))
    monkeypatch.setattr(searches, "start", lambda search: search)
    started = json.loads(bedside(str(out), "--tokens", "500", "--detach", "--json"))
    assert (started["request"]["trials"], started["request"]["tokens"]) == (7, 500)
    swept = bedside(str(file), "--method", "population", "--detach", "--json")
    space = json.loads(swept)["request"]["space"]
    assert "schedule.learning_rate" in space and "method.rank" not in space
    written = json.loads(bedside("sweep", str(file), "--out", str(tmp_path / "sweep.yaml"), "--json"))
    assert "${args_no_hyphens}" in Path(written["file"]).read_text()
    from trainer.evaluation.request import RequestError

    with pytest.raises(RequestError, match=r"objectives\.0: Input should be 'quality'"):
        bedside(str(file), "--objective", "beauty", "--detach")
