"""The Search tab's words and drawings: what is taken, what was not counted, and nothing that a trial says as HTML."""

from __future__ import annotations

import re

from assistant.pages import search_charts, search_view
from assistant.search_words import SearchDetails, SearchSummary
from trainer.search import outcome
from trainer.search.outcome import TrialRecord, TrialState
from trainer.search.request import Objective, SearchRequest
from trainer.sections import RunConfig

SPACE = {"schedule.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "method.rank": {"choices": [4, 8, 16]}}


def trial(number: int, state: TrialState = "complete", rate: float = 1e-3, **measured: float) -> TrialRecord:
    curve = [(25, 2.0), (50, 1.5)] if state == "pruned" else [(25, 2.0), (100, measured.get("quality", 1.0))]
    found: dict[Objective, float] = measured  # pyright: ignore[reportAssignmentType]
    detail = "<b>not</b> with this" if state == "unfit" else ""
    values = {"schedule.learning_rate": rate, "method.rank": 8}
    return TrialRecord(number=number, state=state, values=values, measured=found, curve=curve, detail=detail)


def details(trials: list[TrialRecord], objectives: list[Objective]) -> SearchDetails:
    request = SearchRequest.model_validate({"run": RunConfig(), "space": SPACE, "objectives": objectives})
    best = outcome.best(trials, objectives)
    summary = SearchSummary(
        id="x",
        state="training",
        method="tpe",
        objectives=list(objectives),
        done=outcome.made(trials),
        trials=20,
        best=best.number if best else None,
        folder="",
        error=None,
    )
    front = [one.number for one in outcome.front(trials, objectives)]
    return SearchDetails(search=summary, request=request, trials=trials, front=front, importance={"method.rank": 0.75})


def test_the_taken_trial_is_marked_and_what_a_trial_says_is_escaped():
    trials = [trial(0, quality=1.0), trial(1, quality=0.8, rate=1e-2), trial(2, "pruned"), trial(3, "unfit")]
    found = details(trials, ["quality"])
    table = search_view.table(found)
    assert "<strong>1 · taken</strong>" in table and "(1.500)" in table and "<b>not" not in table
    drawn = search_view.found(found)
    assert "Objectives against each other" not in drawn and "75%" in drawn
    assert search_view.found(details([], ["quality"])).count("<svg") == 0


def test_lines_and_points_stand_where_their_values_are():
    trials = [
        trial(0, quality=1.0, safety=0.5),
        trial(1, quality=2.0, safety=0.0, rate=1e-4),
        trial(2, quality=2.0, safety=0.5),
    ]
    found = details(trials, ["quality", "safety"])
    lines = search_charts.parallel(trials, found.request, 0)
    # Four axes: 1e-3 is half way from 1e-4 to 1e-2 by its size, rank 8 the second of three; then loss and harm.
    assert "M12.50,50.00 L37.50,50.00 L62.50,100.00 L87.50,0.00" in lines
    assert "M12.50,100.00 L37.50,50.00 L62.50,0.00 L87.50,100.00" in lines
    front = search_charts.pareto(trials, ["quality", "safety"], 0)
    assert re.findall(r"M([\d.]+),([\d.]+) h0", front) == [("0.00", "0.00"), ("100.00", "100.00"), ("100.00", "0.00")]
    assert 'd="M0.00,0.00 L100.00,100.00"' in front, "trial 2 is beaten and not joined"
    assert "trial 2: validation loss 2.000, harmful answers 50%" in front
    curves = search_charts.curves([*trials, trial(3, "pruned")], 0)
    assert "<title>trial 3</title>" in curves
