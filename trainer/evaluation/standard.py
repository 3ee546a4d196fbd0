"""What is measured where nobody says what: on the starter's sets, on the run's own, and on data that somebody names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from evaluators.attacks.cases import KINDS
from trainer.data.sources import STARTER_PREFIX
from trainer.evaluation.items import GENERAL, discover, suites_for
from trainer.evaluation.request import OWN, EvaluationRequest, RequestError, Suite, SuiteChoice
from trainer.runs import Run

ATTACKED = 100  # source questions of consistency and robustness; each has its variants besides
COPIED = 50  # trained and held-out rows that are looked at for copies
BY_NAME: tuple[Suite, ...] = ("gradient", "search")  # attacks that take long: only where they are asked for
DEEP = 30  # questions of these: each takes some forty readings, or twenty and as many gradients


def standard_suites(run: Run) -> list[SuiteChoice]:
    """General questions, harm and over-refusal, the sets that the run holds back, and what it kept aside."""
    config = run.config
    chosen = [SuiteChoice(suite="general", source=GENERAL, items=None)]
    for one in config.evaluation.held_out:
        suite: Suite = "structured" if one.metric == "structure" else "answers"
        chosen.append(SuiteChoice(suite=suite, source=one.name, items=None))
    if config.data.test_share:
        chosen.append(SuiteChoice(suite="answers", source=OWN))
    if config.data.canaries:
        chosen.append(SuiteChoice(suite="memorisation", source=OWN, items=COPIED))
    for suite in ("safety", "over_refusal"):
        chosen.append(SuiteChoice(suite=suite, source=f"{STARTER_PREFIX}safety", items=None))
    return chosen


def attacks(run: Run, source: str | None = None, items: int = ATTACKED) -> list[SuiteChoice]:
    """Consistency, robustness, gradient and search attacks on at most `items` questions of `source`.

    Without one: questions with short answers that the run is for, else general ones. The last two need options.
    """
    short = [one.name for one in run.config.evaluation.held_out if one.metric != "structure"]
    general = f"{STARTER_PREFIX}questions"
    own = short[0] if short else OWN if run.config.data.test_share else general
    return [
        SuiteChoice(suite="consistency", source=source or own, items=items),
        SuiteChoice(suite="robustness", source=source or own, items=items),
        *(SuiteChoice(suite=suite, source=source or general, items=min(items, DEEP)) for suite in BY_NAME),
    ]


def suites_of(data: Sequence[Path], items: int) -> list[SuiteChoice]:
    """Every suite that these files and folders fit, told from their content.

    Raises `RequestError` where one fits none, and `DataError` where it cannot be read.
    """
    chosen: list[SuiteChoice] = []
    for path in data:
        found: list[tuple[Suite, str]] = (
            [(suite, str(path)) for suite in suites_for(str(path))] if path.exists() else []
        )
        folders = [one for one in path.iterdir() if one.is_dir()] if path.is_dir() else []
        if folders:
            found = discover(str(path))
        if not found:
            raise RequestError(
                f"{path}: nothing in it fits a suite; name a file or folder in a format that CONTRIBUTING lists."
            )
        chosen += [SuiteChoice(suite=suite, source=source, items=items) for suite, source in found]
    return chosen


def request_for(
    run: Run,
    suites: Sequence[str] = (),
    data: Sequence[Path] = (),
    items: int = 200,
    kinds: Sequence[str] = (),
    **fields: object,
) -> EvaluationRequest:
    """An evaluation of `run`: on `data` where some is named, else on the standard sets; of these `suites` alone.

    On data that is named, attacks have to be asked for by name, and those that take long always. Raises `RequestError`
    for a suite or a kind that there is not, or a suite that nothing named here fits.
    """
    for word, asked, known in (("suite", suites, get_args(Suite)), ("way of disturbing", kinds, tuple(KINDS))):
        if unknown := [one for one in asked if one not in known]:
            raise RequestError(f"There is no {word} called {unknown[0]!r}; there are {', '.join(known)}.")
    usual = suites_of(data, items) if data else standard_suites(run)
    attacked = attacks(run, str(data[0]), items) if data else attacks(run)
    if suites:
        chosen = [one for one in [*usual, *attacked] if one.suite in suites]
        if missing := [suite for suite in suites if suite not in {one.suite for one in chosen}]:
            raise RequestError(f"Nothing named here fits the suite {missing[0]}; name its data with --data.")
    else:
        chosen = usual if data else [*usual, *(one for one in attacked if one.suite not in BY_NAME)]
    return EvaluationRequest.model_validate({"run": run.id, "suites": chosen, "kinds": list(kinds), **fields})
