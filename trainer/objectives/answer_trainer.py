"""TRL's SFT trainer with our loss, and with the parts that act on a run while it trains.

What is added to TRL's: answer losses in chunks (`answer_loss`), a weight for each row, further terms of the loss,
gradients task by task, an order of the rows, and checkpoints that hold exactly what is trained, whatever the method.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from trl.trainer.sft_trainer import SFTTrainer

from trainer.data.tokenised import Prepared
from trainer.objectives import answer_loss
from trainer.steering import validation
from trainer.steering.batch import Batch
from trainer.steering.steering import Steering

WEIGHTS = "trained.safetensors"
STEERING = "steering.json"
_COLUMNS = ("general", "task", "specialty", "group")


class AnswerTrainer(SFTTrainer):
    """See the module. `count_rows` hears of each batch trained on: how many rows, how many general, and their levels."""

    def __init__(
        self,
        *arguments: Any,
        prepared: Prepared,
        steering: Steering,
        count_rows: Callable[[dict[str, torch.Tensor]], None] | None,
        **options: Any,
    ):
        super().__init__(*arguments, **options)
        self.prepared = prepared
        self.steering = steering
        self.count_rows = count_rows
        self.validated: validation.Validation | None = None
        tokens_only = self.data_collator
        self.data_collator = lambda rows: {
            **tokens_only([{name: row[name] for name in ("input_ids", "labels")} for row in rows]),
            **{name: torch.tensor([row[name] for row in rows]) for name in self.steering.columns},
        }

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.steering.order

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        batch = self._forward(model, inputs, num_items_in_batch)
        loss = (batch.losses * self._weights(batch)).sum() / batch.count
        return sum(self._terms(batch), loss)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        conflict = self.steering.conflict
        if conflict is None or not self.steering.measures_conflict(self.state.global_step):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        batch = self._forward(model, self._prepare_inputs(inputs), num_items_in_batch)  # pyright: ignore
        losses = batch.losses * self._weights(batch) / batch.count
        task_of = torch.where(batch.general, -1, batch.tasks)[batch.rows]
        by_task = {int(task): losses[task_of == task].sum() for task in task_of.unique()}
        conflict.add(by_task)
        terms = self._terms(batch)
        if terms:
            self.accelerator.backward(sum(terms[1:], terms[0]))
        if batch.last:
            conflict.write()
        return sum(terms, losses.sum()).detach()  # pyright: ignore[reportAttributeAccessIssue]

    def evaluate(self, *arguments: Any, metric_key_prefix: str = "eval", **options: Any) -> dict[str, float]:
        """Measures the validation rows by `steering.validation`, and tells the callbacks as transformers does."""
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        self.validated = validation.measure(
            model,
            self.processing_class,
            self.prepared,
            self.args.per_device_eval_batch_size,
            all_rows=self.state.global_step >= self.state.max_steps,
        )
        model.train(was_training)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.validated.metrics().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _forward(self, model: Any, inputs: dict[str, Any], num_items: torch.Tensor | int | None) -> Batch:
        columns = {name: inputs.pop(name) for name in self.steering.columns}
        labels = inputs["labels"]
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self.count_rows:
            self.count_rows(columns)
        self._total_train_tokens += int(tokens["attention_mask"].sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        if self.steering.activate:
            self.steering.activate(int(columns["group"][0]))
        core = answer_loss.bare(self.accelerator.unwrap_model(model))
        head = core.get_output_embeddings().weight
        plain = answer_loss.has_plain_head(core)
        general, tasks = columns["general"], columns["task"]
        with self.steering.mixed(tokens) as mixed:
            if plain:
                hidden, logits = answer_loss.final_hidden(model, tokens), None
            else:
                hidden, logits = answer_loss.hidden_and_logits(model, tokens)

            def losses_of(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                if logits is None:
                    return answer_loss.answer_losses(hidden, head, labels)
                return answer_loss.losses_of_logits(logits, labels)

            losses, rows = losses_of(labels)
            if mixed is not None:
                # Each answer is learnt by the share that its row has in the mixture (lecture L3.9).
                others, other_rows = losses_of(labels[mixed.order])
                losses = torch.cat([mixed.share * losses, (1 - mixed.share) * others])
                rows = torch.cat([rows, mixed.order[other_rows]])
            return Batch(
                model=model,
                inputs=tokens,
                labels=labels,
                hidden=hidden,
                head=head,
                losses=losses,
                rows=rows,
                general=general,
                tasks=tasks,
                count=len(losses) if num_items is None else num_items,
                last=self.accelerator.sync_gradients,
            )

    def _weights(self, batch: Batch) -> torch.Tensor:
        rows = self.steering.weights(batch) if self.steering.weights else torch.ones(len(batch.general))
        if self.steering.distils:
            # General rows keep what the base would say, not what they say themselves.
            rows = rows * (~batch.general)
        return rows.to(batch.losses)[batch.rows]

    def _terms(self, batch: Batch) -> list[torch.Tensor]:
        return [found for term in self.steering.terms if (found := term(batch)) is not None]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        (folder / STEERING).write_text(json.dumps(self.steering.state()))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(str(output_dir or self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained_weights(self.accelerator.unwrap_model(self.model)), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        restore(self.accelerator.unwrap_model(self.model), load_file(folder / WEIGHTS))
        self.steering.restore(json.loads((folder / STEERING).read_text()))

    def _load_best_model(self) -> None:
        best = self.state.best_model_checkpoint
        assert best is not None
        restore(self.accelerator.unwrap_model(self.model), load_file(Path(best) / WEIGHTS))


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """A copy of what is trained, by the names of the parameters."""
    found: dict[str, torch.Tensor] = {}
    for name, one in model.named_parameters():
        if one.requires_grad:
            found[name] = one.detach().clone().contiguous()
    return found


def restore(model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Put a copy back; raises `KeyError` where the model trains another set of weights."""
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, one in weights.items():
            own[name].copy_(one)
