"""TRL's SFT trainer with our loss, and with the parts that act on a run while it trains.

What is added to TRL's, beside what every run's trainer has (`run_trainer`): answer losses in chunks (`answer_loss`), a
weight for each row, further terms of the loss, gradients task by task, passes under attack, and an order of the rows.
"""

from __future__ import annotations

from typing import Any

import torch
from trl.trainer.sft_trainer import SFTTrainer

from trainer.data.tokenised import Prepared
from trainer.data.tokens import IGNORED
from trainer.launch import launch, sharing
from trainer.objectives import answer_loss
from trainer.objectives.run_trainer import RunTrainer
from trainer.sections import RunConfig
from trainer.steering import embedding_attack
from trainer.steering.batch import Batch
from trainer.steering.gradient_conflict import GENERAL
from trainer.steering.steering import Steering


class AnswerTrainer(RunTrainer, SFTTrainer):
    """See the module."""

    def __init__(self, run: RunConfig, *, prepared: Prepared, steering: Steering, **options: Any):
        super().__init__(run, prepared=prepared, steering=steering, **options)
        tokens_only = self.data_collator

        def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
            return {
                **tokens_only([{name: row[name] for name in ("input_ids", "labels")} for row in rows]),
                **{name: torch.tensor([row[name] for row in rows]) for name in self.steering.columns},
                **({"twin": _twins(rows)} if self.steering.twins else {}),
            }

        self.data_collator = lambda rows: sharing.together(rows, prepared.train, collate)
        self.train_dataset = sharing.rows(self.train_dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return sharing.order(self.steering.order, self.run.schedule.batch_size)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        batch = self._forward(model, inputs, num_items_in_batch)
        return self._loss(batch, self._weights(batch))

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        self._count(inputs)
        if self.steering.attack:
            return self._attacked_step(model, inputs, num_items_in_batch)
        conflict = self.steering.conflict
        if conflict is None or not self.steering.measures_conflict(self.state.global_step):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        batch = self._forward(model, self._prepare_inputs(inputs), num_items_in_batch)  # pyright: ignore
        losses = batch.losses * self._weights(batch) / batch.count
        task_of = torch.where(batch.general, GENERAL, batch.tasks)[batch.rows]
        by_task = {int(task): losses[task_of == task].sum() for task in task_of.unique()}
        conflict.add(by_task)
        terms = self._terms(batch)
        if terms:
            self.accelerator.backward(sum(terms[1:], terms[0]))
        if batch.last:
            self.steering.end_conflict_step(self.state.global_step)
        return sum(terms, losses.sum()).detach()  # pyright: ignore[reportAttributeAccessIssue]

    def _attacked_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """The batch read several times, each under another disturbance; the loss is the mean of these passes."""
        assert self.steering.attack is not None
        model.train()
        inputs = self._prepare_inputs(inputs)
        weights: list[torch.Tensor] = []  # they learn from each batch, so they are asked once

        def learn(share: float) -> torch.Tensor:
            batch = self._forward(model, inputs, num_items_in_batch)
            if not weights:
                weights.append(self._weights(batch))
            loss = share * self._loss(batch, weights[0])
            self.accelerator.backward(loss)
            return loss.detach()

        disturbed = embedding_attack.places(inputs["attention_mask"], inputs["labels"], inputs["general"])
        return self.steering.attack(disturbed, learn)

    def _forward(self, model: Any, inputs: dict[str, Any], num_items: torch.Tensor | int | None) -> Batch:
        columns = {name: inputs[name] for name in self.steering.columns}
        labels, twins = inputs["labels"], inputs.get("twin")
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self.steering.activate:
            self.steering.activate(int(columns["group"][0]))
        general, tasks = columns["general"], columns["task"]
        with self.steering.mixed(tokens, general) as mixed:
            inputs = tokens if mixed is None else mixed.inputs
            found = answer_loss.read(model, inputs)
            losses, rows = found.losses(labels)
            if mixed is not None:
                # Each answer is learnt by the share that its row has in the mixture (lecture L3.9).
                others, other_rows = found.losses(labels[mixed.order])
                losses = torch.cat([mixed.share * losses, (1 - mixed.share) * others])
                rows = torch.cat([rows, mixed.order[other_rows]])
            return Batch(
                model=self.accelerator.unwrap_model(model),
                inputs=inputs,
                labels=labels,
                hidden=found.hidden,
                head=found.head,
                losses=losses,
                rows=rows,
                general=general,
                tasks=tasks,
                # Gradients are averaged over the processes, and `num_items` are those of all of them.
                count=len(losses) if num_items is None else num_items / launch.size(),
                last=self.accelerator.sync_gradients,
                twins=twins,
            )

    def _count(self, inputs: dict[str, Any]) -> None:
        if not sharing.learns(inputs):
            return
        if self.steering.seen:
            self.steering.seen.count({name: inputs[name] for name in self.steering.columns})
        self._total_train_tokens += int(inputs["attention_mask"].sum())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._metrics["train"]["num_tokens"] = launch.totals([self._total_train_tokens])
        super().log(logs, start_time)

    def _loss(self, batch: Batch, weights: torch.Tensor) -> Any:
        loss = (batch.losses * weights).sum() / batch.count
        return sum(self._terms(batch), loss)

    def _weights(self, batch: Batch) -> torch.Tensor:
        rows = self.steering.weights(batch) if self.steering.weights else torch.ones(len(batch.general))
        if self.steering.distils:
            # General rows keep what the base would say, not what they say themselves.
            rows = rows * (~batch.general)
        return rows.to(batch.losses)[batch.rows]

    def _terms(self, batch: Batch) -> list[torch.Tensor]:
        return [found for term in self.steering.terms if (found := term(batch)) is not None]


def _twins(rows: list[dict[str, Any]]) -> torch.Tensor:
    """(rows, longest) tokens of the rows with their clean questions, `IGNORED` behind them and where there is none."""
    lines = [torch.tensor(row["twin"], dtype=torch.long) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=IGNORED)
