"""What a search is to do: `search.yaml` in its folder. The page, `bedside search` and the worker read it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from trainer.evaluation import request as requests
from trainer.objective_sections import REINFORCED
from trainer.search import memory_peak
from trainer.search.space import LIVE, SearchSpace
from trainer.section import Section, Text
from trainer.sections import RunConfig

Method = Literal["tpe", "random", "population", "hyperopt"]
Objective = Literal["quality", "safety", "forgetting", "memory"]
"""Each of them is better the lower it is: see `SearchRequest.objectives`."""


class SearchRequest(Section):
    """A search for values of a run file, by short trainings of equal length."""

    run: RunConfig = Field(description="The run file that it starts from; all that is not searched stays as it is.")
    space: SearchSpace = Field(description="What is searched: fields of the run file with a range or choices.")
    method: Method = Field(
        default="tpe",
        description="How the next values are drawn: tpe (Optuna; Bergstra et al. 2011), random, hyperopt (its own "
        "TPE), or population (Jaderberg et al. 2017): trials train side by side, and the worst go on from the best.",
    )
    engine: Literal["local", "ray"] = Field(
        default="local", description="Where trials run: processes of this machine, or a Ray cluster through Ray Tune."
    )
    ray_address: Text | None = Field(
        default=None, description="Of the Ray cluster, such as auto or ray://host:10001; one of its own here if empty."
    )
    trials: int = Field(
        default=20, ge=2, le=1000, description="How many (lecture L3.10: random 20-50, Bayesian 50-100)."
    )
    tokens: int = Field(default=20_000, ge=1, description="Tokens that each trial trains on, about; the same for all.")
    objectives: list[Objective] = Field(
        default=["quality"],
        min_length=1,
        description="What the trials are chosen by: quality, the loss of the validation rows; safety, the share of "
        "harmful answers by the screen; forgetting, points lost on general questions; memory, GiB at the peak.",
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that share the trials.")
    seed: int = Field(default=17, ge=0, le=2**31 - 1, description="Seed of what is drawn.")

    @field_validator("objectives")
    @classmethod
    def _are_different(cls, objectives: list[Objective]) -> list[Objective]:
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is there twice")
        return objectives

    @property
    def prunes(self) -> bool:
        """Whether poor trials end early: by the validation loss, so only where nothing else is asked for.

        With several objectives a trial with a poor loss can be the best in another.
        """
        return self.objectives == ["quality"] and self.method != "population"

    def faults(self) -> list[str]:
        """A sentence for each reason why this search cannot be made here, with the way out."""
        found = self.space.faults(self.run)
        for package, field in (("hyperopt", self.method), ("ray", self.engine)):
            if field == package and find_spec(package) is None:
                found.append(f"{package} is not installed: pip install 'bedside[{package}]', or take tpe and local.")
        if "memory" in self.objectives and not memory_peak.can_be_told(self.run.hardware.device):
            found.append("objectives: memory of single trials can be told on a GPU, or on Linux; leave it out here.")
        if self.run.objective.kind in REINFORCED:
            found.append(
                "objective: a run that learns from rewards does not lower the validation loss, by which trials are "
                "compared; search with supervised or preference tuning."
            )
        if self.run.hardware.processes > 1 or self.run.hardware.machines > 1:
            found.append(
                "hardware.processes, hardware.machines: a trial trains in one process; set both to 1, and share the "
                "trials between workers instead."
            )
        if len(self.objectives) > 1 and self.method in ("hyperopt", "population"):
            found.append(f"objectives: {self.method} goes by one; take tpe or random for several.")
        if self.method == "population":
            found += [
                f"{name} cannot change while a model trains, as a population's values do; leave it out, or take tpe."
                for name in self.space.root
                if name not in LIVE
            ]
            if "memory" in self.objectives:
                found.append("objectives: nothing that a population changes takes more memory or less; take another.")
            if self.engine == "ray" or self.workers > 1:
                found.append("method: a population trains in one process; take engine local and workers 1.")
            if self.trials < 4:
                found.append("trials: the best and the worst quarter of a population need 4 members at least.")
        return found


def to_yaml(request: SearchRequest) -> str:
    """The file's text."""
    return requests.to_yaml(request)


def load(path: Path) -> SearchRequest:
    """Read a request; raises `RequestError` naming the file and the first field that is wrong."""
    return requests.read(path, SearchRequest)
