"""Splits: groups stay whole, every specialty has its share, the newest are held back, and what could not be is said."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from trainer.data.records import DataError
from trainer.data.splits import TEST, TRAIN, VALIDATION, assign_sides, merge_groups


def sides_of_groups(groups: np.ndarray, sides: np.ndarray) -> dict[int, set[int]]:
    found = defaultdict(set)
    for group, side in zip(groups.tolist(), sides.tolist(), strict=True):
        found[group].add(side)
    return found


def test_rows_are_tied_through_patients_and_near_duplicates():
    #           0    1     2    3    4     5    6   7
    patients = ["a", None, "b", "a", None, "b", "", ""]
    near = np.array([0, 1, 2, 3, 3, 1, 4, 5])
    # 0-3 by patient a, 3-4 by words, 2-5 by patient b, 5-1 by words; an empty patient ties nothing.
    assert merge_groups(patients, near).tolist() == [0, 1, 1, 0, 0, 1, 2, 3]


def test_merging_equals_a_walk_over_all_ties():
    draw = random.Random(1)
    patients = [draw.choice([None, *map(str, range(150))]) for _ in range(400)]
    near = [draw.randrange(300) for _ in range(400)]
    expected: list[int | None] = [None] * 400
    for start in range(400):
        if expected[start] is None:
            waiting = [start]
            while waiting:
                row = waiting.pop()
                if expected[row] is None:
                    expected[row] = start
                    waiting += [
                        other
                        for other in range(400)
                        if near[other] == near[row] or (patients[row] and patients[other] == patients[row])
                    ]
    numbers = {start: number for number, start in enumerate(dict.fromkeys(expected))}
    assert merge_groups(patients, np.array(near)).tolist() == [numbers[start] for start in expected]


def test_every_specialty_has_its_share_within_one_group():
    draw = random.Random(2)
    groups, strata = [], []
    for group in range(900):
        specialty = draw.choices(["cardiology", "oncology", "dermatology", "neurology"], [8, 4, 2, 1])[0]
        size = draw.choice([1, 1, 1, 2, 3, 7])
        groups += [group] * size
        strata += [specialty] * size
    sides, notes = assign_sides(np.array(groups), strata, None, 0.15, 0.1, seed=3, method="stratified")
    assert sides.dtype == np.int8
    assert notes == []
    assert all(len(found) == 1 for found in sides_of_groups(np.array(groups), sides).values())
    for specialty, rows in Counter(strata).items():
        of = sides[np.array(strata) == specialty]
        assert abs((of == VALIDATION).sum() - 0.15 * rows) <= 7
        assert abs((of == TEST).sum() - 0.1 * rows) <= 7


def test_many_small_specialties_make_up_the_share_together():
    strata = [f"specialty {row // 4:02}" for row in range(200)]
    sides, notes = assign_sides(np.arange(200), strata, None, 0.1, 0.0, seed=1, method="stratified")
    assert (sides == VALIDATION).sum() == 20
    assert max(Counter(s for s, side in zip(strata, sides, strict=True) if side == VALIDATION).values()) == 1
    assert len(notes) == 1
    assert notes[0].startswith("Too few rows or groups to divide; the validation side has none of: specialty 0")
    assert notes[0].endswith(" and 25 more.")


def test_a_group_too_large_for_its_share_is_trained_on_and_said():
    groups = np.array([0] * 30 + list(range(1, 71)))
    strata = ["allergy"] * 30 + ["cardiac"] * 70
    sides, notes = assign_sides(groups, strata, None, 0.1, 0.0, seed=1, method="stratified")
    assert set(sides[:30].tolist()) == {TRAIN}
    assert 7 <= (sides == VALIDATION).sum() <= 8
    assert notes == [
        f"The validation side has {(sides == VALIDATION).mean():.1%} of the rows where 10.0% was asked for: groups (a "
        "patient, a document, near-duplicates) are not divided.",
        "One group, that of row 1, holds 30 of 100 rows: one patient or document, or rows that share most of their "
        "words.",
        "Too few rows or groups to divide; the validation side has none of: allergy (30).",
    ]


def test_a_group_of_several_specialties_counts_to_its_commonest():
    """Twenty groups of two cardiac or vascular rows and one renal row: renal is no group's commonest."""
    groups = np.repeat(np.arange(20), 3)
    strata = ["cardiac", "renal", "cardiac"] * 10 + ["renal", "vascular", "vascular"] * 10
    sides, _ = assign_sides(groups, strata, None, 0.2, 0.2, seed=1, method="stratified")
    assert Counter(sides[:30].tolist()) == Counter(sides[30:].tolist()) == {TRAIN: 18, VALIDATION: 6, TEST: 6}


@pytest.mark.parametrize("method", ["stratified", "time"])
@pytest.mark.parametrize("test_share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("sizes", [[1, 1], [50, 1], [1, 50], [1, 1, 1], [90, 5, 5], [3, 40, 40]])
def test_neither_train_nor_validation_is_ever_empty(method: str, test_share: float, sizes: list[int]):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    times = [f"2024-01-{group + 1:02}" for group in groups]
    sides, _ = assign_sides(groups, ["a"] * len(groups), times, 0.5, test_share, seed=1, method=method)  # pyright: ignore[reportArgumentType]
    counts = Counter(sides.tolist())
    assert counts[TRAIN] and counts[VALIDATION]
    assert bool(counts[TEST]) == (test_share > 0 and len(sizes) > 2)
    assert all(len(found) == 1 for found in sides_of_groups(groups, sides).values())


def test_one_group_cannot_be_split():
    with pytest.raises(DataError, match=r"^The data is 7 rows that belong together"):
        assign_sides(np.zeros(7, int), ["a"] * 7, None, 0.1, 0.0, seed=1, method="stratified")
    with pytest.raises(DataError, match=r"^The data is a single row"):
        assign_sides(np.zeros(1, int), ["a"], None, 0.1, 0.0, seed=1, method="stratified")
    with pytest.raises(DataError, match=r"^There are no rows to split"):
        assign_sides(np.zeros(0, int), [], None, 0.1, 0.0, seed=1, method="stratified")


def test_the_newest_groups_are_held_back():
    times = [f"{2000 + row // 12}-{row % 12 + 1:02}-15" for row in range(100)]
    order = list(range(100))
    random.Random(4).shuffle(order)
    sides, notes = assign_sides(
        np.arange(100), ["a"] * 100, [times[row] for row in order], 0.2, 0.1, seed=1, method="time"
    )
    by_time = [side for _, side in sorted(zip(order, sides.tolist(), strict=True))]
    assert by_time == [TRAIN] * 70 + [VALIDATION] * 20 + [TEST] * 10
    assert notes == []


def test_a_patients_older_rows_go_with_the_newest():
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
    times = ["1990-01-01", "2024-05-01", "1991-01-01", *(f"20{year}-01-01T08:00:00" for year in range(10, 17))]
    sides, _ = assign_sides(groups, ["a"] * 10, times, 0.2, 0.0, seed=1, method="time")
    assert sides.tolist() == [VALIDATION] * 3 + [TRAIN] * 7


@pytest.mark.parametrize(("groups", "expected"), [(2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 2, 2])])
def test_with_few_groups_too_the_oldest_is_trained_on(groups: int, expected: list[int]):
    times = [f"2024-01-0{group + 1}" for group in range(groups)]
    for seed in range(5):
        sides, _ = assign_sides(np.arange(groups), ["a"] * groups, times, 0.3, 0.5, seed, method="time")
        assert sides.tolist() == expected


def test_a_large_newest_group_is_held_back_all_the_same():
    """To train on it would be to train on rows newer than those of the validation."""
    groups = np.array([0] * 6 + [1, 2, 3, 4])
    times = ["2024-01-01"] * 6 + ["2020-01-01"] * 4
    sides, notes = assign_sides(groups, ["a"] * 10, times, 0.2, 0.0, seed=1, method="time")
    assert sides.tolist() == [VALIDATION] * 6 + [TRAIN] * 4
    assert notes[0].startswith("The validation side has 60.0% of the rows where 20.0% was asked for")


def test_the_held_back_side_stops_before_a_group_that_would_overfill_it():
    groups = np.array([0, *[1] * 8, 2])
    times = ["2024-01-01", *["2023-01-01"] * 8, "2022-01-01"]
    sides, _ = assign_sides(groups, ["a"] * 10, times, 0.2, 0.0, seed=1, method="time")
    assert sides.tolist() == [VALIDATION] + [TRAIN] * 9


def test_rows_without_a_date_are_trained_on_and_counted():
    times = ["2024-01-01", "2023-01-01", None, "", "2022-01-01"]
    sides, notes = assign_sides(np.arange(5), ["a"] * 5, times, 0.2, 0.0, seed=1, method="time")
    assert sides.tolist() == [VALIDATION, TRAIN, TRAIN, TRAIN, TRAIN]
    assert notes == ["2 rows have no date; those whose patient has none either are trained on."]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (None, "A split by time needs dates, and 3 of 3 rows have none; name the column"),
        (["2024-01-01", None, None], "and 2 of 3 rows have none"),
        (["2024-01-01", "03/04/2024", None], "Row 2 has the time '03/04/2024'"),
    ],
)
def test_a_split_by_time_needs_dates(times: list[str | None] | None, said: str):
    with pytest.raises(DataError, match=said):
        assign_sides(np.arange(3), ["a"] * 3, times, 0.2, 0.0, seed=1, method="time")


def test_the_draw_is_the_seeds():
    def sides(seed: int) -> bytes:
        return assign_sides(np.arange(500), ["a", "b"] * 250, None, 0.1, 0.1, seed, "stratified")[0].tobytes()

    assert sides(1) == sides(1) != sides(2)
