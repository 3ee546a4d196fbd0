"""A run file becomes a tuned model: the only place where the parts meet. Reads from top to bottom."""

from __future__ import annotations

import gc
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators import generation
from trainer import card, events, hardware, models, preflight, runs, scoring, sizing
from trainer.data.tokenised import Prepared, tokenise
from trainer.data.tokens import conversation
from trainer.methods import lora
from trainer.objectives import sft
from trainer.reporting import COMPLETE, Reporter, StopRequested, TrainingEvents, peak_memory_gib
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase
    from trl.trainer.sft_trainer import SFTTrainer

SAMPLE_TOKENS = 120  # of a sample answer while training; a longer one would hold up the steps


class TrainingError(Exception):
    """Training cannot go on; the text says why and what to do."""


def train(config: RunConfig, reporter: Reporter) -> None:
    """Run it: fetch the model, prepare data, train (from the last complete checkpoint if there is one), score, report.

    Everything that happens is told through `reporter`; results are in its folder afterwards. Raises `StopRequested`,
    `TrainingError`, and the errors of the parts (`ModelError`, `DataError`, `MethodError`).
    """
    from transformers import set_seed

    folder = reporter.folder
    reporter.enter("preparing")
    reporter.progress("loading the model", 0, 1)
    base, tokenizer, found = models.load_base(config, reporter.progress)
    reporter.progress("loading the model", 1, 1)
    if found.template_note:
        reporter.warn(found.template_note)
    prepared = tokenise(config, tokenizer, reporter.progress)
    for warning in prepared.warnings:
        reporter.warn(warning)
    (folder / "data").mkdir(exist_ok=True)
    runs.write_atomically(folder / "data" / "manifest.json", prepared.manifest.model_dump_json(indent=1))

    set_seed(config.schedule.seed)
    model = lora.apply(base, config.method)
    checkpoint = last_checkpoint(folder / "checkpoints", reporter)

    def take_samples() -> list[events.SampleEvent]:
        questions = config.evaluation.sample_prompts
        chats = [conversation([{"role": "user", "content": text}], config.task.system_prompt) for text in questions]
        was_training = model.training
        model.eval()
        answers = generation.answer_all(model, tokenizer, chats, SAMPLE_TOKENS, tuned=True)
        model.train(was_training)
        return [events.SampleEvent(prompt=ask, answer=said) for ask, said in zip(questions, answers, strict=True)]

    watch = TrainingEvents(reporter, config.evaluation.sample_every, take_samples)
    began = time.perf_counter()
    trainer = _train(config, model, tokenizer, prepared, checkpoint, watch)
    if watch.diverged:
        raise TrainingError("The loss is no longer a number; lower schedule.learning_rate and start again.")
    if reporter.stop_requested():
        _save_adapter(trainer.model, folder)
        raise StopRequested
    best_step = _best_step(trainer, reporter)
    if best_step is None and watch.evaluated_at != reporter.status.step:
        trainer.evaluate()
    training_minutes = (time.perf_counter() - began) / 60
    _save_adapter(trainer.model, folder)

    reporter.enter("evaluating")
    # The optimiser's state and the last gradients are not needed to answer questions.
    trainer.optimizer = None
    model.zero_grad(set_to_none=True)
    model.eval()
    gc.collect()
    began = time.perf_counter()
    table = scoring.compare(config, model, tokenizer, reporter.progress)
    forgetting = None
    if config.evaluation.forgetting:
        forgetting = scoring.measure_forgetting(config, model, tokenizer, reporter.progress)
    first, last = _validation_losses(folder, best_step)
    own_rows = prepared.manifest.train_rows - prepared.manifest.replay_rows + prepared.manifest.validation_rows
    row_tokens = prepared.manifest.all_tokens / prepared.manifest.train_rows
    predicted = sizing.estimate(config, hardware.detect(), own_rows, row_tokens)
    report = scoring.Report(
        table=table,
        validation_loss=scoring.BeforeAfter(before=first, after=last),
        forgetting=forgetting,
        model_origin=found.origin,
        weights_sha256=found.weights_sha256,
        trainable_share=lora.trainable_share(model),
        tokens_per_second=watch.tokens_per_second,
        peak_gib=peak_memory_gib(config.hardware.device),
        predicted_gib=predicted.peak_gib if predicted else None,
        predicted_hours=predicted.hours if predicted else None,
        best_step=best_step,
        training_minutes=training_minutes,
        evaluating_minutes=(time.perf_counter() - began) / 60,
    )
    runs.write_atomically(folder / "report.json", report.model_dump_json(indent=1))
    runs.write_atomically(folder / "README.md", card.model_card(config, prepared.manifest, report))
    reporter.enter("done")


def _train(
    config: RunConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    checkpoint: Path | None,
    watch: TrainingEvents,
) -> SFTTrainer:
    """Train to the end; where memory runs out, go on from the last checkpoint with smaller batches, and say so."""
    reporter = watch.reporter
    folder = reporter.folder / "checkpoints"
    start = preflight.adapter_weights(model)
    while True:
        try:
            preflight.try_longest_rows(config, model, tokenizer, prepared, reporter)
            trainer = sft.build(
                config, model, tokenizer, prepared, folder, [watch], checkpoint is None, watch.count_rows
            )
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            return trainer
        except (RuntimeError, MemoryError) as error:
            smaller = preflight.with_smaller_batch(config) if preflight.is_out_of_memory(error) else None
            if smaller is None:
                raise
        # Out of the handler, so that nothing holds the tensors of the failed step.
        config = smaller
        preflight.restore(model, start)
        checkpoint = last_checkpoint(folder, reporter)
        batch, effective = config.schedule.batch_size, config.schedule.batch_size * config.schedule.accumulation
        reporter.warn(
            f"Memory ran out: going on {'from the last checkpoint' if checkpoint else 'from the start'} with batches "
            f"of {batch}; {effective} rows a step as before."
        )


def last_checkpoint(folder: Path, reporter: Reporter) -> Path | None:
    """The newest complete checkpoint, or None; one that was cut off while it was written is removed, and said."""
    for name in remove_unfinished(folder):
        reporter.warn(f"{name} was not written to its end; the one before it is used.")
    found = folder.glob("checkpoint-*")
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def remove_unfinished(folder: Path) -> list[str]:
    """Remove the checkpoints in `folder` that were cut off while they were written; returns their names."""
    names = []
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)
            names.append(checkpoint.name)
    return names


def _save_adapter(model: object, folder: Path) -> None:
    from peft import PeftModel

    assert isinstance(model, PeftModel)
    partial = folder / ".adapter.part"
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(str(partial), safe_serialization=True)
    shutil.rmtree(folder / "adapter", ignore_errors=True)
    partial.rename(folder / "adapter")


def _best_step(trainer: SFTTrainer, reporter: Reporter) -> int | None:
    """The step whose adapter is kept, where it has a patience: that of the lowest validation loss. Told as an event."""
    state = trainer.state
    if state.best_model_checkpoint is None:
        return None
    best = int(state.best_model_checkpoint.rpartition("-")[2])
    kept = f"the adapter of step {best}, where it was lowest ({state.best_metric:.3f}), is kept."
    if state.global_step < state.max_steps:
        reporter.event(events.StopEvent(reason=f"The validation loss no longer falls; {kept}"))
    elif best < state.global_step:
        reporter.warn(f"The validation loss rose again; {kept}")
    return best


def _validation_losses(folder: Path, best_step: int | None) -> tuple[float, float]:
    # From the events, not from this process: a resumed run measured its first loss in another one.
    found = [event for event in events.read(folder / "events.jsonl") if isinstance(event, events.EvalEvent)]
    kept = next((event for event in reversed(found) if event.step == best_step), found[-1])
    return found[0].loss, kept.loss
