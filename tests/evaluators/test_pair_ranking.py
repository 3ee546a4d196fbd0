"""What pairs say of a model that gives answers a number, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from evaluators.pair_ranking import pair_ranking


def test_a_ranking_by_hand() -> None:
    # log 3 apart: 3 to 1, so that it is 75 % sure of what it prefers; right three times of four.
    sure = math.log(3)
    found = pair_ranking([(sure, 0.0), (0.5 + sure, 0.5), (-1.0 + sure, -1.0), (0.0, sure)], ["a", "b", "c", "d"])
    assert found.pairs == 4
    assert found.accuracy.value == pytest.approx(0.75)
    assert found.accuracy.low is not None and found.accuracy.low == pytest.approx(0.1941, abs=1e-4)  # Clopper-Pearson
    assert found.margin == pytest.approx(sure / 2)
    assert found.calibration_error.value == pytest.approx(0.0), "75 % sure and 75 % right"
    assert found.brier.value == pytest.approx(0.75 * 0.25**2 + 0.25 * 0.75**2)
    assert [(one.n, one.accuracy) for one in found.bins if one.n] == [(4, 0.75)]


def test_equal_rewards_are_no_success_and_claim_nothing() -> None:
    found = pair_ranking([(1.0, 1.0)] * 3, ["a", "b", "c"])
    assert found.accuracy.value == 0.0
    assert found.calibration_error.value == pytest.approx(0.5)


def test_overconfidence_shows() -> None:
    found = pair_ranking([(40.0, 0.0), (0.0, 900.0)], ["a", "b"])
    assert found.calibration_error.value == pytest.approx(0.5), "wholly sure and half right"


def test_pairs_of_one_question_do_not_count_as_several() -> None:
    once = pair_ranking([(1.0, 0.0), (0.0, 1.0)], ["a", "b"])
    often = pair_ranking([(1.0, 0.0)] * 20 + [(0.0, 1.0)] * 20, ["a"] * 20 + ["b"] * 20)
    assert often.accuracy.units == once.accuracy.units == 2
    assert (often.accuracy.low, often.accuracy.high) == (once.accuracy.low, once.accuracy.high)


def test_no_pair_is_no_ranking() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        pair_ranking([], [])
