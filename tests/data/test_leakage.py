"""The leakage report: clean where it is clean, and each kind of leak found, whatever the grouping claims."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from trainer.data.leakage import report
from trainer.data.near_duplicates import Signatures
from trainer.data.records import DataError
from trainer.data.rows import Row, row_id
from trainer.data.splits import TRAIN, assign_sides, merge_groups

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")

TEXTS = [
    "Warfarin is stopped five days before a planned operation and the INR is checked on the day before.",
    "Apixaban is stopped two days before a small operation when the kidneys work well.",
    "A child with croup has a barking cough, and a single dose of dexamethasone helps.",
    "Sudden loss of vision with a pale retina points to an occluded central artery.",
]
SIDES = np.array([0, 0, 1, 2], np.int8)


def looked_at(**changes):
    given = {
        "ids": ["r1", "r2", "r3", "r4"],
        "patients": ["p1", "p1", "p2", None],
        "near": np.arange(4),
        "sides": SIDES,
        "texts": TEXTS,
    }
    return report(**(given | changes))


def test_a_clean_split():
    found = looked_at(times=["2020-03-01", "2019-01-01", None, "2024-01-01"])
    found.assert_clean()
    assert found.rows == {"train": 2, "validation": 1, "test": 1}
    assert (found.patients, found.near_duplicate_groups, found.checked, found.compared_with) == (2, 0, 2, 2)
    assert (found.patients_across, found.near_duplicate_groups_across, found.ids_across) == (0, 0, 0)
    assert found.largest_similarity == 0.0
    assert found.dates == {"train": ("2019-01-01", "2020-03-01"), "test": ("2024-01-01", "2024-01-01")}
    assert str(found) == (
        "2 train / 1 validation / 1 test rows; 2 patients, 0 groups of near-duplicates, 0 on more than one side; 2 "
        "held-back rows compared with all 2 training rows: the likest has 0% of its words' triples in common; 0 differ "
        "from a training row in numbers or negations alone."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ids": ["r1", "r2", "r1", "r4"]}, r"1 rows stand on more than one side \(rows r1\)"),
        ({"patients": ["p1", None, "p2", "p2"]}, r"1 patients have rows on more than one side \(rows r4\)"),
        ({"near": np.array([5, 6, 6, 5])}, r"2 groups of near-duplicates are on more than one side \(rows r3, r4\)"),
    ],
)
def test_what_crosses_is_counted_and_named(changes: dict, said: str):
    with pytest.raises(DataError, match=said):
        looked_at(**changes).assert_clean()


def test_words_are_compared_whatever_the_groups_say():
    """Nothing crosses by id, patient or group; still the held-back text is trained on with one word exchanged."""
    copy = TEXTS[0].replace("planned operation", "planned procedure")
    found = looked_at(texts=[TEXTS[0], TEXTS[1], copy, TEXTS[3]])
    # 18 words make 16 shingles, of which three hold the exchanged word.
    assert found.largest_similarity == 13 / 19
    found.assert_clean()

    found = looked_at(texts=[TEXTS[1], TEXTS[0], TEXTS[0].replace("Warfarin", "Today warfarin"), TEXTS[3]])
    assert found.largest_similarity == 16 / 17
    assert (found.alike[0].held_back, found.alike[0].trained, found.alike_count) == ("r3", "r2", 1)
    with pytest.raises(DataError, match="held-back row r3 and training row r2 are 94% the same words"):
        found.assert_clean()


def test_other_numbers_are_another_item_but_counted():
    long = " ".join(TEXTS)
    found = looked_at(texts=[f"{long} Sodium 129.", TEXTS[1], f"{long} Sodium 131.", f"{long} Not sodium 129."])
    assert found.same_words_other_numbers == 2
    assert found.largest_similarity < 0.5
    found.assert_clean()


def test_the_likest_come_first_and_variants_beside_a_copy_are_counted():
    long = f"{TEXTS[2]} {TEXTS[3]} He is 12."
    found = report(
        ["t1", "t2", "t3", "h1", "h2"],
        [None] * 5,
        np.arange(5),
        np.array([0, 0, 0, 1, 1], np.int8),
        [TEXTS[0], long, long.replace("12", "13"), TEXTS[0].replace("before.", "prior."), long],
    )
    assert [(one.held_back, one.trained, one.similarity) for one in found.alike] == [
        ("h2", "t2", 1.0),
        ("h1", "t1", 15 / 17),
    ]
    assert (found.alike_count, found.same_words_other_numbers) == (2, 1)


def test_a_sample_is_drawn_with_the_seed():
    rows = 500
    texts = [f"{'abcdefghij'[row % 10] * 3} {'klmnopqrst'[row // 10 % 10] * 4} {row}" for row in range(rows)]
    sides = np.array([0, 1] * 250, np.int8)
    found = report([str(row) for row in range(rows)], [None] * rows, np.arange(rows), sides, texts, sample=40)
    assert (found.checked, found.compared_with) == (40, 250)


def test_a_generator_of_texts_is_refused():
    with pytest.raises(ValueError, match="texts gave 0 rows the second time"):
        looked_at(texts=(text for text in TEXTS))


def test_real_dialogues_split_without_a_leak():
    path = CORPUS / "mts_dialog" / "MTS-Dialog-TrainingSet.csv"
    if not path.is_file():
        pytest.skip(f"the real data is not here ({path})")
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = list(csv.DictReader(file))
    texts = [f"{record['dialogue']}\n{record['section_text']}" for record in records]
    ids = [row_id(Row(text=text)) for text in texts]
    patients = [None] * len(texts)
    signatures = Signatures()
    for text in texts:
        signatures.add(text)
    near = signatures.groups()
    strata = [record["section_header"] for record in records]
    sides, _ = assign_sides(merge_groups(patients, near), strata, None, 0.15, 0.1, seed=1, method="stratified")
    found = report(ids, patients, near, sides, texts)
    found.assert_clean()
    assert found.near_duplicate_groups > 0
    assert found.checked == 300
    assert found.compared_with == (sides == TRAIN).sum()
    assert 0.1 < found.largest_similarity < 0.8
