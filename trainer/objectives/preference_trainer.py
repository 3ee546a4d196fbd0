"""The trainer of everything that learns from preferences offline: DPO, KTO, ORPO, CPO and SimPO.

Answers' likelihoods come from `answer_loss`, whatever the method, so that logits never exist for all positions; what is
made of them is in `preference_losses`. TRL's trainers compute the same losses; its DPO and KTO project every position
of a row onto the vocabulary on a CPU (with the reference known to both, 3.0 and 2.0 times our time:
`bench/preference_loss.py`), and its ORPO and CPO hold the logits of all of them. Dropout is off, as there: it would be
taken for a preference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from transformers import Trainer
from trl.trainer.utils import disable_dropout_in_model

from trainer import events
from trainer.data.tokenised import Prepared
from trainer.data.tokens import IGNORED
from trainer.launch import launch, sharing
from trainer.objective_sections import DpoObjective, KtoObjective
from trainer.objectives import answer_loss, reference
from trainer.objectives.preference_losses import PAIR, Judged, Paired, judge_answers, judge_pairs
from trainer.objectives.preference_validation import measure
from trainer.objectives.reference import Answers, Asker
from trainer.objectives.run_trainer import RunTrainer
from trainer.sections import RunConfig
from trainer.steering.batch import Batch
from trainer.steering.steering import Steering
from trainer.steering.validation import Validation


@dataclass
class _Step:
    """What was judged since the last step of the optimiser."""

    judged: list[Judged] = field(default_factory=list)

    def event(self) -> events.PreferenceEvent | None:
        """None where only good or only bad answers were read, or a number is none."""
        if not self.judged:
            return None
        together = {
            name: torch.cat([getattr(one, name) for one in self.judged]).tolist()
            for name in ("won", "chosen_rewards", "rejected_rewards", "chosen", "rejected")
        }
        if not together["chosen"] or not together["rejected"]:
            return None
        mean = {name: fmean(values) for name, values in together.items()}
        if not all(math.isfinite(value) for value in mean.values()):
            return None
        return events.PreferenceEvent(
            margin=mean["chosen_rewards"] - mean["rejected_rewards"],
            accuracy=mean["won"],
            chosen=mean["chosen"],
            rejected=mean["rejected"],
        )


class PreferenceTrainer(RunTrainer, Trainer):
    """See the module.

    `known` is what the reference makes of the rows (`reference.asked_before`), by "train/chosen" and the like; without
    it the reference is asked in each step. For KTO, `unrelated` are for each side the rows whose answers are put to a
    row's question to see how far the model has moved, and `weights` those of good and of bad answers.
    """

    loss_is_scaled_for_ga = True  # by `compute_loss`

    def __init__(
        self,
        run: RunConfig,
        *,
        prepared: Prepared,
        steering: Steering,
        known: dict[str, torch.Tensor],
        unrelated: dict[str, list[int]],
        weights: tuple[float, float],
        **options: Any,
    ):
        self.known = known
        self.unrelated = unrelated
        self.weights = weights
        self._step = _Step()
        self._tokens = 0
        numbered = prepared.train.add_column("number", list(range(len(prepared.train))))  # pyright: ignore[reportCallIssue]
        super().__init__(
            run,
            prepared=prepared,
            steering=steering,
            train_dataset=numbered,
            **options,
        )
        disable_dropout_in_model(options["model"])
        self.data_collator = lambda rows: sharing.together(rows, numbered, self._together)
        self.train_dataset = sharing.rows(numbered)
        self._batches = 1.0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return sharing.order(self.steering.order, self.run.schedule.batch_size)

    def get_batch_samples(self, *arguments: Any, **options: Any) -> Any:
        """As transformers', and counted: an epoch's last step holds fewer batches, perhaps not one for each process."""
        batches, number = super().get_batch_samples(*arguments, **options)
        (read,) = launch.totals([sum(map(sharing.learns, batches))])
        self._batches = read / launch.size()  # gradients are averaged over the processes
        return batches, number

    def _together(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch: chosen answers and behind them the rejected ones, or judged ones, as the model reads them."""
        columns = {name: torch.tensor([row[name] for row in rows]) for name in self.steering.columns}
        columns["number"] = torch.tensor([row["number"] for row in rows])
        pad: Any = self.tokenizer.pad_token_id
        if not isinstance(self.run.objective, KtoObjective):
            lines = [(row["prompt_ids"], row[f"{side}_ids"]) for side in PAIR for row in rows]
            return {**reference.padded(lines, pad), **columns}
        lines = [(row["prompt_ids"], row["completion_ids"]) for row in rows]
        others = Answers(self.prepared.train, "completion_ids", self.unrelated["train"])
        unrelated = reference.padded(others.lines(columns["number"].tolist()), pad)
        columns["label"] = torch.tensor([row["label"] for row in rows])
        return {
            **reference.padded(lines, pad),
            **columns,
            **{f"unrelated_{name}": one for name, one in unrelated.items()},
        }

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if self.steering.activate:
            self.steering.activate(int(inputs["group"][0]))
        tokens, labels = {name: inputs[name] for name in ("input_ids", "attention_mask")}, inputs["labels"]
        found = answer_loss.read(model, tokens)
        losses, rows = found.losses(labels)
        likely = reference.likelihoods(losses, rows, len(labels))
        judged = self._judged(model, inputs, likely)
        if sharing.learns(inputs):
            self._count(inputs, judged)
            loss = judged.losses.mean() / self._batches
        else:
            loss = 0 * likely.sum()  # nothing was said that could be judged, but the step waits for every process
        batch = Batch(
            model=self.accelerator.unwrap_model(model),
            inputs=tokens,
            labels=labels,
            hidden=found.hidden,
            head=found.head,
            losses=losses,
            rows=rows,
            general=inputs["general"],
            tasks=inputs["task"],
            count=len(losses),
            last=self.accelerator.sync_gradients,
        )
        return sum((one for term in self.steering.terms if (one := term(batch)) is not None), loss)

    def _judged(self, model: Any, inputs: dict[str, Any], likely: torch.Tensor) -> Judged:
        objective, at = self.run.objective, inputs["number"].cpu()
        tokens = (inputs["labels"][:, 1:] != IGNORED).sum(1)
        if isinstance(objective, KtoObjective):
            prefix = "unrelated_"
            unrelated = {name.removeprefix(prefix): one for name, one in inputs.items() if name.startswith(prefix)}
            moved = reference.score(model, unrelated) - self.known["train/unrelated"][at].to(likely.device)
            known = self.known["train/completion"][at].to(likely.device)
            drift = moved.mean().clamp(min=0)
            return judge_answers(objective, likely, tokens, inputs["label"], known, drift, self.weights)
        assert isinstance(objective, Paired)
        parts = [*likely.chunk(2), *tokens.chunk(2)]
        if not isinstance(objective, DpoObjective):
            return judge_pairs(objective, *parts)
        if self.known:
            return judge_pairs(objective, *parts, *(self.known[f"train/{side}"][at].to(likely.device) for side in PAIR))
        plain = self.accelerator.unwrap_model(model)
        with reference.asking(plain, self.run):
            asked = reference.score(plain, {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")})
        return judge_pairs(objective, *parts, *asked.chunk(2))

    def _count(self, inputs: dict[str, Any], judged: Judged) -> None:
        if self.steering.seen:
            self.steering.seen.count({name: inputs[name] for name in self.steering.columns})
        self._tokens += int(inputs["attention_mask"].sum())
        self._step.judged.append(judged)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            step, self._step = self._step, _Step()
            if event := step.event():
                self.steering.reporter.event(event)
            (logs["num_tokens"],) = launch.totals([self._tokens])  # since this process began
        super().log(logs, start_time)

    def measured(self, model: Any, all_rows: bool) -> Validation:
        """What the model makes of the validation pairs or answers."""
        return measure(
            Asker(model, self.tokenizer.pad_token_id, self.args.per_device_eval_batch_size, self.steering.activate),
            self.run,
            self.prepared,
            self.tokenizer,
            {name: one for name, one in self.known.items() if name.startswith("validation/")},
            self.unrelated.get("validation", []),
            self.weights,
            all_rows=all_rows,
        )
