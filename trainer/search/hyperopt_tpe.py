"""The next values of a search by Hyperopt's tree-structured Parzen estimator (Bergstra et al. 2011)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

from trainer.search.outcome import TrialRecord
from trainer.search.request import SearchRequest
from trainer.search.space import Values

STARTUP = 8
"""Trials drawn at random before anything is learnt from them; Hyperopt's own 20 is as many as a search may have."""


def suggest(request: SearchRequest, trials: Sequence[TrialRecord], number: int) -> Values:
    """The values of trial `number`, from the complete and the pruned ones before it; the seed decides what is chance.

    Trials that cannot be trained, or are not done yet, are left out: Hyperopt would take them for the poorest. A pruned
    one counts with the last loss that it had, as in Optuna.
    """
    from hyperopt import JOB_STATE_DONE, STATUS_OK, space_eval, tpe, trials_from_docs
    from hyperopt.base import Domain

    space = _space(request)
    domain = Domain(lambda values: 0.0, space)
    objective = request.objectives[0]
    docs = []
    for one in trials:
        loss = one.measured.get(objective, one.curve[-1][1] if one.curve and one.state == "pruned" else None)
        if loss is None:
            continue
        held = {name: [_as_drawn(request, name, value)] for name, value in one.values.items()}
        misc = {"tid": one.number, "cmd": ("domain_attachment", "FMinIter_Domain"), "workdir": None, "vals": held}
        misc["idxs"] = {name: [one.number] for name in held}
        docs.append(
            {
                "tid": one.number,
                "spec": None,
                "result": {"status": STATUS_OK, "loss": loss},
                "misc": misc,
                "state": JOB_STATE_DONE,
                "owner": None,
                "exp_key": None,
                "book_time": None,
                "refresh_time": None,
                "version": 0,
            }
        )
    seed = zlib.crc32(f"{request.seed}/{number}".encode()) % 2**31
    (doc,) = tpe.suggest([number], domain, trials_from_docs(docs), seed, n_startup_jobs=STARTUP, verbose=False)
    found: Any = space_eval(space, {name: value[0] for name, value in doc["misc"]["vals"].items()})
    return {name: _plain(request, name, value) for name, value in found.items()}


def _space(request: SearchRequest) -> dict[str, Any]:
    from hyperopt import hp

    whole = request.space.whole(request.run)
    found = {}
    for name, one in request.space.root.items():
        if one.choices is not None:
            found[name] = hp.choice(name, one.choices)
            continue
        assert one.low is not None and one.high is not None
        # Rounded to whole numbers each needs as much room as any other.
        low, high = (one.low - 0.499, one.high + 0.499) if name in whole else (one.low, one.high)
        if one.log:
            found[name] = hp.loguniform(name, math.log(low), math.log(high))
        else:
            found[name] = hp.uniform(name, low, high)
    return found


def _as_drawn(request: SearchRequest, name: str, value: Any) -> Any:
    choices = request.space.root[name].choices
    return choices.index(value) if choices is not None else value


def _plain(request: SearchRequest, name: str, value: Any) -> Any:
    one = request.space.root[name]
    if one.choices is not None:
        return value
    assert one.low is not None and one.high is not None
    if name in request.space.whole(request.run):
        return round(float(value))
    return min(one.high, max(one.low, float(value)))
