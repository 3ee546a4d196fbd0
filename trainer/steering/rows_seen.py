"""Which rows were really trained on: how many, how many general (lecture L2.10), and of which levels (L2.7)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import events
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
        if not self._rows or (state.global_step % WINDOW and state.global_step != state.max_steps):
            return
        self.reporter.event(
            events.MixEvent(
                rows=self._rows,
                general=self._general,
                share=self._general / self._rows,
                target=self.order.share if self.dynamic and isinstance(self.order, SteeredOrder) else None,
                levels=dict(self._by_level),
            )
        )
        self._rows, self._general, self._by_level = 0, 0, Counter()

    def state(self) -> dict[str, Any]:
        """What was counted since the last event."""
        return {"rows": self._rows, "general": self._general, "by_level": dict(self._by_level)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as at a checkpoint."""
        self._rows, self._general, self._by_level = state["rows"], state["general"], Counter(state["by_level"])
