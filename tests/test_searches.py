"""Searches on a real model: equal budgets, what is measured, populations, jobs that go on, and what is promoted."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trainer import config as run_config
from trainer import events, jobs, runs
from trainer.evaluation.request import RequestError
from trainer.jobs import RunError, StopRequested
from trainer.reporting import Reporter
from trainer.search import memory_peak, outcome, population, searches
from trainer.search.outcome import Poor
from trainer.search.population import Member, Population, exploit
from trainer.search.request import SearchRequest
from trainer.search.search import search
from trainer.search.searches import Search
from trainer.search.space import SearchSpace
from trainer.search.study import SharedStudy
from trainer.search.trial import Looks, Trials
from trainer.sections import RunConfig
from trainer.steering import forgetting_monitor, harm_monitor

RATES = {"schedule.learning_rate": {"low": 1e-4, "high": 0.05, "log": True}}


def asked(run: RunConfig, **changes: Any) -> SearchRequest:
    data = {"run": run, "space": RATES, "trials": 3, "tokens": 1600, **changes}
    return SearchRequest.model_validate(data)


def carried_out(request: SearchRequest) -> Search:
    made = searches.create(request)
    search(request, Reporter(made.folder, made.status))
    return searches.get(made.id)


def test_trials_train_on_the_same_budget_and_the_best_becomes_a_run_file(tiny_run: RunConfig):
    tiny_run.steering.replay_share = 0.0
    space = RATES | {"method.rank": {"choices": [2, 4]}, "schedule.batch_size": {"choices": [2, 4]}}
    found = carried_out(asked(tiny_run, space=space))
    trials = found.trials()
    assert (found.status.state, found.status.step, found.status.total_steps) == ("done", 3, 3)
    assert [one.state for one in trials] == ["complete"] * 3
    # A row of these is 49 or 50 tokens long ("Is 7 even?" with its frame, byte by byte), 1600 tokens are 32 of them.
    for one in trials:
        assert one.steps == {4: 6, 2: 11}[one.values["schedule.batch_size"]]
        assert [share for share, _ in one.curve] == [25, 50, 75, 100]
        assert one.measured["quality"] == one.curve[-1][1]
    assert trials[0].values == {"schedule.learning_rate": 0.01, "method.rank": 4, "schedule.batch_size": 4}
    best = min(trials, key=lambda one: one.measured["quality"])
    config = searches.best(found)
    assert config.schedule.learning_rate == best.values["schedule.learning_rate"]
    assert (config.schedule.max_steps, config.output.name) == (12, "tiny (found)"), "the run's own length"
    other = searches.best(found, trials[0].number)
    assert other.schedule.learning_rate == 0.01 and other.method.model_dump()["alpha"] == 8
    with pytest.raises(RunError, match="no complete trial 9"):
        searches.best(found, 9)
    told = [event for event in found.events() if isinstance(event, events.TrialEvent)]
    assert [(one.trial, one.measured["quality"]) for one in told] == [(t.number, t.measured["quality"]) for t in trials]
    again = carried_out(asked(tiny_run, space=space, trials=2)).trials()
    assert [one.measured for one in again] == [one.measured for one in trials[:2]], "the same seed, the same trials"


def test_safety_and_forgetting_are_measured_beside_the_loss(tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forgetting_monitor, "ASKED", 20)
    monkeypatch.setattr(harm_monitor, "ASKED", 4)
    found = carried_out(asked(tiny_run, objectives=["quality", "forgetting", "safety", "memory"], trials=2))
    for one in found.trials():
        assert one.measured["safety"] == 0.0, "a model of random bytes complies with nothing"
        assert -100 <= one.measured["forgetting"] <= 100 and 0.2 < one.measured["memory"] < 8
    assert outcome.front(found.trials(), found.request.objectives)


def test_a_diverged_trial_is_a_poor_one():
    looks = Looks(lambda share, loss: True)
    looks.at({10: 25})

    class Control:
        should_training_stop = False

    control = Control()
    looks.on_evaluate(None, type("State", (), {"global_step": 10}), control, {"eval_loss": float("nan")})
    assert control.should_training_stop and looks.ended.startswith("It diverged: after 25 % of its budget")


def test_a_poor_trial_ends_at_once(tiny_run: RunConfig):
    made = searches.create(asked(tiny_run))
    trials = Trials(made.request, Reporter(made.folder, made.status))
    with pytest.raises(Poor, match="Poorer than most trials after 50 %"):
        trials.run(0, {"schedule.learning_rate": 0.01}, lambda share, loss: share < 50)
    steps = [event for event in made.events() if isinstance(event, events.ProgressEvent) and event.stage == "trial 1"]
    assert (steps[-1].done, steps[-1].total) == (2, 4)


def test_the_memory_of_a_trial_is_its_own_and_not_that_of_those_before():
    memory_peak.begin("cpu")
    large = np.ones(500 * 2**20, dtype=np.uint8)
    assert large[-1]
    first = memory_peak.gib("cpu")
    del large
    memory_peak.begin("cpu")
    small = np.ones(100 * 2**20, dtype=np.uint8)
    assert small[-1]
    assert 0.3 < first - memory_peak.gib("cpu") < 0.5


def test_the_worst_of_a_population_go_on_from_the_best_with_values_a_little_changed():
    space = SearchSpace.model_validate(
        {
            "schedule.learning_rate": {"low": 1e-4, "high": 1.1e-3, "log": True},
            "method.dropout": {"choices": [0.0, 0.1, 0.2]},
        }
    )

    def member(number: int, score: float | None) -> Member:
        values = {"schedule.learning_rate": 1e-3, "method.dropout": 0.2 if number == 2 else 0.0}
        weights = f"{number}-1.safetensors"
        return Member(number=number, score=score, values=values, weights=weights, changes=[values], parts=1)

    members = [member(0, 2.0), member(1, None), member(2, 1.0), member(3, 1.5)]
    exploit(members, space, set(), random.Random(1))
    diverged, best = members[1], members[2]
    assert diverged.weights == "2-1.safetensors" and diverged.changes == best.changes
    assert diverged.values["schedule.learning_rate"] in (8e-4, 1.1e-3), "1.2e-3 is out of its range"
    assert diverged.values["method.dropout"] in (0.1, 0.2)
    assert [one.weights for one in members] == [f"{n}-1.safetensors" for n in (0, 2, 2, 3)]
    assert best.values == {"schedule.learning_rate": 1e-3, "method.dropout": 0.2}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Which member trained which part, in order."""
    done: list[tuple[int, int]] = []
    train = population._train

    def noted(member: Member, generation: int, trials: Trials, folder: Path) -> None:
        train(member, generation, trials, folder)
        done.append((member.number, generation))

    monkeypatch.setattr(population, "_train", noted)
    yield done


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_population_copies_weights_and_goes_on_where_it_was_killed(
    tiny_run: RunConfig, trained: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
):
    request = asked(tiny_run, method="population", trials=4, tokens=3200)
    made = searches.create(request)
    started: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
    put = population.saved.set_training_state

    def noted(model: Any, state: dict[str, torch.Tensor]) -> None:
        put(model, state)
        started[len(trained) % 4, len(trained) // 4] = {name: one.clone() for name, one in state.items()}

    monkeypatch.setattr(population.saved, "set_training_state", noted)

    class Killed(Exception):
        pass

    keep = population._keep

    def kill(people: Population, folder: Path) -> None:
        keep(people, folder)
        if len(trained) == 6:
            raise Killed

    monkeypatch.setattr(population, "_keep", kill)
    with pytest.raises(Killed):
        search(request, Reporter(made.folder, made.status))
    halfway = Population.model_validate_json((made.folder / population.STATE).read_text())
    assert [one.parts for one in halfway.members] == [2, 2, 1, 1] and halfway.generation == 1
    monkeypatch.setattr(population, "_keep", keep)
    trained_before = list(trained)
    search(request, Reporter(made.folder, made.status))
    assert trained == [(member, part) for part in range(4) for member in range(4)] and trained_before == trained[:6]
    # After the first part the worst began its second from the weights of the best, and not from its own.
    files = {one.number: one for one in halfway.members}
    first = sorted(files.values(), key=lambda one: one.curve[0][1])
    worst, best = first[-1], first[0]
    assert worst.changes[0] == best.changes[0] != {"schedule.learning_rate": 0}
    same = [torch.equal(one, started[best.number, 1][name]) for name, one in started[worst.number, 1].items()]
    assert same and all(same)
    others = [number for number in range(4) if number not in (worst.number, best.number)]
    assert any(not torch.equal(one, started[others[0], 1][name]) for name, one in started[worst.number, 1].items())
    records = searches.get(made.id).trials()
    assert [(one.state, len(one.curve), len(one.changes)) for one in records] == [("complete", 4, 4)] * 4
    kept = {file.name for file in (made.folder / population.MEMBERS).iterdir()}
    last = Population.model_validate_json((made.folder / population.STATE).read_text())
    assert kept == {one.weights for one in last.members}
    moments = [name for name in load_file(made.folder / population.MEMBERS / kept.pop()) if name.startswith("moments/")]
    assert any(name.endswith("/exp_avg") for name in moments), "the optimiser goes on with its moments"


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_search_in_its_own_processes_is_stopped_and_goes_on(tiny_run: RunConfig):
    made = searches.start(searches.create(asked(tiny_run, trials=6, workers=2)))
    while not any(isinstance(one, events.TrialEvent) for one in made.events()):
        assert searches.get(made.id).status.state in jobs.ACTIVE
        time.sleep(0.2)
    searches.stop(searches.get(made.id))
    assert ended(made).status.state == "stopped"
    half = searches.get(made.id).trials()
    done = {one.number: one for one in half if one.state in ("complete", "pruned")}
    assert 1 <= len(done) < 6 and all(one.state == "waiting" for one in half if one.number not in done)
    searches.start(searches.get(made.id))
    found = ended(made)
    assert found.status.state == "done"
    trials = found.trials()
    assert [one.number for one in trials] == list(range(6))
    assert all(trials[number] == one for number, one in done.items()), "none is made again"
    searches.delete(found)
    with pytest.raises(RunError, match="There is no search"):
        searches.get(made.id)


def test_what_cannot_be_searched_is_said_before_it_starts(tiny_run: RunConfig):
    with pytest.raises(RequestError, match=r"method\.rank cannot change while a model trains"):
        searches.create(asked(tiny_run, method="population", trials=4, space={"method.rank": {"choices": [2, 4]}}))
    wrong = run_config.with_values(tiny_run, {"hardware.processes": "2", "schedule.accumulation": "2"})
    with pytest.raises(RequestError, match="a trial trains in one process"):
        searches.create(asked(wrong))
    assert searches.list_searches() == [] and runs.list_runs() == ([], [])


def test_a_run_file_that_cannot_be_trained_fails_the_search_with_its_sentence(tiny_run: RunConfig, tmp_path: Path):
    tiny_run.data.sources[0].name = str(tmp_path / "gone.jsonl")
    made = searches.create(asked(tiny_run))
    with pytest.raises(Exception, match=r"gone\.jsonl"):
        search(made.request, Reporter(made.folder, made.status))
    study = SharedStudy(made.folder, made.request)
    assert [one.state for one in study.records()] == ["waiting"]
    study.close()


def test_a_stop_is_heard_between_two_trials(tiny_run: RunConfig):
    made = searches.create(asked(tiny_run))
    (made.folder / "stop").touch()
    with pytest.raises(StopRequested):
        search(made.request, Reporter(made.folder, made.status))
    assert made.trials() == []


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_trials_run_on_a_real_ray_cluster_and_what_is_there_is_not_made_again(tiny_run: RunConfig):
    """Tune places trials on a local cluster of two CPUs; a second Tune experiment goes on from the same study."""
    request = asked(tiny_run, engine="ray", workers=2, trials=6)
    made = searches.create(request)
    reporter = Reporter(made.folder, made.status)
    study = SharedStudy(made.folder, request)
    first = study.ask()
    assert first is not None
    trial = Trials(request, reporter)
    study.complete(0, trial.run(0, first[1], lambda share, loss: True))
    study.close()
    (before,) = made.trials()
    search(request, reporter)
    trials = searches.get(made.id).trials()
    assert [one.number for one in trials] == list(range(6)) and trials[0] == before
    assert {one.state for one in trials} <= {"complete", "pruned"}
    assert all(len(one.curve) == 4 for one in trials if one.state == "complete")
    # The same trial here and there: the same objective function on the same rows.
    here = trial.run(1, trials[1].values, lambda share, loss: True)
    assert here.curve == trials[1].curve or trials[1].state == "pruned"


def ended(made: Search) -> Search:
    while (found := searches.get(made.id)).status.state in jobs.ACTIVE:
        time.sleep(0.2)
    return found
