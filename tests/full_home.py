"""A home as it is after long work: runs in every state, an evaluation, judged answers, searches and versions, all
written down as the work would have done it, for tests of what pages make of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import select
from versions_made import evaluated

from evaluators import gates
from evaluators.cases import Case
from trainer import events, jobs, model_refs, runs, store
from trainer.jobs import Job
from trainer.reporting import Reporter
from trainer.review import queue
from trainer.review.prompts import Prompt
from trainer.review.queue import Ballot
from trainer.runs import Run
from trainer.search import searches
from trainer.search.outcome import Result
from trainer.search.request import SearchRequest
from trainer.search.study import SharedStudy
from trainer.sections import RunConfig
from trainer.store import Comparison
from trainer.versions import registry

STEPS = 20
OUT_OF_MEMORY = "The GPU has too little memory for this run, with 1 row at a time too. Choose a smaller model."


def fill(run: Run) -> None:
    """All that follows from this run, which has ended: evaluated, judged, searched from, registered and in use."""
    _evaluated(run)
    _judged(run)
    _searched(run)
    first, base, *_ = model_refs.of_run(run)
    version = registry.register("clinic", first, "data", "Tells even numbers.", despite="For a test.")
    registry.put_in_use("clinic", version.number, "the first version")
    registry.register("clinic", base, "alignment", "As it was before.", despite="For a test.")


def failed(config: RunConfig) -> Run:
    """A run that ended for want of memory, with curves up to there and a warning."""
    run = _begun(config)
    Reporter(run.folder, run.status).warn("Row 7 is longer than 1,024 tokens and was cut.")
    return _entered(run, "failed", OUT_OF_MEMORY)


@contextmanager
def training(config: RunConfig) -> Iterator[Run]:
    """A run that trains for as long as the `with` lasts: it is this process that holds its lock."""
    run = _begun(config)
    with (run.folder / jobs.LIFE_LOCK).open("a") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        yield _entered(run, "training")


def _begun(config: RunConfig) -> Run:
    run = runs.create(config)
    run.status.total_steps = STEPS
    reporter = Reporter(run.folder, run.status)
    for number in range(1, STEPS // 2 + 1):
        run.status.step = number
        reporter.event(
            events.StepEvent(
                loss=3 / number, learning_rate=1e-3, gradient_norm=1.5, tokens_per_second=250, memory_gib=2.5,
                eta_seconds=40, total_steps=STEPS,
            )
        )  # fmt: skip
        if number % 5 == 0:
            reporter.event(events.EvalEvent(loss=3.2 / number, n=8))
            reporter.event(events.SampleEvent(prompt="Is 4 even?", answer="yes"))
    return run


def _entered(run: Run, state: jobs.State, error: str | None = None) -> Run:
    run.status.pid, run.status.error = os.getpid(), error
    Reporter(run.folder, run.status).enter(state)
    return runs.get(run.id)


def _judged(run: Run) -> None:
    first, second, *_ = model_refs.of_run(run)
    prompts = [Prompt(messages=[{"role": "user", "content": f"Is {number} even?"}]) for number in range(5)]
    made = queue.create_set("ward 1", prompts, first, second)
    with store.session() as session:
        for one in session.exec(select(Comparison).where(Comparison.set_id == made.id)):
            one.first_answer, one.second_answer = f"Yes, {one.place} is.", "It may be so."
            session.add(one)
    ratings = {"left": {"accuracy": 4}, "right": {"accuracy": 2}}
    for reviewer, choices in (("Ana", ["left", "left", "tie"]), ("Ben", ["left", "right", "both_bad", "left"])):
        for choice in choices:
            shown = queue.next_case(made.id, reviewer)
            assert shown is not None
            queue.vote(shown.comparison_id, reviewer, Ballot.model_validate({"choice": choice, "ratings": ratings}))


def _searched(run: Run) -> None:
    space = {"method.rank": {"choices": [2, 4, 8]}}
    search = searches.create(SearchRequest.model_validate({"run": run.config, "space": space, "trials": 2}))
    study = SharedStudy(search.folder, search.request)
    for loss in (1.25, 0.75):
        number, _ = study.ask() or (0, {})
        study.complete(number, Result(measured={"quality": loss}, curve=[(50, 2.0), (100, loss)], steps=4, seconds=2.0))
    study.close()
    _done(search, 2)


def _evaluated(run: Run) -> None:
    right, wrong = (
        [Case(id=str(n), source=str(n), question=f"Is {n} even?", reference=gold, answer=said, right=said == gold)
         for n, gold in enumerate(["yes", "no"] * 4)]
        for said in ("yes", "no")
    )  # fmt: skip
    judged = [gates.harmful(0, 40, "the screen"), gates.consistency(80, 80), gates.critical(9, 60, "the screen")]
    _done(evaluated(run, right, wrong, gates=judged))


def _done(job: Job, steps: int = 0) -> None:
    status = job.status.model_copy(update={"state": "done", "step": steps, "total_steps": steps})
    jobs.write_state(job.folder, status)
