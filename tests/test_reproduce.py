"""A run made again on the tiny model: equal bit by bit, and what differs is named where something does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainer import engine, environment, jobs, runs
from trainer import reproduce as again
from trainer.data.prepare import prepare
from trainer.dossier import DossierError, dossier, evidence, record
from trainer.dossier.record import Record
from trainer.jobs import State
from trainer.model_refs import ModelRef
from trainer.reporting import Reporter
from trainer.runs import Run


def kept_of(run: Run) -> Record:
    return record.of(evidence.gather(ModelRef(run=run.id)))


def here(run: Run) -> Run:
    """Train in this process instead of one of its own, which takes seconds to start."""
    engine.train(run.config, Reporter(run.folder, run.status))
    return runs.get(run.id)


def nothing_trains(run: Run) -> Run:
    pytest.fail(f"{run.id} was to be trained")


def ends_as(state: State):
    def ended(run: Run) -> Run:
        jobs.write_state(run.folder, run.status.model_copy(update={"state": state}))
        return runs.get(run.id)

    return ended


@pytest.fixture(autouse=True)
def not_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "start", lambda run: run)


def test_the_same_machine_gives_the_same_losses_weights_and_scores(finished_run: Run, tmp_path: Path):
    path = tmp_path / "dossier.json"
    path.write_text(kept_of(finished_run).model_dump_json())
    kept = record.read(path)
    stopped = again.reproduce(kept, follow=ends_as("stopped"))
    assert stopped.verdict == "not compared"
    assert stopped.said == f"The run {stopped.run} that trains it again is stopped. Call this again to go on with it."
    found = again.reproduce(kept, follow=here)
    assert found.run == stopped.run != finished_run.id, "what was begun is gone on with"
    assert found.verdict == "equal" and found.environment == [] and found.notes == []
    assert found.said.startswith("Equal: 4 losses in training, 2 on validation rows, the weights bit by bit, and 3 sc")
    assert found.base and found.base.equal and all(one.equal for one in found.data)
    assert {"rows: train.jsonl", "rows: validation.jsonl"} <= {one.what for one in found.data}
    assert len(found.weights) == 1 and found.weights[0].equal
    # Called again, what was trained is taken and only compared.
    assert again.reproduce(kept, follow=nothing_trains).run == found.run
    assert not list((runs.runs_folder().parent / "prepared").glob("*again*")), "nothing is left of the data made again"


def test_another_seed_differs_from_the_first_step_on(finished_run: Run):
    kept = kept_of(finished_run)
    other = finished_run.config.model_copy(deep=True)
    other.schedule.seed += 1
    other.evaluation.held_out = []
    found = again.Reproduction(model=kept.model)
    trained = here(runs.create(other))
    again.compare(kept, trained, found)
    assert found.verdict == "not equal" and found.training and found.training.first_difference == 1
    theirs = record.curves(trained.events()).training
    apart = [abs(one.loss - two.loss) for one, two in zip(kept.curves.training, theirs, strict=True)]
    assert found.training.largest_difference == max(apart) > 0
    assert found.training.largest_at == apart.index(max(apart)) + 1
    assert "the training loss differs from step 1 on, by at most" in found.said and "other weights" in found.said
    assert "other scores" in found.said, "it scored nothing"


def test_curves_of_different_length_differ_where_one_ends(finished_run: Run):
    kept = kept_of(finished_run)
    kept.curves.training = kept.curves.training[:3]
    found = again.Reproduction(model=kept.model)
    again.compare(kept, finished_run, found)
    assert found.training == again.Steps(
        compared=4, first_difference=4, largest_difference=0.0, largest_at=found.training and found.training.largest_at
    )
    assert found.verdict == "not equal"


def elsewhere(kept: Record, path: Path) -> Path:
    """The record's rows as a file that a test may change."""
    source = kept.config.data.sources[0]
    path.write_bytes(Path(source.name).read_bytes())
    assert kept.data
    source.name = kept.data.sources[0].name = str(path)
    return path


def test_one_changed_row_is_found_and_nothing_is_trained(finished_run: Run, tmp_path: Path):
    kept = kept_of(finished_run)
    rows = elsewhere(kept, tmp_path / "rows.jsonl")
    before = len(runs.list_runs()[0])
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join([lines[0].replace("yes", "no"), *lines[1:]]) + "\n")
    found = again.reproduce(kept, follow=nothing_trains)
    assert found.verdict == "not equal"
    assert found.said == f"The data is not what it was: {rows}. Nothing was trained."
    rows.unlink()
    gone = again.reproduce(kept, follow=nothing_trains)
    assert gone.data[0].found.startswith("gone: There is no file") and "Nothing was trained" in gone.said
    assert len(runs.list_runs()[0]) == before


def test_rows_are_made_from_their_sources_and_not_taken_from_what_was_prepared(finished_run: Run):
    kept = kept_of(finished_run)
    assert kept.data
    assert again.reproduce(kept, data_only=True).said.startswith("The data is equal, made again:")
    prepared = prepare(finished_run.config)
    (prepared.folder / "train.jsonl").write_text("")
    assert again.reproduce(kept, data_only=True).verdict == "equal"
    kept.data.key = "0" * 16
    found = again.reproduce(kept, data_only=True)
    assert found.verdict == "equal" and found.notes[0].startswith("The key of the prepared data is another one")
    kept.data.files["train.jsonl"] = "0" * 64
    found = again.reproduce(kept, data_only=True)
    assert [one.what for one in found.data if not one.equal] == ["rows: train.jsonl"]
    assert "rows: train.jsonl" in found.said


def test_other_settings_of_the_data_are_told_though_the_sources_are_equal(finished_run: Run):
    kept = kept_of(finished_run)
    kept.config.data.validation_share = 0.4
    found = again.reproduce(kept, data_only=True)
    assert found.verdict == "not equal" and "rows: train.jsonl" in found.said
    assert found.notes[0].startswith("All sources are what they were, and the rows are not")


def test_another_environment_is_listed(finished_run: Run):
    kept = kept_of(finished_run)
    assert kept.environment
    kept.environment.packages["torch"] = "1.13.0"
    found = again.reproduce(kept, data_only=True)
    now = environment.here().packages["torch"]
    assert [(one.field, one.first, one.second) for one in found.environment] == [("packages.torch", "1.13.0", now)]
    kept.environment = None
    assert again.reproduce(kept, data_only=True).notes == [
        "The run did not record its environment; it is not compared."
    ]


def test_another_base_model_ends_it(finished_run: Run):
    kept = kept_of(finished_run)
    kept.base_sha256 = "0" * 64
    found = again.reproduce(kept, follow=nothing_trains)
    assert found.verdict == "not equal" and found.base and not found.base.equal
    assert "The base model is not what it was" in found.said and found.run is None


def test_other_scores_are_named(finished_run: Run):
    kept = kept_of(finished_run)
    kept.scores[0].tuned.score += 0.5
    found = again.Reproduction(model=kept.model)
    again.compare(kept, finished_run, found)
    assert found.verdict == "not equal" and found.training and found.training.first_difference is None
    assert found.said == f"Not equal: other scores: {kept.scores[0].name}, tuned."
    assert [one.what for one in found.scores if not one.equal] == [f"{kept.scores[0].name}, tuned"]


def test_without_a_record_of_its_data_it_cannot_be_made_again(finished_run: Run):
    (finished_run.folder / "data" / "manifest.json").unlink()
    with pytest.raises(DossierError, match="has no record of its data"):
        again.reproduce(kept_of(finished_run))


def test_the_commands(finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from typer.testing import CliRunner

    from assistant.cli import app

    runner = CliRunner()
    made = runner.invoke(app, ["dossier", "latest", "--to", str(tmp_path / "out"), "--json"])
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["model"] == finished_run.id and len(told["files"]) == 5 and told["decision"] == ""
    (tmp_path / "out" / "dossier.json").write_text("{}")
    with pytest.raises(DossierError, match="cannot be read as a dossier"):
        runner.invoke(app, ["reproduce", str(tmp_path / "out")], catch_exceptions=False)
    told = runner.invoke(app, ["reproduce", finished_run.id, "--data-only"])
    assert "data: rows: train.jsonl: equal" in told.stdout and "The data is equal, made again" in told.stdout


@pytest.mark.soak
def test_the_command_trains_in_a_process_of_its_own(finished_run: Run):
    """A dossier's folder is enough; the second call compares what the first one trained."""
    made = dossier.make(ModelRef(run=finished_run.id))
    for wanted in ("trains it again", ""):
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", "reproduce", str(made.folder), "--json"],
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert wanted in done.stderr and done.returncode in (0, 1), done.stderr
        found = again.Reproduction.model_validate_json(done.stdout)
        # The first run was trained in this process, whose number of threads and settings may be others.
        assert found.training and found.training.compared == 4
        assert found.verdict == "equal" or found.environment, found.said
