"""TRL's RewardTrainer with what every run has, and with events of how its pairs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl.trainer.reward_trainer import RewardTrainer

from trainer import events
from trainer.objective_sections import RewardObjective
from trainer.objectives import reward_loss
from trainer.objectives.run_trainer import RunTrainer
from trainer.steering import validation

if TYPE_CHECKING:
    pass


class RewardModelTrainer(RunTrainer, RewardTrainer):
    """See the module."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        found = self._metrics["train"]
        if "loss" in logs and found["margin"]:
            margin, accuracy = (sum(found[name]) / len(found[name]) for name in ("margin", "accuracy"))
            self.steering.reporter.event(events.PreferenceEvent(margin=margin, accuracy=accuracy))
        super().log(logs, start_time)

    def measured(self, model: Any, all_rows: bool) -> validation.Validation:
        """The loss on the validation pairs, and the share of them that are ranked right."""
        assert isinstance(self.run.objective, RewardObjective)
        pairs = self.prepared.validation
        rows = validation.sample(pairs, None if all_rows else validation.MOST_ROWS)
        rated = reward_loss.rate_pairs(model, pairs.select(rows), self.tokenizer.pad_token_id)
        loss = reward_loss.loss(rated, self.run.objective.centre)
        return validation.Validation(
            n=len(rated),
            rows=len(pairs),
            loss=loss,
            answer_accuracy=sum(good > bad for good, bad in rated) / len(rated),
            tasks={},
            specialties={},
            worst_task_loss=loss,
            best=[],
            worst=[],
        )
