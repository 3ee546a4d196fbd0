"""How a plan trains: schedule, memory and rhythm, each value with its reason."""

from __future__ import annotations

from assistant.planner import starter_run
from assistant.planner.advice_data import DataFound
from assistant.planner.advice_memory import Levers
from assistant.planner.advice_method import FEW_SHOT, learning_rate
from assistant.planner.advice_models import Reason
from assistant.planner.answers import Answers
from trainer import catalogue
from trainer.duration import total_steps
from trainer.method_sections import FullMethod, PrefixMethod
from trainer.sections import RunConfig
from trainer.sizing import Estimate, host_gib

_LENGTHS = {
    "classification": 512,
    "ner": 512,
    "question_answering": 512,
    "drug_information": 512,
    "test_interpretation": 512,
    "patient_education": 1024,
    "diagnosis": 1024,
    "treatment": 1024,
    "report_generation": 1024,
    "reasoning": 1024,
    "summarization": 2048,
    "dialogue": 2048,
}
LENGTH_STEPS = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
_PATIENCE = 3
_EFFECTIVE_BATCH = 16


def schedule(config: RunConfig, answers: Answers, batch: int, data: DataFound) -> list[Reason]:
    """Batch, length and epochs to begin with (memory may make them smaller), rate and regularisation."""
    schedule, default_run, rows = config.schedule, starter_run.is_default_run(config, answers), data.rows
    if default_run:
        schedule.batch_size, schedule.accumulation = starter_run.BATCH_SIZE, starter_run.ACCUMULATION
        schedule.max_length, schedule.epochs = starter_run.MAX_LENGTH, starter_run.EPOCHS
        schedule.max_grad_norm = starter_run.MAX_GRAD_NORM
    else:
        effective = _EFFECTIVE_BATCH if rows is None or rows >= 200 else 8
        schedule.batch_size = min(batch, effective)
        schedule.accumulation = effective // schedule.batch_size
        schedule.max_length = _max_length(config, data.long_row_tokens)
        row = catalogue.base_model(config.model.name)
        schedule.max_length = min(schedule.max_length, row.context if row else schedule.max_length)
        schedule.epochs = _epochs(rows)
    rate, why, source = learning_rate(config, default_run, rows)
    schedule.learning_rate = rate
    measured = "Tuned by measuring, so that the default run ends in about five minutes on two cores."
    passes = "1 pass" if schedule.epochs == 1 else f"{schedule.epochs:g} passes"
    few = rows is not None and rows <= FEW_SHOT
    how_many = f"for {rows:,} examples" if rows else "for a set of unknown size"
    return [
        Reason(field="schedule.learning_rate", value=rate, why=why, source=source),
        Reason(
            field="schedule.epochs",
            value=schedule.epochs,
            source="measured on this machine" if default_run else "lecture L3.3" if few else "lecture L3.19",
            why=measured
            if default_run
            else f"{passes} {how_many}: the low end of 20-50 for 5-100 examples."
            if few
            else f"{passes} {how_many}: 3 in the recipe, more for small sets, fewer for large.",
        ),
        Reason(
            field="schedule.warmup_share",
            value=schedule.warmup_share,
            why="5-10 % of the steps; the low end.",
            source="lecture L1.6",
        ),
        Reason(
            field="schedule.final_rate_share",
            value=schedule.final_rate_share,
            why="Cosine decay to 10 % of the peak.",
            source="lecture L1.6",
        ),
        Reason(
            field="schedule.weight_decay",
            value=schedule.weight_decay,
            why="The low end of 0.01-0.1.",
            source="lecture L1.8",
        ),
        Reason(
            field="schedule.max_grad_norm",
            value=schedule.max_grad_norm,
            why="Below the lecture's 1.0 (L1.8): the starter tasks' gradients differ tenfold; the large would win."
            if default_run
            else "Against single steps that go astray.",
            source="measured on this machine" if default_run else "lecture L1.8",
        ),
    ]


def _max_length(config: RunConfig, long_row: int | None) -> int:
    """From the data where it was read, else by task."""
    if long_row is None:
        return max(_LENGTHS[task] for task in [config.task.name, *config.task.other_tasks])
    return next((length for length in LENGTH_STEPS if length >= long_row), LENGTH_STEPS[-1])


def memory_reasons(
    config: RunConfig, levers: Levers, estimate: Estimate | None, wanted_length: int, long_row: int | None
) -> list[Reason]:
    """Why the levers on memory stand where they do."""
    schedule, model = config.schedule, catalogue.base_model(config.model.name)
    if estimate is None:
        room = "The model is not in the catalogue, so its memory is not known."
    else:
        verdict = {"fits": "fits", "tight": "is tight", "does_not_fit": "does not fit"}[estimate.fits]
        room = (
            f"{estimate.peak_gib.low:.1f}-{estimate.peak_gib.high:.1f} GiB {verdict} "
            f"in {estimate.limit_gib:g} GiB with a fifth kept free."
        )
    if levers.offload and model is not None:
        room += f" Weights, gradients and moments take {host_gib(config, model):.0f} GiB of the computer's own memory."
    nf4 = levers.quantization == "nf4"
    if nf4 and config.hardware.gpu and estimate is not None and estimate.limit_gib >= 70:
        room += " (L1.12 gives plain LoRA for 30B on 80 GB; its 16-bit weights alone leave no fifth free, L1.13.)"
    quantised = (
        f"Whole in 16 bits it would not fit with a fifth free; in 4 bits, {room}"
        if nf4
        else f"Trained weights stay whole, in 32 bits: {room}"
        if isinstance(config.method, FullMethod)
        else f"Not needed: {room}"
    )
    checkpointed = (
        "Needed: half the memory for about a fifth more time."
        if levers.gradient_checkpointing
        else "A layer that is computed again no longer has the prefix, so it stays off."
        if isinstance(config.method, PrefixMethod)
        else "Offload computes each layer again by itself."
        if levers.offload
        else "Not needed; it would cost a fifth more time."
    )
    offloaded = [
        Reason(
            field="method.offload",
            value=levers.offload,
            why="About 70 % less of the GPU's memory, for two to three times the time: without it, this does not fit."
            if levers.offload
            else "Not needed; it would take two to three times the time.",
            source="lecture L1.11",
        )
    ]
    effective = levers.batch_size * schedule.accumulation
    return [
        *(offloaded if isinstance(config.method, FullMethod) else []),
        Reason(
            field="model.quantization",
            value=levers.quantization,
            why=quantised,
            source="lecture L1.3" if nf4 else "lecture L1.13",
        ),
        Reason(
            field="hardware.precision",
            value="auto",
            why="bf16 where the device computes in it; what is trained stays in fp32.",
            source="lecture L1.11",
        ),
        Reason(
            field="schedule.gradient_checkpointing",
            value=levers.gradient_checkpointing,
            why=checkpointed,
            source="lecture L1.11",
        ),
        Reason(
            field="schedule.batch_size",
            value=levers.batch_size,
            source="lecture L1.12" if config.hardware.device == "cuda" else "measured on this machine",
            why="The recommended set-up for this memory, made smaller where it does not fit."
            if config.hardware.device == "cuda"
            else "A CPU gains nothing from larger batches.",
        ),
        Reason(
            field="schedule.accumulation",
            value=schedule.accumulation,
            source="lecture L3.18",
            why=f"{levers.batch_size} x {schedule.accumulation} = {effective} rows a step"
            + (", as in the case study." if effective == 16 else "."),
        ),
        Reason(
            field="schedule.max_length",
            value=levers.max_length,
            source="lecture L2.2" if long_row is None else "measured on the data",
            why=(
                "Room for the question of this task and an answer of 150-300 tokens; longer rows are cut, and counted."
                if long_row is None
                else f"98 % of the file's first rows have up to about {long_row} tokens; longer are cut, and counted."
            )
            + (" Made shorter to save memory." if levers.max_length < wanted_length else ""),
        ),
    ]


def rhythm(config: RunConfig, answers: Answers, rows: int | None) -> list[Reason]:
    """How often is measured, sampled and saved: about ten times a run, at most every 500 steps."""
    steps = total_steps(config, rows or 1000)
    every = max(5, min(500, steps // 10))
    default_run = starter_run.is_default_run(config, answers)
    if default_run:
        # Twice at least, and seldom: each time costs as long as a dozen steps.
        every = max(5, min(starter_run.EVALUATE_EVERY, steps // 2))
    every = answers.settings.get("evaluation.every", every)
    config.evaluation.every = config.evaluation.sample_every = config.schedule.checkpoint_every = every
    if "schedule.patience" not in answers.settings:
        config.schedule.patience = None if default_run else _PATIENCE
    patience = (
        "The default run is too short to be ended early."
        if default_run
        else f"Ends after {_PATIENCE} measurements without a gain (3-5; also L1.8), and keeps the best checkpoint."
    )
    times = "Twice" if steps < 3 * every else f"About {round(steps / every)} times"
    why = f"{times} in {steps} steps" + (" (every 100-500 steps is for longer runs)." if every < 100 else ".")
    return [
        Reason(field="evaluation.every", value=every, why=why, source="lecture L3.11"),
        Reason(
            field="evaluation.sample_every",
            value=every,
            why="Together with the validation loss.",
            source="lecture L3.11",
        ),
        Reason(field="schedule.patience", value=config.schedule.patience, why=patience, source="lecture L3.13"),
        Reason(
            field="schedule.checkpoint_every",
            value=every,
            why="A stopped run goes on from the last one.",
            source="Bedside",
        ),
        Reason(
            field="evaluation.forgetting",
            value=config.evaluation.forgetting,
            source="lecture L2.9",
            why="General questions before and after training; a loss above 5 % is a warning.",
        ),
    ]


def _epochs(rows: int | None) -> float:
    if rows is None or 500 <= rows < 20_000:
        return 3.0
    if rows <= FEW_SHOT:
        return 20.0
    if rows < 500:
        return 5.0
    return 2.0 if rows < 100_000 else 1.0
