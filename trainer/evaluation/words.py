"""An evaluation's report in words, for a terminal, a page or a dossier: verdicts, and numbers with their intervals."""

from __future__ import annotations

from pathlib import Path

from evaluators.scores import Difference, Measure, Verdict
from trainer.evaluation.report import EvaluationReport, SuiteReport

VERDICTS: dict[Verdict, str] = {"better": "better", "worse": "worse", "unknown": "no difference shown"}


def headline(report: EvaluationReport) -> str:
    """Whether the tuned model is better, worse or neither, and on what, in one or two sentences."""
    names: dict[Verdict, list[str]] = {"better": [], "worse": [], "unknown": []}
    for suite in report.suites:
        names[suite.verdict].append(named(suite))
    other = f"the tuned model of {report.against}" if report.against else "its base model"
    if not report.suites:
        return "Nothing has been compared yet."
    if not names["better"] and not names["worse"]:
        return f"No difference from {other} is shown on any of {_sets(len(report.suites))}."
    parts = [f"{verdict} on {_listed(names[verdict])}" for verdict in ("better", "worse") if names[verdict]]
    rest = f" On {_listed(names['unknown'])} no difference is shown." if names["unknown"] else ""
    return f"The tuned model is {', and '.join(parts)}, than {other}.{rest}".replace(", than", " than")


def setbacks(suite: SuiteReport) -> list[str]:
    """Further metrics of a suite that got worse, each with its change: what a better main metric may hide.

    Each is a test of its own at 5 %; metrics apart from the main one are not corrected for their number, so that this
    errs on the side of a warning.
    """
    return [
        f"{one.name} {change(one.difference, one.tuned)}"
        for one in suite.metrics[1:]
        if one.difference.verdict == "worse"
    ]


def named(suite: SuiteReport) -> str:
    """A suite and what it was asked of, told apart from the others: "multiple choice (medqa_us)"."""
    return f"{suite.title.lower()} ({Path(suite.source).stem})"


def number(measure: Measure, digits: int = 0) -> str:
    """A metric's value in its own unit: "82 %", "0.41", "-"."""
    return _value(measure.value, measure.scale, digits)


def interval(measure: Measure) -> str:
    """Its 95 % interval: "68-91", "0.38-0.44"; empty where there is none."""
    if measure.low is None or measure.high is None:
        return ""
    low, high = (_value(one, measure.scale, 0).removesuffix(" %") for one in (measure.low, measure.high))
    return f"{low} to {high}"


def change(difference: Difference, measure: Measure) -> str:
    """Tuned minus base with its interval: "+12 points (+3 to +21)"."""
    if difference.value is None:
        return "-"
    shown = [_change(one, measure) for one in (difference.value, difference.low, difference.high) if one is not None]
    unit = " points" if measure.scale == "share" else ""
    return f"{shown[0]}{unit}" + (f" ({shown[1]} to {shown[2]})" if len(shown) == 3 else "")


def chance_note(suite: SuiteReport) -> str:
    """What has to be said where a side does no better than guessing; empty elsewhere."""
    if suite.chance is None:
        return ""
    main = suite.main
    near = [
        name
        for name, one in (("base", main.base), ("tuned", main.tuned))
        if one.low is not None and one.low <= suite.chance
    ]
    if not near:
        return ""
    who = "Neither model does" if len(near) == 2 else f"The {near[0]} model does not do"
    return f"{who} better than guessing, {100 * suite.chance:.0f} %, as far as these items show."


def _value(value: float | None, scale: str, digits: int) -> str:
    if value is None:
        return "-"
    return (
        f"{100 * value:.{digits}f} %" if scale == "share" else f"{value:.3g}" if scale == "number" else f"{value:.3f}"
    )


def _change(value: float, measure: Measure) -> str:
    return (
        f"{100 * value:+.0f}"
        if measure.scale == "share"
        else f"{value:+.3g}"
        if measure.scale == "number"
        else f"{value:+.3f}"
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sets(count: int) -> str:
    return "1 set" if count == 1 else f"{count} sets"
