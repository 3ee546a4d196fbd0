"""Trainings before the one that counts: ranks that are tried, rows that are held back in turn, a start for few rows."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from trainer import events
from trainer.data.tokenised import Prepared
from trainer.method_sections import LoraMethod
from trainer.objectives import settings
from trainer.objectives.build import build
from trainer.objectives.settings import Parts
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering import folds, rank_search, reptile, steering
from trainer.steering.folds import Fold, FoldSummary
from trainer.steering.rank_search import Decision, Trial
from trainer.training import TrainingError
from trainer.workshop import Workshop

if TYPE_CHECKING:
    from trainer.objectives.run_trainer import RunTrainer

NEVER = 10**6


def find_rank(config: RunConfig, workshop: Workshop) -> RunConfig:
    """The run with the rank that the search ends at (lecture L1.10), alpha with it. Each trial is told as an event."""
    total = settings.total_steps(config, len(workshop.prepared.train))

    def try_rank(rank: int, steps: int) -> Trial:
        tried = config.model_copy(deep=True)
        assert isinstance(tried.method, LoraMethod)
        tried.method = rank_search.with_rank(tried.method, rank)
        # The rate rises as fast as in the run and does not fall, or every rank would look settled at a trial's end.
        tried.schedule.warmup_share = min(0.5, config.schedule.warmup_share * total / steps)
        tried.schedule.final_rate_share, tried.schedule.max_steps = 1.0, steps
        workshop.fresh(tried)
        measured = Measures(rank_search.measured_at(steps))
        trainer = train(tried, workshop, workshop.prepared, f"trying rank {rank}", [measured])
        logged = [(int(one["step"]), one["loss"]) for one in trainer.state.log_history if "loss" in one]
        return Trial(rank=rank, train=logged, validation=measured.losses)

    def tell(decision: Decision, trial: Trial) -> None:
        workshop.reporter.event(
            events.RankEvent(
                rank=trial.rank,
                train_loss=trial.train_loss,
                validation_loss=trial.loss,
                gap=trial.gap,
                decision=decision.word,
                reason=decision.reason,
                train_curve=trial.train,
                validation_curve=trial.validation,
            )
        )

    rank = rank_search.search(workshop.reporter.folder, config.evaluation.least_gain, total, try_rank, tell)
    found = config.model_copy(deep=True)
    assert isinstance(found.method, LoraMethod)
    found.method = rank_search.with_rank(found.method, rank)
    return found


def measure_folds(config: RunConfig, workshop: Workshop) -> FoldSummary:
    """Train once for each fold, without its rows, and measure on them (lecture L3.3). Each is told as an event.

    All begin with the same untrained weights. Raises `DataError` where the rows cannot be divided.
    """
    from trainer.methods import saved

    parts = folds.divide(config, workshop.prepared)
    model = workshop.fresh(config)
    start = saved.training_state(model)
    steps = settings.total_steps(config, len(workshop.prepared.train))

    def measure(number: int, fold: Fold) -> float:
        saved.set_training_state(model, start)
        short = config.model_copy(deep=True)
        short.schedule.max_steps = steps
        measured = Measures([steps])
        divided = folds.in_fold(workshop.prepared, fold)
        train(short, workshop, divided, f"fold {number + 1} of {len(parts)}", [measured])
        return measured.losses[-1][1]

    def tell(number: int, loss: float) -> None:
        rows = len(parts[number].validation)
        workshop.reporter.event(events.FoldEvent(fold=number + 1, folds=len(parts), rows=rows, loss=loss))

    return folds.measure_all(workshop.reporter.folder, parts, measure, tell)


def learn_to_learn(config: RunConfig, workshop: Workshop) -> None:
    """Move the untrained weights to a start from which each task is learnt quickly (Reptile; lecture L3.3)."""
    import torch

    from trainer.objectives import answer_loss

    model = workshop.model
    tasks = reptile.find_tasks(workshop.prepared, config.schedule.seed)
    if tasks.said:
        workshop.reporter.warn(tasks.said)

    def batches(task: str, draw: random.Random) -> Iterator[dict[str, Any]]:
        for rows in reptile.batches(tasks.rows[task], config.schedule.batch_size, draw):
            yield workshop.padded(rows)

    def loss(batch: dict[str, Any]) -> torch.Tensor:
        return answer_loss.read(model, batch).losses(batch["labels"])[0].mean()

    model.train()
    try:
        reptile.train(
            [one for one in model.parameters() if one.requires_grad],
            list(tasks.rows),
            batches,
            loss,
            config.steering.reptile_steps,
            config.schedule.learning_rate,
            config.schedule.seed,
            progress=lambda done, steps: workshop.reporter.progress("looking for a start to learn from", done, steps),
        )
    except FloatingPointError as error:
        raise TrainingError(str(error)) from None


class Measures(TrainerCallback):
    """Has the validation rows measured after these steps, and keeps their loss."""

    def __init__(self, steps: Sequence[int]):
        self.steps = set(steps)
        self.losses: list[tuple[int, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: object) -> None:
        control.should_evaluate = state.global_step in self.steps

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: object) -> None:
        self.losses.append((state.global_step, metrics["eval_loss"]))


class _Progress(TrainerCallback):
    """Tells how far a trial is, and hears a request to stop."""

    def __init__(self, stage: str, reporter: Reporter):
        self.stage = stage
        self.reporter = reporter

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: object) -> None:
        self.reporter.progress(self.stage, state.global_step, state.max_steps)


def train(
    config: RunConfig, workshop: Workshop, prepared: Prepared, stage: str, callbacks: list[TrainerCallback]
) -> RunTrainer:
    """Train without a trace: no checkpoint and no event but progress."""
    short = config.model_copy(deep=True)
    short.evaluation.every = short.schedule.checkpoint_every = NEVER
    reporter = workshop.reporter
    acting = steering.assemble(short, workshop.model, prepared, reporter.silent())
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=reporter.folder) as folder:
        parts = Parts(
            short,
            workshop.model,
            workshop.tokenizer,
            prepared,
            acting,
            Path(folder),
            [*callbacks, _Progress(stage, reporter)],
            evaluate_first=False,
            saves=False,
        )
        trainer = build(parts)
        trainer.train()
    return trainer
