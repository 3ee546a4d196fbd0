"""What a run's events say, kept up to date at the cost of what is new: the numbers behind the Runs page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from trainer import events

if TYPE_CHECKING:
    import pandas as pd

POINTS = 400  # most points of one curve; a screen shows no more
MOST_KEPT = 2000  # of each kind that comes with the steps; what is thinned further to `POINTS`
SAMPLES = 8  # newest sample answers that are shown
T = TypeVar("T")


class History:
    """The events of one run so far. `update` reads only what was appended since the last call."""

    def __init__(self, path: Path):
        self.path = path
        self.steps: list[events.StepEvent] = []
        self.evals: list[events.EvalEvent] = []
        self.samples: list[events.SampleEvent] = []
        self.mix: list[events.MixEvent] = []
        self.levels: list[events.CurriculumEvent] = []
        self.weights: list[events.TaskWeightsEvent] = []
        self.conflicts: list[events.ConflictEvent] = []
        self.forgetting: list[events.ForgettingEvent] = []
        self.harm: list[events.HarmEvent] = []
        self.ranks: list[events.RankEvent] = []
        self.folds: list[events.FoldEvent] = []
        self.guards: list[events.GuardEvent] = []
        self.preferences: list[events.PreferenceEvent] = []
        self.rewards: list[events.RewardEvent] = []
        self.alarms: list[events.AlarmEvent] = []
        self.reading: events.ReadingEvent | None = None
        self.notes: list[events.WarningEvent | events.StopEvent] = []
        self.progress: events.ProgressEvent | None = None
        self.detail = ""
        self._came = 0
        self._offset = 0
        self._lock = threading.Lock()  # two windows may look at the same run

    def update(self) -> History:
        """Read what is new."""
        with self._lock:
            for event, after in events.each_new(self.path, self._offset):
                self._offset = after
                if event is not None:
                    self._take(event)
        return self

    def _take(self, event: events.Event) -> None:
        by_step: dict[type, list] = {
            events.StepEvent: self.steps,
            events.EvalEvent: self.evals,
            events.MixEvent: self.mix,
            events.CurriculumEvent: self.levels,
            events.TaskWeightsEvent: self.weights,
            events.ConflictEvent: self.conflicts,
            events.ForgettingEvent: self.forgetting,
            events.HarmEvent: self.harm,
            events.PreferenceEvent: self.preferences,
            events.RewardEvent: self.rewards,
        }
        if (points := by_step.get(type(event))) is not None:
            # A resumed run repeats the steps after its checkpoint; what it did before the kill is superseded.
            _cut(points, event.step)
            points.append(event)
            self._came += 1
            if len(points) > 2 * MOST_KEPT:
                _thin(points)
        match event:
            case events.SampleEvent():
                self.samples = [*self.samples, event][-SAMPLES:]
            case events.RankEvent():
                self.ranks = [one for one in self.ranks if one.rank != event.rank] + [event]
            case events.FoldEvent():
                self.folds = [one for one in self.folds if one.fold != event.fold] + [event]
            case events.GuardEvent():
                self.guards.append(event)
            case events.RewardEvent():
                _cut(self.alarms, event.step)  # an alarm comes after the step that it is of
            case events.AlarmEvent():
                self.alarms.append(event)
            case events.ReadingEvent():
                self.reading = event
            case events.WarningEvent() | events.StopEvent():
                self.notes.append(event)
            case events.ProgressEvent():
                self.progress = event
            case events.StateEvent():
                self.detail = event.detail
                self.progress = None

    def counts(self) -> tuple[int, ...]:
        """How much there is of everything: another tuple where something new came, or was superseded."""
        lists = (
            self.steps, self.evals, self.notes, self.samples, self.mix, self.levels, self.weights, self.conflicts,
            self.forgetting, self.harm, self.ranks, self.folds, self.guards, self.preferences, self.rewards,
            self.alarms,
        )  # fmt: skip
        return (self._came, *map(len, lists))

    def losses(self) -> pd.DataFrame:
        """Training and validation loss by step, and that of general rows, thinned to `POINTS` points each."""
        import pandas as pd

        evals = thinned(self.evals)
        training = [(one.step, one.loss, "training") for one in thinned(self.steps)]
        validation = [(one.step, one.loss, "validation") for one in evals]
        general = [(one.step, one.general_loss, "general rows") for one in evals if one.general_loss is not None]
        return pd.DataFrame(training + validation + general, columns=["step", "loss", "measured on"])

    def curves(self, columns: Sequence[tuple[str, str]]) -> list[pd.DataFrame]:
        """For each (field of a step, name) that field by step, in a column of that name."""
        import pandas as pd

        steps = thinned(self.steps)
        return [
            pd.DataFrame([(one.step, getattr(one, field)) for one in steps], columns=["step", name])
            for field, name in columns
        ]


def _cut(points: list, step: int) -> None:
    while points and points[-1].step >= step:
        points.pop()


def _thin(points: list) -> None:
    """Keep the last and at most `MOST_KEPT` others, evenly over the steps: a run of days has hundreds of thousands."""
    # Powers of two: the grid of a later thinning stands on that of an earlier one, and what is left stays even.
    width = 1 << (points[-1].step // MOST_KEPT).bit_length()
    kept = {one.step // width: one for one in reversed(points[:-1])}
    points[:] = [*reversed(kept.values()), points[-1]]


def thinned(points: Sequence[T], most: int = POINTS) -> list[T]:
    """At most `most` of the points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


@lru_cache(maxsize=8)
def _history(path: Path) -> History:
    return History(path)


def history(folder: Path) -> History:
    """The run's events so far; one that was looked at lately is only read on from where it was left."""
    return _history(folder / "events.jsonl").update()
