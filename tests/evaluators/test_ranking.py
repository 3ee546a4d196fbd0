"""Bradley-Terry against a published fit and a closed form, Elo by hand, position bias by its exact test."""

from __future__ import annotations

import math

import pytest

from evaluators.ranking import CENTRE, Duel, bradley_terry, elo, position_bias

# Agresti, Categorical Data Analysis (2002), table 10.10: wins of the row's team over the column's, American League
# East, 1987; and table 10.11's fit without home advantage, with Baltimore's at 0.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
WINS = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
FIT = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


def _duels(first: str, second: str, won: int, lost: int, tied: int = 0) -> list[Duel]:
    scores = [1.0] * won + [0.0] * lost + [0.5] * tied
    return [Duel(first, second, score, f"{first}/{second}/{number}") for number, score in enumerate(scores)]


def test_bradley_terry_is_agrestis_fit():
    duels = [
        duel
        for one in range(7)
        for other in range(one)
        for duel in _duels(TEAMS[one], TEAMS[other], WINS[one][other], WINS[other][one])
    ]
    assert len(duels) == 21 * 13, "each pair of teams played thirteen times"
    found = bradley_terry(duels)
    assert list(found.ratings) == TEAMS and not found.remark
    values = {name: rating.value or math.nan for name, rating in found.ratings.items()}
    logits = [(values[name] - values["Baltimore"]) * math.log(10) / 400 for name in TEAMS]
    assert logits == pytest.approx(FIT, abs=0.006)
    assert sum(values.values()) / 7 == pytest.approx(CENTRE)
    for rating in found.ratings.values():
        assert rating.low is not None and rating.high is not None and rating.low < (rating.value or 0) < rating.high
        assert (rating.n, rating.interval) == (78, "bootstrap")


def test_of_two_models_the_distance_is_the_log_odds_with_ties_as_half_wins():
    found = bradley_terry(_duels("new", "old", won=25, lost=5, tied=10))
    new, old = found.ratings["new"].value, found.ratings["old"].value
    assert new is not None and old is not None
    assert new - old == pytest.approx(400 * math.log10(30 / 10))  # 25 + 5 against 5 + 5
    assert list(found.ratings) == ["new", "old"]


def test_copies_of_a_question_do_not_narrow_the_interval():
    once = _duels("new", "old", won=20, lost=10)
    one, five = bradley_terry(once).ratings["new"], bradley_terry(once * 5).ratings["new"]
    assert (five.low, five.high) == pytest.approx((one.low, one.high))
    assert (five.n, five.units) == (150, 30)


def test_without_a_finite_fit_a_sentence_says_why():
    apart = bradley_terry([*_duels("a", "b", 3, 2), *_duels("c", "d", 1, 1)])
    assert apart.remark == "No ratings: a, b and c, d were never compared with each other. Compare a model of each."
    assert all(rating.value is None and rating.interval == "none" for rating in apart.ratings.values())
    always = bradley_terry([*_duels("a", "b", 3, 2), *_duels("best", "a", 4, 0), *_duels("best", "b", 2, 0)])
    assert always.remark == "No ratings: best lost to none of the others, so that the distance has no bound yet."
    rare = bradley_terry(_duels("new", "old", won=29, lost=1))
    assert rare.ratings["new"].value is not None and rare.ratings["new"].low is None
    assert rare.remark.startswith("No intervals: in 3") and "one model lost to none of the others" in rare.remark
    assert bradley_terry([]).ratings == {}


def test_elo_of_one_comparison_and_of_two():
    found = elo(_duels("new", "old", won=1, lost=0)).ratings
    assert (found["new"].value, found["old"].value) == (1016, 984)  # half of 32 points at even odds
    both = elo(_duels("new", "old", won=1, lost=1)).ratings["new"].value
    # A win and then a loss costs the new one more than half of 32 points back; the other order is its mirror image.
    after = 1016 - 32 / (1 + 10 ** (-32 / 400))
    assert both == pytest.approx(CENTRE, abs=1) and after < CENTRE - 1


def test_elo_ranks_as_the_wins_do_and_does_not_depend_on_the_order_given():
    duels = [*_duels("best", "middle", 15, 5), *_duels("middle", "worst", 15, 5), *_duels("best", "worst", 18, 2)]
    one, other = elo(duels), elo(duels[::-1])
    assert list(one.ratings) == ["best", "middle", "worst"]
    for name, rating in one.ratings.items():
        assert rating.value == pytest.approx(other.ratings[name].value, abs=3)
        assert rating.low is not None and rating.high is not None and rating.low < (rating.value or 0) < rating.high
    assert (one.ratings["best"].low or 0) > (one.ratings["worst"].high or 0)


def test_position_bias():
    assert position_bias([]).verdict == "not enough evidence"
    assert position_bias([True] * 5).verdict == "not enough evidence", "p is 0.0625 at best"
    all_left = position_bias([True] * 6)
    assert all_left.p == pytest.approx(2 * 0.5**6) and all_left.verdict == "left is preferred"
    even = position_bias([True, False] * 20)
    assert even.share is not None and (even.share.score, even.share.n, even.p) == (0.5, 40, 1.0)
    assert even.verdict == "not shown"
    right = position_bias([True] * 10 + [False] * 30)
    assert right.verdict == "right is preferred" and right.p == pytest.approx(0.002221, abs=1e-5)
