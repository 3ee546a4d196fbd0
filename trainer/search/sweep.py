"""A search's space as a Weights & Biases sweep (lecture L3.10), for who has that service's agents at hand.

Each of its trials is `bedside train RUNFILE --set ...`. Bedside writes W&B's files and sends nothing, so that the
service learns of a loss only from `wandb sync`: the sweep draws at random, which needs none.
"""

from __future__ import annotations

from typing import Any

import yaml

from trainer.search.request import SearchRequest

_COMMENT = """\
# wandb sweep --name NAME {file}, then wandb agent SWEEP where the run file is. Losses are written offline:
# `wandb sync` the runs' wandb folders to see them beside each other.
"""
# The agent gives field=value after each other; each gets its own --set.
_EACH_SET = 'run=$1; shift; for value; do set -- "$@" --set "$value"; shift; done; exec bedside train "$run" "$@"'


def to_sweep(request: SearchRequest, run_file: str, file: str = "sweep.yaml") -> str:
    """The sweep file's text; `run_file` is the run file as the agents will find it."""
    whole = request.space.whole(request.run)
    parameters: dict[str, Any] = {}
    for name, one in request.space.root.items():
        if one.choices is not None:
            parameters[name] = {"values": one.choices}
        elif name in whole:
            assert one.low is not None and one.high is not None
            kind = "q_log_uniform_values" if one.log else "int_uniform"
            parameters[name] = {"distribution": kind, "min": int(one.low), "max": int(one.high)}
        else:
            kind = "log_uniform_values" if one.log else "uniform"
            parameters[name] = {"distribution": kind, "min": one.low, "max": one.high}
    parameters["output.trackers"] = {"value": "[wandb]"}
    sweep = {
        "program": "bedside",
        "method": "random",
        "metric": {"name": "validation/loss", "goal": "minimize"},
        "run_cap": request.trials,
        "parameters": parameters,
        "command": ["${env}", "sh", "-c", _EACH_SET, "sweep", run_file, "${args_no_hyphens}"],
    }
    return _COMMENT.format(file=file) + yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True, width=200)
