"""Rows as they are trained on: what is known of each, and which general ones are kept aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.data import prepare
from trainer.data.tokenised import tokenise
from trainer.data_sections import DataSource
from trainer.method_sections import LayerNormMethod
from trainer.sections import RunConfig

WALKS = [{"question": f"How far is it to town {number}?", "answer": f"{number * 3} miles."} for number in range(60)]


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_on(folder: Path, rows: list[dict[str, str]]) -> RunConfig:
    path = write(folder / "rows.jsonl", rows)
    return RunConfig.model_validate(
        {"data": {"sources": [{"name": str(path)}], "contains_phi": False}, "evaluation": {"forgetting": False}}
    )


def test_dynamic_mixing_is_given_half_general_rows_and_some_aside(tmp_path: Path, tokenizer: Any):
    config = run_on(tmp_path, WALKS)
    config.steering.mixing, config.steering.replay_share = "dynamic", 0.0
    made = prepare.prepare(config)
    own, mixed = made.manifest.train_rows - made.manifest.replay_rows, list(made.rows("general"))
    assert len(mixed) == made.manifest.replay_rows == own, "half and half"
    aside = {row["about"]["id"] for row in made.rows("general_validation")}
    assert len(aside) == 14, "a fifth of 72"
    assert aside.isdisjoint(row["about"]["id"] for row in mixed)
    prepared = tokenise(config, tokenizer)
    assert len(prepared.general_validation) == 14 and all(prepared.general_validation["general"])
    few = write(tmp_path / "few.jsonl", [{"question": f"A rhyme for {word}?", "answer": word} for word in "abc"])
    config.data.general_sources = [DataSource(name=str(few))]
    prepared = tokenise(config, tokenizer)
    assert len(prepared.general_validation) == 0 and prepared.manifest.replay_rows == 12
    assert any("too few to keep some aside" in warning for warning in prepared.warnings)
    assert any("General rows are" in warning and "50% was asked for" in warning for warning in prepared.warnings)


def test_general_rows_that_are_not_mixed_in_can_be_measured_on(tmp_path: Path):
    config = run_on(tmp_path, WALKS)
    config.steering.replay_share = 0.1
    made = prepare.prepare(config)
    mixed, aside = ([row["about"]["id"] for row in made.rows(side)] for side in ("general", "general_validation"))
    assert len(aside) == 40 and set(aside).isdisjoint(mixed)
    config.steering.replay_share = 0
    assert not list(prepare.prepare(config).rows("general_validation"))


def test_rows_know_their_task_specialty_and_level(tmp_path: Path, tokenizer: Any):
    rows = [
        {
            "question": f"Tell me number {number} of {topic}.",
            "answer": f"It is {topic}.",
            "task": task,
            "specialty": specialty,
            "level": level,
        }
        for number in range(8)
        for topic, task, specialty, level in (
            ("gout", "treatment", "rheumatology", "judgement"),
            ("asthma", "diagnosis", "pulmonology", "facts"),
            ("reports", "ner", "pulmonology", ""),
        )
    ]
    config = run_on(tmp_path, rows)
    config.steering.replay_share, config.steering.curriculum = 0.2, "steps"
    prepared = tokenise(config, tokenizer)
    assert prepared.tasks == ["diagnosis", "ner", "treatment"]
    assert prepared.specialties == ["pulmonology", "rheumatology"]
    assert prepared.levels == ["facts", "judgement"], "in their order, not by the alphabet"
    own, general = {(0, 0, 0), (1, 0, -1), (2, 1, 1)}, {(-1, -1, -1)}
    for side in (prepared.train, prepared.validation, prepared.general_validation):
        columns = [side[name][:] for name in ("task", "specialty", "level")]
        kinds = list(zip(side["general"][:], *columns, strict=True))
        assert {tuple(kind) for mixed_in, *kind in kinds if mixed_in} <= general
        assert {tuple(kind) for mixed_in, *kind in kinds if not mixed_in} <= own
    without = sum(
        level < 0 < 1 + task for level, task in zip(prepared.train["level"], prepared.train["task"], strict=True)
    )
    (warning,) = (warning for warning in prepared.warnings if "have no level" in warning)
    assert warning.startswith(f"{without} of {len(prepared.train)} rows") and "(facts, judgement)" in warning


def test_every_row_has_a_group_where_each_has_weights_of_its_own(tmp_path: Path, tokenizer: Any):
    rows = [
        {"question": f"Tell me number {number} of {topic}.", "answer": f"It is {topic}.", "specialty": specialty}
        for number in range(12)
        for topic, specialty in (
            ("it", "rheumatology"),
            ("that", "pulmonology"),
            ("those", "pulmonology"),
            ("them", ""),
        )
    ]
    config = run_on(tmp_path, rows)
    config.method = LayerNormMethod(per="specialty")
    config.steering.replay_share = 0.2
    prepared = tokenise(config, tokenizer)
    assert prepared.groups == prepared.specialties == ["pulmonology", "rheumatology"]
    train = prepared.train.to_list()
    assert all(row["group"] == max(0, row["specialty"]) for row in train if not row["general"])
    assert [row["group"] for row in train if row["general"]][:4] == [0, 1, 0, 1]
    unknown = sum(row["specialty"] < 0 and not row["general"] for row in train)
    assert unknown and any(
        warning.startswith(f"{unknown} of ") and warning.endswith("the largest group, pulmonology.")
        for warning in prepared.warnings
    )
    config.method = LayerNormMethod()
    assert "group" not in tokenise(config, tokenizer).train.column_names
