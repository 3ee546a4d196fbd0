"""What every trainer of a run has, whatever it minimises: its optimiser and rates, and checkpoints that a run can go on
from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from transformers.trainer_utils import rotate_checkpoints

from trainer import checkpoints
from trainer.data.tokenised import Prepared
from trainer.launch import deepspeed, fsdp, launch, sharing, wrappers
from trainer.methods import saved
from trainer.methods.answering import evaluating
from trainer.sections import RunConfig
from trainer.steering import optimiser, validation
from trainer.steering.steering import Steering

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer
else:
    Trainer = object  # mixed in before one of transformers' or TRL's trainers

WEIGHTS = "trained.safetensors"
STEERING = "steering.json"
LOGGED = 1000  # steps, that are kept in the trainer's own log at most


class RunTrainer(Trainer):
    """Stands before a trainer class of transformers or TRL: `class RewardTrainer(RunTrainer, trl.RewardTrainer)`.

    The optimiser and its rates are the run's; a checkpoint holds exactly what is trained, whatever the method, and what
    the parts that act on the run remember. `options` are those of the class behind it. The order of the rows is left to
    that class.
    """

    def __init__(self, run: RunConfig, *, prepared: Prepared, steering: Steering, **options: Any):
        shared, args = fsdp.shares(run), options["args"]
        # transformers refuses to save what the optimiser remembers of a base that is shared out. Here the adapter alone
        # is trained, which each process has whole.
        args.save_only_model = shared
        super().__init__(**options)
        self.args.save_only_model = False
        # TRL casts a 4-bit model's adapters to bf16, which a CPU multiplies slowly and which rounds small steps away.
        for parameter in options["model"].parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.run = run
        self.prepared = prepared
        self.tokenizer: PreTrainedTokenizerBase = options["processing_class"]
        self.steering = steering

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        self.optimizer = optimiser.optimizer(self.model, self.run)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # Not the optimizer that is handed in: accelerate has wrapped that one, and DeepSpeed before it.
        plain: Any = self.optimizer
        while hasattr(plain, "optimizer"):
            plain = plain.optimizer
        self.lr_scheduler = optimiser.scheduler(plain, self.run, num_training_steps)
        self._created_lr_scheduler = True
        self.add_callback(optimiser.GroupRates(self.run, plain, self.lr_scheduler, num_training_steps))
        return self.lr_scheduler

    def _prepare_for_training(self, *arguments: Any, **options: Any) -> Any:
        model, rows = super()._prepare_for_training(*arguments, **options)
        if launch.size() > 1:
            wrappers.check(self.run, model)
        checkpoint = options.get("resume_from_checkpoint", arguments[-1] if arguments else None)
        if deepspeed.uses(self.run) and checkpoint:
            # The weights and what its optimiser remembers DeepSpeed has read by itself.
            self._restore(Path(str(checkpoint)))
        return model, rows

    def _run_epoch(self, *arguments: Any, **options: Any) -> None:
        # accelerate does not reach the order of a run that goes on within an epoch and has several processes.
        if launch.size() > 1:
            sharing.order(self.steering.order, self.run.schedule.batch_size).set_epoch(options["epoch"])
        super()._run_epoch(*arguments, **options)

    def evaluate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *arguments: Any, metric_key_prefix: str = "eval", **options: Any
    ) -> dict[str, float]:
        """Measure the validation rows; callbacks find all of what was found as the metric "validation"."""
        model = self.accelerator.unwrap_model(self.model)
        with evaluating(model):
            found = self.measured(model, all_rows=self.state.global_step >= self.state.max_steps)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.metrics().items()}
        self.log(metrics)
        told: Any = {**metrics, "validation": found}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, told)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        # All steps are told as events; here a long run's would fill the memory, and each checkpoint. The guard against
        # divergence asks for the first loss and the latest, and trials, which save nothing, for all.
        kept = self.state.log_history
        if self.args.save_strategy != "no" and len(kept) > LOGGED:
            first = next((place for place, entry in enumerate(kept) if "loss" in entry), 0)
            del kept[first + 1 : -(LOGGED // 2)]

    def measured(self, model: Any, all_rows: bool) -> validation.Validation:
        """What the model, in evaluation mode, does on the validation rows: how likely their own answers are to it."""
        return validation.measure(
            model,
            self.tokenizer,
            self.prepared,
            self.run.task.system_prompt,
            self.args.per_device_eval_batch_size,
            all_rows=all_rows,
            activate=self.steering.activate,
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        remembered = self.steering.state()
        if launch.is_main():
            (folder / STEERING).write_text(json.dumps(remembered))
        launch.wait()  # for each process's part
        if launch.is_main():
            (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing here reads
            checkpoints.mark_complete(folder)
            # By their steps: transformers would go by times, and with a clock that was set back remove the newest.
            keep, best = self.run.output.keep_checkpoints, self.state.best_model_checkpoint
            rotate_checkpoints(str(folder.parent), keep, best, use_mtime=False)
        launch.wait()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        state = saved.training_state(self.accelerator.unwrap_model(self.model))
        if launch.is_main():
            folder = Path(str(output_dir or self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_file(state, folder / WEIGHTS)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write what is trained, and nothing else, whoever holds it."""
        self._save(output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        self.take_weights(folder)
        self._restore(folder)

    def _restore(self, checkpoint: Path) -> None:
        self.steering.restore(json.loads((checkpoint / STEERING).read_text()))

    def _load_best_model(self) -> None:
        best = Path(str(self.state.best_model_checkpoint))
        if found := checkpoints.damage(best):
            told = f"The best checkpoint, {best.name}, is damaged ({found}); the last step's weights are kept instead."
            self.steering.reporter.warn(told)
            self.state.best_model_checkpoint = None
        else:
            self.take_weights(best)

    def take_weights(self, checkpoint: Path) -> None:
        """Go back to the weights of a checkpoint."""
        saved.set_training_state(self.accelerator.unwrap_model(self.model), load_file(checkpoint / WEIGHTS))
