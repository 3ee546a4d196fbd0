"""Does a search beat the planner's default? 20 short trials, then the winner and the default beside each other.

    python bench/search.py [--trials 20] [--tokens 19000] [--seeds 17 18 19] [--minutes 5] [--out FILE]

The search starts from the run that the planner gives a newcomer: starter data, embedded model. Its space is the
planner's too, its trials are chosen by the validation loss alone. Then the winner and the default are trained anew with
each seed (which draws other rows, and another start) on the same budget as a trial's, and measured on the starter's
held-out sets, which no trial saw: the loss of the reference answers, and the share of answers that are right.

It works in pieces: with `--minutes` it ends after the trial or training during which that time is over, and goes on
when it is called again (exit status 3: there is more to do). What is finished stands in `--out` (bench/search.jsonl in
the home); the search is in a home beside it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from methods import begin, finished, keep
from pydantic import BaseModel

from assistant.planner import advice_search
from assistant.planner.advice import advise
from assistant.planner.answers import Answers
from evaluators import generation, held_out
from evaluators.held_out import Item, Metric
from evaluators.likelihood import reply_likelihoods
from evaluators.resampling import interval, resampled
from trainer import config
from trainer.hardware import detect
from trainer.reporting import Reporter
from trainer.scoring import read_items
from trainer.search import outcome, searches
from trainer.search.searches import Search
from trainer.search.study import SharedStudy
from trainer.search.trial import LOOKS, Looks, Trials
from trainer.search.work import make
from trainer.sections import RunConfig

SETS: dict[str, Metric] = {"starter/clinical": "structure", "starter/lab": "label", "starter/orders": "exact_match"}
ANSWERED = {"starter/lab": 150, "starter/orders": 150}
"""Items whose answers are written out; a clinical answer takes as long as a hundred of them: these have a loss only."""
MORE_TO_DO = 3
Side = Literal["default", "winner"]


class Measured(BaseModel):
    """One training of one side: by held-out set each item's loss (nats a token) and whether its answer is right."""

    side: Side
    seed: int
    tokens: int
    values: dict[str, Any]
    steps: int
    validation_loss: float
    losses: dict[str, list[float]]
    right: dict[str, list[bool]]
    minutes: float


def main() -> int:
    parser = argparse.ArgumentParser(description="A search beside the planner's default.")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=19_000, help="that each trial, and each training after it, sees")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--minutes", type=float, help="end after the piece of work during which this is over")
    parser.add_argument("--out", type=Path, default=config.home() / "bench" / "search.jsonl")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes if arguments.minutes else float("inf")
    out = begin(arguments.out)
    search = the_search(arguments.trials, arguments.tokens)
    if not make_trials(search, until):
        return MORE_TO_DO
    best = outcome.best(search.trials(), search.request.objectives)
    assert best is not None
    sides: dict[Side, dict[str, Any]] = {"default": {}, "winner": best.values}
    for seed in arguments.seeds:
        for side, values in sides.items():
            rows = finished(out, Measured)
            if any(
                (row.side, row.seed, row.tokens, row.values) == (side, seed, arguments.tokens, values) for row in rows
            ):
                continue
            if time.monotonic() > until:
                return MORE_TO_DO
            row = train(search, side, seed, values)
            keep(out, row)
            print(f"{side}, seed {seed}: {row.minutes:.1f} min", file=sys.stderr, flush=True)
    rows = [
        row for row in finished(out, Measured) if row.tokens == arguments.tokens and row.values in ({}, best.values)
    ]
    print_table(search, [row for row in rows if row.seed in arguments.seeds])
    return 0


def the_search(trials: int, tokens: int) -> Search:
    """The one with these numbers in the bench's home; made where there is none."""
    for found in searches.list_searches():
        if (found.request.trials, found.request.tokens) == (trials, tokens):
            return found
    default = advise(Answers(task="question_answering", dataset="starter", gpu="cpu"), detect()).config
    request = advice_search.propose(default, detect()).request
    return searches.create(request.model_copy(update={"trials": trials, "tokens": tokens}))


def make_trials(search: Search, until: float) -> bool:
    """Make the trials that are still to be made, as the search's own process does; False where the time was over."""
    study, reporter = SharedStudy(search.folder, search.request), Reporter(search.folder, search.status)
    trials = Trials(search.request, reporter)
    try:
        while time.monotonic() < until:
            asked = study.ask()
            if asked is None:
                return True
            make(study, *asked, trials.run, reporter)
            made = next(one for one in study.records() if one.number == asked[0])
            told = f"loss {made.curve[-1][1]:.3f}" if made.curve else made.detail
            print(f"trial {made.number}: {made.state}, {told}, {made.seconds:.0f} s", file=sys.stderr, flush=True)
        return outcome.made(study.records()) >= search.request.trials
    finally:
        study.close()


def train(search: Search, side: Side, seed: int, values: dict[str, Any]) -> Measured:
    """Train one side with another seed on a trial's budget, and measure it on what no trial saw."""
    began = time.monotonic()
    run = search.request.run.model_copy(deep=True)
    run.schedule.seed = seed
    request = search.request.model_copy(update={"run": run})
    trials = Trials(request, Reporter(search.folder, search.status))
    wanted = trials.config(values)
    workshop = trials.begin(wanted)
    steps = trials.steps(wanted, workshop.prepared)
    looks = Looks(lambda share, loss: True)
    looks.at({steps: LOOKS[-1]})
    workshop.fresh(wanted)
    trials.train(wanted, workshop, steps, f"{side}, seed {seed}", looks)
    losses: dict[str, list[float]] = {}
    right: dict[str, list[bool]] = {}
    with workshop.answering() as model:
        for name, metric in SETS.items():
            items = read_items(name, "heldout", wanted.task.system_prompt)
            found = reply_likelihoods(
                model, workshop.tokenizer, [one.prompt for one in items], [[one.reference] for one in items], tuned=True
            )
            losses[name] = [-one.mean for (one,) in found]
            if name in ANSWERED:
                right[name] = answered(model, workshop.tokenizer, wanted, name, items, metric)
    trials.end()
    return Measured(
        side=side,
        seed=seed,
        tokens=request.tokens,
        values=values,
        steps=steps,
        validation_loss=looks.curve[-1][1],
        losses=losses,
        right=right,
        minutes=(time.monotonic() - began) / 60,
    )


def answered(model: Any, tokenizer: Any, run: RunConfig, name: str, items: list[Item], metric: Metric) -> list[bool]:
    """Whether each of the drawn items is answered right; the same ones for every seed and side."""
    drawn = random.Random(name).sample(items, min(ANSWERED[name], len(items)))
    longest = max(len(tokenizer(one.reference)["input_ids"]) for one in drawn)
    answers = generation.answer_all(model, tokenizer, [one.prompt for one in drawn], longest + 4, True)
    return [held_out.score([one], [said], metric).score == 1 for one, said in zip(drawn, answers, strict=True)]


def print_table(search: Search, rows: list[Measured]) -> None:
    """Both sides by set, and the difference with its 95 % interval over items, the seeds' mean in each."""
    best = outcome.best(search.trials(), search.request.objectives)
    assert best is not None
    states = [one.state for one in search.trials()]
    print(
        f"{len(states)} trials of {search.request.tokens:,} tokens, {states.count('pruned')} ended early, "
        f"{sum(one.seconds for one in search.trials()) / 60:.0f} min of complete ones. Taken: trial {best.number}, "
        + ", ".join(f"{name} {value}" for name, value in best.values.items())
    )
    seeds = sorted({row.seed for row in rows})
    print(f"{'held out':34} {'n':>4} {'default':>16} {'winner':>16}   default less winner (95 %)")
    for name in SETS:
        lines = {
            "loss": {side: [row.losses[name] for row in rows if row.side == side] for side in ("default", "winner")}
        }
        if name in ANSWERED:
            lines["share right"] = {
                side: [[float(one) for one in row.right[name]] for row in rows if row.side == side]
                for side in ("default", "winner")
            }
        for what, sides in lines.items():
            _print_line(f"{name}, {what}", sides, len(seeds))
    for side in ("default", "winner"):
        found = [row.validation_loss for row in rows if row.side == side]
        print(f"validation loss, {side}: {', '.join(f'{one:.3f}' for one in found)}")


def _print_line(label: str, sides: dict[str, list[list[float]]], seeds: int) -> None:
    by_item = {side: np.mean(np.array(found), axis=0) for side, found in sides.items()}
    difference = by_item["default"] - by_item["winner"]
    means = resampled(difference[:, None], 0)[:, 0] / len(difference)
    low, high, _ = interval(means, float(difference.mean()), None, len(difference))
    cells = []
    for found in sides.values():
        each = [statistics.fmean(one) for one in found]
        spread = statistics.stdev(each) if len(each) > 1 else 0.0
        cells.append(f"{statistics.fmean(each):.3f} ± {spread:.3f}")
    range_ = f"({low:+.3f} to {high:+.3f})" if low is not None and high is not None else "(all alike)"
    count = f"{label:34} {len(difference):4} {cells[0]:>16} {cells[1]:>16}"
    print(f"{count}   {difference.mean():+.3f} {range_}, {seeds} seeds")


if __name__ == "__main__":
    sys.exit(main())
