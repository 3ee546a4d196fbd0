"""A run file becomes a tuned model: the only place where the parts meet. Reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators import forgetting
from evaluators.metrics import proportion
from trainer import (
    card,
    energy,
    environment,
    events,
    hardware,
    kernels,
    models,
    preflight,
    reward_models,
    scoring,
    sizing,
    training,
)
from trainer.atomic import write_atomically
from trainer.data import pairs
from trainer.data.tokenised import tokenise
from trainer.launch import deepspeed, launch
from trainer.method_sections import LoraMethod
from trainer.methods import full, saved
from trainer.methods.apply import LECTURE_SHARES, trainable_share
from trainer.objective_sections import REINFORCED
from trainer.objectives import reinforcement
from trainer.report import BeforeAfter, PairsWon, Report
from trainer.reporting import Reporter, StopRequested, peak_memory_gib
from trainer.runs import ADAPTER, CHECKPOINTS, MODEL, REWARD, Run
from trainer.sections import RunConfig
from trainer.steering import steering
from trainer.steering.forgetting_monitor import ForgettingMonitor
from trainer.steering.harm_monitor import HarmMonitor
from trainer.training_events import TrainingEvents
from trainer.trials import find_rank, learn_to_learn, measure_folds
from trainer.tuned import Tuned
from trainer.workshop import Workshop

if TYPE_CHECKING:
    from trainer.objectives.run_trainer import RunTrainer

SAMPLE_TOKENS = 120  # of a sample answer while training; a longer one would hold up the steps


def train(config: RunConfig, reporter: Reporter) -> None:
    """Run it: fetch the model, prepare data, train (from the last complete checkpoint if there is one), score, report.

    Where several processes train together (`trainer.launch`), each of them calls this; once training is over the main
    one goes on alone. Everything that happens is told through `reporter`; results are in its folder afterwards. Raises
    `StopRequested`, `TrainingError`, and the errors of the parts (`ModelError`, `DataError`, `MethodError`).
    """
    folder, is_main = reporter.folder, launch.is_main()
    reporter.enter("preparing")
    if is_main:
        environment.record(folder, reporter.warn)
    reporter.progress("loading the model", 0, 1)
    base, tokenizer, found = models.load_base(config, reporter.progress)
    reporter.progress("loading the model", 1, 1)
    for note in [found.template_note, *kernels.lacking(config).values()]:
        if note:
            reporter.warn(note)
    with launch.main_first():
        prepared = tokenise(config, tokenizer, reporter.progress)
    for warning in prepared.warnings:
        reporter.warn(warning)
    if launch.is_main():
        (folder / "data").mkdir(exist_ok=True)
        write_atomically(folder / "data" / "manifest.json", prepared.manifest.model_dump_json(indent=1))

    workshop = Workshop(base, tokenizer, prepared, reporter)
    if isinstance(config.method, LoraMethod) and config.method.search_rank:
        config = find_rank(config, workshop)
    folds = measure_folds(config, workshop) if config.evaluation.validation != "split" else None

    monitors = _monitors(config, workshop, reporter)
    for monitor in monitors if launch.is_main() else []:
        monitor.measure_base()
    model = workshop.fresh(config)
    share = trainable_share(model)
    if config.steering.reptile_steps:
        learn_to_learn(config, workshop)
    watch = TrainingEvents(config, reporter, _sampler(config, workshop))
    began = time.perf_counter()
    work = training.Training(
        model=model,
        tokenizer=tokenizer,
        prepared=prepared,
        assemble=lambda config, prepared, told: steering.assemble(config, workshop.model, prepared, told),
        monitors=monitors,
        watch=watch,
        folder=folder / CHECKPOINTS,
    )
    try:
        trainer = training.train(config, work)
    finally:
        watch.close()
    if launch.from_main(reporter.stop_requested()):
        _save(trainer, config, folder)
        launch.leave()
        raise StopRequested
    for monitor in monitors:
        vars(monitor).update(launch.from_main(monitor.verdict()))
    ended = next((monitor.ended for monitor in monitors if monitor.ended), None)
    kept_step = _roll_back(trainer, monitors, reporter) if ended else None
    if kept_step is None:
        kept_step = _best_step(trainer, config, reporter, ended)
    if ended:
        reporter.event(events.StopEvent(reason=ended))
    _measure_kept(trainer, kept_step, reporter)
    training_minutes = (time.perf_counter() - began) / 60
    conflict = trainer.steering.conflict.suggestion() if trainer.steering.conflict else ""
    _save(trainer, config, folder)
    launch.leave()
    deepspeed.forget()
    if not is_main:
        return

    reporter.enter("evaluating")
    # What is scored is what was saved; all that trained it gives its memory back first.
    trainer.model = trainer.model_wrapped = trainer.optimizer = trainer.steering = None  # pyright: ignore
    del trainer, model, base, work
    workshop.clear()
    preflight.give_memory_back()
    began = time.perf_counter()
    run = Run(id=folder.name, folder=folder, config=config, status=reporter.status)
    table, forgotten, ranked, gained = [], None, None, None
    if config.objective.kind == "reward":
        ranked = reward_models.rank_held_out(config, folder)
    else:
        tuned = Tuned(run)
        table, forgotten = scoring.score(config, tuned, reporter.progress)
        if config.objective.kind in REINFORCED:
            gained = reinforcement.gain(config, tuned, prepared.validation, prepared.train, reporter.progress)
    first, last = _measured(folder, kept_step)
    made = prepared.manifest
    own_rows = made.train_rows - made.replay_rows - made.perturbed_rows + made.validation_rows
    row_tokens = prepared.manifest.all_tokens / prepared.manifest.train_rows
    predicted = sizing.estimate(config, hardware.detect(), own_rows, row_tokens)
    report = Report(
        table=table,
        validation_loss=BeforeAfter(before=first.loss, after=last.loss),
        forgetting=forgotten,
        model_origin=found.origin,
        weights_sha256=found.weights_sha256,
        trainable_share=share,
        lecture_share=LECTURE_SHARES.get(config.method.kind, ""),
        rank=config.method.rank if isinstance(config.method, LoraMethod) and config.method.search_rank else None,
        ended=ended,
        folds=folds,
        conflict=conflict,
        held_out_pairs=ranked,
        pairs_won=_pairs_won(config, first, last),
        reward_gain=gained,
        tokens_per_second=watch.tokens_per_second,
        peak_gib=peak_memory_gib(config.hardware.device),
        predicted_gib=predicted.peak_gib if predicted else None,
        predicted_hours=predicted.hours if predicted else None,
        best_step=kept_step,
        training_minutes=training_minutes,
        evaluating_minutes=(time.perf_counter() - began) / 60,
        energy=energy.estimate(run),
    )
    write_atomically(folder / "report.json", report.model_dump_json(indent=1))
    write_atomically(folder / "README.md", card.model_card(config, prepared.manifest, report))
    reporter.enter("done")


def _sampler(config: RunConfig, workshop: Workshop) -> Callable[[], list[events.SampleEvent]]:
    """Answers to the run's sample questions by the model as it is now."""

    def take_samples() -> list[events.SampleEvent]:
        # A reward model answers nothing.
        questions = [] if config.objective.kind == "reward" else config.evaluation.sample_prompts
        answers = workshop.answers(questions, config.task.system_prompt, SAMPLE_TOKENS, tuned=True)
        return [events.SampleEvent(prompt=ask, answer=said) for ask, said in zip(questions, answers, strict=True)]

    return take_samples


def _monitors(config: RunConfig, workshop: Workshop, reporter: Reporter) -> list[ForgettingMonitor | HarmMonitor]:
    """What watches the run and may end it; the base is measured before anything is put on it."""
    monitors: list[ForgettingMonitor | HarmMonitor] = []
    if config.steering.forgetting_every:

        def choose(questions: Any, tuned: bool) -> list[int]:
            with workshop.answering() as model:
                return forgetting.choose_options(model, workshop.tokenizer, questions, config.task.system_prompt, tuned)

        monitors.append(ForgettingMonitor(config, reporter, choose))
    if config.steering.harm_every:

        def answer(requests: Sequence[str], tokens: int, tuned: bool) -> list[str]:
            return workshop.answers(requests, config.task.system_prompt, tokens, tuned)

        monitors.append(HarmMonitor(config, reporter, answer))
    return monitors


def _save(trainer: RunTrainer, config: RunConfig, folder: Path) -> None:
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    # Put together by all processes, where each has a share.
    state = saved.training_state(model) if config.hardware.strategy in ("fsdp", "zero3") else None
    if not launch.is_main():
        return
    if config.method.kind == "full":
        full.save(model, trainer.tokenizer, folder / MODEL, state)
    else:
        saved.save(model, config, folder / (REWARD if config.objective.kind == "reward" else ADAPTER), state)


def _roll_back(trainer: RunTrainer, monitors: list[Any], reporter: Reporter) -> int | None:
    """Take the last weights within the limit of the monitor that ended the run, where that is what it does."""
    monitor = next((one for one in monitors if isinstance(one, ForgettingMonitor) and one.ended), None)
    if monitor is None or monitor.action != "roll_back":
        return None
    if monitor.restore_step is None:
        reporter.warn("Not one look was within the limit, so that there is nothing to go back to.")
        return None
    trainer.take_weights(monitor.kept)
    reporter.warn(f"What was trained after step {monitor.restore_step}, the last within the limit, is not kept.")
    return monitor.restore_step


def _best_step(trainer: RunTrainer, config: RunConfig, reporter: Reporter, ended: str | None) -> int | None:
    """The step whose weights are kept, where the run has a patience: the best by evaluation.watch. Told as an event.

    `ended` is why a monitor ended the run, if one did.
    """
    state = trainer.state
    if state.best_model_checkpoint is None or config.schedule.patience is None:
        return None
    best = int(state.best_model_checkpoint.rpartition("-")[2])
    watched = config.evaluation.watch.replace("_", " ")
    named = "validation loss" if watched == "loss" else watched
    kept = f"what was trained until step {best}, where it was best ({state.best_metric:.3f}), is kept."
    if state.global_step < state.max_steps and not ended:
        reporter.event(events.StopEvent(reason=f"The {named} no longer gets better; {kept}"))
    elif best < state.global_step:
        reporter.warn(f"The {named} got worse again; {kept}")
    return best


def _measure_kept(trainer: RunTrainer, kept_step: int | None, reporter: Reporter) -> None:
    """Measure the weights that are kept, where that was not done at their step; the event is that step's."""
    last_step = reporter.status.step
    reporter.status.step = last_step if kept_step is None else kept_step
    told = events.read(reporter.folder / "events.jsonl")
    known = any(isinstance(event, events.EvalEvent) and event.step == reporter.status.step for event in told)
    if not launch.from_main(known):
        trainer.evaluate()
    reporter.status.step = last_step


def _measured(folder: Path, kept_step: int | None) -> tuple[events.EvalEvent, events.EvalEvent]:
    """What was measured on the validation rows at first, and of the weights that are kept."""
    # From the events, not from this process: a resumed run measured its first loss in another one.
    found = [event for event in events.read(folder / "events.jsonl") if isinstance(event, events.EvalEvent)]
    return found[0], next((event for event in reversed(found) if event.step == kept_step), found[-1])


def _pairs_won(config: RunConfig, first: events.EvalEvent, last: events.EvalEvent) -> PairsWon | None:
    if pairs.learns_from(config) == "answers" or config.objective.kind == "reward":
        return None
    before, after = (proportion((one.answer_accuracy or 0) * one.n, one.n) for one in (first, last))
    return PairsWon(before=before, after=after)
