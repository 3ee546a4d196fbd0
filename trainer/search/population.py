"""Population-based training (Jaderberg et al. 2017): trials train side by side, and the worst go on from the best.

Each trial of the search is a member. After each of `GENERATIONS` parts of its budget a member is measured; the worst
quarter take weights and values of one of the best quarter (exploit), and multiply the values by 0.8 or 1.2 (explore).
So a member has not one value but a schedule of them: `TrialRecord.changes` tells those that led to its weights. Only
what can change while a model trains takes part (`space.LIVE`): rates, decay, dropout and weights of the loss. The rate
does not fall within a part: where falling helps, the population finds it.

What stands between two parts is in the folder: the members in `population.json`, their weights and the optimiser's
moments in `members/`. A search that goes on loses at most the part of a member that it was at.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from trainer.atomic import write_atomically
from trainer.methods import saved
from trainer.reporting import Reporter
from trainer.search.outcome import Result, Unfit
from trainer.search.space import Parameter, SearchSpace, Values, rounded
from trainer.search.study import SharedStudy
from trainer.search.trial import Looks, Trials
from trainer.search.work import tell
from trainer.sections import RunConfig

GENERATIONS = 4
"""Parts of a member's budget: of a search's small budgets, more would leave too few steps to tell members apart."""
QUARTER = 0.25
FACTORS = (0.8, 1.2)
STATE, MEMBERS = "population.json", "members"
_WEIGHTS, _MOMENTS = "weights/", "moments/"


class Member(BaseModel):
    """One member after the parts that it has trained."""

    number: int
    values: Values
    score: float | None = None
    """The search's objective, the lower the better; None before the first part, and where training diverged."""
    curve: list[tuple[int, float]] = []
    parts: int = 0
    weights: str | None = None
    """File of its weights and moments; shared by those that took them over."""
    changes: list[Values] = []
    """The values of each part that led to these weights."""
    steps: int = 0
    seconds: float = 0.0


class Population(BaseModel):
    generation: int = 0
    members: list[Member]


def evolve(study: SharedStudy, trials: Trials, reporter: Reporter, made: Callable[[], None]) -> None:
    """Train the population to its end, from where it stands; tell each member as a trial."""
    folder = reporter.folder
    (folder / MEMBERS).mkdir(exist_ok=True)
    population = _begun(study, trials, folder / STATE)
    while population.generation < GENERATIONS:
        for member in population.members:
            if member.parts <= population.generation:
                _train(member, population.generation, trials, folder / MEMBERS)
                study.note(member.number, curve=member.curve, values=member.values)
                _keep(population, folder)
        population.generation += 1
        if population.generation < GENERATIONS:
            drawn = random.Random(f"{study.request.seed}/{population.generation}")
            exploit(population.members, study.request.space, study.request.space.whole(study.request.run), drawn)
        _keep(population, folder)
    for member in population.members:
        if all(one.number != member.number or one.state in ("running", "waiting") for one in study.records()):
            _tell(study, member)
            tell(study, member.number, reporter)
            made()


def exploit(members: Sequence[Member], space: SearchSpace, whole: set[str], drawn: random.Random) -> None:
    """The worst quarter take the weights of one of the best quarter, and its values a little changed."""
    order = sorted(members, key=lambda one: (one.score is None, one.score or 0.0, one.number))
    quarter = max(1, round(QUARTER * len(order)))
    best = [one for one in order[:quarter] if one.score is not None]
    if not best:
        return
    for loser in order[-quarter:]:
        winner = drawn.choice(best)
        loser.weights, loser.changes = winner.weights, list(winner.changes)
        loser.values = rounded(
            {name: _explored(space.root[name], value, name in whole, drawn) for name, value in winner.values.items()}
        )


def _explored(parameter: Parameter, value: Any, whole: bool, drawn: random.Random) -> Any:
    """A number times 0.8 or 1.2, within its range; of choices, the one before or after."""
    if parameter.choices is not None:
        place = parameter.choices.index(value) + drawn.choice((-1, 1))
        return parameter.choices[min(len(parameter.choices) - 1, max(0, place))]
    assert parameter.low is not None and parameter.high is not None
    changed = min(parameter.high, max(parameter.low, value * drawn.choice(FACTORS)))
    return round(changed) if whole else changed


def _begun(study: SharedStudy, trials: Trials, path: Path) -> Population:
    """The population as it stands, or a new one; all its members are this process's."""
    for record in study.records():
        if record.state in ("running", "waiting"):
            study.take(record.number)
    while (asked := study.ask()) is not None:
        number, values = asked
        try:
            trials.config(values)
        except Unfit as error:
            study.unfit(number, str(error))
            tell(study, number, trials.reporter)
    if path.exists():
        return Population.model_validate_json(path.read_text(encoding="utf-8"))
    alive = [one for one in study.records() if one.state == "running"]
    return Population(members=[Member(number=one.number, values=one.values) for one in alive])


def _train(member: Member, generation: int, trials: Trials, folder: Path) -> None:
    """One part of a member's training, from its weights on."""
    began = time.perf_counter()
    config = trials.config(member.values)
    workshop = trials.begin(config)
    try:
        steps = max(1, trials.steps(config, workshop.prepared) // GENERATIONS)
        model = workshop.fresh(config)
        kept = load_file(folder / member.weights) if member.weights else {}
        if kept:
            saved.set_training_state(model, _part(kept, _WEIGHTS))
        share = round(100 * (generation + 1) / GENERATIONS)
        looks = Looks(lambda share, loss: True)
        looks.at({steps: share})
        part = _as_part(config, generation)
        trainer = trials.train(
            part,
            workshop,
            steps,
            f"member {member.number + 1}, part {generation + 1} of {GENERATIONS}",
            looks,
            _GoesOn(model, _part(kept, _MOMENTS)),
        )
        member.changes = [*member.changes, member.values]
        member.parts, member.steps = generation + 1, member.steps + steps
        member.score = None
        if not looks.ended:
            loss = looks.curve[-1][1]
            member.curve = [*member.curve, (share, loss)]
            (member.score,) = trials.measure(config, workshop, loss, None).values()
            name = f"{member.number}-{member.parts}.safetensors"
            weights = {f"{_WEIGHTS}{key}": one for key, one in saved.training_state(model).items()}
            save_file(weights | _moments(model, trainer.optimizer), folder / name)
            member.weights = name
    finally:
        trials.end()
    member.seconds += time.perf_counter() - began


def _as_part(config: RunConfig, generation: int) -> RunConfig:
    """The run file of one part: the rate rises in the first one only and stays, and rows come in another order."""
    part = config.model_copy(deep=True)
    part.schedule.warmup_share = 0.0 if generation else min(0.5, GENERATIONS * config.schedule.warmup_share)
    part.schedule.final_rate_share = 1.0
    part.schedule.seed = (config.schedule.seed + generation) % 2**31
    return part


class _GoesOn(TrainerCallback):
    """Gives the optimiser the moments that it had, by the names of the weights; rates and decay are the new ones."""

    def __init__(self, model: Any, moments: dict[str, Any]):
        self.model, self.moments = model, moments

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: object) -> None:
        plain = getattr(optimizer, "optimizer", optimizer)
        for name, parameter in self.model.named_parameters():
            if found := _part(self.moments, f"{name}/"):
                plain.state[parameter] = found


def _moments(model: Any, optimizer: Any) -> dict[str, Any]:
    plain = getattr(optimizer, "optimizer", optimizer)
    return {
        f"{_MOMENTS}{name}/{key}": value.detach().clone().contiguous()
        for name, parameter in model.named_parameters()
        for key, value in plain.state.get(parameter, {}).items()
    }


def _part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): one for key, one in tensors.items() if key.startswith(prefix)}


def _keep(population: Population, folder: Path) -> None:
    write_atomically(folder / STATE, population.model_dump_json(indent=1))
    used = {member.weights for member in population.members}
    for file in (folder / MEMBERS).iterdir():
        if file.name not in used:
            file.unlink()


def _tell(study: SharedStudy, member: Member) -> None:
    study.note(member.number, values=member.values, changes=member.changes, curve=member.curve)
    if member.score is None:
        study.poor(member.number, "It diverged: the validation loss was no number any more.")
        return
    (objective,) = study.request.objectives
    result = Result(measured={objective: member.score}, curve=member.curve, steps=member.steps, seconds=member.seconds)
    study.complete(member.number, result)
