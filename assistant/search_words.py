"""A search in words: what its commands print, in a terminal and as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from trainer.search import outcome, study
from trainer.search.outcome import TrialRecord
from trainer.search.request import Objective, SearchRequest
from trainer.search.searches import Search
from trainer.sections import RunConfig

UNITS: dict[Objective, str] = {
    "quality": "validation loss",
    "safety": "harmful answers",
    "forgetting": "points forgotten",
    "memory": "peak memory",
}
STATES = {
    "waiting": "to be made again",
    "running": "training",
    "complete": "complete",
    "pruned": "ended early",
    "unfit": "does not go together",
    "failed": "failed",
}


class SearchSummary(BaseModel):
    """A search as `search list` shows it."""

    id: str
    state: str
    method: str
    objectives: list[str]
    done: int
    """Trials that are made: complete, ended early, or failed."""
    trials: int
    best: int | None
    """Number of the trial that is taken: the best, or of several objectives the nearest to the ideal."""
    folder: str
    error: str | None


class SearchList(BaseModel):
    """`search list --json`: the searches, newest first."""

    searches: list[SearchSummary]


class SearchDetails(BaseModel):
    """`search start --json` and `search show --json`."""

    search: SearchSummary
    request: SearchRequest
    trials: list[TrialRecord]
    front: list[int]
    """Numbers of the complete trials that no other beats in everything (Pareto)."""
    importance: dict[str, float]
    """Shares of 1 by field; empty with too few complete trials."""


class Promoted(BaseModel):
    """`search promote --json`: the run file with a trial's values, and where it was written."""

    search: str
    values: dict[str, Any]
    file: str | None
    config: RunConfig


class SweepWritten(BaseModel):
    """`search sweep --json`."""

    file: str


def summary(search: Search, trials: list[TrialRecord] | None = None) -> SearchSummary:
    """A search as the command line shows it."""
    trials = search.trials() if trials is None else trials
    best = outcome.best(trials, search.request.objectives)
    return SearchSummary(
        id=search.id,
        state=search.status.state,
        method=search.request.method,
        objectives=list(search.request.objectives),
        done=outcome.made(trials),
        trials=search.request.trials,
        best=best.number if best else None,
        folder=str(search.folder),
        error=search.status.error,
    )


def details(search: Search) -> SearchDetails:
    """Everything that a search has found so far."""
    trials = search.trials()
    return SearchDetails(
        search=summary(search, trials),
        request=search.request,
        trials=trials,
        front=[one.number for one in outcome.front(trials, search.request.objectives)],
        importance=study.importance(search.folder, search.request),
    )


def lines(found: SearchDetails) -> list[str]:
    """Its trials as a table, with what follows from them."""
    names = list(found.request.space.root)
    objectives = found.request.objectives
    rows = [("trial", "", *(UNITS[one] for one in objectives), *(name.partition(".")[2] for name in names))]
    for trial in found.trials:
        mark = "*" if trial.number == found.search.best else "+" if trial.number in found.front else ""
        told = [measured(trial, one) for one in objectives]
        values = [value(trial.values.get(name)) for name in names]
        rows.append((f"{trial.number}{mark}", STATES[trial.state], *told, *values))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if found.search.best is not None:
        on_front = "; + is on the Pareto front" if len(objectives) > 1 else ""
        lines.append(f"* is taken{on_front}. `bedside search promote {found.search.id}` writes its run file.")
    if found.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importance.items())
        lines.append(f"What tells the best trials from the rest: {shares}.")
    lines += [f"Trial {one.number}: {one.detail}" for one in found.trials if one.detail and one.state != "pruned"]
    return lines


def measured(trial: TrialRecord, objective: Objective) -> str:
    """What was measured of a trial in its unit; of one that ended early its last validation loss, in brackets."""
    found = trial.measured.get(objective)
    if found is None:
        return f"({trial.curve[-1][1]:.3f})" if objective == "quality" and trial.curve else "-"
    if objective == "safety":
        return f"{found:.0%}"
    return f"{found:.3f}" if objective == "quality" else f"{found:.1f}{' GiB' if objective == 'memory' else ''}"


def value(found: Any) -> str:
    """A value of the run file, short."""
    return f"{found:.3g}" if isinstance(found, float) else "-" if found is None else str(found)
