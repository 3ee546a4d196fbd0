"""One training to its end: again with smaller batches where memory runs out, and back where the loss diverges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import checkpoints, events, preflight
from trainer.data.tokenised import Prepared
from trainer.errors import UserError
from trainer.launch import deepspeed, launch
from trainer.launch.decisions import SameDecisions, of_main
from trainer.methods import saved
from trainer.objectives.build import build
from trainer.objectives.settings import Parts
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering import divergence
from trainer.steering.divergence import DivergenceGuard
from trainer.training_events import TrainingEvents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainer.objectives.run_trainer import RunTrainer
    from trainer.steering.steering import Steering

Assemble = Callable[[RunConfig, Prepared, Reporter], "Steering"]


class TrainingError(UserError):
    """Training cannot go on; the text says why and what to do."""


@dataclass
class Training:
    """What every attempt at a training shares."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    prepared: Prepared
    assemble: Assemble
    monitors: list[Any]
    """Callbacks that may end the run, and that remember."""
    watch: TrainingEvents
    folder: Path
    """Of the checkpoints."""


def train(config: RunConfig, training: Training) -> RunTrainer:
    """Train to the end, from the last complete checkpoint if there is one.

    Where memory runs out the batch is halved, and as many rows make a step as before; where the loss is no number any
    more, training goes back to the last checkpoint with half the rate, once. Both are told as events. Raises
    `TrainingError` where the loss diverges again, `RunError` where all checkpoints are damaged, and what PyTorch raises
    where nothing smaller is left.
    """
    reporter = training.watch.reporter
    start = saved.training_state(training.model)
    # Also those of a process before this one: a run that is resumed goes on with the rate that it had come down to.
    told = events.read(reporter.folder / "events.jsonl")
    divergences = launch.from_main(sum(isinstance(event, events.GuardEvent) for event in told))
    if divergences:
        config = divergence.slower(config, 0) or config
    while True:
        with launch.main_first():
            checkpoint = checkpoints.last(training.folder, reporter)
        guard = DivergenceGuard()
        try:
            if deepspeed.uses(config):
                reporter.warn("DeepSpeed takes a model over once, so that the longest rows are not tried beforehand.")
            else:
                preflight.try_longest_rows(
                    config, training.model, training.tokenizer, training.prepared, training.assemble, reporter
                )
            trainer = _trainer(config, training, checkpoint, guard)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except (RuntimeError, MemoryError) as error:
            smaller = preflight.with_smaller_batch(config) if preflight.is_out_of_memory(error) else None
            # Of several processes perhaps one alone ran out, and the others wait for it: all have to begin again
            # (`trainer.launch.supervise`).
            if smaller is None or launch.size() > 1:
                raise
        else:
            if guard.found is None:
                return trainer
            # For the same reason it cannot begin again here; the run can be resumed.
            smaller = None if deepspeed.uses(config) else divergence.slower(config, divergences)
            if smaller is None:
                again = " again with half the rate" if divergences else ""
                raise TrainingError(
                    f"Training diverged{again}: {guard.found.reason}. Lower "
                    "schedule.learning_rate, or look for rows that are damaged, and start again."
                )
            divergences += 1
        # Out of the handler, so that nothing holds the tensors of the failed step.
        config = smaller
        _without_noise(training.model)
        saved.set_training_state(training.model, start)
        training.model.zero_grad(set_to_none=True)
        preflight.give_memory_back()
        with launch.main_first():
            if guard.found:
                divergence.remove_unsound(training.folder, guard.found)
            checkpoint = checkpoints.last(training.folder, reporter)
        if guard.found:
            _tell_slower(config, guard.found, checkpoint, reporter)
        else:
            _tell_smaller(config, checkpoint, reporter)


def _trainer(config: RunConfig, training: Training, checkpoint: Path | None, guard: DivergenceGuard) -> RunTrainer:
    acting = training.assemble(config, training.prepared, training.watch.reporter)
    for monitor in training.monitors:
        acting.callbacks.append(of_main(monitor))
        acting.remembering[type(monitor).__name__] = monitor
    if launch.size() > 1:
        acting.callbacks.append(SameDecisions())  # the last, since it passes on what the others decided
    parts = Parts(
        config,
        training.model,
        training.tokenizer,
        training.prepared,
        acting,
        training.folder,
        # The guard hears first: what it stops is not logged as a step, nor kept as a checkpoint.
        [guard, of_main(training.watch)],
        evaluate_first=checkpoint is None,
    )
    return build(parts)


def _without_noise(model: Any) -> None:
    # transformers leaves NEFTune's hook behind where a training breaks off; the next would add its noise to it.
    hooks = model.get_input_embeddings()._forward_hooks
    for key, hook in list(hooks.items()):
        if "neftune" in getattr(hook, "__name__", ""):
            del hooks[key]


def _tell_slower(config: RunConfig, found: divergence.Divergence, checkpoint: Path | None, reporter: Reporter) -> None:
    to_step = checkpoints.step_of(checkpoint) if checkpoint else 0
    rate, reason = config.schedule.learning_rate, f"{found.reason[:1].upper()}{found.reason[1:]}."
    reporter.event(events.GuardEvent(to_step=to_step, learning_rate=rate, reason=reason))


def _tell_smaller(config: RunConfig, checkpoint: Path | None, reporter: Reporter) -> None:
    batch, effective = config.schedule.batch_size, config.schedule.batch_size * config.schedule.accumulation
    reporter.warn(
        f"Memory ran out: going on {'from the last checkpoint' if checkpoint else 'from the start'} with batches "
        f"of {batch}; {effective} rows a step as before."
    )
