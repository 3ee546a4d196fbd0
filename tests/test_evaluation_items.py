"""Items of the suites: from files that are told by their content, from published sets, and from a run's test rows."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluators.instructions import read_checks
from trainer.data.records import DataError
from trainer.evaluation.items import GENERAL, discover, own_test_items, read_items, suites_for
from trainer.sections import RunConfig

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "data")


def corpus(name: str) -> str:
    if not (CORPUS / name).exists():
        pytest.skip(f"{CORPUS / name} is not on this machine (BEDSIDE_CORPUS names the folder)")
    return str(CORPUS / name)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def choices(count: int) -> list[dict[str, Any]]:
    return [
        {
            "question": f"Question {number}?",
            "options": {"A": "one", "B": "two", "C": "three"},
            "answer_idx": "ABC"[number % 3],
            "subject": "heart" if number % 4 else "skin",
        }
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "suite", "count"),
    [
        ("medqa_us", "multiple_choice", 1273),
        ("medquad", "answers", 2008),
        ("medsafetybench", "safety", 900),  # the medical requests, not the general ones that lie beside them
        ("mts_dialog", "summarisation", 200),  # the test set alone
        ("ner_bc5cdr", "entities", 4797),  # the test set alone
        ("pubmedqa", "pubmedqa", 500),  # the published test split alone
    ],
)
def test_published_sets_are_told_and_read(name: str, suite: Any, count: int):
    folder = corpus(name)
    assert suites_for(folder) == [suite]
    items = read_items(suite, folder, None, 0)
    assert len(items) == count
    assert all(item.question and item.id for item in items)


def test_published_rows_become_what_their_suites_need():
    medqa = read_items("multiple_choice", corpus("medqa_us"), None, 0)[0]
    assert medqa.options[medqa.answer or 0] == "Tell the attending that he cannot fail to disclose this mistake"
    assert medqa.question.endswith("next action for the resident to take?") and medqa.group == "step1"
    pubmed = {item.id: item for item in read_items("pubmedqa", corpus("pubmedqa"), None, 0)}["21645374"]
    assert (pubmed.options, pubmed.answer) == (["yes", "no", "maybe"], 0)
    assert pubmed.question == (
        f"{pubmed.context}\n\nQuestion: Do mitochondria play a role in remodelling lace plant leaves during programmed "
        "cell death?\n\nSay yes, no or maybe."
    )
    assert "Results depicted mitochondrial dynamics" not in pubmed.question  # the conclusion is the answer
    found = read_items("entities", corpus("ner_bc5cdr"), None, 0)[0]
    assert found.context.startswith("Torsade de pointes ventricular tachycardia during low dose")
    assert [(one.kind, one.text) for one in found.entities][:2] == [
        ("Disease", "Torsade de pointes"),
        ("Disease", "ventricular tachycardia"),
    ]
    note = read_items("summarisation", corpus("mts_dialog"), None, 0)[0]
    assert note.context.startswith("Doctor: Good afternoon, sir.") and note.question.endswith(note.context)
    assert note.reference.startswith("The patient is a 55-year-old") and note.group == "history of present illness"
    harm = read_items("safety", corpus("medsafetybench"), 90, 0)
    shares = Counter(item.group for item in harm)
    assert len(harm) == 90 and set(shares) == set("123456789") and min(shares.values()) >= 5


def test_a_folder_of_sets_gives_every_suite_once():
    corpus("pubmedqa")
    found = {Path(source).name: suite for suite, source in discover(str(CORPUS))}
    assert found == {
        "medqa_us": "multiple_choice",
        "medquad": "answers",
        "medsafetybench": "safety",
        "mts_dialog": "summarisation",
        "ner_bc5cdr": "entities",
        "pubmedqa": "pubmedqa",
    }
    assert [suite for suite, _ in discover(corpus("ner_bc5cdr"))] == ["entities"]


@pytest.mark.parametrize(
    ("name", "suites"),
    [
        ("questions", ["general"]),
        ("instructions", ["general"]),
        ("clinical", ["structured"]),
        ("lab", ["answers"]),
        ("safety", ["safety", "over_refusal"]),
        ("text", []),
    ],
)
def test_the_starter_sets_are_told(name: str, suites: list[str]):
    assert suites_for(f"starter/{name}") == suites


def test_the_starter_sets_are_read():
    general = read_items("general", GENERAL, None, 0)
    assert Counter(item.group for item in general) == {"general": 120, "general medical": 100, "instructions": 89}
    question = general[0]
    assert (question.id, question.options[question.answer or 0]) == ("general-q-001", "Yen")
    assert all(read_checks(item.reference) for item in general if item.group == "instructions")
    lab = read_items("answers", "starter/lab", 1, 0)[0]
    assert lab.options == ["low", "normal", "high"] and lab.reference.lower().endswith(lab.options[lab.answer or 0])
    assert {item.group for item in read_items("structured", "starter/clinical", None, 0)} >= {"patient education"}
    harmful, benign = (read_items(suite, "starter/safety", None, 0) for suite in ("safety", "over_refusal"))
    assert (len(harmful), len(benign)) == (48, 24)
    assert {item.id.split("-")[1] for item in harmful} == {"harmful"}


def test_what_is_derived_takes_the_items_of_what_the_source_is_for(tmp_path: Path):
    source = jsonl(tmp_path / "mine.jsonl", choices(12))
    assert read_items("robustness", source, 6, 3) == read_items("multiple_choice", source, 6, 3)
    with pytest.raises(DataError, match="holds nothing for the suite gradient"):
        read_items("gradient", "starter/orders", None, 0)
    with pytest.raises(DataError, match="holds nothing for the suite robustness"):
        read_items("robustness", "starter/instructions", None, 0)


def test_items_are_drawn_by_the_seed_with_each_group_in_its_share(tmp_path: Path):
    source = jsonl(tmp_path / "mine.jsonl", choices(80))
    drawn = read_items("multiple_choice", source, 20, 1)
    assert Counter(item.group for item in drawn) == {"heart": 15, "skin": 5}
    assert drawn == read_items("multiple_choice", source, 20, 1) != read_items("multiple_choice", source, 20, 2)
    assert len(read_items("multiple_choice", source, 500, 1)) == 80


def test_of_a_folder_the_files_kept_for_tests_are_read(tmp_path: Path):
    jsonl(tmp_path / "set" / "train.jsonl", choices(9))
    jsonl(tmp_path / "set" / "latest_notes.jsonl", choices(4))
    test = jsonl(tmp_path / "set" / "my_test.jsonl", choices(6))
    (tmp_path / "set" / "LICENCE").write_text("Use it as you like.\n")
    folder = str(tmp_path / "set")
    assert len(read_items("multiple_choice", folder, None, 0)) == 6
    Path(test).unlink()
    both = read_items("multiple_choice", folder, None, 0)
    assert len(both) == len({item.id for item in both}) == 13 and both[0].id == "latest_notes.jsonl, row 1"
    with pytest.raises(DataError, match="set: no file in it fits the suite entities"):
        read_items("entities", folder, None, 0)


def test_own_ids_are_kept_where_they_tell_rows_apart(tmp_path: Path):
    rows = [row | {"id": f"case-{number // 2}"} for number, row in enumerate(choices(6))]
    assert read_items("multiple_choice", jsonl(tmp_path / "twice.jsonl", rows), None, 0)[1].id == "row 2"
    rows = [row | {"id": f"case-{number}"} for number, row in enumerate(choices(6))]
    assert read_items("multiple_choice", jsonl(tmp_path / "once.jsonl", rows), None, 0)[1].id == "case-1"


@pytest.mark.parametrize(
    ("suite", "row", "message"),
    [
        ("multiple_choice", choices(1)[0] | {"answer_idx": "D"}, "mine.jsonl: row 4, field answer_idx: found 'D'"),
        ("multiple_choice", choices(1)[0] | {"question": ""}, "mine.jsonl: row 4, field question: is empty"),
        ("entities", choices(1)[0], "mine.jsonl: row 1, field columns: .*the suite entities needs marked entities"),
        ("pubmedqa", choices(1)[0], "mine.jsonl: row 1, field columns: .*a decision"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, suite: Any, row: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        read_items(suite, jsonl(tmp_path / "mine.jsonl", [*choices(3), row]), None, 0)


def test_a_source_that_is_not_there_is_told():
    with pytest.raises(DataError, match="There is no file"):
        read_items("answers", "nowhere.jsonl", None, 0)
    with pytest.raises(DataError, match="is no folder"):
        discover("nowhere")


def test_own_test_rows_are_those_that_the_run_keeps_aside(tiny_run: RunConfig):
    assert own_test_items(tiny_run) == []
    kept = tiny_run.model_copy(update={"data": tiny_run.data.model_copy(update={"test_share": 0.25})})
    items = own_test_items(kept)
    assert len(items) == 10 and len({item.id for item in items}) == 10
    for item in items:
        number = int(item.question.split()[1])
        assert item.reference == ("no" if number % 2 else "yes")
