"""The order of work in a search, from its request to its last trial. Its results stand in the study (`study`)."""

from __future__ import annotations

from trainer import jobs
from trainer.reporting import Reporter
from trainer.search import outcome
from trainer.search.request import SearchRequest
from trainer.search.study import SearchError, SharedStudy
from trainer.search.trial import Trials
from trainer.search.work import helpers, work


def search(request: SearchRequest, reporter: Reporter) -> None:
    """Make the trials that are still to be made. Raises `SearchError`, `StopRequested`, and what a training raises."""
    if found := request.faults():
        raise SearchError(" ".join(found))
    study = SharedStudy(reporter.folder, request)

    def made() -> None:
        reporter.status.step = outcome.made(study.records())
        reporter.status.total_steps = request.trials
        jobs.write_state(reporter.folder, reporter.status)

    try:
        made()
        reporter.enter("training")
        if request.engine == "ray":
            from trainer.search import ray_engine

            ray_engine.work(study, reporter, made)
        elif request.method == "population":
            from trainer.search import population

            population.evolve(study, Trials(request, reporter), reporter, made)
        else:
            with helpers(reporter.folder, request, reporter):
                work(study, Trials(request, reporter).run, reporter, made)
        made()
        if not outcome.complete(study.records()):
            raise SearchError("Not one trial was trained to its end; the trials say why. Start a new search.")
    finally:
        study.close()
    reporter.enter("done")
