"""A search that is proposed for a run file: what to vary and how far, how many trials, and how long each may train."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from assistant.planner.advice_models import Reason
from trainer import catalogue, duration
from trainer.config import ConfigError
from trainer.hardware import Machine
from trainer.method_sections import AdaLoraMethod, AdapterMethod, FullMethod, LoraMethod, PrefixMethod
from trainer.search.request import SearchRequest
from trainer.search.space import Parameter, SearchSpace, apply
from trainer.sections import RunConfig

MINUTES = 60.0
"""How long a search may take unless somebody says otherwise: a coffee, not a night."""
TRIALS = (20, 50)
"""The least of a random search, and of a Bayesian one (lecture L3.10), which is taken where time allows."""
TRAINING_SHARE = 0.6
"""Of a trial's time that it trains; the rest loads the model and measures. 0.54 to 0.65 in the 20 trials of
`bench/search.py` on the embedded model."""
LEAST_TOKENS, MOST_TOKENS = 4_000, 1_000_000
"""Of a trial. Below, a trial is a dozen steps, which tell rates apart at best; above, a search is not a search."""
_ROUGHLY = 20_000
_ROW_TOKENS = 200.0  # only for the speed, in which it cancels out
_RANKS = [4, 8, 16, 32, 64]


class Proposal(BaseModel):
    """A search, and why each part of it is as it is."""

    request: SearchRequest
    reasons: list[Reason]


def propose(config: RunConfig, machine: Machine, minutes: float = MINUTES) -> Proposal:
    """A search of about so many minutes on this machine that starts from this run file.

    Each range is the lecture's, widened to hold the run file's own value, with which the first trial is made. What does
    not go with the run file is left out.
    """
    space, reasons = _space(config)
    trials, tokens, found = _budget(config, machine, minutes)
    reasons += found
    how = "The tree-structured Parzen estimator draws at random at first, and then near what was good."
    reasons.append(Reason(field="method", value="tpe", why=how, source="lecture L3.10"))
    why = "The loss of the validation rows. Held-out sets stay unseen, for the comparison afterwards."
    reasons.append(Reason(field="objectives", value=["quality"], why=why, source="lecture L3.11"))
    request = SearchRequest(run=config, space=space, trials=trials, tokens=tokens, seed=config.schedule.seed)
    return Proposal(request=request, reasons=reasons)


def _space(config: RunConfig) -> tuple[SearchSpace, list[Reason]]:
    space: dict[str, Parameter] = {}
    reasons: list[Reason] = []

    def add(name: str, wanted: dict[str, Any], why: str, source: str) -> None:
        section, _, field = name.partition(".")
        parameter = _holding(Parameter.model_validate(wanted), getattr(getattr(config, section), field))
        try:
            for end in parameter.ends:
                apply(config, {name: end})
        except ConfigError:
            return  # not with this run file
        if not SearchSpace({name: parameter}).faults(config):
            space[name] = parameter
            reasons.append(Reason(field=name, value=said(parameter), why=why, source=source))

    method = config.method
    if isinstance(method, FullMethod):
        why = "Full tuning takes 1e-5 to 5e-5."
        add("schedule.learning_rate", {"low": 1e-5, "high": 5e-5, "log": True}, why, "lecture L1.1")
    else:
        why = "From a third of the recipes' 3e-4 (L3.18, L3.19) to the top of 1e-3 to 5e-3: trials tell."
        add("schedule.learning_rate", {"low": 1e-4, "high": 5e-3, "log": True}, why, "lecture L1.6")
    if isinstance(method, LoraMethod | AdaLoraMethod):
        why = "All ranks that are given by task; alpha keeps its ratio to the rank."
        add("method.rank", {"choices": _RANKS}, why, "lecture L1.9")
    if isinstance(method, PrefixMethod):
        add("method.length", {"low": 10, "high": 100}, "10-100 virtual tokens, 20-50 typical.", "lecture L1.4")
    if isinstance(method, AdapterMethod):
        add("method.width", {"choices": [64, 128, 256, 512]}, "Bottlenecks of 64-512.", "lecture L1.5")
    if isinstance(method, LoraMethod | AdaLoraMethod | AdapterMethod):
        why = "0.1-0.3 for adapters that overfit; 0 is the planner's."
        add("method.dropout", {"low": 0.0, "high": 0.3}, why, "lecture L1.8")
    why = "0.01-0.1 of AdamW's weight decay."
    add("schedule.weight_decay", {"low": 0.01, "high": 0.1}, why, "lecture L1.8")
    add("schedule.warmup_share", {"low": 0.05, "high": 0.1}, "5-10 % of the steps.", "lecture L1.6")
    if isinstance(method, LoraMethod | AdaLoraMethod | AdapterMethod | FullMethod):
        why = "From the same for all layers to 1 : 10 from bottom to top."
        add("schedule.layer_rate_ratio", {"low": 1.0, "high": 10.0, "log": True}, why, "lecture L1.7")
    why = "The lecture's 1.0, and below it, where single steps go astray."
    add("schedule.max_grad_norm", {"low": 0.25, "high": 1.0, "log": True}, why, "lecture L1.8")
    return SearchSpace(space), reasons


def said(parameter: Parameter) -> str:
    """A range or its choices in words."""
    if parameter.choices is not None:
        return ", ".join(str(one) for one in parameter.choices)
    return f"{parameter.low:g} to {parameter.high:g}{', by its size' if parameter.log else ''}"


def _holding(parameter: Parameter, own: Any) -> Parameter:
    """The parameter with the run file's own value in it."""
    if parameter.holds(own):
        return parameter
    if parameter.choices is not None:
        return parameter.model_copy(update={"choices": sorted([*parameter.choices, own], key=float)})
    assert parameter.low is not None and parameter.high is not None
    if parameter.log and own <= 0:
        return parameter
    return parameter.model_copy(update={"low": min(parameter.low, own), "high": max(parameter.high, own)})


def _budget(config: RunConfig, machine: Machine, minutes: float) -> tuple[int, int, list[Reason]]:
    """How many trials, and the tokens of each, so that all together fit into the time."""
    speed = _tokens_per_second(config, machine)
    few, many = TRIALS
    source = "lecture L3.10"
    if speed is None:
        why = "The speed of a model that is not in the catalogue is not known: a small budget to begin with."
        return (
            few,
            _ROUGHLY,
            [
                Reason(field="trials", value=few, why="The low end of 20-50 for a random start.", source=source),
                Reason(field="tokens", value=_ROUGHLY, why=why, source="Bedside"),
            ],
        )
    together = speed * 60 * minutes * TRAINING_SHARE
    trials = many if together / many >= _ROUGHLY * 2 else few
    tokens = round(min(MOST_TOKENS, max(LEAST_TOKENS, together / trials)), -3)
    why = (
        f"The low end of 50-100 for a Bayesian search, which fits into {minutes:g} minutes here."
        if trials == many
        else "The low end of 20-50 for a random start; 50-100, as a Bayesian search would have, would leave each "
        "trial too short here."
    )
    hours = trials * tokens / speed / 3600 / TRAINING_SHARE
    spent = (
        f"{trials} trials of {int(tokens):,} tokens take about {60 * hours:.0f} minutes at {speed:.0f} tokens/s; poor "
        "trials end early. The same budget for all, with all of the schedule in it."
    )
    return (
        trials,
        int(tokens),
        [
            Reason(field="trials", value=trials, why=why, source=source),
            Reason(field="tokens", value=int(tokens), why=spent, source="measured on this machine"),
        ],
    )


def _tokens_per_second(config: RunConfig, machine: Machine) -> float | None:
    """The slow end of the estimate (`trainer.duration`); None for a model that is not in the catalogue."""
    model = catalogue.base_model(config.model.name)
    if model is None:
        return None
    short = config.model_copy(deep=True)
    short.schedule.max_steps, short.evaluation.validation, short.steering.reptile_steps = 100_000, "split", 0
    if isinstance(short.method, LoraMethod):
        short.method.search_rank = False
    row_tokens = min(_ROW_TOKENS, float(short.schedule.max_length))
    gpu = catalogue.gpu(config.hardware.gpu) if config.hardware.device == "cuda" and config.hardware.gpu else None
    hours = duration.duration(short, model, machine, gpu, 1000, row_tokens).high
    rows = 100_000 * short.schedule.batch_size * short.schedule.accumulation
    return rows * row_tokens * duration.answers_a_row(config) / (3600 * hours)
