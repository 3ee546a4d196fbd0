"""Cohen's kappa, against scikit-learn and by hand."""

from __future__ import annotations

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from evaluators.agreement import cohen_kappa

VERDICTS = st.sampled_from(["refused", "harmful", "neither"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(VERDICTS, VERDICTS), min_size=1, max_size=40))
def test_kappa_is_scikit_learns(pairs: list[tuple[str, str]]):
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where chance would always agree, scikit-learn warns and gives nan
        expected = cohen_kappa_score(first, second)
    found = cohen_kappa(first, second).value
    assert (math.nan if found is None else found) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_kappa_by_hand():
    # 20 both yes, 15 both no, 5 and 10 apart: 0.7 agreed, 0.5 by chance (25/50 and 30/50 yes).
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(0.4)
    # Fleiss, Cohen and Everitt's standard error for this table is 0.127: 0.15 to 0.65.
    assert (found.low, found.high) == pytest.approx((0.15, 0.65), abs=0.04)
    assert (found.interval, found.n, found.scale) == ("bootstrap", 50, "number")


def test_copies_of_an_item_do_not_narrow_the_interval():
    first, second = ["yes", "yes", "no", "no", "yes", "no"] * 3, ["yes", "no", "no", "no", "yes", "yes"] * 3
    units = [str(number) for number in range(18)]
    one, five = cohen_kappa(first, second), cohen_kappa(first * 5, second * 5, units * 5)
    # Units are taken in the order of their names, which are the same.
    assert (five.value, five.low, five.high) == pytest.approx((one.value, one.low, one.high))
    assert (five.units, five.n) == (18, 90)


def test_where_chance_would_always_agree_nothing_is_said():
    for first, second in (([], []), (["neither"] * 9, ["neither"] * 9)):
        found = cohen_kappa(first, second)
        assert (found.value, found.low, found.interval) == (None, None, "none")
    # One verdict among sixty that is not "neither": a third of the resamples have none.
    rare = cohen_kappa(["harmful"] + ["neither"] * 59, ["harmful"] + ["neither"] * 59)
    assert rare.value == 1 and rare.low is None


def test_the_lists_have_to_be_equally_long():
    with pytest.raises(ValueError):
        cohen_kappa(["yes"], ["yes", "no"])
