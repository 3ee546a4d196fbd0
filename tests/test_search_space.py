"""A search's space: what it may hold, its faults in sentences, and what a trial's run file becomes."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from trainer import config as run_config
from trainer.config import ConfigError
from trainer.evaluation.request import RequestError
from trainer.search import request as requests
from trainer.search.request import SearchRequest
from trainer.search.space import Parameter, SearchSpace, apply
from trainer.search.sweep import to_sweep
from trainer.sections import RunConfig


def space(**parameters: dict) -> SearchSpace:
    return SearchSpace.model_validate({name.replace("__", "."): one for name, one in parameters.items()})


def test_every_fault_names_its_field_and_the_way_out():
    wrong = space(
        method__nothing={"low": 0, "high": 1},
        schedule__epochs={"low": 1, "high": 2},
        data__sources={"choices": ["a", "b"]},
        schedule__weight_decay={"low": 0, "high": 2},
        schedule__batch_size={"low": 1.5, "high": 4},
        schedule__decay={"low": 0, "high": 1},
        objective__kind={"choices": ["sft", "dpo"]},
    )
    assert wrong.faults(RunConfig()) == [
        "method.nothing: the run file with method.kind lora has no such field; `bedside schema` lists them.",
        "schedule.epochs cannot be searched: the trials' budget of tokens decides how long is trained.",
        "data.sources cannot be searched: all trials have to be measured on the same rows.",
        "schedule.weight_decay: 2.0 is outside of what the field takes (should be less than or equal to 1).",
        "schedule.batch_size: it takes whole numbers; found 1.5 to 4.",
        "schedule.decay: it takes no range of numbers; give choices.",
        "objective.kind cannot be searched: losses of different objectives cannot be compared; search once for each.",
    ]
    assert space().faults(RunConfig())[0].startswith("The search space is empty")
    fine = space(
        schedule__learning_rate={"low": "1e-4", "high": "5e-3", "log": True},
        data__balance={"choices": ["none", "task"]},
    )
    assert fine.faults(RunConfig()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 1}, "give low and high, or choices"),
        ({"low": 2, "high": 1}, "low has to be below high"),
        ({"low": 0, "high": 1, "log": True}, "log needs a low above 0"),
        ({"choices": [1, 2], "low": 1}, "give either choices, or low and high"),
        ({"choices": [1, 1]}, "a choice is there twice"),
    ],
)
def test_a_parameter_is_a_range_or_choices(given: dict, said: str):
    with pytest.raises(ValidationError, match=said):
        Parameter.model_validate(given)


def test_values_become_a_checked_run_file_and_a_rank_takes_its_alpha_with_it():
    config = run_config.with_values(RunConfig(), {"method.search_rank": "true"})
    found = apply(config, {"schedule.learning_rate": 1.5e-05, "method.rank": 8, "schedule.decay": "linear"})
    assert (found.schedule.learning_rate, found.schedule.decay) == (1.5e-05, "linear")
    assert found.method.model_dump(include={"rank", "alpha", "search_rank"}) == {  # 32 / 16 = 16 / 8
        "rank": 8,
        "alpha": 16,
        "search_rank": False,
    }
    assert apply(config, {"method.rank": 8, "method.alpha": 5}).method.model_dump()["alpha"] == 5
    adalora = run_config.with_values(RunConfig(), {"method.kind": "adalora"})
    assert apply(adalora, {"method.rank": 16}).method.model_dump(include={"start_rank", "alpha"}) == {
        "start_rank": 24,
        "alpha": 64,
    }
    with pytest.raises(ConfigError, match="prefix"):
        apply(run_config.with_values(RunConfig(), {"method.kind": "prefix"}), {"schedule.gradient_checkpointing": True})


def test_the_run_files_own_values_are_a_trial_where_the_space_holds_them():
    inside = space(schedule__learning_rate={"low": 1e-4, "high": 1e-2}, method__rank={"choices": [8, 16]})
    assert inside.values_of(RunConfig()) == {"schedule.learning_rate": 2e-4, "method.rank": 16}
    assert space(method__rank={"choices": [4, 8]}).values_of(RunConfig()) is None


def test_a_request_is_read_as_it_was_written_and_its_faults_are_sentences(tmp_path: Path):
    request = SearchRequest(run=RunConfig(), space=space(schedule__weight_decay={"low": 0.01, "high": 0.1}))
    file = tmp_path / "search.yaml"
    file.write_text(requests.to_yaml(request))
    assert requests.load(file) == request and request.faults() == []
    data = yaml.safe_load(file.read_text()) | {"trials": 1}
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(
        RequestError, match=r"search\.yaml: trials: Input should be greater than or equal to 2 \(found 1\)"
    ):
        requests.load(file)
    changed = {"method": "population", "objectives": ["quality", "memory"], "workers": 2, "trials": 3}
    several = SearchRequest(run=RunConfig(), space=space(method__rank={"choices": [4, 8]}), **changed)
    assert [fault.partition(":")[0].partition(" cannot")[0] for fault in several.faults()] == [
        "objectives",
        "method.rank",
        "objectives",
        "method",
        "trials",
    ]


def test_a_sweep_file_trains_with_each_value_by_set(tmp_path: Path):
    """The command is filled in by W&B's own code, and carried out with a `bedside` that tells its call."""
    request = SearchRequest(
        run=RunConfig(),
        space=space(
            schedule__learning_rate={"low": 1e-4, "high": 5e-3, "log": True},
            schedule__batch_size={"low": 1, "high": 8},
            method__rank={"choices": [4, 8]},
        ),
        trials=30,
    )
    sweep = yaml.safe_load(to_sweep(request, "my run.yaml"))
    assert sweep["parameters"]["schedule.learning_rate"] == {
        "distribution": "log_uniform_values",
        "min": 1e-4,
        "max": 5e-3,
    }
    assert sweep["parameters"]["schedule.batch_size"] == {"distribution": "int_uniform", "min": 1, "max": 8}
    assert sweep["parameters"]["method.rank"] == {"values": [4, 8]}
    assert (sweep["method"], sweep["run_cap"], sweep["metric"]["goal"]) == ("random", 30, "minimize")
    drawn = {"schedule.learning_rate": 0.001, "method.rank": 8, "output.trackers": "[wandb]"}
    filled = create_sweep_command_args({"args": {name: {"value": value} for name, value in drawn.items()}})
    filled["env"] = ["/usr/bin/env"]
    command: list[str] = []
    for word in sweep["command"]:
        command += filled[word[2:-1]] if word.startswith("${") else [word]
    fake = tmp_path / "bedside"
    fake.write_text('#!/bin/sh\nfor one; do echo "$one"; done\n')
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
    assert said.stdout.splitlines() == [
        "train",
        "my run.yaml",
        "--set",
        "schedule.learning_rate=0.001",
        "--set",
        "method.rank=8",
        "--set",
        "output.trackers=[wandb]",
    ]
