"""An evaluation's report as lines in a terminal, and what the commands print of one with `--json`."""

from __future__ import annotations

from pydantic import BaseModel

from trainer.evaluation.report import EvaluationReport
from trainer.evaluation.request import EvaluationRequest
from trainer.evaluation.words import VERDICTS, chance_note, change, headline, interval, named, number, setbacks


class EvaluationDetails(BaseModel):
    """`eval --json`, `attack --json` and `evaluations show --json`."""

    id: str
    state: str
    error: str | None
    request: EvaluationRequest
    report: EvaluationReport | None


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
