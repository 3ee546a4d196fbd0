"""Shares that hold in every window, repeats that stop at four, and what is said of both."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from trainer.data.mixing import balance, mix_general, order_by_share


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.1, 100), (0.2, 225), (0.3, 386), (0.5, 900), (0.05, 47), (0.4, 600), (0.0, 0)]
)
def test_the_lectures_shares(share: float, wanted: int):
    chosen, notes = mix_general(900, 1000, share, seed=1)
    assert len(chosen) == len(set(chosen)) == wanted
    assert len(chosen) / (900 + len(chosen)) == pytest.approx(share, abs=0.0005)
    assert notes == []


def test_general_rows_are_repeated_evenly_and_it_is_said():
    chosen, notes = mix_general(900, 40, 0.1, seed=1)
    assert sorted(Counter(chosen).values()) == [2] * 20 + [3] * 20
    assert sorted(chosen[:40]) == list(range(40))
    assert notes == [
        "The 40 general rows are used 2.5 times each, to be 10.0% of the mix; up to 4 times is about as good as new "
        "rows (Muennighoff et al. 2023)."
    ]


def test_more_than_four_times_falls_short_and_the_real_share_is_said():
    chosen, notes = mix_general(900, 20, 0.1, seed=1)
    assert Counter(chosen) == dict.fromkeys(range(20), 4)
    assert notes == [
        "General rows are 8.2% of the mix where 10% was asked for, which takes 100: there are 20, and each is used 4 "
        "times at most (more adds little, Muennighoff et al. 2023); add general sources."
    ]
    assert mix_general(900, 0, 0.1, seed=1)[1][0].startswith("General rows are 0.0% of the mix where 10% was asked for")


def test_the_draw_is_the_seeds():
    assert mix_general(100, 1000, 0.2, seed=1) == mix_general(100, 1000, 0.2, seed=1)
    assert mix_general(100, 1000, 0.2, seed=1) != mix_general(100, 1000, 0.2, seed=2)
    with pytest.raises(ValueError, match="share is 1"):
        mix_general(100, 10, 1.0, seed=1)


def test_balance_evens_out_what_four_times_can():
    labels = ["yes"] * 60 + ["no"] * 20 + [""] * 10 + ["maybe"] * 10
    indices = balance(labels, seed=3)
    assert indices[:100] == list(range(100))
    repeated = Counter(indices)
    assert {repeated[row] for row in range(60)} == {1}
    assert {repeated[row] for row in range(60, 80)} == {3}
    assert {repeated[row] for row in range(80, 90)} == {1}
    assert {repeated[row] for row in range(90, 100)} == {4}
    assert len(indices) == 170


def test_balance_repeats_evenly_within_a_class():
    indices = balance(["a"] * 10 + ["b"] * 4, seed=3)
    assert sorted(Counter(indices)[row] for row in range(10, 14)) == [2, 2, 3, 3]
    assert balance(["a"] * 10 + ["b"] * 4, seed=3) == indices != balance(["a"] * 10 + ["b"] * 4, seed=4)


@pytest.mark.parametrize("labels", [[], ["a"] * 3, ["a", "b"], ["", ""]])
def test_nothing_to_balance(labels: list[str]):
    assert balance(labels) == list(range(len(labels)))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("sorted_rows", [True, False], ids=["batches all of one kind", "mixed batches"])
def test_the_share_holds_after_every_batch(share: float, sorted_rows: bool):
    rows, size = 4003, 8
    is_general = [row < round(rows * share) for row in range(rows)]
    order = list(range(rows))
    if not sorted_rows:
        random.Random(7).shuffle(order)
    batches = [order[start : start + size] for start in range(0, rows, size)]
    ordered = order_by_share(batches, is_general, share, seed=5)
    assert sorted(ordered) == sorted(batches)
    real = sum(is_general) / rows
    seen = general = 0
    for batch in ordered:
        seen += len(batch)
        general += sum(is_general[row] for row in batch)
        assert abs(general - real * seen) <= size
    flat = [is_general[row] for batch in ordered for row in batch]
    windows = [flat[start : start + 400] for start in range(0, 4000, 400)]
    assert all(abs(sum(one) / 400 - share) <= 2 * size / 400 for one in windows)


def test_batches_come_in_a_random_order_of_the_seed():
    is_general = [row % 5 == 0 for row in range(1000)]
    batches = [list(range(start, start + 10)) for start in range(0, 1000, 10)]
    one, again, other = (order_by_share(batches, is_general, 0.2, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert one != batches


def test_level_batches_are_spread_over_the_whole_order():
    """Batches that hold the share exactly do not come all at one end."""
    is_general = [row % 2 == 0 for row in range(400)] + [True] * 200 + [False] * 200
    batches = [list(range(start, start + 4)) for start in range(0, 800, 4)]
    ordered = order_by_share(batches, is_general, 0.5, seed=1)
    half = sum(batch[0] < 400 for batch in ordered[:100])
    assert 35 <= half <= 65


def test_a_share_that_the_rows_do_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"the batches hold 50.0% general rows, not 20.0%"):
        order_by_share([[0, 1]] * 10, [True, False], 0.2, seed=1)
    assert order_by_share([], [], 0.2, seed=1) == []
