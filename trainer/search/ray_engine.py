"""A search's trials on a Ray cluster, through Ray Tune: for several machines.

The study stays what it is, in the search's folder: Tune asks it for the next trial, places the trial on a machine with
room, and brings back its losses and what was measured, by the same space, the same objectives and the same rule for
ending poor trials as on one machine. A search that is resumed starts a new Tune experiment on the study as it stands.

Each machine of the cluster needs Bedside, and the run file's data and model under the same paths.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import jobs
from trainer.jobs import RunState, StopRequested
from trainer.reporting import Reporter
from trainer.search.outcome import Poor, Result, Unfit
from trainer.search.request import SearchRequest
from trainer.search.space import Values
from trainer.search.study import SharedStudy
from trainer.search.trial import Trials
from trainer.search.work import tell

if TYPE_CHECKING:
    from ray.tune import Tuner


def work(study: SharedStudy, reporter: Reporter, made: Callable[[], None]) -> None:
    """Make the trials that are still to be made on the cluster; raises `StopRequested`."""
    # Nothing of a search leaves the cluster: no usage statistics; and no words on the screen for each trial.
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"})
    os.environ.update({"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
    import ray

    request = study.request
    options: dict[str, Any] = {"address": request.ray_address} if request.ray_address else {"num_cpus": request.workers}
    ray.init(**options, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        _tuner(study, reporter, made).fit()
    finally:
        ray.shutdown()
    if reporter.stop_requested():
        raise StopRequested


def _tuner(study: SharedStudy, reporter: Reporter, made: Callable[[], None]) -> Tuner:
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
    from ray.tune.search import Searcher

    request = study.request
    check = Trials(request, reporter)
    numbers: dict[str, int] = {}
    pruned: set[int] = set()

    class Next(Searcher):
        """Tune's searcher: the study's next trial, and its end."""

        def suggest(self, trial_id: str) -> Any:
            while not reporter.stop_requested():
                asked = study.ask()
                if asked is None:
                    return None if numbers else Searcher.FINISHED
                number, values = asked
                try:
                    check.config(values)
                except Unfit as error:
                    study.unfit(number, str(error))
                    tell(study, number, reporter)
                    continue
                numbers[trial_id] = number
                return {"trial": number, "values": json.dumps(values)}
            return Searcher.FINISHED

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            number, said = numbers.pop(trial_id), result or {}
            if "result" in said:
                study.complete(number, Result.model_validate_json(said["result"]))
            elif "poor" in said or number in pruned:
                study.poor(number, said.get("poor") or _poorer(said))
            elif "unfit" in said:
                study.unfit(number, said["unfit"])
            elif error:
                study.lost(number)
                return
            else:  # stopped on request
                study.put_back(number)
                return
            tell(study, number, reporter)
            made()

        def save(self, checkpoint_path: str) -> None:
            pass  # the study is its memory

        def __reduce__(self) -> Any:
            # Tune keeps a copy of its parts to restore an experiment from, which is not what this is resumed from.
            return Searcher, ()

    class Pruning(FIFOScheduler):
        """Tune's scheduler: ends what the study finds poor, and everything where the search is to stop."""

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            if reporter.stop_requested():
                return TrialScheduler.STOP
            number = numbers.get(trial.trial_id)
            if number is None or "share" not in result or study.report(number, result["share"], result["loss"]):
                return TrialScheduler.CONTINUE
            pruned.add(number)
            return TrialScheduler.STOP

        def __reduce__(self) -> Any:
            return FIFOScheduler, ()

    needs: dict[str, float] = {"cpu": 1, "gpu": 1} if request.run.hardware.device == "cuda" else {"cpu": 1}
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(_train, request=request.model_dump_json()), needs),
        tune_config=tune.TuneConfig(
            search_alg=Next(), scheduler=Pruning(), num_samples=-1, max_concurrent_trials=request.workers
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(study.folder / "ray"), verbose=0),
    )


def _poorer(said: dict[str, Any]) -> str:
    return (
        f"Poorer than most trials after {said.get('share')} % of the budget (validation loss {said.get('loss'):.3f})."
    )


def _train(config: dict[str, Any], request: str) -> None:
    """One trial, in a process of the cluster."""
    from ray import tune

    values: Values = json.loads(config["values"])

    def report(share: int, loss: float) -> bool:
        tune.report({"share": share, "loss": loss})  # where the trial is poor, Tune ends this process
        return True

    with tempfile.TemporaryDirectory(prefix="bedside-trial-") as folder:
        status = RunState(state="training")
        jobs.write_state(Path(folder), status)
        trials = Trials(SearchRequest.model_validate_json(request), Reporter(Path(folder), status))
        try:
            result = trials.run(config["trial"], values, report)
        except Poor as error:
            tune.report({"poor": str(error)})
        except Unfit as error:
            tune.report({"unfit": str(error)})
        else:
            tune.report({"result": result.model_dump_json()})
