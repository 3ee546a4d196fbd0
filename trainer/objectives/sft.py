"""Supervised fine-tuning through TRL's SFTTrainer, set up from a run file.

Rows come to it tokenised and labelled (`trainer.data.tokens`), and it leaves them as they are. The loss is ours for
the common decoders: see `trainer.objectives.answer_loss`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.tokenised import Prepared
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.objectives.answer_trainer import AnswerTrainer
    from trainer.steering.steering import Steering

HIGHER_IS_BETTER = ("token_accuracy", "answer_accuracy")


def total_steps(config: RunConfig, rows: int) -> int:
    """Steps of the optimiser for this many training rows, general ones included, as transformers counts them.

    `schedule.max_steps` is what it says, whatever the epochs.
    """
    batches = math.ceil(rows / config.schedule.batch_size)
    an_epoch = max(1, math.ceil(batches / config.schedule.accumulation))
    return config.schedule.max_steps or math.ceil(config.schedule.epochs * an_epoch)


def build(
    config: RunConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    steering: Steering,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluate_first: bool,
    saves: bool = True,
) -> AnswerTrainer:
    """A trainer for the run; `evaluate_first` measures the validation rows before the first step: the base's own.

    `saves` False is for trainings that are tried or thrown away: without checkpoints there is no best one to go by.

    The frozen base keeps the precision that it was loaded in and no autocast is used: on a CPU that is where the
    speed is (bf16 products, fp32 adapters).
    """
    import torch
    from transformers import EarlyStoppingCallback
    from trl.trainer.sft_config import SFTConfig

    from trainer.objectives.answer_trainer import AnswerTrainer

    schedule, watched = config.schedule, config.evaluation.watch
    on_cpu = config.hardware.device == "cpu"
    whole = config.method.kind == "full"  # in fp32; on a GPU its products are computed in bf16
    settings = SFTConfig(
        output_dir=str(checkpoints),
        max_steps=total_steps(config, len(prepared.train)),
        per_device_train_batch_size=schedule.batch_size,
        per_device_eval_batch_size=schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulation,
        learning_rate=schedule.learning_rate,
        max_grad_norm=schedule.max_grad_norm,
        max_length=None,  # rows were cut, and counted, when they were prepared
        gradient_checkpointing=schedule.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if schedule.gradient_checkpointing else None,
        neftune_noise_alpha=schedule.neftune_alpha or None,
        use_cpu=on_cpu,
        bf16=whole and not on_cpu and torch.cuda.is_bf16_supported(),
        fp16=not on_cpu and not whole and next(model.parameters()).dtype == torch.float16,
        eval_strategy="steps",
        eval_steps=config.evaluation.every,
        eval_on_start=evaluate_first,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if saves else "no",
        save_steps=schedule.checkpoint_every,
        save_total_limit=config.output.keep_checkpoints,
        load_best_model_at_end=saves and schedule.patience is not None,
        metric_for_best_model=f"eval_{watched}",
        greater_is_better=watched in HIGHER_IS_BETTER,
        seed=schedule.seed,
        data_seed=schedule.seed,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,  # which rows are general is counted
    )
    if saves and schedule.patience is not None:
        callbacks = [*callbacks, EarlyStoppingCallback(schedule.patience, config.evaluation.least_gain)]
    return AnswerTrainer(
        config,
        model=model,
        args=settings,
        train_dataset=prepared.train,
        eval_dataset=prepared.validation,
        processing_class=tokenizer,
        # Those of the run come first: they say which step it is.
        callbacks=[*callbacks, *steering.callbacks],
        prepared=prepared,
        steering=steering,
    )
