"""A shared study: exactly as many trials as asked for, none twice, whoever dies; pruning; what the trials amount to."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from trainer import events, jobs
from trainer.jobs import RunState, StopRequested
from trainer.reporting import Reporter
from trainer.search import hyperopt_tpe, journal, outcome, study
from trainer.search import request as requests
from trainer.search.outcome import Poor, Report, Result, TrialRecord, Unfit
from trainer.search.request import Objective, SearchRequest
from trainer.search.space import SearchSpace, Values, rounded
from trainer.search.study import SearchError, SharedStudy
from trainer.search.work import work
from trainer.sections import RunConfig

ROOT = Path(__file__).resolve().parent.parent
SPACE = SearchSpace.model_validate(
    {"schedule.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "method.rank": {"choices": [4, 8, 16]}}
)
# Each trial that begins and that ends writes a line; the rate decides how good it is.
FAKE = """
import sys, time
from pathlib import Path
from trainer.search import request as requests
from trainer.search.outcome import Result
from trainer.search.study import SharedStudy
from trainer.search.work import work

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])

def run(number, values, report):
    with (folder / "made.txt").open("a") as made:
        made.write(f"begun {number} {values['schedule.learning_rate']}\\n")
    time.sleep(seconds)
    with (folder / "made.txt").open("a") as made:
        made.write(f"ended {number} {values['schedule.learning_rate']}\\n")
    return Result(measured={"quality": values["schedule.learning_rate"]}, curve=[], steps=1, seconds=seconds)

request = requests.load(folder / "search.yaml")
study = SharedStudy(folder, request)
class Quiet:
    stop_requested = lambda self: False
    event = lambda self, event: None

work(study, run, Quiet())
study.close()
"""


def asked(folder: Path, **changes: object) -> SearchRequest:
    request = SearchRequest.model_validate({"run": RunConfig(), "space": SPACE, "trials": 6, **changes})
    folder.mkdir(exist_ok=True)
    (folder / "search.yaml").write_text(requests.to_yaml(request))
    jobs.write_state(folder, RunState())
    return request


def worker(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", FAKE, str(folder), str(seconds)], cwd=ROOT, env=environment)


def lines(folder: Path, word: str) -> list[str]:
    path = folder / "made.txt"
    told = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix(f"{word} ") for line in told if line.startswith(word)]


def wait_for(folder: Path, word: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines(folder, word)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def by_rate(values: Values, curve: list[tuple[int, float]] | None = None) -> Result:
    return Result(measured={"quality": values["schedule.learning_rate"]}, curve=curve or [], steps=1, seconds=0.1)


def test_a_killed_search_repeats_no_trial_and_its_half_made_one_is_made_again_once(tmp_path: Path):
    folder = tmp_path / "search"
    request = asked(folder)
    first = worker(folder, 0.2)
    wait_for(folder, "begun", 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    begun, ended = lines(folder, "begun"), lines(folder, "ended")
    (half,) = set(begun) - set(ended)
    with (folder / journal.FILE).open("a") as log:
        log.write('{"op_code": 6, "tri')  # as a power failure may leave it
    assert [one.state for one in study.read(folder, request)] == ["complete"] * len(ended) + ["waiting"]
    assert worker(folder, 0.0).wait() == 0
    again = lines(folder, "begun")[len(begun) :]
    assert again[0] == half, "the same number and values, before any other"
    assert Counter(lines(folder, "begun")) == Counter(
        {half: 2} | {one: 1 for one in lines(folder, "ended") if one != half}
    )
    assert len(lines(folder, "ended")) == 6
    records = study.read(folder, request)
    assert [(one.number, one.state) for one in records] == [(number, "complete") for number in range(6)]
    assert len({one.values["schedule.learning_rate"] for one in records}) == 6
    assert worker(folder, 0.0).wait() == 0 and len(lines(folder, "begun")) == 7, "all is done"


def test_a_trial_whose_process_dies_twice_is_given_up_and_counted(tmp_path: Path):
    request = asked(tmp_path / "search", trials=2)
    folder = tmp_path / "search"
    for times in (1, 2):
        dying = worker(folder, 60)
        wait_for(folder, "begun", times)
        dying.kill()
        dying.wait()
    assert worker(folder, 0.0).wait() == 0
    records = study.read(folder, request)
    assert [(one.number, one.state) for one in records] == [(0, "failed"), (1, "complete")]
    assert "died 2 times" in records[0].detail and [one[:1] for one in lines(folder, "begun")] == ["0", "0", "1"]


def test_two_workers_share_a_study_and_make_no_trial_too_many(tmp_path: Path):
    folder = tmp_path / "search"
    request = asked(folder, trials=9)
    both = [worker(folder, 0.15) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert sorted(line.split()[0] for line in lines(folder, "begun")) == [str(number) for number in range(9)]
    assert all(one.state == "complete" for one in study.read(folder, request))
    # One of them began a trial while the other was at one.
    told = (folder / "made.txt").read_text().split("\n")
    assert any(first.startswith("begun") and second.startswith("begun") for first, second in itertools.pairwise(told))


def test_what_is_drawn_does_not_depend_on_who_asks(tmp_path: Path):
    drawn = []
    for place, hands in (("one", 1), ("two", 2)):
        request = asked(tmp_path / place)
        studies = [SharedStudy(tmp_path / place, request) for _ in range(hands)]
        found = []
        for number in range(6):
            hand = studies[number % hands]
            asked_for = hand.ask()
            assert asked_for is not None and asked_for[0] == number
            hand.complete(number, by_rate(asked_for[1]))
            found.append(asked_for[1])
        assert studies[0].ask() is None
        drawn.append(found)
        for hand in studies:
            hand.close()
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == {"schedule.learning_rate": 2e-4, "method.rank": 16}, "the run file as it is"


def test_values_that_do_not_go_together_are_told_and_not_counted(tmp_path: Path):
    folder = tmp_path / "search"
    request = asked(folder, trials=4)
    hand, reporter = SharedStudy(folder, request), Reporter(folder, RunState())

    def run(number: int, values: Values, report: Report) -> Result:
        if number in (1, 3):
            raise Unfit("method.rank: not with this.")
        return by_rate(values)

    work(hand, run, reporter)
    assert Counter(one.state for one in hand.records()) == {"complete": 4, "unfit": 2}
    told = [event for event in events.read(folder / "events.jsonl") if isinstance(event, events.TrialEvent)]
    assert [(one.trial, one.state, one.detail) for one in told][1] == (1, "unfit", "method.rank: not with this.")
    assert told[0].measured == {"quality": 2e-4} and told[0].values["method.rank"] == 16
    hand.close()


def test_a_space_of_which_nothing_goes_together_ends_with_a_sentence(tmp_path: Path):
    hand = SharedStudy(tmp_path / "search", asked(tmp_path / "search", trials=3))

    def never(number: int, values: Values, report: Report) -> Result:
        raise Unfit("no")

    with pytest.raises(SearchError, match="3 times the values that were drawn did not go together"):
        work(hand, never, Reporter(tmp_path / "search", RunState()))
    hand.close()


def test_a_stopped_trial_is_put_back_and_does_not_count_as_one_that_died(tmp_path: Path):
    folder = tmp_path / "search"
    hand = SharedStudy(folder, asked(folder, trials=2))

    def stop(number: int, values: Values, report: Report) -> Result:
        raise StopRequested

    for _ in range(3):
        with pytest.raises(StopRequested):
            work(hand, stop, Reporter(folder, RunState()))
        (record,) = hand.records()
        assert (record.number, record.state) == (0, "waiting")
    work(hand, lambda number, values, report: by_rate(values), Reporter(folder, RunState()))
    assert [(one.number, one.state) for one in hand.records()] == [(0, "complete"), (1, "complete")]
    hand.close()


def test_a_trial_below_the_median_ends_early_after_the_first_look(tmp_path: Path):
    folder = tmp_path / "search"
    hand = SharedStudy(folder, asked(folder, trials=8, method="random"))
    looked: list[int] = []

    def run(number: int, values: Values, report: Report) -> Result:
        loss = 1.0 if number < 4 else 2.0 if number == 4 else 0.5
        curve = []
        for share in (25, 50, 75, 100):
            curve.append((share, loss))
            if not report(share, loss):
                looked.append(share)
                raise Poor(f"poorer after {share} %")
        return Result(measured={"quality": loss}, curve=curve, steps=1, seconds=0.1)

    work(hand, run, Reporter(folder, RunState()))
    states = [one.state for one in hand.records()]
    assert states == ["complete"] * 4 + ["pruned"] + ["complete"] * 3
    assert looked == [50], "not at the first look, when the rate has hardly risen"
    assert hand.records()[4].curve == [(25, 2.0), (50, 2.0)] and outcome.made(hand.records()) == 8
    hand.close()


def test_with_several_objectives_nothing_is_pruned(tmp_path: Path):
    hand = SharedStudy(tmp_path / "search", asked(tmp_path / "search", trials=8, objectives=["quality", "safety"]))
    while (found := hand.ask()) is not None:
        number, values = found
        assert hand.report(number, 50, 9.0 if number > 5 else 1.0)
        rate = values["schedule.learning_rate"]
        measured: dict[Objective, float] = {"quality": rate, "safety": 1 / rate}
        hand.complete(number, Result(measured=measured, curve=[(50, 1.0)], steps=1, seconds=0.1))
    records = hand.records()
    # What is better in one is worse in the other, so that each is on the front.
    assert len(outcome.front(records, ["quality", "safety"])) == 8
    hand.close()


def trial(number: int, **measured: float) -> TrialRecord:
    return TrialRecord(number=number, state="complete", values={}, measured=measured)  # pyright: ignore


def test_the_front_and_the_point_nearest_to_the_ideal_by_hand():
    trials = [
        trial(0, quality=1.0, safety=0.50),
        trial(1, quality=1.2, safety=0.10),  # scaled to the front: (0.2, 0.25): 0.32 from the ideal
        trial(2, quality=2.0, safety=0.00),  # (1, 0): 1 from it
        trial(3, quality=1.3, safety=0.10),  # beaten by 1
        trial(4, quality=1.0, safety=0.60),  # beaten by 0
        trial(5, quality=1.1, safety=0.40),  # (0.1, 0.8): 0.81 from it
        TrialRecord(number=6, state="pruned", values={}, measured={}),
    ]
    assert [one.number for one in outcome.front(trials, ["quality", "safety"])] == [0, 1, 2, 5]
    best = outcome.best(trials, ["quality", "safety"])
    assert best is not None and best.number == 1
    alone = outcome.best(trials, ["quality"])
    assert alone is not None and alone.number == 0, "of equal ones, the first"
    assert outcome.best(trials[6:], ["quality"]) is None


def test_importance_finds_the_value_that_matters(tmp_path: Path):
    folder = tmp_path / "search"
    request = asked(folder, trials=16, method="random")
    hand = SharedStudy(folder, request)
    assert study.importance(folder, request) == {}, "nothing is said of too few"
    while (found := hand.ask()) is not None:
        hand.complete(found[0], by_rate(found[1]))
    hand.close()
    shares = study.importance(folder, request)
    assert shares["schedule.learning_rate"] > 0.8 and sum(shares.values()) == pytest.approx(1)


def test_hyperopt_goes_on_from_what_is_there(tmp_path: Path):
    folder = tmp_path / "search"
    request = asked(folder, trials=25, method="hyperopt")
    hand = SharedStudy(folder, request)
    rates = []
    for _ in range(12):
        number, values = hand.ask() or (0, {})
        hand.complete(number, by_rate(values))
        rates.append(values["schedule.learning_rate"])
    expected = rounded(hyperopt_tpe.suggest(request, hand.records(), 12))
    hand.close()
    hand = SharedStudy(folder, request)  # another process
    assert hand.ask() == (12, expected)
    hand.complete(12, by_rate(expected))
    while (found := hand.ask()) is not None:
        hand.complete(found[0], by_rate(found[1]))
        rates.append(found[1]["schedule.learning_rate"])
    hand.close()
    assert len(study.read(folder, request)) == 25
    # It learns that low rates are good here: those after its random start are lower than those before.
    start, later = rates[: hyperopt_tpe.STARTUP], rates[hyperopt_tpe.STARTUP :]
    assert sorted(later)[len(later) // 2] < sorted(start)[len(start) // 2]
