"""Dynamic mixing: half general rows at first, then fewer, as long as general text is not forgotten (lecture L2.11)."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.steering.order import SteeredOrder

STEP = 0.1  # of the share of general rows, after each measurement
TOLERANCE = 0.05
"""Nats by which a validation loss may rise before it counts: the general one above its start, one's own above its best.
The rows measured are the same each time, so that less would do against chance; 0.05 is 5 % in perplexity."""


class DynamicMixing(TrainerCallback):
    """Moves the share of general rows by `STEP` after each measurement, between `least` and what it began with.

    Up, where the loss on general rows has risen by more than `TOLERANCE` above its first measurement. Else down, so
    that one's own rows come more often; but not where the loss on those has risen by more than `TOLERANCE` above its
    best, since more of them would only be learnt by heart. Where no general rows were left to measure on, the loss on
    one's own decides alone.
    """

    def __init__(self, least: float, order: SteeredOrder):
        self.most = order.share
        self.least = min(least, self.most)
        self.order = order
        self._general_start: float | None = None
        self._own_best: float | None = None

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        assert metrics is not None
        own, general = metrics["eval_loss"], metrics.get("eval_general_loss")
        first = self._own_best is None
        self._own_best = own if self._own_best is None else min(own, self._own_best)
        if self._general_start is None:
            self._general_start = general
        if first:
            return
        if general is not None and self._general_start is not None and general > self._general_start + TOLERANCE:
            step = STEP
        elif own <= self._own_best + TOLERANCE:
            step = -STEP
        else:
            return
        # Rounded, because 0.5 less 0.1 four times is not quite 0.1.
        share = min(self.most, max(self.least, round(self.order.share + step, 6)))
        if share != self.order.share:
            self.order.steer(share=share)

    def state(self) -> dict[str, Any]:
        """What the losses are compared with; the share itself is in the order's state."""
        return {"general_start": self._general_start, "own_best": self._own_best}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as at a checkpoint."""
        self._general_start, self._own_best = state["general_start"], state["own_best"]
