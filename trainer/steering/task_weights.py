"""How much each task counts in the loss of one model that serves several (lecture L2.5).

Without weights a task counts by its share of the answer tokens. Here the tasks' mean losses L_t are summed with weights
w_t instead, whose mean over the tasks is 1: the loss of each answer token of task t counts w_t / (T p_t), where T is
the number of tasks and p_t the task's share of the answer tokens so far. General rows, and rows without a task, keep 1.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch

from trainer.steering.batch import Batch

MOST = 10.0
"""A token counts at most this much; a task of a few rows would otherwise outweigh all others where it appears."""
_SMOOTHING = 0.9  # of a task's running loss, for each batch in which it appears
_RATE = 0.05  # of the learnt log-variances; they are settled after some twenty batches
_TEMPERATURE = 2.0  # Liu et al. 2019, section 3.2
_WINDOW = 20  # steps whose mean loss is compared with that of the steps before


class TaskWeights:
    """Every task counts the same, whatever its share of the tokens: w_t = 1. The other weights build on this one."""

    def __init__(self, tasks: list[str]):
        self.tasks = tasks
        self.tokens = [0] * len(tasks)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """(n,) what each row's loss counts; learns from the batch for the next one."""
        known = ~batch.general & (batch.tasks >= 0)
        task_of = batch.tasks[batch.rows]
        for task in batch.tasks[known].unique().tolist():
            losses = batch.losses.detach()[known[batch.rows] & (task_of == task)]
            if len(losses) and math.isfinite(mean := float(losses.mean())):
                self.tokens[task] += len(losses)
                self._observe(task, mean)
        if batch.last:
            self._end_step()
        factors = torch.tensor([*self._factors(), 1.0], device=batch.tasks.device)  # the last is that of index -1
        return torch.where(known, factors[batch.tasks], 1.0)

    def current(self) -> dict[str, float]:
        """What an answer token of each task counts now; tasks that were not met yet are left out."""
        weights = zip(self.tasks, self._factors(), self.tokens, strict=True)
        return {task: weight for task, weight, tokens in weights if tokens}

    def state(self) -> dict[str, Any]:
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def _factors(self) -> list[float]:
        met = [task for task, tokens in enumerate(self.tokens) if tokens]
        raw = {task: self._raw(task) for task in met}
        factors = [1.0] * len(self.tasks)
        for task in met:
            factors[task] = min(MOST, raw[task] / sum(raw.values()) * sum(self.tokens) / self.tokens[task])
        return factors

    def _raw(self, task: int) -> float:
        """A task's weight, up to a factor that is the same for all."""
        return 1.0

    def _observe(self, task: int, loss: float) -> None:
        """Hear of a task's mean loss (nats) in a batch."""

    def _end_step(self) -> None:
        """The optimiser steps after this batch."""


class InverseLoss(TaskWeights):
    """w_t proportional to 1 / L_t, the running mean: tasks with small losses are not drowned by those with large."""

    def __init__(self, tasks: list[str]):
        super().__init__(tasks)
        self.losses = [0.0] * len(tasks)

    def _observe(self, task: int, loss: float) -> None:
        before = self.losses[task] or loss
        self.losses[task] = _SMOOTHING * before + (1 - _SMOOTHING) * loss

    def _raw(self, task: int) -> float:
        return 1 / max(self.losses[task], 1e-4)


class Uncertainty(TaskWeights):
    """w_t proportional to exp(-s_t) with a learnt log-variance s_t (Kendall et al. 2018).

    s_t falls along the gradient of exp(-s_t) L_t + s_t, so that exp(-s_t) settles at 1 / L_t. Only the weights'
    proportions are used: were their sum free, a falling loss would raise the learning rate.
    """

    def __init__(self, tasks: list[str]):
        super().__init__(tasks)
        self.log_variances = [0.0] * len(tasks)

    def _observe(self, task: int, loss: float) -> None:
        self.log_variances[task] -= _RATE * (1 - math.exp(-self.log_variances[task]) * loss)

    def _raw(self, task: int) -> float:
        return math.exp(-self.log_variances[task])


class DynamicAverage(TaskWeights):
    """More for tasks that learn slowly: w_t proportional to exp(r_t / 2) (dynamic weight average, Liu et al. 2019).

    r_t is the task's mean loss over the last window of steps, divided by that over the window before; 1 until there are
    two windows, and for a task that did not appear in the last one.
    """

    def __init__(self, tasks: list[str]):
        super().__init__(tasks)
        self.steps = 0
        self.window: list[list[float]] = [[] for _ in tasks]
        self.means: list[float] = [0.0] * len(tasks)  # over the last window in which the task appeared
        self.rates = [1.0] * len(tasks)

    def _observe(self, task: int, loss: float) -> None:
        self.window[task].append(loss)

    def _end_step(self) -> None:
        self.steps += 1
        if self.steps % _WINDOW:
            return
        for task, losses in enumerate(self.window):
            self.rates[task] = 1.0
            if losses:
                mean = sum(losses) / len(losses)
                self.rates[task] = mean / self.means[task] if self.means[task] else 1.0
                self.means[task] = mean
        self.window = [[] for _ in self.tasks]

    def _raw(self, task: int) -> float:
        return math.exp(self.rates[task] / _TEMPERATURE)


def task_weights(kind: Literal["uniform", "inverse_loss", "uncertainty", "dynamic"], tasks: list[str]) -> TaskWeights:
    """The weights that `steering.task_weights` names; `tasks` are `Prepared.tasks`."""
    kinds = {
        "uniform": TaskWeights,
        "inverse_loss": InverseLoss,
        "uncertainty": Uncertainty,
        "dynamic": DynamicAverage,
    }
    return kinds[kind](tasks)
