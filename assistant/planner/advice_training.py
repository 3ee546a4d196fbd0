"""The training half of a plan: method, schedule, memory and rhythm, each value with its reason."""

from __future__ import annotations

from assistant.planner import starter_run
from assistant.planner.advice_data import DataFound
from assistant.planner.advice_models import Levers, Reason
from assistant.planner.answers import Answers, uses_starter
from trainer import catalogue, sizing
from trainer.sections import RunConfig
from trainer.sizing import Estimate

_RANKS = {
    "classification": 4,
    "ner": 8,
    "question_answering": 8,
    "patient_education": 8,
    "dialogue": 16,
    "test_interpretation": 16,
    "drug_information": 16,
    "summarization": 16,
    "report_generation": 16,
    "diagnosis": 16,
    "treatment": 16,
    "reasoning": 32,
}
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
_LENGTH_STEPS = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
_PATIENCE = 3
_EFFECTIVE_BATCH = 16
_FEW_SHOT = 100  # lecture L3.3: 5-100 examples
_HIGHEST_RANK = 64  # lecture L1.9: large knowledge


def method(config: RunConfig, answers: Answers) -> list[Reason]:
    """LoRA, its rank by task, and what it is put on."""
    rank = _RANKS[config.task.name]
    why = f"Rank by task: {config.task.name.replace('_', ' ')} takes {rank}."
    if len(config.task.other_tasks) >= 1:
        rank, why = max(32, rank), "Several tasks at once take rank 32."
    elif uses_starter(answers):
        rank, why = max(16, rank), "The starter data mixes answers, extraction and recall: rank 16 at least."
    why += " (The lecture's best practices start at 8; it is chosen by task here.)"
    config.method.rank, config.method.alpha = rank, 2 * rank
    config.method.dropout = 0.0
    return [
        Reason(
            field="method.kind",
            value="lora",
            why=_trained(config),
            source="lecture L1.2",
        ),
        Reason(field="method.rank", value=rank, why=why, source="lecture L1.9"),
        Reason(
            field="method.alpha",
            value=2 * rank,
            why="Twice the rank, as in both worked recipes.",
            source="lecture L3.18",
        ),
        Reason(
            field="method.target_modules",
            value="all-linear",
            source="QLoRA, Dettmers et al. 2023",
            why="Adapters on every linear layer were needed to match full tuning (the case "
            "study took q_proj and v_proj alone).",
        ),
        Reason(
            field="method.dropout",
            value=0.0,
            source="lecture L1.8",
            why="None to begin with; 0.1-0.3 is for adapters that overfit, which the validation loss would show.",
        ),
    ]


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
    rate, why, source = _learning_rate(config, default_run, rows)
    schedule.learning_rate = rate
    measured = "Tuned by measuring, so that the default run ends in about five minutes on two cores."
    passes = "1 pass" if schedule.epochs == 1 else f"{schedule.epochs:g} passes"
    few = rows is not None and rows <= _FEW_SHOT
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
    return next((length for length in _LENGTH_STEPS if length >= long_row), _LENGTH_STEPS[-1])


def with_effort(config: RunConfig, answers: Answers, effort: float, reasons: list[Reason]) -> list[Reason]:
    """Fewer passes for speed; for quality more, with twice the rank. Rewrites the reasons; returns none of its own."""
    if effort == 1.0:
        return []
    more = effort > 1
    config.schedule.epochs *= effort
    if more:
        config.method.rank = min(_HIGHEST_RANK, 2 * config.method.rank)
        config.method.alpha = 2 * config.method.rank
    found = {"schedule.epochs": config.schedule.epochs}
    found |= {"method.rank": config.method.rank, "method.alpha": config.method.alpha} if more else {}
    for reason in reasons:
        if reason.field in found:
            reason.value = found[reason.field]
            reason.why += f" {'More' if more else 'Half'}, because you want {answers.priority}."
    return []


def _learning_rate(config: RunConfig, default_run: bool, rows: int | None) -> tuple[float, str, str]:
    if rows is not None and rows <= _FEW_SHOT and not default_run:
        why = "So few examples take a high rate: 5e-3 to 1e-2 (L3.3), which is above L1.6's 1e-3 to 5e-3 and often "
        return (
            1e-3,
            f"{why}diverges; this is the low end of both. A loss that is no number ends the run.",
            "lecture L3.3",
        )
    row = catalogue.base_model(config.model.name)
    shown = "The lecture contradicts itself: 1e-3 to 5e-3 (L1.6) against 3e-4 in both of its recipes (L3.18, L3.19)."
    if default_run:
        return (
            starter_run.LEARNING_RATE,
            f"{shown} A model this small bears L1.6's low end, and learns faster.",
            "lecture L1.6",
        )
    if row is not None and row.params_b < 0.3:
        return 1e-3, f"{shown} A model this small bears L1.6's low end, and learns faster.", "lecture L1.6"
    if row is not None and row.params_b < 1:
        return 5e-4, f"{shown} Between the two for a model below a billion parameters.", "lecture L1.6"
    if row is not None and row.params_b >= 10:
        return 2e-4, f"{shown} The recipes' side is taken, and at its low end for a large model.", "lecture L3.18"
    return 3e-4, f"{shown} The recipes' rate is taken: theirs were measured.", "lecture L3.18"


def memory_reasons(
    config: RunConfig, levers: Levers, estimate: Estimate | None, wanted_length: int, long_row: int | None
) -> list[Reason]:
    """Why the levers on memory stand where they do."""
    schedule = config.schedule
    if estimate is None:
        room = "The model is not in the catalogue, so its memory is not known."
    else:
        verdict = {"fits": "fits", "tight": "is tight", "does_not_fit": "does not fit"}[estimate.fits]
        room = (
            f"{estimate.peak_gib.low:.1f}-{estimate.peak_gib.high:.1f} GiB {verdict} "
            f"in {estimate.limit_gib:g} GiB with a fifth kept free."
        )
    nf4 = levers.quantization == "nf4"
    if nf4 and config.hardware.gpu and estimate is not None and estimate.limit_gib >= 70:
        room += " (L1.12 gives plain LoRA for 30B on 80 GB; its 16-bit weights alone leave no fifth free, L1.13.)"
    quantised = (
        f"Whole in 16 bits it would not fit with a fifth free; in 4 bits, {room}" if nf4 else f"Not needed: {room}"
    )
    checkpointed = (
        "Needed: half the memory for about a fifth more time."
        if levers.gradient_checkpointing
        else "Not needed; it would cost a fifth more time."
    )
    effective = levers.batch_size * schedule.accumulation
    return [
        Reason(
            field="model.quantization",
            value=levers.quantization,
            why=quantised,
            source="lecture L1.3" if nf4 else "lecture L1.13",
        ),
        Reason(
            field="hardware.precision",
            value="auto",
            why="bf16 where the device computes in it; adapters stay in fp32.",
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
    steps = sizing.total_steps(config, rows or 1000)
    every = max(5, min(500, steps // 10))
    if starter_run.is_default_run(config, answers):
        every = starter_run.EVALUATE_EVERY
    config.evaluation.every = config.evaluation.sample_every = config.schedule.checkpoint_every = every
    default_run = starter_run.is_default_run(config, answers)
    config.schedule.patience = None if default_run else _PATIENCE
    patience = (
        "The default run is too short to be ended early."
        if default_run
        else f"Ends after {_PATIENCE} measurements without a gain (3-5; also L1.8), and keeps the best checkpoint."
    )
    why = f"About ten times in {steps} steps" + (" (every 100-500 steps is for longer runs)." if every < 100 else ".")
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
    if rows <= _FEW_SHOT:
        return 20.0
    if rows < 500:
        return 5.0
    return 2.0 if rows < 100_000 else 1.0


def _trained(config: RunConfig) -> str:
    row = catalogue.base_model(config.model.name)
    if row is None:
        return "Trains a small adapter; the base stays as it is."
    share = sizing.adapter_parameters(config.method, row) / (row.params_b * 1e9)
    return f"Trains an adapter of {share:.1%} of the base's size; the base itself stays as it is."
