"""A request becomes a report: each suite asked of base and tuned, compared, and written down as it is done."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from evaluators import scores
from evaluators.attacks import gradient
from evaluators.attacks.cases import KINDS, PRESERVING, make_cases
from evaluators.cases import Case, Item
from evaluators.scores import Score
from evaluators.suites import (
    answers,
    consistency,
    entities,
    general,
    memorisation,
    multiple_choice,
    over_refusal,
    pubmedqa,
    robustness,
    safety,
    search,
    structured,
    summarisation,
)
from trainer import runs
from trainer.atomic import write_atomically
from trainer.data.canaries import canary_items
from trainer.data.prepare import prepare
from trainer.data.row_items import row_items
from trainer.data.rows import Row
from trainer.evaluation import conclusions, latency
from trainer.evaluation.evaluations import CASES, REPORT, Side
from trainer.evaluation.harm import judged
from trainer.evaluation.items import drawn, own_test_items, read_items
from trainer.evaluation.report import Compared, EvaluationReport, Group, SuiteReport
from trainer.evaluation.request import OWN, EvaluationRequest, RequestError, SuiteChoice
from trainer.evaluation.respondent import KeptRespondent
from trainer.reporting import Reporter
from trainer.tuned import Tuned

SUITES: dict[str, ModuleType] = {
    "multiple_choice": multiple_choice,
    "pubmedqa": pubmedqa,
    "entities": entities,
    "summarisation": summarisation,
    "answers": answers,
    "structured": structured,
    "general": general,
    "safety": safety,
    "over_refusal": over_refusal,
    "memorisation": memorisation,
    "consistency": consistency,
    "robustness": robustness,
    "search": search,
}
SIDES: tuple[Side, ...] = ("base", "tuned")
ALL_ROWS = 1000  # of each side, where nobody says how many are looked at for copies
FEWEST_IN_A_GROUP = 10  # below, a group's interval is wider than anything one would say of it


def evaluate(request: EvaluationRequest, reporter: Reporter) -> None:
    """Ask both sides all that `request` names; the report in the job's folder grows suite by suite.

    What was answered before is not asked again, so that an evaluation that was stopped goes on. Raises
    `StopRequested`, and the errors of its parts: `RequestError`, `DataError`, `ModelError`, `RunError`.
    """
    began = time.monotonic()
    folder = reporter.folder
    reporter.enter("preparing")
    run = runs.get(request.run)
    sides = _Sides(run, runs.get(request.against) if request.against else None, reporter)
    asked = [_items(choice, request, run) for choice in request.suites]
    reporter.enter("evaluating")
    (folder / CASES).mkdir(exist_ok=True)
    report = EvaluationReport(run=run.id, base_model=run.config.model.name, against=request.against)

    def save() -> None:
        report.minutes = (time.monotonic() - began) / 60
        write_atomically(folder / REPORT, report.model_dump_json(indent=1))

    found: dict[tuple[int, Side], list[Case]] = {}
    for number, side in sides.order(len(asked)):
        choice, items = request.suites[number], asked[number]
        if choice.suite == "gradient":
            report.gradient[side] = _gradient(items, sides, side, reporter)
        else:
            found[number, side] = _ask(choice, items, sides, side, reporter)
        if (number, "base") in found and (number, "tuned") in found:
            pair = found.pop((number, "base")), found.pop((number, "tuned"))
            if choice.suite == "safety":
                *pair, report.judged = judged(request, *pair, reporter)
            for name, cases in zip(SIDES, pair, strict=True):
                _write_cases(folder / CASES, number, choice, name, cases)
            report.suites.append(_compare(number, choice, items, *pair))
            conclusions.conclude(report)
        save()
    if request.latency:
        for side in SIDES:
            report.latency[side] = latency.measure(*sides.get(side), side, reporter)
            save()
    report.complete = True
    conclusions.conclude(report)
    save()


class _Sides:
    """Who answers as `base` and as `tuned`: two sides of one run's model, or two runs' tuned models, one in memory."""

    def __init__(self, run: runs.Run, against: runs.Run | None, reporter: Reporter):
        self._run, self._against, self._reporter = run, against, reporter
        self._loaded: Tuned | None = None

    def get(self, side: Side) -> tuple[Tuned, bool]:
        """A loaded run, and which of its sides answers (True: the tuned one)."""
        run = self._against if side == "base" and self._against else self._run
        if self._loaded is None or self._loaded.run.id != run.id:
            self._loaded = None
            gc.collect()
            self._reporter.progress("loading the model", 0, 1)
            self._loaded = Tuned(run)
            self._reporter.progress("loading the model", 1, 1)
        return self._loaded, side == "tuned" or self._against is not None

    def order(self, suites: int) -> list[tuple[int, Side]]:
        """Suite by suite, so that there is something to see soon; side by side where each has to be loaded."""
        if self._against is not None or self._run.config.method.kind == "full":
            return [(number, side) for side in SIDES for number in range(suites)]
        return [(number, side) for number in range(suites) for side in SIDES]


def _items(choice: SuiteChoice, request: EvaluationRequest, run: runs.Run) -> list[Item]:
    if choice.suite == "memorisation":
        items = [*canary_items(run.config), *_own_rows(run, choice.items, request.seed)]
        missing = "the run planted no canaries, and its answers are too short to be copied"
    elif choice.source == OWN:
        items = drawn(own_test_items(run.config), choice.items, request.seed)
        missing = "the run kept no rows aside; train with data.test_share"
    else:
        items = read_items(choice.suite, choice.source, choice.items, request.seed)
        missing = "it holds none that this suite can ask"
    if not items:
        raise RequestError(f"{choice.title}: there is nothing to ask: {missing}, or leave this suite out.")
    if choice.suite in ("consistency", "robustness"):
        usual = PRESERVING if choice.suite == "consistency" else tuple(KINDS)
        kinds = [kind for kind in request.kinds or usual if kind in usual]
        items = [*items, *make_cases(items, kinds, request.variants, request.seed)]
    return items


def _own_rows(run: runs.Run, count: int | None, seed: int) -> list[Item]:
    data = prepare(run.config)
    return row_items(data.rows("train"), data.rows("validation"), count or ALL_ROWS, seed)


def _ask(choice: SuiteChoice, items: list[Item], sides: _Sides, side: Side, reporter: Reporter) -> list[Case]:
    tuned, answering = sides.get(side)
    adapters = tuned.adapters_for([Row(prompt=item.prompt) for item in items])  # pyright: ignore
    respondent = KeptRespondent(tuned, answering, adapters)
    return SUITES[choice.suite].ask(items, respondent, partial(reporter.progress, f"{choice.title}, {side}"))


def _compare(
    number: int, choice: SuiteChoice, items: Sequence[Item], base: list[Case], tuned: list[Case]
) -> SuiteReport:
    suite = SUITES[choice.suite]
    pairs = _paired(suite.scores, base, tuned)
    groups = []
    for group in sorted({case.group for case in base if case.group}):
        own = [[case for case in side if case.group == group] for side in (base, tuned)]
        main = _paired(suite.scores, *own)[0]
        if main.tuned.n >= FEWEST_IN_A_GROUP:
            groups.append(Group(group=group, main=main))
    options = [len(item.options) for item in items if item.options]
    return SuiteReport(
        suite=choice.suite,
        title=suite.TITLE,
        source=choice.source,
        items=len(base),
        metrics=pairs,
        verdict=pairs[0].difference.verdict,
        groups=groups if len(groups) > 1 else [],
        chance=sum(1 / one for one in options) / len(options) if len(options) == len(items) else None,
        reliability=_reliability(suite, base, tuned),
        cases=_name(number, choice),
    )


def _paired(make: Callable[[list[Case]], list[Score]], base: list[Case], tuned: list[Case]) -> list[Compared]:
    return [
        Compared(base=scores.measure(first), tuned=scores.measure(second), difference=scores.compare(first, second))
        for first, second in zip(make(base), make(tuned), strict=True)
    ]


def _reliability(suite: Any, base: list[Case], tuned: list[Case]) -> dict[str, Any]:
    if not hasattr(suite, "reliability"):
        return {}
    return {"base": suite.reliability(base), "tuned": suite.reliability(tuned)}


def _gradient(items: list[Item], sides: _Sides, side: Side, reporter: Reporter) -> gradient.GradientCurve:
    tuned, answering = sides.get(side)
    tuned.choose([])
    return gradient.attack(
        tuned.side(answering),
        tuned.tokenizer,
        items,
        tuned.run.config.task.system_prompt,
        answering,
        progress=partial(reporter.progress, f"gradient attacks, {side}"),
    )


def _write_cases(folder: Path, number: int, choice: SuiteChoice, side: Side, cases: list[Case]) -> None:
    lines = "".join(case.model_dump_json(exclude_defaults=True) + "\n" for case in cases)
    write_atomically(folder / f"{_name(number, choice)}.{side}.jsonl", lines)


def _name(number: int, choice: SuiteChoice) -> str:
    return f"{number + 1:02}-{choice.suite}"
