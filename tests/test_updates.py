"""An update goes on from a version: what it changes of the run file, which rows it replays, and that it really runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from versions_made import run_like

from trainer import engine, runs
from trainer.atomic import write_atomically
from trainer.config import ConfigError
from trainer.data import row_files
from trainer.data.prepare import prepare
from trainer.data.rows import answer, question
from trainer.data_sections import DataSource
from trainer.model_refs import ModelRef
from trainer.reporting import Reporter
from trainer.runs import Run
from trainer.sections import RunConfig
from trainer.store import Version
from trainer.versions import VersionError, registry, updates


@pytest.fixture
def version(finished_run: Run) -> Version:
    return registry.register("labs", finished_run, "data")


@pytest.fixture
def news(tmp_path: Path) -> DataSource:
    """Six rows that the version has not seen."""
    path = tmp_path / "news.jsonl"
    rows = [{"question": f"What is the dose of drug {at}?", "answer": f"{at} mg"} for at in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSource(name=str(path))


def replayed(config: RunConfig) -> list[tuple[str, str]]:
    return [(question(row), answer(row)) for row in row_files.read(Path(config.data.sources[-1].name))]


def test_the_run_file_goes_on_from_the_version_at_half_the_rate(version: Version, news: DataSource, finished_run: Run):
    found = updates.plan(version, [news], "drug")
    config, before = found.config, finished_run.config
    assert config.method == before.method.model_copy(update={"start_from": finished_run.id})
    assert config.schedule.learning_rate == before.schedule.learning_rate / 2
    assert config.steering.replay_share == 0.2 and config.objective.kind == "sft"
    assert config.schedule.max_steps is None, "the version's steps were for the version's rows"
    assert (config.model, config.task, config.output.name) == (before.model, before.task, "labs drug update")
    assert config.data.contains_phi is None, "what was said of the version's rows is not said of the new ones"
    assert set(found.reasons) == {
        "method.start_from", "schedule.learning_rate", "steering.replay_share", "data.sources", "data.contains_phi",
    }  # fmt: skip
    assert found.reasons["data.sources"] == "6 new rows, and 6 that 1.0.0 was trained on, replayed"
    said = updates.plan(version, [news], "drug", contains_phi=False)
    assert said.config.data.contains_phi is False


def test_only_rows_that_were_trained_on_are_replayed(version: Version, news: DataSource, finished_run: Run):
    found = updates.plan(version, [news], "research", earlier_rows=100.0).config
    data = prepare(finished_run.config)
    trained = {(question(row), answer(row)) for row in data.rows("train")}
    kept_back = {(question(row), answer(row)) for row in data.rows("validation")}
    assert set(replayed(found)) == trained and kept_back and not kept_back & trained
    few = updates.plan(version, [news], "research", earlier_rows=0.5).config
    assert len(replayed(few)) == 3 and set(replayed(few)) < trained
    assert updates.plan(version, [news], "research", earlier_rows=0.5).config == few, "drawn with the version's seed"
    none = updates.plan(version, [news], "research", earlier_rows=0)
    assert len(none.config.data.sources) == 1 and none.reasons["data.sources"].endswith("no earlier rows are replayed")


def test_rows_of_what_the_version_goes_on_from_are_replayed_too(version: Version, news: DataSource, finished_run: Run):
    second = run_like(finished_run, "second", updates.plan(version, [news], "drug", contains_phi=False).config)
    kept = registry.register("labs", second, "drug")
    third = updates.plan(kept, [news], "guideline", contains_phi=False, earlier_rows=100.0).config
    rows = replayed(third)
    trained = [(question(row), answer(row)) for row in prepare(finished_run.config).rows("train")]
    assert set(trained) < set(rows), "those of the first"
    assert any("dose of drug" in asked for asked, _ in rows), "and those of the second"
    assert len(rows) == len(set(rows)), "rows that the second replayed already come once"


def test_an_update_trains_on_both_starts_where_the_version_was_and_becomes_a_minor_version(
    version: Version, news: DataSource, finished_run: Run
):
    config = updates.plan(version, [news], "drug", contains_phi=False).config
    config.schedule.max_steps = 1
    config.evaluation.held_out, config.evaluation.sample_prompts = [], []
    config.schedule.learning_rate = 1e-9
    run = runs.create(config)
    engine.train(config, Reporter(run.folder, run.status))
    run = runs.get(run.id)
    from safetensors.torch import load_file

    before, after = load_file(finished_run.weights[0]), load_file(run.weights[0])
    assert all(after[name].allclose(before[name], atol=1e-6) for name in before), "it began with the version's weights"
    trained = {question(row) for row in prepare(config).rows("train")}
    assert any("dose of drug" in asked for asked in trained) and any("even?" in asked for asked in trained)
    kept = registry.register("labs", run, "drug", "Doses of six drugs.")
    assert (kept.number, kept.parent) == ("1.1.0", "1.0.0")
    assert (
        "minor: new knowledge or data (drug); trained on news.jsonl (6 rows); 6 earlier rows replayed."
        in kept.changelog
    )
    assert kept.changelog.splitlines()[0] == "Doses of six drugs."
    assert [one["role"] for one in kept.data_manifest["sources"]] == ["training", "earlier", "replay"]


def test_an_adapter_of_another_shape_than_the_run_file_says_is_gone_on_from_as_it_was_saved(
    version: Version, news: DataSource, finished_run: Run
):
    path = finished_run.adapter / "adapter_config.json"
    saved: dict[str, Any] = json.loads(path.read_text()) | {"r": 8, "lora_alpha": 16}
    write_atomically(path, json.dumps(saved))
    config = finished_run.config.model_copy(deep=True)
    config.method = config.method.model_copy(update={"init": "pissa"})
    pissa = registry.register("other", run_like(finished_run, "pissa", config), "data")
    values = updates.plan(pissa, [news], "drug").config.method.model_dump()
    assert (values["rank"], values["alpha"], values["init"]) == (8, 16, "zero")


def test_from_the_base_it_begins_with_nothing(news: DataSource, finished_run: Run):
    base = registry.register("labs", ModelRef(run=finished_run.id, part="base"), "base")
    found = updates.plan(base, [news], "epidemiology")
    assert found.config.method.start_from is None
    assert len(found.config.data.sources) == 1, "the base was not trained on the run's rows"
    assert found.reasons["method.start_from"].startswith("labs 1.0.0 is the base itself")


def test_what_cannot_be_continued_is_said(news: DataSource, finished_run: Run, version: Version):
    with pytest.raises(VersionError, match="An update needs new rows"):
        updates.plan(version, [], "drug")
    config = RunConfig.model_validate(finished_run.config.model_dump() | {"method": {"kind": "p_tuning"}})
    tuned = registry.register("other", run_like(finished_run, "p-tuned", config), "data")
    with pytest.raises(ConfigError, match="P-tuning"):
        updates.plan(tuned, [news], "drug")
