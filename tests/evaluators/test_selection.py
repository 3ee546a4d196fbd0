"""Choosing among models: limits, dominance and intervals; what is not known is never good."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.selection import CRITERIA, Candidate, Criterion, choose, cost_of_thousand, pareto

QUALITY = Criterion(name="quality", better="higher")
SECONDS = Criterion(name="seconds", better="lower", limit=2)
MEMORY = Criterion(name="memory", better="lower")
ALL = [QUALITY, SECONDS, MEMORY]


def model(
    name: str,
    quality: float | None = None,
    seconds: float | None = 1.0,
    memory: float | None = 1.0,
    interval: tuple[float, float] | None = None,
) -> Candidate:
    values = {"quality": quality, "seconds": seconds, "memory": memory}
    return Candidate(name=name, values=values, intervals={"quality": interval} if interval else {})


def test_beyond_a_limit_or_not_measured_under_it_is_out() -> None:
    found = choose([model("slow", 0.9, seconds=3), model("unknown", 0.8, seconds=None), model("fine", 0.5)], ALL)
    assert found.name == "fine"
    assert found.excluded == {
        "slow": "seconds 3 is over the limit of 2",
        "unknown": "seconds has a limit of 2 and was not measured",
    }
    assert choose([model("edge", 0.5, seconds=2)], ALL).name == "edge", "at the limit is within it"
    assert choose([model("slow", 0.9, seconds=3)], ALL).name is None
    least = Criterion(name="quality", better="higher", limit=0.6)
    assert choose([model("poor", 0.5)], [least]).excluded == {"poor": "quality 0.5 is under the limit of 0.6"}


def test_a_dominated_candidate_says_by_whom() -> None:
    found = choose([model("worse", 0.5, memory=3), model("better", 0.6, memory=2), model("small", 0.4, memory=1)], ALL)
    assert found.dominated == {"worse": "better"}
    assert found.name == "better"
    assert "worse is nowhere better than better, and somewhere worse." in found.reasons


def test_a_difference_within_the_interval_is_no_reason() -> None:
    large = model("large", 0.62, memory=4, interval=(0.55, 0.69))
    small = model("small", 0.60, memory=1, interval=(0.53, 0.67))
    found = choose([large, small], ALL)
    assert found.name == "small"
    assert found.reasons == [
        "By quality, large (0.62, 0.55 to 0.69) and small (0.6, 0.53 to 0.67) are not told apart: no reason.",
        "By seconds, large (1) and small (1) are not told apart: no reason.",
        "small is best by memory: small (1) and large (4).",
    ]
    clear = model("large", 0.9, memory=4, interval=(0.85, 0.95))
    assert choose([clear, small], ALL).name == "large"


def test_what_was_not_measured_is_never_taken_for_good() -> None:
    unknown, known = model("unknown", None, memory=0.5), model("known", 0.1)
    assert choose([unknown, known], ALL).name == "known"
    assert pareto([model("unknown", None), known], ALL) == ["known"], "all else equal, a number beats none"
    assert pareto([unknown, known], ALL) == ["unknown", "known"], "it is smaller"
    nobody = choose([model("a", None, memory=2), model("b", None, memory=1, seconds=1.5)], ALL)
    assert "Quality was measured of none of a and b." in nobody.reasons


def test_equals_stay_and_the_first_is_taken() -> None:
    found = choose([model("one", 0.5), model("two", 0.5)], ALL)
    assert (found.name, found.dominated) == ("one", {})
    assert found.reasons[-1] == "Nothing tells one and two apart: the first in the list is taken."


def test_no_candidates_and_two_of_one_name() -> None:
    assert choose([], ALL).name is None
    with pytest.raises(ValueError, match="one name"):
        choose([model("same", 0.1), model("same", 0.2)], ALL)


values = st.none() | st.integers(0, 3).map(float)
candidates = st.lists(st.tuples(values, values, values), min_size=1, max_size=6).map(
    lambda rows: [model(str(number), *row) for number, row in enumerate(rows)]
)


@settings(max_examples=80, deadline=None)
@given(candidates)
def test_the_front_is_what_nothing_dominates(found: list[Candidate]) -> None:
    def score(one: Candidate) -> list[float]:
        signs = [(one.values[criterion.name], 1 if criterion.better == "higher" else -1) for criterion in ALL]
        return [float("-inf") if value is None else sign * value for value, sign in signs]

    front = pareto(found, ALL)
    assert front
    for one in found:
        beaten = any(
            all(a >= b for a, b in zip(score(other), score(one), strict=True)) and score(other) != score(one)
            for other in found
        )
        assert (one.name in front) != beaten
    chosen = choose(found, ALL)
    if chosen.name is not None:
        taken = next(one for one in found if one.name == chosen.name)
        assert taken.values["seconds"] is not None and taken.values["seconds"] <= 2
        allowed = [one for one in found if one.name not in chosen.excluded]
        assert chosen.name in pareto(allowed, ALL)
    else:
        assert len(chosen.excluded) == len(found)


def test_cost_in_machine_time_and_money() -> None:
    assert cost_of_thousand(1.8) == 1800
    assert cost_of_thousand(1.8, price_per_hour=2.0) == 1.0
    assert {one.name for one in CRITERIA if one.limit is not None} == {"harmful share", "latency, s"}
