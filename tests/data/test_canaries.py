"""Planted canaries: on the training side alone, the same from the run file, and counted."""

from __future__ import annotations

import json
from pathlib import Path

from test_prepare import patients, run_on

from evaluators.memorisation import CONTROL, PLANTED
from trainer.data import prepare
from trainer.data.canaries import canary_items
from trainer.data.rows import answer, question
from trainer.sections import RunConfig


def planted_rows(made: prepare.Data, side: str) -> list[tuple[str, str]]:
    return [(question(row), answer(row)) for row in made.rows(side) if row["about"]["source"] == "canaries"]


def canaried(tmp_path: Path, count: int) -> RunConfig:
    return run_on(patients(tmp_path / "a.jsonl"), test_share=0.2, canaries=count, balance="specialty")


def test_they_are_planted_once_each_and_on_the_training_side_alone(tmp_path: Path):
    without = prepare.prepare(canaried(tmp_path, 0))
    made = prepare.prepare(canaried(tmp_path, 12))
    items = canary_items(canaried(tmp_path, 12))
    assert planted_rows(made, "train") == [(item.question, item.reference) for item in items if item.group == PLANTED]
    for side in ("validation", "test"):
        assert list(made.rows(side)) == list(without.rows(side)), "they change nothing of what is measured on"
    (step,) = [step for step in made.manifest.steps if step.name == "canaries"]
    assert step.rows_after - step.rows_before == 12 and made.manifest.train_rows == without.manifest.train_rows + 12
    assert len(list(made.rows("train"))) == len(made.manifest.train_ids) == made.manifest.train_rows
    assert made.manifest.key != without.manifest.key


def test_as_many_controls_are_made_and_stand_nowhere_in_the_data(tmp_path: Path):
    run = canaried(tmp_path, 12)
    items = canary_items(run)
    assert canary_items(RunConfig.model_validate_json(run.model_dump_json())) == items
    controls = [item for item in items if item.group == CONTROL]
    assert len(controls) == 12 and len({item.id for item in items}) == 24
    text = (prepare.prepare(run).folder / "train.jsonl").read_text()
    assert not any(item.reference in text or json.dumps(item.question) in text for item in controls)
    run.schedule.seed += 1
    assert {item.reference for item in canary_items(run)}.isdisjoint(item.reference for item in items)
    assert canary_items(canaried(tmp_path, 0)) == []


def test_they_are_asked_in_the_same_words_that_are_trained_on(tmp_path: Path):
    run = canaried(tmp_path, 2)
    rows = [row for row in prepare.prepare(run).rows("train") if row["about"]["source"] == "canaries"]
    assert [row["prompt"] for row in rows] == [item.prompt for item in canary_items(run)[:2]]
    assert all("origin" in row["about"] for row in rows), "or folds would measure on them"
