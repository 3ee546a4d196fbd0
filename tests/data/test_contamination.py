"""Benchmark questions in training data: found in any dress, and turns of phrase left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trainer.data.contamination import Benchmarks, Contaminated

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")

LONG = (
    "A gardener of 44 years has a painless nodule on his thumb, and three more have appeared along the inner side of "
    "the arm in two weeks. Which organism is the most likely cause?"
)
SHORT = "Does early mobilisation after hip fracture shorten the hospital stay?"  # ten words
SHORTEST = "What causes gout?"


def flagged(questions: list[tuple[str, str]], *texts: str) -> list[Contaminated]:
    return Benchmarks(questions).flag((f"r{number}", f"row {number}", [text]) for number, text in enumerate(texts, 1))


def test_a_whole_question_in_other_type():
    found = flagged([("Exam", "Who?"), ("Exam", LONG)], "Asthma.", LONG.upper().replace(",", ""))
    assert found == [Contaminated("r2", "row 2", "Exam", 2, 1.0, "whole question")]


def test_a_question_within_a_longer_text():
    found = flagged([("Exam", LONG)], f"Answer with one letter.\n\n{LONG}\nA) Sporothrix B) Bartonella")
    assert found == [Contaminated("r1", "row 1", "Exam", 1, 1.0, "13 words in a row")]


def test_thirteen_words_are_enough_and_twelve_are_not():
    spoken = LONG.split()
    assert flagged([("Exam", LONG)], " ".join(spoken[:13])) == [
        Contaminated("r1", "row 1", "Exam", 1, 13 / 34, "13 words in a row")
    ]
    assert flagged([("Exam", LONG)], " ".join(spoken[:12])) == []


def test_a_turn_of_phrase_in_a_long_question_is_not_enough():
    """13 words of 65 are a fifth; of 66 they are less."""
    phrase = " ".join(LONG.split()[:13])
    rest = "".join(chr(97 + number // 10) * 4 + chr(97 + number % 10) + " " for number in range(52))
    assert flagged([("Exam", f"{phrase} {rest}")], f"{phrase}, he says.")[0].overlap == 0.2
    assert flagged([("Exam", f"{phrase} {rest} today")], f"{phrase}, he says.") == []


def test_words_of_two_texts_of_a_row_do_not_join():
    spoken = LONG.split()
    rows = [("r1", "row 1", [" ".join(spoken[:12]), " ".join(spoken[12:20])])]
    assert Benchmarks([("Exam", LONG)]).flag(rows) == []


def test_shorter_questions_need_four_fifths_of_their_shingles():
    # Ten words make eight 3-shingles; a word put in before the last two takes two of them.
    inside = f"We asked: {SHORT} It does."
    assert flagged([("Exam", SHORT)], inside) == [
        Contaminated("r1", "row 1", "Exam", 1, 1.0, "most of a short question")
    ]
    assert flagged([("Exam", SHORT)], SHORT.replace("stay", "visit"))[0].overlap == 7 / 8
    assert flagged([("Exam", SHORT)], SHORT.replace("hospital stay", "first hospital stay")) == []


def test_the_shortest_only_count_alone():
    assert flagged([("Exam", SHORTEST)], "what causes gout", f"{SHORTEST} Urate crystals.") == [
        Contaminated("r1", "row 1", "Exam", 1, 1.0, "whole question")
    ]


def test_questions_without_words_match_nothing():
    assert flagged([("Exam", "???"), ("Exam", "")], "???", "", "!") == []


def test_a_phrase_of_many_questions_is_no_question():
    ending = "Which one of the following is the most appropriate next step in the care of this man?"
    questions = [("Exam", f"Finding number {number} is seen. {ending}") for number in range(11)]
    assert flagged(questions, f"He is 80 and falls. {ending}") == []
    assert len(flagged(questions[:10], f"He is 80 and falls. {ending}")) == 10


def test_a_phrase_of_many_rows_is_no_question_but_a_copied_question_is():
    spoken = LONG.split()
    phrase = " ".join(spoken[:13])
    assert len(flagged([("Exam", LONG)], *[f"{phrase} {number}" for number in range(10)])) == 10
    assert flagged([("Exam", LONG)], *[f"{phrase} {number}" for number in range(11)]) == []
    copies = flagged([("Exam", LONG)], *[f"{LONG} {number}" for number in range(11)])
    assert [one.row for one in copies] == [f"r{number}" for number in range(1, 12)]


def test_each_benchmark_counts_its_own_questions_and_rows_keep_their_order():
    questions = [("A", SHORTEST), ("B", LONG), ("A", SHORT), ("B", SHORTEST)]
    assert len(Benchmarks(questions)) == 4
    found = flagged(questions, f"{SHORT} {LONG}", "Nothing here.", SHORTEST)
    assert [(one.row, one.benchmark, one.question) for one in found] == [
        ("r1", "B", 1),
        ("r1", "A", 2),
        ("r3", "A", 1),
        ("r3", "B", 2),
    ]


def test_real_benchmarks_are_found_in_themselves_and_not_in_other_data():
    path = CORPUS / "medqa_us" / "medqa_us_4opt_test.jsonl"
    other = CORPUS / "medquad" / "medquad_sample.jsonl"
    if not (path.is_file() and other.is_file()):
        pytest.skip(f"the real data is not here ({CORPUS})")
    exam = [json.loads(line)["question"] for line in path.read_text(encoding="utf-8").splitlines()]
    benchmarks = Benchmarks(("MedQA", question) for question in exam)
    rows = ((str(number), f"row {number}", [f"Question: {question}"]) for number, question in enumerate(exam, 1))
    found = benchmarks.flag(rows)
    assert {one.row for one in found if one.overlap == 1} == {str(number) for number in range(1, 1274)}
    assert {int(one.row) for one in found if one.overlap == 1 and one.question != int(one.row)} == set()
    lines = [json.loads(line) for line in other.read_text(encoding="utf-8").splitlines()]
    assert benchmarks.flag(("m", "row", [line["question"], line["answer"]]) for line in lines) == []
