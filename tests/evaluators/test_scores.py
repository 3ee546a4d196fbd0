"""Intervals, paired tests and verdicts of scores, against hand computations, enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from evaluators.metrics import paired_difference
from evaluators.scores import Score, compare, divide, holm, mean, measure, ratio

few = settings(max_examples=25, deadline=None)


def own(values: list) -> list[str]:
    return [str(number) for number in range(len(values))]


def share(values: list, copies: int = 1, **changes) -> Score:
    return mean("share", list(values) * copies, own(values) * copies, **changes)


def test_a_share_of_own_questions_has_the_exact_interval():
    none = measure(share([0] * 20))
    assert (none.value, none.low, none.interval, none.n, none.units) == (0, 0, "exact", 20, 20)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20), abs=1e-12)
    some = measure(share([True] * 81 + [False] * 182))
    expected = binomtest(81, 263).proportion_ci(method="exact")
    assert (some.low, some.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@few
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30) | st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_copies_of_each_question_do_not_narrow_the_interval(values: list):
    one, ten = measure(share(values, scale="score")), measure(share(values, copies=10, scale="score"))
    assert (one.units, ten.units, ten.n) == (len(values), len(values), 10 * len(values))
    assert one.interval == ten.interval
    assert (ten.value, ten.low, ten.high) == pytest.approx((one.value, one.low, one.high), abs=1e-9)


@few
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_copies_do_not_make_a_difference_surer(pairs: list):
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    one = compare(share(first), share(second))
    ten = compare(share(first, copies=10), share(second, copies=10))
    assert ten.model_copy(update={"n": one.n}).model_dump() == pytest.approx(one.model_dump())


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_one():
    values = np.random.default_rng(3).gamma(2.0, size=400)
    found = measure(mean("length", list(values), own(list(values)), scale="number"))
    half = 1.96 * values.std() / 20
    assert found.interval == "bootstrap" and found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)
    assert (found.high + found.low) / 2 == pytest.approx(values.mean(), abs=0.2 * half)


@pytest.mark.parametrize(
    ("values", "units"),
    [
        ([1, 1, 1, 0, 0, 1], ["a", "a", "a", "b", "c", "d"]),  # questions of more and of fewer variants
        ([1, 0, 1, 0, 0, 0], ["a", "a", "b", "b", "c", "c"]),  # right in some variants only
        ([0.5, 1.5, 0, 0, 1, 1], ["a", "a", "b", "b", "c", "c"]),  # no share, though it adds up like one
    ],
)
def test_the_exact_interval_is_only_for_questions_that_count_as_a_whole(values: list, units: list[str]):
    score = mean("mixed", values, units)
    assert measure(score).interval == "bootstrap"
    assert compare(score, score).test == "permutation test over source questions"


def test_a_large_suite_is_resampled_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch):
    score = share(list(np.linspace(0, 1, 50)))
    whole = measure(score)
    monkeypatch.setattr("evaluators.resampling._BLOCK", 130)
    blocks = measure(score)
    # Sums of another shape may be rounded otherwise in their last digit.
    assert (blocks.value, blocks.low, blocks.high) == pytest.approx((whole.value, whole.low, whole.high), abs=1e-12)


def test_agreement_of_all_questions_is_no_certainty():
    q = 1 - 0.025 ** (1 / 12)
    for value in (0.0, 0.4, 1.0):
        values = [value] * 12
        found = measure(mean("half", values * 2, own(values) * 2, scale="score"))
        assert (found.low, found.high) == pytest.approx((value * (1 - q), value * (1 - q) + q))
    unbounded = measure(share([7.0] * 12, scale="number"))
    assert (unbounded.value, unbounded.low, unbounded.high, unbounded.interval) == (7.0, None, None, "none")
    moved = compare(share([7.0] * 12, scale="number"), share([9.0] * 12, scale="number"))
    assert (moved.value, moved.low, moved.verdict) == (2.0, None, "unknown")
    same = share([0.2, 0.4, 0.9], scale="score")
    difference = compare(same, same)
    unseen = 1 - 0.025 ** (1 / 3)
    assert (difference.low, difference.value, difference.high, difference.p) == pytest.approx((-unseen, 0, unseen, 1))
    assert difference.verdict == "unknown"


def test_what_says_nothing_is_left_out():
    assert measure(share([1.0, None, 0.0, math.nan])).model_dump() == measure(share([1.0, 0.0])).model_dump()
    for nothing in (share([]), share([None, None])):
        found = measure(nothing)
        assert (found.value, found.low, found.high, found.n, found.units) == (None, None, None, 0, 0)
        assert found.interval == "none"
        difference = compare(nothing, nothing)
        assert (difference.value, difference.p, difference.test, difference.verdict) == (None, None, "none", "unknown")


def test_only_what_both_sides_answered_is_compared():
    base, tuned = share([0.0, 0.2, 0.4, None]), share([0.5, 0.7, None, 0.9])
    assert compare(base, tuned).value == pytest.approx(0.5)
    assert (compare(base, tuned).n, compare(base, tuned).units) == (2, 2)


@pytest.mark.parametrize(("carrying", "interval"), [(1, "none"), (2, "none"), (6, "bootstrap")])
def test_a_metric_that_few_questions_carry_has_no_interval(carrying: int, interval: str):
    rows = np.zeros((40, 3))
    rows[:, 2] = 1
    rows[:carrying, 1] = 1
    rows[: carrying // 2, 0] = 1
    found = measure(Score("precision", rows, lambda sums: divide(sums[..., 0], sums[..., 1]), own([0] * 40)))
    assert found.interval == interval and found.value == (carrying // 2) / carrying
    assert (found.low is None) == (interval == "none")


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="share: 2 values for 1 source questions"):
        mean("share", [1, 0], ["a"])
    with pytest.raises(ValueError, match="not finite"):
        measure(Score("odd", np.array([[np.nan, 1.0]]), ratio, ["a"]))
    with pytest.raises(ValueError, match="rows of shape"):
        measure(Score("odd", np.ones((2, 2)), ratio, ["a"]))
    with pytest.raises(ValueError, match="different items"):
        compare(mean("share", [1, 0], ["a", "b"]), mean("share", [1, 0], ["b", "a"]))


def test_mcnemar_and_the_sign_of_the_difference():
    # 1 lost and 8 won of 20: p = 2 (1 + 9) / 2^9.
    base = [True] + [False] * 8 + [True] * 11
    tuned = [False] + [True] * 8 + [True] * 11
    found = compare(share(base), share(tuned))
    assert found.test == "McNemar's exact test" and found.p == pytest.approx(20 / 512)
    assert found.value == pytest.approx(7 / 20)
    _, low, high = paired_difference(base, tuned)
    assert (found.low, found.high) == pytest.approx((-high, -low))
    assert found.low is not None and found.low > 0 and found.verdict == "better"
    assert compare(share(tuned), share(base)).verdict == "worse"
    harm = {"higher_is_better": False}
    assert compare(share(base, **harm), share(tuned, **harm)).verdict == "worse"
    assert compare(share(tuned, **harm), share(base, **harm)).verdict == "better"


def test_the_permutation_test_agrees_with_all_permutations():
    random = np.random.default_rng(5)
    units = [str(number) for number in range(9) for _ in range(3)]
    base = random.integers(0, 2, 27).astype(float)
    tuned = np.maximum(base, random.integers(0, 2, 27))
    found = compare(mean("share", list(base), units), mean("share", list(tuned), units))
    assert found.test == "permutation test over source questions"
    change = (tuned - base).reshape(9, 3).sum(axis=1)
    signs = np.array(list(itertools.product((-1, 1), repeat=9)))
    exact = float((np.abs(signs @ change) >= abs(change.sum()) - 1e-9).mean())
    assert found.p == pytest.approx(exact, abs=0.02)
    assert found.value == pytest.approx(change.sum() / 27)


def test_p_is_never_0_and_real_gains_are_found():
    random = np.random.default_rng(0)
    base = random.random(60)
    found = compare(share(list(base), scale="number"), share(list(base + 0.1 + random.random(60)), scale="number"))
    assert found.p == pytest.approx(1 / 2001) and found.verdict == "better"


def test_a_handful_of_questions_gives_no_verdict():
    found = compare(share([0.1, 0.2, 0.3, 0.2], scale="score"), share([0.8, 0.7, 0.9, 0.9], scale="score"))
    assert found.low is not None and found.low > 0 and found.verdict == "unknown"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@few
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]):
    adjusted = holm(ps)
    assert all(p <= new <= 1 for p, new in zip(ps, adjusted, strict=True))
    assert [adjusted[index] for index in np.argsort(ps, kind="stable")] == sorted(adjusted)
    if ps:
        assert min(adjusted) == pytest.approx(min(1, len(ps) * min(ps)))


def simulated(seed: int, again: bool = False) -> tuple[list[float], list[str]]:
    """60 questions of 4 variants each, right with a question's own probability: mean 0.5, correlated 0.5."""
    random = np.random.default_rng(seed)
    easy = random.beta(0.5, 0.5, 60)
    if again:
        random = np.random.default_rng(seed + 10_000)
    values = (random.random((60, 4)) < easy[:, None]).astype(float).ravel()
    return list(values), [str(number) for number in range(60) for _ in range(4)]


def test_the_interval_holds_the_truth_which_one_that_counts_variants_does_not():
    held = narrow = 0
    for seed in range(150):
        values, units = simulated(seed)
        honest, naive = measure(mean("share", values, units)), measure(mean("share", values, own(values)))
        assert honest.low is not None and honest.high is not None and naive.low is not None and naive.high is not None
        held += honest.low <= 0.5 <= honest.high
        narrow += naive.low <= 0.5 <= naive.high
    assert held >= 0.9 * 150 and narrow <= 0.85 * 150


def test_two_sides_that_are_equally_good_seldom_get_a_verdict():
    found = []
    for seed in range(100):
        (first, units), (second, _) = simulated(seed), simulated(seed, again=True)
        found.append(compare(mean("share", first, units), mean("share", second, units)).verdict != "unknown")
    assert sum(found) <= 10
