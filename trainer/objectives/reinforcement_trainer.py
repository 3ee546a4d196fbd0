"""TRL's RLOO and GRPO trainers with what every run has, and with events of the rewards and alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

from trainer import events
from trainer.data.tokenised import Prepared
from trainer.methods import saved
from trainer.objective_sections import GrpoObjective, RlooObjective
from trainer.objectives.run_trainer import RunTrainer
from trainer.sections import RunConfig
from trainer.steering.alignment_alarms import Alarms
from trainer.steering.steering import Steering

Rate = Callable[[Sequence[Any], Sequence[str], Sequence[str | None], Sequence[int]], list[float]]
"""Questions (conversations), answers, reference answers and the answers' lengths in tokens, to rates."""


class _Reinforced(RunTrainer):
    """What RLOO and GRPO have in common here; stands before TRL's trainer.

    Validation rows are measured by the data's own answers, as in supervised tuning.
    """

    def __init__(
        self, run: RunConfig, *, prepared: Prepared, rates: dict[str, Rate], steering: Steering, **options: Any
    ):
        rated = [_named(*one) for one in rates.items()]
        super().__init__(run, prepared=prepared, steering=steering, reward_funcs=rated, **options)
        self.alarms = Alarms(steering.reporter)
        steering.remembering["alarms"] = self.alarms
        self._tokens = 0
        self._step_told: events.RewardEvent | None = None

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train; the frozen copy that TRL keeps as the reference goes with the end of it."""
        try:
            return super().train(*arguments, **options)
        finally:
            model: Any = self.accelerator.unwrap_model(self.model)
            if saved.REFERENCE in getattr(model, "peft_config", {}):
                model.delete_adapter(saved.REFERENCE)

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """None beside a checkpoint: the run writes its own."""

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]
    ) -> torch.Tensor:
        """(answers, rates), as TRL's; those of a step stand together, group by group."""
        found: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)  # pyright: ignore
        objective = self.run.objective
        assert isinstance(objective, RlooObjective | GrpoObjective)
        rewards = found.sum(1)
        self._tokens += sum(len(one) for one in completion_ids_list)
        self._step_told = events.RewardEvent(
            reward=rewards.mean().item(),
            spread=rewards.view(-1, objective.answers).std(1, correction=0).mean().item(),
            by_rule=dict(zip(self.reward_func_names, found.mean(0).tolist(), strict=True)),  # pyright: ignore
            length=sum(len(one) for one in completion_ids_list) / len(completion_ids_list),
            alike=alike([one[-1]["content"] for one in completions], objective.answers),
        )
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        metrics = self._metrics["train"]  # pyright: ignore[reportAttributeAccessIssue]
        if "loss" in logs and self._step_told is not None:
            step, self._step_told = self._step_told, None
            if kl := metrics.get("kl"):
                # TRL's is the mean over all tokens of the step; times tokens an answer it is the mean over answers.
                step.kl = sum(kl) / len(kl) * step.length
            self.alarms.hear(step)
            metrics["num_tokens"] = [self._tokens]  # of this process, and only those that were drawn
        super().log(logs, start_time)


class LeaveOneOut(_Reinforced, RLOOTrainer):
    """RLOO (Ahmadian et al. 2024)."""


class GroupRelative(_Reinforced, GRPOTrainer):
    """GRPO (Shao et al. 2024)."""


Reinforced = LeaveOneOut | GroupRelative


def _named(name: str, rate: Rate) -> Any:
    """A rate as TRL calls it."""

    def reward(prompts: Any, completions: Any, completion_ids: Any, reference: Any, **others: Any) -> list[float]:
        said = [one[-1]["content"] for one in completions]
        return rate(prompts, said, reference, [len(one) for one in completion_ids])

    reward.__name__ = name
    return reward


def alike(texts: Sequence[str], group: int) -> float:
    """Share of answers that say the same (but for case and spaces) as another of their `group` neighbours."""
    plain = [" ".join(text.lower().split()) for text in texts]
    groups = [plain[start : start + group] for start in range(0, len(plain), group)]
    return fmean(float(one.count(text) > 1) for one in groups for text in one)
