"""The parts that act on a run while it trains, put together from its run file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback

from trainer import events
from trainer.data.tokenised import Prepared
from trainer.methods import adalora, groups, quick_layers
from trainer.objectives.answer_loss import bare
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering import order
from trainer.steering.batch import LossTerm, RowWeights, Stateful
from trainer.steering.consistency_loss import ConsistencyLoss
from trainer.steering.curriculum import Curriculum
from trainer.steering.distillation import Distillation
from trainer.steering.dynamic_mixing import DynamicMixing
from trainer.steering.embedding_attack import EmbeddingAttack
from trainer.steering.gradient_conflict import TaskGradients
from trainer.steering.mixup import Mixed, Mixup
from trainer.steering.order import SteeredOrder
from trainer.steering.retention import retention
from trainer.steering.rows_seen import RowsSeen
from trainer.steering.task_weights import TaskWeights, task_weights

COLUMNS = ("general", "task", "level")


@dataclass
class Steering:
    """What acts on a trainer: the order of the rows, the loss, the gradients, and callbacks."""

    order: Any
    reporter: Reporter
    columns: tuple[str, ...] = COLUMNS
    """Of the rows, beside their tokens, that the parts need to see."""
    activate: Callable[[int], None] | None = None
    weights: RowWeights | None = None
    terms: list[LossTerm] = field(default_factory=list)
    distils: bool = False
    twins: bool = False
    """Whether the loss asks for the clean twins of disturbed rows."""
    mixup: Mixup | None = None
    attack: EmbeddingAttack | None = None
    conflict: TaskGradients | None = None
    conflict_every: int | None = None
    seen: RowsSeen | None = None
    callbacks: list[TrainerCallback] = field(default_factory=list)
    remembering: dict[str, Stateful] = field(default_factory=dict)

    def measures_conflict(self, step: int) -> bool:
        """Whether the tasks' gradients are taken apart in the step after `step`: for surgery always."""
        assert self.conflict is not None
        return self.conflict.surgery != "off" or (self.conflict_every is not None and step % self.conflict_every == 0)

    def end_conflict_step(self, step: int) -> None:
        """Give the step after `step` its gradient, and tell how the tasks' gradients stood to each other."""
        assert self.conflict is not None
        cosines = self.conflict.write()
        if self.conflict_every and step % self.conflict_every == 0:
            mean, suggestion = self.conflict.means(), self.conflict.suggestion()
            self.reporter.event(events.ConflictEvent(cosines=cosines, mean=mean, suggestion=suggestion))

    def mixed(self, inputs: dict[str, torch.Tensor], general: torch.Tensor) -> AbstractContextManager[Mixed | None]:
        """Mixes the rows of a batch while it is read, where the run does so."""
        return self.mixup(inputs, general) if self.mixup else nullcontext()

    def state(self) -> dict[str, Any]:
        """What the parts remember, by their names, for a checkpoint."""
        return {name: part.state() for name, part in self.remembering.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Give back what `state` took."""
        for name, part in self.remembering.items():
            part.restore(state[name])


def assemble(config: RunConfig, model: Any, prepared: Prepared, reporter: Reporter) -> Steering:
    """Everything that the run file asks for, on a model that is not trained yet.

    Raises `DataError` and `MethodError` where rows or method do not allow it.
    """
    asked = config.steering
    padding_costs = not quick_layers.knows(config, bare(model).config)
    steering = Steering(order.build(config, prepared, padding_costs), reporter)
    if isinstance(steering.order, SteeredOrder):
        steering.remembering["order"] = steering.order
        if asked.curriculum != "off":
            least_gain = config.evaluation.least_gain
            curriculum = Curriculum(asked.curriculum, least_gain, prepared.levels, steering.order, reporter)
            _add(steering, "curriculum", curriculum)
        if asked.mixing == "dynamic":
            _add(steering, "mixing", DynamicMixing(asked.replay_share, steering.order))
    if prepared.groups:
        steering.columns = (*COLUMNS, "group")
        names = groups.adapter_names(config.method.per, prepared.groups)  # pyright: ignore[reportAttributeAccessIssue]
        steering.activate = lambda group: groups.activate(model, names[prepared.groups[group]])
    steering.seen = RowsSeen(prepared.levels, steering.order, asked.mixing == "dynamic", reporter)
    _add(steering, "rows seen", steering.seen)
    if asked.task_weights != "rows":
        weights = task_weights(asked.task_weights, prepared.tasks)
        steering.weights = steering.remembering["task weights"] = weights
        steering.callbacks.append(_TellsWeights(weights, config.evaluation.every, reporter))
    if asked.ewc or asked.l2_sp:
        rows = [prepared.train, prepared.general_validation]
        steering.terms.append(retention(config, model, rows, reporter.folder, reporter.progress))
    if asked.distillation:
        steering.terms.append(Distillation(model, asked.distillation))
        steering.distils = True
    if config.schedule.mixup_alpha:
        steering.mixup = steering.remembering["mixup"] = Mixup(model, config.schedule.mixup_alpha, config.schedule.seed)
    adversarial = config.adversarial
    if adversarial.consistency:
        steering.terms.append(ConsistencyLoss(model, adversarial.consistency))
        steering.twins = True
    if adversarial.embedding != "off":
        attack = EmbeddingAttack(
            model,
            adversarial.embedding,
            adversarial.epsilon,
            adversarial.embedding_steps,
            config.schedule.seed,
        )
        steering.attack = steering.remembering["attack"] = attack
    if asked.gradient_surgery != "off" or asked.conflict_every:
        trained = [one for one in model.parameters() if one.requires_grad]
        conflict = TaskGradients(trained, prepared.tasks, asked.gradient_surgery)
        steering.conflict = steering.remembering["conflict"] = conflict
        steering.conflict_every = asked.conflict_every
    if config.method.kind == "adalora":
        steering.callbacks.append(adalora.AllocateRanks(model))
        steering.terms.append(adalora.Orthogonality(model))
    return steering


def _add(steering: Steering, name: str, part: Any) -> None:
    """A part that is a callback and remembers."""
    steering.callbacks.append(part)
    steering.remembering[name] = part


class _TellsWeights(TrainerCallback):
    def __init__(self, weights: TaskWeights, every: int, reporter: Reporter):
        self.weights = weights
        self.every = every
        self.reporter = reporter

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: object) -> None:
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self.reporter.event(events.TaskWeightsEvent(weights=self.weights.current()))
