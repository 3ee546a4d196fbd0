"""Supervised fine-tuning through TRL's SFTTrainer, set up from a run file.

Rows come to it tokenised and labelled (`trainer.data.tokens`), and it leaves them as they are. The loss is ours for
the common decoders: see `trainer.objectives.answer_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.data.tokenised import Prepared
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase, TrainerCallback
    from trl.trainer.sft_trainer import SFTTrainer


LEAST_GAIN = 0.001
"""Nats by which the validation loss must fall to count as better (lecture L3.13: 0.001-0.01)."""


def build(
    config: RunConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluate_first: bool,
    count_rows: Callable[[int, int], None] | None = None,
) -> SFTTrainer:
    """A trainer for the run; `evaluate_first` measures the validation loss before the first step: the base's own.

    `count_rows` hears of each batch that is trained on how many rows it has, and how many of them are general.

    The frozen base keeps the precision that it was loaded in and no autocast is used: on a CPU that is where the
    speed is (bf16 products, fp32 adapters).
    """
    import torch
    from transformers import EarlyStoppingCallback
    from trl.trainer.sft_config import SFTConfig

    from trainer.objectives.answer_loss import AnswerLossTrainer

    schedule = config.schedule
    on_cpu = config.hardware.device == "cpu"
    quantized = config.model.quantization == "nf4"
    settings = SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=schedule.epochs,
        max_steps=schedule.max_steps or -1,
        per_device_train_batch_size=schedule.batch_size,
        per_device_eval_batch_size=schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulation,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": schedule.final_rate_share},
        warmup_steps=schedule.warmup_share,
        weight_decay=schedule.weight_decay,
        # The usual 0.999 remembers the large first gradients for a thousand steps; runs here may have two hundred.
        adam_beta2=0.95,
        max_grad_norm=schedule.max_grad_norm,
        # QLoRA's paged 8-bit optimiser (lecture L1.3); its states leave the GPU when memory is short.
        optim="paged_adamw_8bit" if quantized else "adamw_torch",
        max_length=None,  # rows were cut, and counted, when they were prepared
        gradient_checkpointing=schedule.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if schedule.gradient_checkpointing else None,
        use_cpu=on_cpu,
        bf16=False,
        fp16=not on_cpu and next(model.parameters()).dtype == torch.float16,
        eval_strategy="steps",
        eval_steps=config.evaluation.every,
        eval_on_start=evaluate_first,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=schedule.checkpoint_every,
        save_total_limit=config.output.keep_checkpoints,
        load_best_model_at_end=schedule.patience is not None,
        seed=schedule.seed,
        data_seed=schedule.seed,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,  # which rows are general is counted
    )
    if schedule.patience is not None:
        callbacks = [*callbacks, EarlyStoppingCallback(schedule.patience, LEAST_GAIN)]
    trainer = AnswerLossTrainer(
        model=model,
        args=settings,
        train_dataset=prepared.train,
        eval_dataset=prepared.validation,
        processing_class=tokenizer,
        callbacks=callbacks,
        count_rows=count_rows,
    )
    if quantized and on_cpu:
        # TRL casts a 4-bit model's adapters to bf16, which a CPU multiplies slowly.
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return trainer
