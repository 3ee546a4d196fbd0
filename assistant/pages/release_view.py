"""The Release page's words and tables as HTML. All text that comes from a model or a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assistant.pages import release_charts
from assistant.pages.history import History
from assistant.pages.run_view import TONES, duration
from assistant.pages.style import Tone, badge, notice
from evaluators import selection
from evaluators.cases import Case
from evaluators.gates import Gate
from evaluators.latency import LatencyReport
from evaluators.scores import Measure, Verdict
from trainer.evaluation.candidates import candidates, comparable
from trainer.evaluation.evaluations import Evaluation, Side, read_cases
from trainer.evaluation.report import Compared, EvaluationReport, SuiteReport
from trainer.evaluation.words import VERDICTS, chance_note, change, headline, interval, named, number, setbacks
from trainer.jobs import ACTIVE

VERDICT_TONES: dict[Verdict, Tone] = {"better": "good", "worse": "bad", "unknown": "quiet"}
GATE_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "not enough evidence": "warn"}
DECISION_TONES: dict[str, Tone] = {
    "within every limit tested": "good",
    "beyond a limit": "bad",
    "not enough evidence": "warn",
}
SIDES: tuple[Side, ...] = ("base", "tuned")
KIND = "Accuracy: "  # what the robustness suite's accuracy by kind begins with
EXAMPLES = 3  # cases of a suite that are shown for each way of changing
SHOWN = 400  # characters of a question or an answer in an example
CAUTION = "Research software, not a medical device. A screen or a gate is no approval; a clinician checks every answer."


def state(evaluation: Evaluation, past: History) -> str:
    """What is being measured, and how far it is; once it is done, what it took."""
    status = evaluation.status
    shown = past.progress
    bar = ""
    if status.state in ACTIVE:
        share = shown.done / shown.total if shown and shown.total else 0.0
        left = shown.stage if shown and status.state == "evaluating" else past.detail or status.state
        right = f"{shown.done:,} of {shown.total:,}" if shown and shown.total else ""
        bar = (
            f'<div class="bs-bar bs-fill-accent"><i style="width:{100 * min(1.0, share):.1f}%"></i></div>'
            f'<div class="bs-row bs-soft"><span>{escape(left)}</span><span>{escape(right)}</span></div>'
        )
    report = evaluation.report()
    took = f" · {duration(60 * report.minutes)}" if report and report.complete else ""
    sets = len(evaluation.request.suites)
    return (
        f'<div class="bs-card"><div class="bs-row bs-head"><span class="bs-big">{escape(evaluation.request.run)}</span>'
        f"{badge(status.state, TONES[status.state])}</div>"
        f'<p class="bs-soft">{sets} set{"" if sets == 1 else "s"} of questions{took}</p>{bar}</div>'
    )


def notes(evaluation: Evaluation, past: History) -> str:
    """Why it failed, and what went another way than asked for."""
    lines = [one.message for one in past.notes if one.kind == "warning"]
    if evaluation.status.error:
        return notice("This evaluation failed", [evaluation.status.error, *lines], "bad")
    return notice("Worth knowing", lines, "warn")


def report(evaluation: Evaluation) -> str:
    """All that an evaluation has found so far: the verdict first, then what it rests on."""
    found = evaluation.report()
    if found is None:
        return ""
    forest = release_charts.forest_plot(
        [(named(one), one.main.tuned, one.main.difference) for one in found.suites if one.metrics]
    )
    folds = "".join(
        suite(one, _charts(one), *(read_cases(evaluation.folder, one.cases, side) for side in SIDES))
        for one in found.suites
    )
    parts = [
        verdict(found),
        gates(found.gates),
        f'<div class="bs-card"><h3>Differences</h3>{forest}</div>' if forest else "",
        f'<div class="bs-card" id="release-suites"><h3>What was measured</h3>{folds}</div>' if folds else "",
        "".join(
            f'<div class="bs-card"><h3>Gradient attacks, {escape(side)}</h3>{release_charts.gradient_plot(curve)}</div>'
            for side, curve in found.gradient.items()
        ),
        latency(found.latency),
        _judged(found),
        choice(evaluation) if found.complete else "",
    ]
    return f'<div class="bs-stack">{"".join(parts)}</div>'


def choice(evaluation: Evaluation) -> str:
    """This model beside the others that were measured on the same, and which one to take (lecture L3.14)."""
    known = candidates(comparable(evaluation))
    if len(known) < 2:
        return ""
    chosen = selection.choose(known, selection.CRITERIA)
    names = [one.name for one in selection.CRITERIA if any(one.name in other.values for other in known)]
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td>"
        + "".join(f"<td>{'-' if (value := one.values.get(name)) is None else f'{value:.3g}'}</td>" for name in names)
        + "</tr>"
        for one in known
    )
    across, up = selection.CRITERIA[3], selection.CRITERIA[0]
    plot = release_charts.pareto_plot(known, across, up, chosen.name)
    reasons = "".join(f"<li>{escape(one)}</li>" for one in chosen.reasons)
    said = f"To take: {chosen.name}." if chosen.name else "None of them may be taken by these limits."
    return (
        f'<div class="bs-card" id="release-choice"><h3>Which model</h3><p>{escape(said)}</p>'
        f'<ul class="bs-list bs-soft">{reasons}</ul><div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th></th>'
        f"{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"{plot}</div>"
    )


def _charts(found: SuiteReport) -> str:
    drawn = ""
    if found.reliability:
        drawn += release_charts.reliability_plot(found.reliability["base"], found.reliability["tuned"])
    if found.suite == "robustness":
        measures = {one.name: one.tuned for one in found.metrics}
        clean = measures["Accuracy, clean"]
        kinds = [(name.removeprefix(KIND), one) for name, one in measures.items() if name.startswith(KIND)]
        drawn += release_charts.attack_bars([(kind, clean, one) for kind, one in kinds])
    return drawn


def _judged(found: EvaluationReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(who)}</td><td>{one.n}</td><td>{'-' if one.kappa is None else f'{one.kappa:.2f}'}</td>"
        f"<td>{'-' if one.agree is None else f'{100 * one.agree:.0f} %'}</td><td>{one.left_out}</td></tr>"
        for who, one in found.judged.items()
    )
    return (
        '<div class="bs-card"><h3>Who else judged harm</h3><div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr>'
        "<th>the rules against</th><th>n</th><th>Cohen's kappa</th><th>agree</th><th>left out</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></div>"
        if rows
        else ""
    )


def verdict(report: EvaluationReport) -> str:
    """What a reader should know after ten seconds: better, worse or unknown, on what, and whether the gates pass."""
    rows = "".join(_suite_row(suite) for suite in report.suites)
    so_far = "" if report.complete else '<p class="bs-soft">So far: not all of it has been measured.</p>'
    decision = (
        f'<div class="bs-row"><span>Release gates</span>{badge(report.decision, DECISION_TONES[report.decision])}</div>'
        if report.gates
        else ""
    )
    against = "the earlier model" if report.against else "base"
    return (
        f'<div class="bs-card" id="release-verdict"><p class="bs-big">{escape(headline(report))}</p>{so_far}{decision}'
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table bs-compare" id="release-table"><thead><tr><th>Measured on</th>'
        f"<th>{against}</th><th>tuned</th><th>difference</th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="bs-soft">With 95 % intervals, on the same questions. “Better” and “worse” hold at 5 % over all sets '
        f"together; everything else is not shown to differ. {CAUTION}</p></div>"
    )


def gates(found: Sequence[Gate]) -> str:
    """The gates, each with what was found and what is missing."""
    if not found:
        return ""
    rows = "".join(
        f'<li><div class="bs-row"><strong>{escape(gate.name)}</strong>'
        f"{badge(gate.result, GATE_TONES[gate.result])}</div>"
        f'<p class="bs-soft">{escape(gate.sentence)}</p><p class="bs-source">{escape(gate.rule)}</p></li>'
        for gate in found
    )
    return f'<div class="bs-card" id="release-gates"><h3>Release gates</h3><ul class="bs-gates">{rows}</ul></div>'


def suite(found: SuiteReport, charts: str, base: Sequence[Case], tuned: Sequence[Case]) -> str:
    """One suite in full: all metrics, its groups, `charts`, and cases where the two models differ."""
    metrics = "".join(_metric_row(one) for one in found.metrics)
    groups = "".join(_metric_row(one.main, one.group) for one in found.groups)
    by_group = _table(f"{found.main.name}, by group", groups) if groups else ""
    remarks = [*found.notes, *([chance_note(found)] if chance_note(found) else [])]
    remarks += [f"{one.name}: {one.tuned.note}" for one in found.metrics if one.tuned.note]
    listed = "".join(f"<li>{escape(one)}</li>" for one in remarks)
    return (
        f'<details class="bs-section"><summary><strong>{escape(named(found))}</strong>'
        f"<span>{escape(VERDICTS[found.verdict])}</span></summary>"
        f"{_table('Metric', metrics)}{charts}"
        f"{by_group}"
        f'<ul class="bs-list bs-soft">{listed}</ul>'
        f"{_examples(base, tuned)}</details>"
    )


def latency(found: dict[str, LatencyReport]) -> str:
    """Time to the first token and to the whole answer, by number of users."""
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{escape(side)}</td><td>{load.users} ({load.way})</td><td>{load.first_token_p50:.2f} s</td>"
        f"<td>{load.complete_p50:.2f} s</td><td>{load.complete_p95:.2f} s</td><td>{load.tokens_per_second:.0f}</td>"
        f"<td>{load.tokens_within_limit}</td></tr>"
        for side, one in found.items()
        for load in one.loads
    )
    longest = next(iter(found.values())).max_new_tokens
    return (
        '<div class="bs-card" id="release-latency"><h3>Latency on this machine</h3><div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>model</th><th>at once</th><th>first token</th><th>complete</th>'
        "<th>95th percentile</th><th>tokens/s together</th><th>tokens within 2 s</th></tr></thead>"
        f'<tbody>{rows}</tbody></table></div><p class="bs-soft">Answers of at most {longest} tokens; users who ask at '
        "the same moment are served one after another (queue) or in one batch. The limit of an interactive answer is "
        "2 s (lecture L3.17).</p></div>"
    )


def _suite_row(found: SuiteReport) -> str:
    main = found.main
    return (
        f"<tr><td><strong>{escape(named(found))}</strong>"
        f'<div class="bs-soft">{escape(main.name)}, n {main.tuned.n}</div>'
        f"{badge(VERDICTS[found.verdict], VERDICT_TONES[found.verdict])}{_warnings(found)}</td>"
        f"{_cell(main.base)}{_cell(main.tuned)}<td>{escape(change(main.difference, main.tuned))}</td></tr>"
    )


def _warnings(found: SuiteReport) -> str:
    worse, chance = setbacks(found), chance_note(found)
    told = f'<div class="bs-soft">{escape(chance)}</div>' if chance else ""
    return told + (f'<div class="bs-bad-text">but worse: {escape("; ".join(worse))}</div>' if worse else "")


def _metric_row(found: Compared, name: str = "") -> str:
    tone = VERDICT_TONES[found.difference.verdict]
    arrow = "" if found.tuned.higher_is_better else '<span class="bs-soft"> (less is better)</span>'
    return (
        f"<tr><td>{escape(name or found.name)}{'' if name else arrow}"
        f'<div class="bs-soft">n {found.tuned.n}</div></td>'
        f"{_cell(found.base)}{_cell(found.tuned)}"
        f'<td><span class="bs-{tone}-text">{escape(change(found.difference, found.tuned))}</span></td></tr>'
    )


def _cell(measure: Measure) -> str:
    return f'<td>{escape(number(measure))}<div class="bs-soft">{escape(interval(measure))}</div></td>'


def _table(name: str, rows: str) -> str:
    return (
        '<div class="bs-scroll" tabindex="0">'
        f'<table class="bs-table bs-compare"><thead><tr><th>{escape(name)}</th><th>base</th>'
        f"<th>tuned</th><th>difference</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _examples(base: Sequence[Case], tuned: Sequence[Case]) -> str:
    pairs = list(zip(base, tuned, strict=True))
    ways = {
        "Right before, wrong now": [pair for pair in pairs if pair[0].right and pair[1].right is False],
        "Wrong before, right now": [pair for pair in pairs if pair[0].right is False and pair[1].right],
        "Wrong both times": [pair for pair in pairs if pair[0].right is False and pair[1].right is False],
    }
    shown = "".join(
        f"<h4>{title}: {len(found)}</h4>{''.join(_example(*pair) for pair in found[:EXAMPLES])}"
        for title, found in ways.items()
        if found
    )
    return f'<details class="bs-defaults"><summary>Cases</summary>{shown}</details>' if shown else ""


def _example(base: Case, tuned: Case) -> str:
    wanted = f'<p class="bs-soft">wanted: {escape(_cut(tuned.reference))}</p>' if tuned.reference else ""
    remarks = "".join(f'<p class="bs-soft">{escape(one)}</p>' for one in tuned.remarks)
    how = f'<p class="bs-soft">{escape(tuned.how)}</p>' if tuned.how else ""
    return (
        f'<div class="bs-sample"><q>{escape(_cut(tuned.question))}</q>{how}{wanted}'
        f"<p>before: {escape(_cut(base.answer))}</p><p>now: {escape(_cut(tuned.answer))}</p>{remarks}</div>"
    )


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
