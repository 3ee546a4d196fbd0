"""Graded answers become pairs: the best against each that is clearly worse, and none where grades are equal."""

import pytest

from trainer.data.formats import detect, pairs_from_graded, to_row
from trainer.data.rows import Row, RowError

GRADED = [
    {"question": "Is rest enough?", "answer": "Mostly.", "score": 4, "specialty": "Surgery"},
    {"question": "Is ice of use?", "answer": "For pain, yes.", "score": "5"},
    {"question": "Is rest enough?", "answer": "Never.", "score": 1},
    {"question": "Is rest enough?", "answer": "Often it is.", "score": 4},
    {"question": "Is ice of use?", "answer": "It heals.", "score": 2.5},
    {"question": "Is ice of use?", "answer": "Some say so.", "score": 4.5},
]


def rows_of(records: list[dict]) -> list[Row]:
    detection = detect(records)
    assert detection.format == "graded_answers"
    return [to_row(record, detection) for record in records]


def test_the_best_answer_stands_against_each_clearly_worse_one():
    rows = rows_of(GRADED)
    assert [row.get("about", {}).get("label") for row in rows] == ["4", "5", "1", "4", "2.5", "4.5"]
    pairs = list(pairs_from_graded(rows))
    assert pairs == [
        {
            "prompt": [{"role": "user", "content": "Is rest enough?"}],
            "chosen": [{"role": "assistant", "content": "Mostly."}],
            "rejected": [{"role": "assistant", "content": "Never."}],
            "about": {"specialty": "surgery"},
        },
        {
            # 4.5 is not clearly worse than 5 on a scale from 1 to 5.
            "prompt": [{"role": "user", "content": "Is ice of use?"}],
            "chosen": [{"role": "assistant", "content": "For pain, yes."}],
            "rejected": [{"role": "assistant", "content": "It heals."}],
        },
    ]
    assert "Equal and nearly equal grades make no pair." in detect(GRADED).evidence


def test_a_single_step_is_clear_on_scales_of_five_and_of_two():
    for low, high in ((0, 1), (0.2, 0.3), (4, 5)):
        scale = (
            []
            if high < 5
            else [{"question": "z", "answer": "x", "score": 1}, {"question": "z", "answer": "y", "score": 1}]
        )
        graded = [{"question": "q", "answer": "a", "score": high}, {"question": "q", "answer": "b", "score": low}]
        assert len(list(pairs_from_graded(rows_of(graded + scale)))) == 1
    tenths = [{"question": "q", "answer": str(grade), "score": grade} for grade in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert len(list(pairs_from_graded(rows_of(tenths)))) == 4
    assert list(pairs_from_graded(rows_of([{**one, "score": 3} for one in GRADED]))) == []
    assert list(pairs_from_graded([])) == []


def test_a_score_beside_questions_that_come_once_is_no_grading():
    records = [{"question": f"q{number}", "answer": "a", "score": number} for number in range(10)]
    assert detect(records).format == "question_answer"
    assert detect(records, format="graded_answers").columns["score"] == "grade"


def test_a_grade_that_is_none_is_named():
    detection = detect(GRADED)
    for value, said in ((None, "found nothing"), ("good", "found str 'good'"), (True, "found bool True")):
        with pytest.raises(RowError, match=f"{said}; expected a number, higher for a better answer") as caught:
            to_row({"question": "q", "answer": "a", "score": value}, detection)
        assert caught.value.field == "score"
