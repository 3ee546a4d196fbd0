"""Rows like the cases that an evaluation failed on come more often; the cases themselves are never trained on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluators.cases import Case
from trainer.data import prepare
from trainer.data.records import DataError
from trainer.data.rows import question
from trainer.evaluation import hard_cases
from trainer.sections import RunConfig

TOPICS = ["hypertension", "pneumonia", "appendicitis", "asthma", "pancreatitis", "osteoporosis", "migraine", "gout"]
ROWS = [f"Patient {n} is {20 + n} and has {TOPICS[n % 8]}; what should be done first?" for n in range(48)]


def case(ask: str, source: str = "s1", right: bool | None = False) -> Case:
    return Case(id=f"{source}/v", source=source, question=ask, answer="no", right=right)


def mined(cases: Sequence[Case], rows: Sequence[str] = ROWS) -> hard_cases.Mined:
    return hard_cases.mine(cases, lambda: rows)


def test_the_rows_nearest_in_words_come_more_often():
    found = mined([case("She is 71 and has migrane and gout; what now?"), case("Does asthma go away?", "s2")])
    assert {ROWS[row].split(" has ")[1].split(";")[0] for row in found.more} == {"gout", "asthma"}
    assert Counter(found.more.values()) == {1: 2 * hard_cases.NEAREST} and found.cases == 2
    assert found.passed_over == []
    nothing = mined([case("Wie heißt die Hauptstadt von Frankreich?")])
    assert not nothing.more and nothing.cases == 0


def test_a_row_that_several_cases_name_stands_at_most_four_times():
    cases = [case(f"Is gout {word}?", word) for word in ("painful", "curable", "inherited", "common", "new")]
    assert set(mined(cases).more.values()) == {3}


def test_the_evaluations_item_itself_is_passed_over():
    item = ROWS[0].replace("first", "frist")
    found = mined([case(item)], [*ROWS, "patient 0 is 20 and has hypertension; what should be done first?"])
    assert found.passed_over == [0, 48] and not found.more.keys() & {0, 48} and found.more


def test_a_file_gives_one_failed_case_for_each_source(tmp_path: Path):
    path = tmp_path / "hard.jsonl"
    cases = [case("a"), case("b"), case("c", "s2"), case("d", "s3", right=True), case("e", "", right=None)]
    path.write_text("".join(one.model_dump_json(exclude_defaults=True) + "\n" for one in cases))
    assert [one.question for one in hard_cases.read(path)] == ["a", "c", "e"]
    path.write_text('{"question": "?"}\n')
    with pytest.raises(DataError, match=r"adversarial\.hard_cases: line 1 of .* is no case"):
        hard_cases.read(path)
    with pytest.raises(DataError, match=r"adversarial\.hard_cases: there is no file"):
        hard_cases.read(tmp_path / "gone.jsonl")


def test_prepared_data_repeats_them_on_the_training_side_and_disturbs_the_repeats(tmp_path: Path):
    rows, hard = tmp_path / "rows.jsonl", tmp_path / "hard.jsonl"
    lines = [{"question": text, "answer": f"Step {n}."} for n, text in enumerate(ROWS)]
    rows.write_text("".join(json.dumps(one) + "\n" for one in lines))
    hard.write_text(case("Is gout painful?").model_dump_json() + "\n" + case(ROWS[8], "s2").model_dump_json() + "\n")
    data = {
        "data": {"sources": [{"name": str(rows)}], "contains_phi": False},
        "steering": {"replay_share": 0},
        "evaluation": {"forgetting": False},
        "adversarial": {"hard_cases": str(hard), "perturbations": ["style", "irrelevant_context"]},
    }
    made = prepare.prepare(RunConfig.model_validate(data))
    clean = Counter(question(row) for row in made.rows("train") if "origin" not in row["about"])  # pyright: ignore
    often = {text for text, count in clean.items() if count > 1}
    assert made.manifest.repeated_rows == clean.total() - len(clean) >= 5
    assert any("gout" in text for text in often) and ROWS[8] not in often
    assert all("gout" in text or "hypertension" in text for text in often)
    (step,) = [step for step in made.manifest.steps if step.name == "hard cases"]
    assert step.detail == "rows like 2 of 2 failed questions come more often"
    if ROWS[8] in clean:
        assert any("1 training rows ask what the evaluation asks" in note for note in made.manifest.notes)
    disturbed = [row["about"]["origin"]["clean"] for row in made.rows("train") if "origin" in row["about"]]  # pyright: ignore
    assert {text for text, count in Counter(disturbed).items() if count > 1} <= often
    assert "Is gout painful?" not in clean | Counter(disturbed)
    hard.write_text(case("Is asthma painful?").model_dump_json() + "\n")
    assert prepare.prepare(RunConfig.model_validate(data)).folder != made.folder
