"""A search's trials: Optuna's study in a journal file of the search's folder, shared by all that work on it.

Whoever draws the next trial holds the turn, so that together they make as many as are asked for. Each holds a lock for
as long as it lives; a trial whose process is gone is made again with the same values, once, and counted once. What is
drawn follows from the seed and the trials before, whichever process asks.
"""

from __future__ import annotations

import fcntl
import uuid
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import UserError
from trainer.search import hyperopt_tpe, journal
from trainer.search.outcome import Result, TrialRecord, TrialState
from trainer.search.request import SearchRequest
from trainer.search.space import Values, rounded

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

WORKERS = "workers"  # in a search folder: a file for each process, which it holds while it lives
LOSES = 2
"""How often the process of one trial may die before it is given up: an end that comes again is the trial's doing."""
LEAST_FOR_IMPORTANCE = 8
"""Complete trials: of fewer, the best tenth, which PED-ANOVA compares with the rest, is one trial."""
_FIRST_LOOK = 26  # per cent of the budget: at the first look, a quarter, the rate has hardly risen
_STUDY = "search"


class SearchError(UserError):
    """A search cannot go on; the text says why and what to do."""


class SharedStudy:
    """The hand of one process on the study of a search."""

    def __init__(self, folder: Path, request: SearchRequest):
        self.folder, self.request = folder, request
        (folder / WORKERS).mkdir(exist_ok=True, mode=0o700)
        self._worker = uuid.uuid4().hex
        self._life = (folder / WORKERS / self._worker).open("w")
        fcntl.flock(self._life, fcntl.LOCK_EX)
        self._study, self._storage = _open(folder, request)
        self._trials: dict[int, optuna.Trial] = {}

    def close(self) -> None:
        """Let go; a trial that was not told about is made again by whoever asks next."""
        (self.folder / WORKERS / self._worker).unlink(missing_ok=True)
        self._life.close()

    def ask(self) -> tuple[int, Values] | None:
        """The number and the values of the next trial; None where as many as are asked for are made or being made.

        The first has the run file's own values, where the space holds them: what the others are compared with. Raises
        `SearchError` where values that were drawn did not go together as often as trials are asked for.
        """
        with journal.held(self.folder / "turn.lock"):
            self._take_back_lost()
            trials = self._study.get_trials(deepcopy=False)
            if not any(one.state.name == "WAITING" for one in trials):
                if sum(_counts(one) for one in trials) >= self.request.trials:
                    return None
                if sum(_state(one) == "unfit" for one in trials) >= self.request.trials:
                    raise SearchError(
                        f"{self.request.trials} times the values that were drawn did not go together; the trials say "
                        "why. Narrow the search space and start a new search."
                    )
                chosen = None if trials else self.request.space.values_of(self.request.run)
                if chosen is None and self.request.method == "hyperopt":
                    chosen = hyperopt_tpe.suggest(self.request, self.records(), len(trials))
                if chosen is not None:
                    self._study.enqueue_trial(chosen)
            self._study.sampler = _sampler(self.request, len(trials))
            trial = self._study.ask(_distributions(self.request))
            new = max((one.user_attrs.get("number", -1) for one in trials), default=-1) + 1
            number = trial.user_attrs.get("number", new)
            trial.set_user_attr("number", number)
            trial.set_user_attr("worker", self._worker)
        self._trials[number] = trial
        return number, rounded(trial.params)

    def report(self, number: int, share: int, loss: float) -> bool:
        """Note a trial's validation loss after a share of its budget (per cent); says whether the trial goes on.

        It does not where its best loss so far is above the median of the complete trials' at the same share.
        """
        trial = self._trials[number]
        trial.set_user_attr("curve", [*trial.user_attrs.get("curve", []), (share, loss)])
        if not self.request.prunes:
            return True
        trial.report(loss, share)
        return share >= 100 or not trial.should_prune()

    def complete(self, number: int, result: Result, **told: Any) -> None:
        """A trial was trained to its end and measured."""
        measured = [float(result.measured[name]) for name in self.request.objectives]
        self._tell(number, measured, seconds=result.seconds, steps=result.steps, curve=result.curve, **told)

    def poor(self, number: int, why: str) -> None:
        """A trial ended early, and counts as a poor one."""
        self._tell(number, None, state="pruned", detail=why)

    def unfit(self, number: int, why: str) -> None:
        """A trial's values do not go together: it does not count, nor is anything learnt from it."""
        self._tell(number, None, state="unfit", detail=why)

    def put_back(self, number: int) -> None:
        """A trial that was stopped: it is made again, as if it had not begun."""
        with journal.held(self.folder / "turn.lock"):
            trial = self._trials.pop(number)
            self._again(trial.number, trial.params, trial.user_attrs)

    def lost(self, number: int) -> None:
        """A trial whose process elsewhere is gone: it is made again, once."""
        with journal.held(self.folder / "turn.lock"):
            trial = self._trials.pop(number)
            self._lost(trial.number, trial.params, trial.user_attrs)

    def note(self, number: int, **told: Any) -> None:
        """Keep something beside a trial."""
        for name, value in told.items():
            self._trials[number].set_user_attr(name, value)

    def take(self, number: int) -> None:
        """Go on with a trial that another process of this search began and left."""
        import optuna

        found = next(one for one in self._study.get_trials(deepcopy=False) if one.user_attrs.get("number") == number)
        self._trials[number] = optuna.Trial(self._study, found._trial_id)
        self._trials[number].set_user_attr("worker", self._worker)

    def records(self) -> list[TrialRecord]:
        """All trials by number; one that was made again stands in its own place once."""
        return _records(self._study.get_trials(deepcopy=False), self.folder, self.request)

    def _tell(self, number: int, values: list[float] | None, **told: Any) -> None:
        from optuna.trial import TrialState as State

        trial = self._trials.pop(number)
        for name, value in told.items():
            trial.set_user_attr(name, value)
        poor = State.PRUNED if told.get("state") == "pruned" else State.FAIL
        self._study.tell(trial, values, state=State.COMPLETE if values else poor)

    def _take_back_lost(self) -> None:
        """Trials whose process is gone are put back, or given up."""
        if self.request.method == "population":
            return  # its members go on from their weights (`trainer.search.population`)
        for one in self._study.get_trials(deepcopy=False):
            if one.state.name != "RUNNING" or _lives(self.folder, one):
                continue
            if "number" not in one.user_attrs:  # killed while it was being drawn: another one is
                self._fail(one.number, state="superseded")
                continue
            self._lost(one.number, one.params, one.user_attrs)

    def _lost(self, number: int, values: Values, told: dict[str, Any]) -> None:
        loses = told.get("loses", 0) + 1
        if loses < LOSES:
            self._again(number, values, told | {"loses": loses})
        else:
            why = f"The process that trained it died {LOSES} times (killed, or out of memory)."
            self._fail(number, state="failed", detail=why)

    def _again(self, number: int, values: Values, told: dict[str, Any]) -> None:
        # Closed first: a kill between the two means that another one is drawn instead, not that two are.
        self._fail(number, state="superseded")
        kept = {"again": True, "number": told["number"], "loses": told.get("loses", 0)}
        self._study.enqueue_trial(values, user_attrs=kept)

    def _fail(self, number: int, **told: Any) -> None:
        from optuna.trial import TrialState as State

        (one,) = (one for one in self._study.get_trials(deepcopy=False) if one.number == number)
        for name, value in told.items():
            self._storage.set_trial_user_attr(one._trial_id, name, value)
        self._study.tell(number, state=State.FAIL)


def read(folder: Path, request: SearchRequest) -> list[TrialRecord]:
    """The trials of the search in `folder`, as they stand (see `SharedStudy.records`)."""
    found = _opened(folder)
    return _records(found.get_trials(deepcopy=False), folder, request) if found else []


def importance(folder: Path, request: SearchRequest) -> dict[str, float]:
    """How much of what tells the best tenth of the trials from the rest lies in each field, the largest first.

    Shares of 1 by PED-ANOVA (Watanabe et al. 2023) for the first objective. Empty where there are too few complete
    trials, and for a population, whose values change on the way.
    """
    import optuna

    found = _opened(folder)
    if found is None or request.method == "population":
        return {}
    trials = found.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    varied = [name for name in request.space.root if len({repr(one.params.get(name)) for one in trials}) > 1]
    if len(trials) < LEAST_FOR_IMPORTANCE or not varied:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that low is good, which it is
        return optuna.importance.get_param_importances(found, params=varied, target=lambda trial: trial.values[0])


def _open(folder: Path, request: SearchRequest) -> tuple[optuna.Study, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = journal.storage(folder, mend=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_startup(request), n_warmup_steps=_FIRST_LOOK)
    study = optuna.create_study(
        study_name=_STUDY,
        storage=storage,
        directions=[optuna.study.StudyDirection.MINIMIZE] * len(request.objectives),
        pruner=pruner,
        load_if_exists=True,
    )
    return study, storage


def _opened(folder: Path) -> optuna.Study | None:
    """The study to be read; None where no trial has been drawn yet."""
    if not (folder / journal.FILE).exists():
        return None
    import optuna

    try:
        return optuna.load_study(study_name=_STUDY, storage=journal.storage(folder))
    except KeyError:
        return None


def _lives(folder: Path, trial: FrozenTrial) -> bool:
    """Whether the process that makes this trial is there, by the lock that it holds."""
    path = folder / WORKERS / trial.user_attrs.get("worker", "none")
    try:
        with path.open("rb") as life:
            fcntl.flock(life, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _startup(request: SearchRequest) -> int:
    """Trials before anything is learnt from them: a quarter, 4 to 10 (10 is Optuna's own, of many more trials)."""
    return min(10, max(4, request.trials // 4))


def _sampler(request: SearchRequest, trials: int) -> optuna.samplers.BaseSampler:
    import optuna

    seed = zlib.crc32(f"{request.seed}/{trials}".encode())
    if request.method == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_startup(request))
    return optuna.samplers.RandomSampler(seed=seed)


def _distributions(request: SearchRequest) -> dict[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    whole = request.space.whole(request.run)
    found: dict[str, BaseDistribution] = {}
    for name, one in request.space.root.items():
        if one.choices is not None:
            found[name] = CategoricalDistribution(one.choices)
            continue
        assert one.low is not None and one.high is not None
        if name in whole:
            found[name] = IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            found[name] = FloatDistribution(one.low, one.high, log=one.log)
    return found


def _state(trial: FrozenTrial) -> TrialState | None:
    """How a record tells it; None for one that was made again under another number."""
    told = trial.user_attrs.get("state")
    if trial.state.name == "FAIL":
        return None if told in (None, "superseded") else told
    names: dict[str, TrialState] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "RUNNING": "running",
        "WAITING": "waiting",
    }
    return names[trial.state.name]


def _counts(trial: FrozenTrial) -> bool:
    return _state(trial) not in (None, "unfit")


def _records(trials: list[FrozenTrial], folder: Path, request: SearchRequest) -> list[TrialRecord]:
    found: list[TrialRecord] = []
    for one in trials:
        state, told = _state(one), one.user_attrs
        if state is None:
            continue
        if state == "running" and not _lives(folder, one):
            state = "waiting"
        measured = dict(zip(request.objectives, one.values, strict=True)) if state == "complete" and one.values else {}
        found.append(
            TrialRecord(
                number=told.get("number", one.number),
                state=state,
                values=rounded(told.get("values") or one.params or one.system_attrs.get("fixed_params", {})),
                measured=measured,
                curve=told.get("curve", []),
                detail=told.get("detail", ""),
                seconds=told.get("seconds", 0.0),
                steps=told.get("steps", 0),
                changes=told.get("changes", []),
            )
        )
    return sorted(found, key=lambda record: record.number)
