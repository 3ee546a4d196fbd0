"""The starter data keeps its promises: counts, structure, sources, splits, hashes, and checkable answers."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from evaluators.metrics import STRUCTURE, has_structure
from trainer.data import generated
from trainer.data.sources import STARTER_FOLDER


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (STARTER_FOLDER / f"{name}.jsonl").read_text().splitlines()]


def test_files_are_those_of_the_manifest():
    manifest = json.loads((STARTER_FOLDER / "manifest.json").read_text())
    found = {
        path.name: {"rows": len(path.read_text().splitlines()), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in STARTER_FOLDER.glob("*.jsonl")
    }
    assert found == manifest


def test_clinical_rows_cover_what_they_should():
    clinical = rows("clinical.train") + rows("clinical.heldout")
    assert len(clinical) >= 200 and len(rows("clinical.heldout")) >= 20
    assert len({row["specialty"] for row in clinical}) == 12
    assert len({row["task"] for row in clinical}) == 6
    assert {row["level"] for row in clinical} == {"facts", "concepts", "reasoning", "judgement"}
    assert {row["specialty"] for row in rows("clinical.heldout")} == {row["specialty"] for row in clinical}
    assert len({row["prompt"] for row in clinical}) == len(clinical)


@pytest.mark.parametrize("split", ["clinical.train", "clinical.heldout"])
def test_clinical_answers_have_the_taught_structure_and_known_sources(split: str):
    sources = yaml.safe_load((STARTER_FOLDER / "sources.yaml").read_text())
    for row in rows(split):
        assert has_structure(row["answer"]), row["id"]
        labels = [line.split(":")[0] for line in row["answer"].split("\n")]
        assert labels == [*STRUCTURE, "Disclaimer"] if row["critical"] else labels == list(STRUCTURE), row["id"]
        assert row["sources"] and all(source in sources for source in row["sources"]), row["id"]
    assert all({"title", "publisher", "year", "supports"} <= set(entry) for entry in sources.values())


def test_general_rows_and_questions_are_apart():
    replay, questions = rows("general.train"), rows("questions.heldout")
    assert len(replay) >= 60 and len(questions) >= 200
    asked = {question["question"] for question in questions}
    assert len(asked) == len(questions) and not asked & {row["prompt"] for row in replay}
    for question in questions:
        assert len(set(question["options"])) == 4 and 0 <= question["answer"] < 4
    assert max(Counter(question["answer"] for question in questions).values()) <= 60


def test_lab_answers_are_right_and_held_out_analytes_unseen():
    seen = {
        split: {row["prompt"].split(" (")[0].rsplit(" ", 2)[0] for row in rows(f"lab.{split}")}
        for split in ("train", "heldout")
    }
    assert not seen["train"] & seen["heldout"]
    for row in rows("lab.train") + rows("lab.heldout"):
        found = re.search(r" ([\d.]+) \S+ \(reference ([\d.]+)-([\d.]+)\)", row["prompt"])
        assert found, row["prompt"]
        value, low, high = map(float, found.groups())
        expected = "low" if value < low else "high" if value > high else "normal"
        assert row["label"] == expected and row["answer"].lower().endswith(expected)
    shares = Counter(row["label"] for row in rows("lab.heldout"))
    assert max(shares.values()) - min(shares.values()) <= 1


def test_held_out_orders_have_unseen_drugs():
    drugs = {
        split: {row["answer"].split(";")[0].removeprefix("drug: ") for row in rows(f"orders.{split}")}
        for split in ("train", "heldout")
    }
    assert not drugs["train"] & drugs["heldout"]
    for row in rows("orders.heldout"):
        assert row["answer"].split(";")[0].removeprefix("drug: ") in row["prompt"].lower()


def test_brands_are_held_out_by_wording_only():
    train, held_out = rows("brands.train"), rows("brands.heldout")
    assert [row["answer"] for row in train] == [row["answer"] for row in held_out]
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in held_out}


def test_generated_files_can_be_made_again(tmp_path: Path):
    generated.write_all(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        assert path.read_bytes() == (STARTER_FOLDER / path.name).read_bytes(), path.name
