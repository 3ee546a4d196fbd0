"""The sequential test of two shares: hand-computed ratios, error rates under peeking, and that it stops early."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from evaluators.sequential import Design, sequential


def test_ratios_are_those_computed_by_hand():
    # 0.5 and 0.75: odds 1 and 3, so that the better side wins a differing pair with 3/4.
    design = Design(usual=0.5, smallest=0.25, alpha=0.1, beta=0.1)
    assert design.odds_ratio == pytest.approx(3.0)
    found = sequential(design, [True, False, False, True, False], [True, True, True, False, False])
    assert (found.pairs, found.won, found.lost, found.decision) == (5, 2, 1, "undecided")
    assert found.second_better == pytest.approx(2 * math.log(1.5) + math.log(0.5))
    assert found.first_better == pytest.approx(math.log(1.5) + 2 * math.log(0.5))


def test_it_stops_at_the_first_crossing_and_looks_no_further():
    design = Design(usual=0.5, smallest=0.25, alpha=0.1, beta=0.1)
    # ln 20 / ln 1.5 = 7.39: the eighth win in a row decides. Losses afterwards change nothing.
    wins = sequential(design, [False] * 8 + [True] * 40, [True] * 8 + [False] * 40)
    assert (wins.decision, wins.pairs, wins.won, wins.lost) == ("second better", 8, 8, 0)
    assert sequential(design, [False] * 7, [True] * 7).decision == "undecided"
    assert sequential(design, [True] * 8, [False] * 8).decision == "first better"


def test_a_direction_that_was_ruled_out_stays_so():
    design = Design(usual=0.5, smallest=0.25, alpha=0.1, beta=0.1)
    # Four losses in a row rule "second better" out: 4 ln 0.5 = -2.77 < ln 0.1 = -2.30. What follows is for the other.
    losses = [True] * 4
    many_wins = sequential(design, losses + [False] * 60, [False] * 4 + [True] * 60)
    assert many_wins.decision == "no such difference"
    assert many_wins.second_better == pytest.approx(4 * math.log(0.5)), "it ended there"
    assert many_wins.pairs == 10, "4 x 0.405 - 6 x 0.693 = -2.54 is the first below ln 0.1"


def test_an_answer_without_a_partner_waits():
    assert sequential(Design(), [True] * 5, [False] * 3).pairs == 3
    assert sequential(Design(), [], []).decision == "undecided"


def simulated(design: Design, first: float, second: float, tests: int, seed: int) -> tuple[Counter[str], float]:
    """What `tests` tests decide that look after every pair until they are over, and their mean number of pairs."""
    random = np.random.default_rng(seed)
    decisions: Counter[str] = Counter()
    pairs = 0
    for _ in range(tests):
        found = sequential(design, (random.random(1500) < first).tolist(), (random.random(1500) < second).tolist())
        decisions[found.decision] += 1
        pairs += found.pairs
    return decisions, pairs / tests


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_looking_after_every_answer_finds_no_difference_too_often(share: float):
    decided, _ = simulated(Design(usual=0.8), share, share, 1000, seed=1)
    wrong = decided["second better"] + decided["first better"]
    # At most 50 of 1000 are expected; a plain test at 5 % after each pair is wrong in far more (below).
    assert wrong <= 50
    assert decided["undecided"] <= 5


def test_a_plain_test_under_peeking_would_be_wrong_far_more_often():
    random = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        first, second = (np.cumsum(random.random(400) < 0.8) for _ in range(2))
        n = np.arange(1, 401)
        mean = (first + second) / (2 * n)
        spread = np.sqrt(np.maximum(2 * mean * (1 - mean) / n, 1e-12))
        wrong += bool((np.abs(first - second) / n / spread > 1.96)[20:].any())
    assert wrong > 40, "five times the error that it states"


def test_a_true_difference_is_missed_no_oftener_than_stated_and_found_early():
    design = Design(usual=0.7, smallest=0.1)
    decided, pairs = simulated(design, 0.7, 0.8, 600, seed=3)
    assert decided["second better"] >= 600 * (1 - design.beta)
    assert decided["first better"] <= 600 * design.alpha / 2
    # A test of fixed size with these error rates takes 294 a side (two shares, normal approximation).
    assert pairs < 260
    assert pairs == pytest.approx(design.expected(), rel=0.2)
    _, large = simulated(design, 0.6, 0.9, 200, seed=4)
    assert large < 80, "a large difference ends it soon"


def test_a_design_that_cannot_be_is_refused():
    with pytest.raises(ValidationError, match="together have to stay below 1"):
        Design(usual=0.9, smallest=0.1)
