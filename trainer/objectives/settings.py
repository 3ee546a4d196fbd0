"""What every trainer of a run is put together from, and what the run file says to transformers' trainer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.launch import deepspeed, launch
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from trainer.data.tokenised import Prepared
    from trainer.steering.steering import Steering

HIGHER_IS_BETTER = ("token_accuracy", "answer_accuracy")


def total_steps(config: RunConfig, rows: int) -> int:
    """Steps of the optimiser for this many training rows, general ones included, as transformers counts them.

    `schedule.max_steps` is what it says, whatever the epochs.
    """
    batches = math.ceil(rows / config.schedule.batch_size)
    an_epoch = max(1, math.ceil(batches / config.schedule.accumulation))
    return config.schedule.max_steps or math.ceil(config.schedule.epochs * an_epoch)


@dataclass
class Parts:
    """What a trainer is put together from, whatever it minimises.

    `evaluate_first` measures the validation rows before the first step: the base's own. `saves` False is for trainings
    that are tried or thrown away: without checkpoints there is no best one to go by.
    """

    config: RunConfig
    model: Any
    tokenizer: PreTrainedTokenizerBase
    prepared: Prepared
    steering: Steering
    checkpoints: Path
    callbacks: list[TrainerCallback]
    """Those of the run; they come before those of steering, and say which step it is."""
    evaluate_first: bool
    saves: bool = True

    def arguments(self, rows: int | None = None) -> dict[str, Any]:
        """Values for `TrainingArguments` and the configurations of TRL that inherit from it.

        `rows` are trained on: those that were prepared, where it is left out. The frozen base keeps the precision that
        it was loaded in and no autocast is used: on a CPU that is where the speed is (bf16 products, fp32 adapters).
        """
        import torch

        config = self.config
        schedule, watched = config.schedule, config.evaluation.watch
        on_cpu = config.hardware.device == "cpu"
        whole = config.method.kind == "full"  # in fp32; on a GPU its products are computed in bf16
        bf16 = whole and not on_cpu and torch.cuda.is_bf16_supported()
        return {
            **deepspeed.arguments(config, bf16),
            "output_dir": str(self.checkpoints),
            "max_steps": total_steps(config, len(self.prepared.train) if rows is None else rows),
            "per_device_train_batch_size": schedule.batch_size,
            "per_device_eval_batch_size": schedule.batch_size,
            "gradient_accumulation_steps": launch.accumulation(config),
            "learning_rate": schedule.learning_rate,
            "max_grad_norm": schedule.max_grad_norm,
            "gradient_checkpointing": schedule.gradient_checkpointing,
            "gradient_checkpointing_kwargs": {"use_reentrant": False} if schedule.gradient_checkpointing else None,
            "neftune_noise_alpha": schedule.neftune_alpha or None,
            "use_cpu": on_cpu,
            "bf16": bf16,
            "fp16": not on_cpu and not whole and next(self.model.parameters()).dtype == torch.float16,
            "eval_strategy": "steps",
            "eval_steps": config.evaluation.every,
            "eval_on_start": self.evaluate_first,
            "logging_strategy": "steps",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "save_strategy": "steps" if self.saves else "no",
            "save_steps": schedule.checkpoint_every,
            "load_best_model_at_end": self.saves and schedule.patience is not None,
            "metric_for_best_model": f"eval_{watched}",
            "greater_is_better": watched in HIGHER_IS_BETTER,
            "seed": schedule.seed,
            "data_seed": schedule.seed,
            "report_to": "none",
            "disable_tqdm": True,
            "dataloader_pin_memory": not on_cpu,
            "ddp_find_unused_parameters": False,  # every forward pass reads all that is trained
            "ddp_timeout": int(launch.WAIT.total_seconds()),
            "remove_unused_columns": False,  # which rows are general is counted
        }

    def options(self) -> dict[str, Any]:
        """What every `RunTrainer` takes beside the run, its arguments and the rows that it trains on."""
        return {
            "model": self.model,
            "eval_dataset": self.prepared.validation,
            "processing_class": self.tokenizer,
            "callbacks": [*self.callbacks, *self._early_stop(), *self.steering.callbacks],
            "prepared": self.prepared,
            "steering": self.steering,
        }

    def _early_stop(self) -> list[TrainerCallback]:
        """The callback that ends the run as `schedule.patience` says, where it has one."""
        from transformers import EarlyStoppingCallback

        patience = self.config.schedule.patience
        if not self.saves or patience is None:
            return []
        return [EarlyStoppingCallback(patience, self.config.evaluation.least_gain)]
