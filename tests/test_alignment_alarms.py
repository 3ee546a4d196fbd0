"""Alarms of a run that learns from rewards, on courses that end badly and on ones that look alike and do not."""

from __future__ import annotations

from trainer.events import RewardEvent
from trainer.steering.alignment_alarms import WINDOW, alarms


def step(**values: object) -> RewardEvent:
    usual: dict = {"reward": 0.5, "spread": 0.2, "length": 40.0, "kl": 1.0, "by_rule": {"structure": 0.5}, "alike": 0.1}
    return RewardEvent(**{**usual, **values})


def course(first: RewardEvent, last: RewardEvent) -> list[str]:
    """Alarms after `WINDOW` steps of one kind and as many of another."""
    return [one.alarm for one in alarms([first] * WINDOW + [last] * WINDOW)]


def test_a_course_that_learns_is_left_in_peace() -> None:
    assert course(step(), step(reward=0.8, by_rule={"structure": 0.8})) == []


def test_nothing_is_said_of_a_few_steps() -> None:
    assert alarms([step(alike=1.0, spread=0.0)] * (WINDOW - 1)) == []
    assert [one.alarm for one in alarms([step(alike=1.0, spread=0.0)] * WINDOW)] == ["collapse"]


def test_answers_alike_or_with_one_reward_are_a_collapse() -> None:
    assert course(step(), step(alike=0.9)) == ["collapse"]
    assert course(step(), step(spread=0.0)) == ["collapse"]
    mixed = [step(spread=0.0), step(spread=0.2)] * WINDOW
    assert alarms(mixed) == [], "single groups without a spread are no collapse"


def test_longer_answers_have_to_be_better_by_something_else() -> None:
    longer = step(length=60.0, reward=0.9)
    found = alarms([step()] * WINDOW + [longer] * WINDOW)
    assert [one.alarm for one in found] == ["length"]
    assert "from 40 to 60 tokens, and structure did not get better" in found[0].message
    assert course(step(), step(length=60.0, by_rule={"structure": 0.7})) == [], "longer, and better"
    assert course(step(), step(length=45.0)) == [], "an eighth is no gaming"


def test_neither_the_length_rule_nor_the_reward_model_speaks_for_longer_answers() -> None:
    before = step(by_rule={"length": 0.2, "reward model": -1.0})
    after = step(length=60.0, by_rule={"length": 0.9, "reward model": 2.0})
    found = alarms([before] * WINDOW + [after] * WINDOW)
    assert [one.alarm for one in found] == ["length"]
    assert "only the reward model pays" in found[0].message


def test_far_from_the_reference() -> None:
    assert course(step(), step(kl=12.5)) == ["kl"]
    assert course(step(), step(kl=9.5)) == []
    assert course(step(kl=None), step(kl=None)) == []
