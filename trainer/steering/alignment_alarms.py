"""Alarms in a run that learns from rewards: what its last steps look like when it is about to end badly.

The bounds are ours, taken from what a collapse looks like in the curves of small models; an alarm says what to look at
and never ends a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from trainer.events import AlarmEvent, RewardEvent

if TYPE_CHECKING:
    from trainer.reporting import Reporter

WINDOW = 10
"""Steps that are looked at together; the first so many of a run are what later ones are compared with."""
ALIKE = 0.8
"""Share of the answers that say the same as another to the same question; above it there is little left to compare."""
LEAST_SPREAD = 1e-3
"""Standard deviation of the reward within a question's answers below which nothing can be learnt from them."""
LONGER = 1.25
"""Rise of the answers' length that has to be paid for by something else than length."""
BETTER = 0.02
"""Rise of a rule's mean reward (0 to 1) that counts as one."""
KL_BOUND = 10.0
"""Nats an answer. As the divergence grows, what people think of the answers falls again, while the reward still rises
(Gao, Schulman and Hilton 2023)."""
REWARD_MODEL = "reward model"
"""What the reward model's rating is called among the rules."""
_LENGTH = "length"


class Alarms:
    """Tells each step of a run that learns from rewards, and an alarm once as it begins to hold."""

    def __init__(self, reporter: Reporter):
        self.reporter = reporter
        self.steps: list[RewardEvent] = []
        self.on: set[str] = set()

    def hear(self, step: RewardEvent) -> None:
        """A step was made."""
        self.reporter.event(step)
        self.steps.append(step)
        if len(self.steps) > 2 * WINDOW:
            del self.steps[WINDOW]
        found = alarms(self.steps)
        for alarm in found:
            if alarm.alarm not in self.on:
                self.reporter.event(alarm)
        self.on = {alarm.alarm for alarm in found}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"steps": [step.model_dump() for step in self.steps], "on": sorted(self.on)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.steps = [RewardEvent.model_validate(step) for step in state["steps"]]
        self.on = set(state["on"])


def alarms(steps: Sequence[RewardEvent]) -> list[AlarmEvent]:
    """What is wrong in the last `WINDOW` of a run's steps, in their order; nothing before there are so many.

    collapse: answers to the same question are alike, or all have the same reward. length: answers grew by a quarter
    since the first steps and no rule beside length (and beside a reward model, which may be what is gamed) rose.
    kl: the model is further from its reference than `KL_BOUND`.
    """
    if len(steps) < WINDOW:
        return []
    last, first = steps[-WINDOW:], steps[:WINDOW]
    found = [_collapse(last), _longer(first, last), _far(last)]
    return [one for one in found if one]


def _collapse(last: Sequence[RewardEvent]) -> AlarmEvent | None:
    alike, spread = fmean(one.alike for one in last), fmean(one.spread for one in last)
    if alike >= ALIKE:
        what = f"{alike:.0%} of the answers say the same as another to the same question"
    elif spread < LEAST_SPREAD:
        what = "all answers to a question have the same reward, so that nothing is learnt from them"
    else:
        return None
    message = (
        f"Over the last {WINDOW} steps {what}. Where the reward is as high as it can be, the run has done its work: "
        "stop it. Else read the sample answers, and start again with a higher objective.beta or temperature."
    )
    return AlarmEvent(alarm="collapse", message=message)


def _longer(first: Sequence[RewardEvent], last: Sequence[RewardEvent]) -> AlarmEvent | None:
    before, now = (fmean(one.length for one in part) for part in (first, last))
    if now < LONGER * before:
        return None
    rules = set(last[-1].by_rule) - {_LENGTH, REWARD_MODEL}
    if any(_mean(last, rule) - _mean(first, rule) >= BETTER for rule in rules):
        return None
    paid = f"and {', '.join(sorted(rules))} did not get better" if rules else "and only the reward model pays for it"
    add = (
        "" if _LENGTH in last[-1].by_rule else ' Rewarding the usual length too ("length" in objective.rewards) helps.'
    )
    message = (
        f"Answers grew from {before:.0f} to {now:.0f} tokens, {paid}: length may be all that is learnt. Compare "
        f"answers by hand before going on.{add}"
    )
    return AlarmEvent(alarm="length", message=message)


def _far(last: Sequence[RewardEvent]) -> AlarmEvent | None:
    known = [one.kl for one in last if one.kl is not None]
    if not known or fmean(known) <= KL_BOUND:
        return None
    message = (
        f"The model is {fmean(known):.1f} nats an answer from its reference (bound: {KL_BOUND:g}): it may write what "
        "the reward likes and no reader does. Raise objective.beta, or take an earlier checkpoint."
    )
    return AlarmEvent(alarm="kl", message=message)


def _mean(steps: Sequence[RewardEvent], rule: str) -> float:
    return fmean(one.by_rule[rule] for one in steps)
