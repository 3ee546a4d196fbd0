"""TRL's RewardTrainer with what every run has, and with events of how its pairs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trl.trainer.reward_trainer import RewardTrainer

from trainer import events
from trainer.methods.answering import evaluating
from trainer.objective_sections import RewardObjective
from trainer.objectives import reward_loss
from trainer.objectives.run_trainer import RunTrainer
from trainer.steering import validation

if TYPE_CHECKING:
    from datasets import Dataset


class RewardModelTrainer(RunTrainer, RewardTrainer):
    """See the module."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        found = self._metrics["train"]
        if "loss" in logs and found["margin"]:
            margin, accuracy = (sum(found[name]) / len(found[name]) for name in ("margin", "accuracy"))
            self.steering.reporter.event(events.PreferenceEvent(margin=margin, accuracy=accuracy))
        super().log(logs, start_time)

    def evaluate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *arguments: Any, metric_key_prefix: str = "eval", **options: Any
    ) -> dict[str, float]:
        """The loss on the validation pairs, and the share of them that are ranked right."""
        assert isinstance(self.run.objective, RewardObjective)
        model, pairs = self.accelerator.unwrap_model(self.model), cast("Dataset", self.eval_dataset)
        ended = self.state.global_step >= self.state.max_steps
        rows = validation.sample(pairs, None if ended else validation.MOST_ROWS)
        with evaluating(model):
            rated = reward_loss.rate_pairs(model, pairs.select(rows), self.tokenizer.pad_token_id)
        loss = reward_loss.loss(rated, self.run.objective.centre)
        found = validation.Validation(
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
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.metrics().items()}
        self.log(metrics)
        told: Any = {**metrics, "validation": found}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, told)
        return metrics
