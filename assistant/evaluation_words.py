"""An evaluation's report in words: the headline, numbers with their intervals, and its lines in a terminal."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from evaluators.scores import Difference, Measure, Verdict
from trainer.evaluation.report import EvaluationReport, SuiteReport
from trainer.evaluation.request import EvaluationRequest

VERDICTS: dict[Verdict, str] = {"better": "better", "worse": "worse", "unknown": "no difference shown"}


class EvaluationDetails(BaseModel):
    """`eval --json`, `attack --json` and `evaluations show --json`."""

    id: str
    state: str
    error: str | None
    request: EvaluationRequest
    report: EvaluationReport | None


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


def report_lines(report: EvaluationReport) -> list[str]:
    """The report for a terminal: headline, a table of all metrics, gates, latency, agreement, notes."""
    lines = [headline(report)]
    lines += [
        f"But worse in {named(suite)}: {'; '.join(found)}." for suite in report.suites if (found := setbacks(suite))
    ]
    lines.append("")
    rows: list[tuple[str, ...]] = [("set and metric", "n", "base", "tuned", "difference (95 %)", "")]
    for suite in report.suites:
        for place, one in enumerate(suite.metrics):
            name, verdict = f"  {one.name}", ""
            if place == 0:
                name, verdict = f"{named(suite)}: {one.name}", VERDICTS[suite.verdict]
            sides = [f"{number(side)} ({interval(side)})" if interval(side) else number(side) for side in one.sides]
            rows.append((name, str(one.tuned.n), *sides, change(one.difference, one.tuned), verdict))
    lines += _table(rows)
    lines += [
        f"  {named(suite)}: {note}" for suite in report.suites for note in [*suite.notes, chance_note(suite)] if note
    ]
    for side, found in report.latency.items():
        for load in found.loads:
            lines.append(
                f"Latency, {side}, {load.users} at once ({load.way}): first token {load.first_token_p50:.2f} s, "
                f"complete {load.complete_p50:.2f} s (p95 {load.complete_p95:.2f}), "
                f"{load.tokens_per_second:.0f} tokens/s together."
            )
    for side, curve in report.gradient.items():
        points = ", ".join(
            f"ε {point.epsilon:g}: {_percent(point.fgsm.score)} FGSM, {_percent(point.multi_step.score)} several "
            f"steps, {_percent(point.noise.score)} noise"
            for point in curve.points
        )
        lines.append(f"Gradient attacks, {side}: {_percent(curve.clean.score)} clean; {points} (n {curve.clean.n}).")
    for who, one in report.judged.items():
        kappa = "not defined" if one.kappa is None else f"{one.kappa:.2f}"
        lines.append(f"Rules against {who}: kappa {kappa} on {one.n} answers, {one.left_out} left out.")
    if report.gates:
        lines += ["", f"Release gates: {report.decision}."]
        lines += [f"  {gate.result.upper():20} {gate.name}: {gate.sentence}" for gate in report.gates]
    lines += ["", *report.notes]
    lines.append(f"{'Complete' if report.complete else 'So far'}: {report.minutes:.1f} min of this process.")
    return lines


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sets(count: int) -> str:
    return "1 set" if count == 1 else f"{count} sets"
