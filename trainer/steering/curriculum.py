"""Curriculum: facts, concepts, reasoning, judgement, one after another (lecture L2.7)."""

from __future__ import annotations

from typing import Any, Literal

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import events
from trainer.reporting import Reporter
from trainer.steering.order import SteeredOrder

PATIENCE = 2  # measurements without a gain after which the next level begins
LATEST_START = 0.8
"""Share of the steps at which the last level begins even where the loss still falls, so that all are learnt."""


class Curriculum(TrainerCallback):
    """Begins the levels in their order, and says when and why.

    By `steps`, each level has the same share of the steps. By `plateau`, the next begins when `PATIENCE` measurements
    of the validation loss brought no gain of `least_gain` nats; the levels' latest starts are spread evenly up to
    `LATEST_START`. What is drawn changes with the batch after those that the data loader has read already.
    """

    def __init__(
        self,
        pace: Literal["steps", "plateau"],
        least_gain: float,
        levels: list[str],
        order: SteeredOrder,
        reporter: Reporter,
    ):
        self.pace = pace
        self.least_gain = least_gain
        self.levels = levels
        self.order = order
        self.reporter = reporter
        self._last: float | None = None  # validation loss
        self._best: float | None = None  # since this level began, or just before
        self._without_gain = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step:
            return
        if len(self.levels) < 2:
            found = f"all rows that have a level are {self.levels[0]}" if self.levels else "no row has a level"
            self.reporter.warn(
                f"The curriculum changes nothing: {found}. Give rows a column level (facts, concepts, reasoning or "
                "judgement), or set steering.curriculum to off."
            )
        else:
            self.reporter.event(events.CurriculumEvent(level=self.levels[0], reason="The first level."))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        count, step = len(self.levels), state.global_step
        if step >= state.max_steps or self.order.level + 1 >= count:
            return
        if self.pace == "steps":
            level = step * count // state.max_steps
            reason = f"After {step} of {state.max_steps} steps: each of {count} levels has the same share of them."
        else:
            level = int(step * (count - 1) / (LATEST_START * state.max_steps))
            reason = (
                f"After {step} of {state.max_steps} steps it begins at the latest, so that all levels are learnt; the "
                "validation loss was still falling."
            )
        if level > self.order.level:
            self._begin(min(level, count - 1), reason)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        assert metrics is not None
        loss = self._last = metrics["eval_loss"]
        if self._best is None or loss <= self._best - self.least_gain:
            self._best, self._without_gain = loss, 0
            return
        self._without_gain += 1
        more_to_come = state.global_step < state.max_steps and self.order.level + 1 < len(self.levels)
        if self.pace == "plateau" and self._without_gain >= PATIENCE and more_to_come:
            self._begin(
                self.order.level + 1,
                f"The validation loss ({loss:.3f}) did not fall by {self.least_gain:g} below {self._best:.3f} in "
                f"{PATIENCE} measurements.",
            )

    def state(self) -> dict[str, Any]:
        """What the pace goes by; the level itself is in the order's state."""
        return {"last": self._last, "best": self._best, "without_gain": self._without_gain}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as at a checkpoint."""
        self._last, self._best, self._without_gain = state["last"], state["best"], state["without_gain"]

    def _begin(self, level: int, reason: str) -> None:
        self.order.steer(level=level)
        self._best, self._without_gain = self._last, 0
        self.reporter.event(events.CurriculumEvent(level=self.levels[level], reason=reason))
