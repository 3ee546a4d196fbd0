"""Which rows were really trained on: how many, how many general (lecture L2.10), and of which levels (L2.7)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import events
from trainer.launch import launch
from trainer.reporting import Reporter
from trainer.steering.order import SimilarLengths, SteeredOrder

WINDOW = 20  # steps between two words on it


class RowsSeen(TrainerCallback):
    """Counts the rows of each batch as it is trained on, not as it is drawn, which is earlier; tells it as events."""

    def __init__(self, levels: list[str], order: SimilarLengths | SteeredOrder, dynamic: bool, reporter: Reporter):
        self.levels = levels
        self.order = order
        self.dynamic = dynamic
        self.reporter = reporter
        self._rows = self._general = 0
        self._by_level: Counter[str] = Counter()

    def count(self, columns: dict[str, torch.Tensor]) -> None:
        """A batch was trained on: `general` (n,), and `level` (n,), index or -1, where levels are counted."""
        self._rows += len(columns["general"])
        self._general += int(columns["general"].sum())
        for level, general in zip(columns["level"].tolist(), columns["general"].tolist(), strict=True):
            if not general:
                self._by_level[self.levels[level] if level >= 0 else "no level"] += 1

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step % WINDOW and state.global_step != state.max_steps:
            return
        counted = self.state()
        self._rows, self._general, self._by_level = 0, 0, Counter()
        if not counted["rows"]:
            return
        self.reporter.event(
            events.MixEvent(
                rows=counted["rows"],
                general=counted["general"],
                share=counted["general"] / counted["rows"],
                target=self.order.share if self.dynamic and isinstance(self.order, SteeredOrder) else None,
                levels=counted["by_level"],
            )
        )

    def state(self) -> dict[str, Any]:
        """What was counted since the last event, by all processes that train together; asked by all of them."""
        names = [*self.levels, "no level"]
        counted = launch.totals([self._rows, self._general, *(self._by_level[name] for name in names)])
        rows, general, *by_level = map(int, counted)
        found = {name: count for name, count in zip(names, by_level, strict=True) if count}
        return {"rows": rows, "general": general, "by_level": found}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as at a checkpoint, where the main process goes on with what all had counted."""
        if not launch.is_main():
            return
        self._rows, self._general, self._by_level = state["rows"], state["general"], Counter(state["by_level"])
