"""A training's steps, measurements, samples and checkpoints as events of its run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer import events, jobs, readings
from trainer.launch import launch
from trainer.reporting import Reporter, peak_memory_gib
from trainer.sections import RunConfig
from trainer.trackers import Trackers

READ_SECONDS = 10.0  # between two readings of the machine's sensors
_TRACKED = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "memory_gib")
_READ = set(events.ReadingEvent.model_fields) - set(events.StateEvent.model_fields)


class TrainingEvents(TrainerCallback):
    """Turns the trainer's steps into events, takes samples, and ends training when asked to."""

    def __init__(self, config: RunConfig, reporter: Reporter, take_samples: Callable[[], list[events.SampleEvent]]):
        self.config = config
        self.reporter = reporter
        self.take_samples = take_samples
        self.tokens_per_second = 0.0
        self._trackers: Trackers | None = None
        self._read_at = 0.0
        self._first_step = 0
        self._seconds = 0.0
        self._step_began = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._first_step = state.global_step
        self.reporter.status.total_steps = state.max_steps
        self.reporter.status.step = state.global_step
        self.reporter.enter("training", launch.told(self.config))
        self.close()
        self._trackers = Trackers(self.reporter.folder, self.config, state.global_step)

    def close(self) -> None:
        """Nothing more is told; what trackers hold back is written."""
        if self._trackers:
            self._trackers.close()
            self._trackers = None

    def _track(self, numbers: dict[str, float | None]) -> None:
        if self._trackers:
            known = {name: number for name, number in numbers.items() if number is not None}
            self._trackers.scalars(self.reporter.status.step, known)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._step_began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        # Measured here, before evaluation, samples and checkpoints take their time.
        self._seconds += time.perf_counter() - self._step_began
        self.reporter.status.step = state.global_step
        jobs.write_state(self.reporter.folder, self.reporter.status)
        if self.reporter.stop_requested():
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        # A loss that is no number is the divergence guard's to tell.
        if logs is None or not math.isfinite(logs.get("loss", math.nan)):
            return
        done = max(1, state.global_step - self._first_step)
        self.tokens_per_second = logs.get("num_tokens", 0.0) / self._seconds
        step = events.StepEvent(
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            gradient_norm=logs.get("grad_norm", 0.0),
            tokens_per_second=self.tokens_per_second,
            memory_gib=peak_memory_gib(self.reporter.status.device),
            eta_seconds=self._seconds / done * (state.max_steps - state.global_step),
            total_steps=state.max_steps,
        )
        self.reporter.event(step)
        numbers = {f"train/{name}": getattr(step, name) for name in _TRACKED}
        if time.monotonic() - self._read_at > READ_SECONDS:
            self._read_at = time.monotonic()
            reading = readings.read("cuda" if self.reporter.status.device == "cuda" else "cpu")
            self.reporter.event(reading)
            numbers |= {f"machine/{name}": value for name, value in reading.model_dump().items() if name in _READ}
        self._track(numbers)
        if state.global_step % self.config.evaluation.sample_every == 0:
            for sample in self.take_samples():
                self.reporter.event(sample)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Any = None,
        **kwargs: object,
    ) -> None:
        found = metrics["validation"]
        self.reporter.event(
            events.EvalEvent(
                **found.model_dump(exclude={"rows", "tasks", "specialties", "worst_task_loss"}),
                tasks={name: one.loss for name, one in found.tasks.items()},
                specialties={name: one.loss for name, one in found.specialties.items()},
            )
        )
        numbers = {f"validation/{name}": value for name, value in found.metrics().items()}
        self._track(numbers | {f"validation/loss of {name}": one.loss for name, one in found.tasks.items()})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        self.reporter.event(events.CheckpointEvent(path=str(checkpoint.relative_to(self.reporter.folder))))
