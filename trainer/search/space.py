"""What a search may change: fields of the run file, each with a range or with choices."""

from __future__ import annotations

import json
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import Field, RootModel, ValidationError, model_validator

from trainer import config as run_config
from trainer.config import ConfigError
from trainer.errors import UserError
from trainer.method_sections import AdaLoraMethod, LoraMethod
from trainer.section import Section, Text
from trainer.sections import RunConfig
from trainer.steering.rank_search import with_rank

Value = bool | int | float | str
Values = dict[str, Any]
"""A trial's values by run-file field."""

_SAME_ROWS = "all trials have to be measured on the same rows"
_BUDGET = "the trials' budget of tokens decides how long is trained"
_FIXED = {
    "task": _SAME_ROWS,
    "data": _SAME_ROWS,
    "evaluation": "it says how is measured, which has to be the same for all trials",
    "output": "it has no bearing on what is learnt",
    "hardware": "the trials run on one machine's devices as they are",
    "model.name": "losses of different base models cannot be compared; search once for each",
    "objective.kind": "losses of different objectives cannot be compared; search once for each",
    "method.kind": "each kind has fields of its own; search once for each",
    "method.search_rank": "put method.rank into the space instead",
    "schedule.epochs": _BUDGET,
    "schedule.max_steps": _BUDGET,
    "schedule.patience": _BUDGET,
    "schedule.checkpoint_every": "it has no bearing on what is learnt",
    "schedule.max_length": "answers that are cut elsewhere have other losses",
    "schedule.seed": "it draws the rows; the best seed is luck that does not carry over",
}
_ALLOWED = ("data.balance", "data.augment", "data.augment_share", "hardware.precision")
"""Fields of fixed sections that change what is learnt, or with what memory, and nothing of what is measured."""

LIVE = (
    "schedule.learning_rate",
    "schedule.weight_decay",
    "schedule.max_grad_norm",
    "schedule.layer_rate_ratio",
    "schedule.neftune_alpha",
    "schedule.mixup_alpha",
    "method.dropout",
    "method.rate_ratio",
    "steering.ewc",
    "steering.l2_sp",
    "steering.distillation",
    "adversarial.consistency",
    "adversarial.epsilon",
)
"""Fields that can change while a model trains: rates, decay, dropout and weights of the loss, but no shape of it."""


class SpaceError(UserError):
    """A search space does not fit its run file; the text names each field, what is wrong, and what to do."""


class Parameter(Section):
    """One field's range, or its choices."""

    low: float | None = Field(default=None, description="The least value, where it is a number.")
    high: float | None = Field(default=None, description="The greatest value.")
    log: bool = Field(default=False, description="Draw the logarithm evenly: for rates, which matter by their size.")
    choices: list[Value] | None = Field(default=None, min_length=2, max_length=50, description="Values to choose from.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Parameter:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either choices, or low and high")
            if len(set(map(repr, self.choices))) < len(self.choices):
                raise ValueError("a choice is there twice")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        elif not self.low < self.high:
            raise ValueError("low has to be below high")
        elif self.log and self.low <= 0:
            raise ValueError("log needs a low above 0")
        return self

    @property
    def ends(self) -> list[Value]:
        """Its least and its greatest value, or all of its choices."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None and self.high is not None
        return [self.low, self.high]

    def holds(self, value: Any) -> bool:
        """Whether this value is one of its own."""
        if self.choices is not None:
            return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        assert self.low is not None and self.high is not None
        return self.low <= value <= self.high


class SearchSpace(RootModel[dict[Text, Parameter]]):
    """Parameters by run-file field: `{schedule.learning_rate: {low: 0.0001, high: 0.005, log: true}}`."""

    def faults(self, config: RunConfig) -> list[str]:
        """A sentence for each parameter that this run file cannot take, with the way out."""
        if not self.root:
            return ["The search space is empty; name at least one field of the run file with low and high, or choices."]
        return [fault for name, one in self.root.items() if (fault := _fault(name, one, config))]

    def whole(self, config: RunConfig) -> set[str]:
        """The fields with a range that take whole numbers."""
        return {name for name, one in self.root.items() if one.choices is None and _is_whole(config, name)}

    def values_of(self, config: RunConfig) -> Values | None:
        """The run file's own values (`rounded`), where the space holds all of them."""
        found = rounded({name: _value(config, name) for name in self.root})
        return found if all(one.holds(found[name]) for name, one in self.root.items()) else None


def rounded(values: Values) -> Values:
    """Drawn values to four digits: as they are trained, told and written into a run file."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}


def apply(config: RunConfig, values: Values) -> RunConfig:
    """The run file with a trial's values, checked as any other; raises `ConfigError` where they do not go together.

    A rank takes its alpha with it, at the same scale of the update, unless alpha has a value of its own.
    """
    start = config
    if isinstance(config.method, LoraMethod) and "method.rank" in values:
        start = config.model_copy(deep=True)
        start.method = with_rank(config.method, int(values["method.rank"])).model_copy(update={"search_rank": False})
    elif isinstance(config.method, AdaLoraMethod) and "method.rank" in values:
        rank = int(values["method.rank"])
        alpha = max(1, round(config.method.alpha * rank / config.method.rank))
        start = config.model_copy(deep=True)
        start.method = config.method.model_copy(update={"start_rank": round(1.5 * rank), "alpha": alpha})
    return run_config.with_values(start, {name: json.dumps(value) for name, value in values.items()})


def fixed(name: str) -> str | None:
    """Why a search cannot change this field; None where it can."""
    if name in _ALLOWED:
        return None
    return _FIXED.get(name) or _FIXED.get(name.partition(".")[0])


def _fault(name: str, parameter: Parameter, config: RunConfig) -> str | None:
    section, _, field = name.partition(".")
    if _value(config, name) is _MISSING:
        kind = getattr(getattr(config, section, None), "kind", None)
        of = f" with {section}.kind {kind}" if kind else ""
        return f"{name}: the run file{of} has no such field; `bedside schema` lists them."
    if why := fixed(name):
        return f"{name} cannot be searched: {why}."
    if parameter.choices is None:
        if not _takes_numbers(config, name):
            return f"{name}: it takes no range of numbers; give choices."
        if _is_whole(config, name) and any(end != int(end) for end in (parameter.low or 0, parameter.high or 0)):
            return f"{name}: it takes whole numbers; found {parameter.low:g} to {parameter.high:g}."
    for end in parameter.ends:
        whole = parameter.choices is None and _is_whole(config, name)
        if said := _refused(config, section, field, int(float(end)) if whole else end):
            return f"{name}: {end!r} is outside of what the field takes ({said})."
    return None


_MISSING = object()


def _value(config: RunConfig, name: str) -> Any:
    section, _, field = name.partition(".")
    part = getattr(config, section, None)
    return getattr(part, field) if isinstance(part, Section) and field in type(part).model_fields else _MISSING


def _kinds(config: RunConfig, name: str) -> set[Any]:
    section, _, field = name.partition(".")
    annotation = type(getattr(config, section)).model_fields[field].annotation
    return set(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else {annotation}


def _is_whole(config: RunConfig, name: str) -> bool:
    kinds = _kinds(config, name)
    return int in kinds and float not in kinds


def _takes_numbers(config: RunConfig, name: str) -> bool:
    return bool({int, float} & _kinds(config, name))


def _refused(config: RunConfig, section: str, field: str, value: Value) -> str | None:
    """What the run file's field has against a value by itself; what goes together is told trial by trial."""
    try:
        type(getattr(config, section)).model_validate({**getattr(config, section).model_dump(), field: value})
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Input ").rstrip(".")
    return None


def told(error: ConfigError) -> str:
    """Why a trial's values do not go together, as the trial says it."""
    return "; ".join(str(fault) for fault in error.faults)
