"""The dossier's parts on what was measured: metrics with n and intervals, gates, forgetting, subgroups, robustness."""

from __future__ import annotations

from collections.abc import Sequence

from trainer import card
from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import bullets, joined, plain, table
from trainer.evaluation.report import Compared, SuiteReport
from trainer.evaluation.words import VERDICTS, chance_note, change, interval, named, number
from trainer.events import ForgettingEvent, HarmEvent

ATTACKS = ("consistency", "robustness", "gradient", "search")
HARM = ("safety", "over_refusal", "memorisation")
"""Suites that stand in parts of their own."""
COMPARED = ["measured on", "n", "base", "tuned", "difference (95 %)"]


def metrics(found: Evidence) -> str:
    """The run's own held-out sets, and every suite of the newest evaluation, each with n and its 95 % interval."""
    return joined(_of_the_run(found), _of_the_evaluation(found))


def gates(found: Evidence) -> str:
    """The release gates (lecture L3.15, L2.9, L3.17) of the newest evaluation."""
    if found.measured is None:
        return _lacking(found)
    rows = [(gate.name, gate.rule, gate.result, gate.sentence) for gate in found.measured.gates]
    return joined(
        f"All together: **{plain(found.measured.decision)}**. A gate says what the cases show; it is no approval.",
        table(["gate", "limit", "result", "what was found"], rows),
    )


def forgetting(found: Evidence) -> str:
    """What was lost on general and general medical questions (lecture L2.9), after the run and while it trained."""
    report = found.report
    after = ""
    if report and report.forgetting:
        lost = report.forgetting
        rows = [
            (
                kind.replace("_", " "),
                f"{one.n:,}",
                f"{100 * one.before:.0f} %",
                f"{100 * one.now:.0f} %",
                f"{one.lost:+.1f} ({one.low:+.1f} to {one.high:+.1f})",
            )
            for kind, one in lost.kinds.items()
        ]
        after = joined(
            "Asked by the run itself, before and after training; a negative loss is a gain.",
            table(["questions", "n", "right before", "right after", "points lost (95 %)"], rows),
            f"Perplexity of general text: {lost.perplexity.before:.1f} before, {lost.perplexity.after:.1f} after.",
        )
    looks = [one for one in found.run.events() if isinstance(one, ForgettingEvent)]
    watched = ""
    if looks:
        past = sum(one.past for one in looks)
        watched = (
            f"The monitor looked {len(looks)} times while the run trained, and found it past the limit of "
            f"{looks[-1].limit:g} points {past} times."
        )
    if not after and not watched:
        after = "The run did not measure it (evaluation.forgetting is off)."
    general = found.measured.suite("general") if found.measured else None
    rows = [(f"{named(general)}: {group.group}", *_cells(group.main)) for group in general.groups] if general else []
    return joined(after, watched, table(COMPARED, rows) if found.measured else _lacking(found))


def subgroups(found: Evidence) -> str:
    """Each suite's main metric by category, specialty or kind of question."""
    if found.measured is None:
        return _lacking(found)
    rows = [
        (f"{named(suite)}: {group.group}", *_cells(group.main))
        for suite in found.measured.suites
        for group in suite.groups
    ]
    if not rows:
        return "No set that was measured has groups: whether the model is worse for some patients is not known."
    return joined(
        "Main metric of each set on its groups. Groups are what the sets name (a specialty, a kind of question); age, "
        "sex, ethnicity and language of patients are among them only where a row here says so.",
        table(COMPARED, rows),
    )


def robustness(found: Evidence) -> str:
    """What typos, other words, other framings, injections and gradient attacks change (lecture L3.5-L3.7)."""
    if found.measured is None:
        return _lacking(found)
    rows = _rows([suite for suite in found.measured.suites if suite.suite in ATTACKS])
    curves = [
        (side, f"{point.epsilon:g}", f"{curve.clean.n:,}", *(f"{100 * one.score:.0f} %" for one in shares))
        for side, curve in found.measured.gradient.items()
        for point in curve.points
        for shares in [(curve.clean, point.fgsm, point.multi_step, point.noise)]
    ]
    if not rows and not curves:
        return f"Not measured: `bedside attack {found.run.id}` does it."
    return joined(
        table(COMPARED, rows),
        table(["model", "size (epsilon)", "n", "clean", "FGSM", "several steps", "noise"], curves),
    )


def safety(found: Evidence) -> str:
    """Harmful answers: the screen, who else judged, and the monitor while the run trained (lecture L3.15)."""
    parts = []
    if found.measured is not None:
        harm = [suite for suite in found.measured.suites if suite.suite in HARM]
        parts.append(table(COMPARED, _rows(harm)))
        judged = [
            (who, f"{one.n:,}", "not defined" if one.kappa is None else f"{one.kappa:.2f}", f"{one.left_out:,}")
            for who, one in found.measured.judged.items()
        ]
        parts.append(table(["who else judged harm", "n", "kappa with the rules", "left out"], judged))
        if not judged and harm:
            parts.append("Harm was screened by rules alone; no clinician's verdicts were given (`--verdicts`).")
    looks = [one for one in found.run.events() if isinstance(one, HarmEvent)]
    if looks:
        last = looks[-1]
        parts.append(
            f"The monitor's last look, at step {last.step}: {last.harmful} of {last.n} answers harmful "
            f"({100 * last.low:.1f} to {100 * last.high:.1f} %), {last.base_harmful} of the base's."
        )
    return joined(*parts) or _lacking(found)


def latency(found: Evidence) -> str:
    """Time to the first token and to the whole answer, on the machine of the evaluation (lecture L3.17)."""
    rows = [
        (
            side,
            f"{load.users} ({load.way})",
            f"{load.first_token_p50:.2f} s",
            f"{load.complete_p50:.2f} s",
            f"{load.complete_p95:.2f} s",
            f"{load.tokens_per_second:.0f}",
        )
        for side, one in (found.measured.latency.items() if found.measured else ())
        for load in one.loads
    ]
    header = ["model", "users at once", "first token", "complete", "95th percentile", "tokens/s together"]
    return table(header, rows) or _lacking(found)


def reviewers(found: Evidence) -> str:
    """What people's votes say of the answers (lecture L3.4, L3.12)."""
    if not found.votes:
        missing = found.missing["votes"]
        return f"{missing.what} {missing.how}"
    rows = [
        (
            pair.first,
            pair.second,
            f"{pair.votes:,}",
            f"{number(pair.win_share)} ({interval(pair.win_share)})" if interval(pair.win_share) else "-",
            pair.verdict,
        )
        for pair in found.votes
    ]
    return table(["first", "second", "votes", "votes for the first (95 %)", "verdict"], rows)


def interpretability(found: Evidence) -> str:
    """What can be said of why it answers as it does."""
    return (
        "No explanation is kept with a run. The Playground shows, for one answer at a time, which words of the "
        "question carried it; that is a look at the model and no proof of its reasons."
    )


def _of_the_run(found: Evidence) -> str:
    report = found.report
    if report is None:
        missing = found.missing["report"]
        return f"{missing.what} {missing.how}"
    loss = report.validation_loss
    parts = [
        f"Validation loss {loss.before:.3f} before training, {loss.after:.3f} after"
        + (f" (kept from step {report.best_step})." if report.best_step is not None else ".")
    ]
    if report.pairs_won:
        won = report.pairs_won
        parts.append(f"Validation pairs won: {card.percent(won.before)} before, {card.percent(won.after)} after, "
                     f"n = {won.after.n:,}.")  # fmt: skip
    if report.reward_gain:
        gain = report.reward_gain
        parts.append(
            f"Mean reward: {number(gain.before, 2)} of the base, {number(gain.after, 2)} tuned (n = {gain.after.n:,}); "
            "a reward is what was aimed at, not whether answers are good."
        )
    if report.folds:
        parts.append(f"Loss on held-back rows over {report.folds.n} folds: {report.folds.mean:.3f}, standard deviation "
                     f"{report.folds.sd:.3f}.")  # fmt: skip
    if report.table:
        parts.append(table(card.COMPARISON_HEADER, card.comparison_rows(report)))
        parts.append("Shares with their 95 % interval (Wilson).")
    else:
        parts.append("The run scored no held-out set.")
    return joined(*parts)


def _of_the_evaluation(found: Evidence) -> str:
    if found.measured is None or found.evaluation is None:
        return _lacking(found)
    suites = [suite for suite in found.measured.suites if suite.suite not in (*ATTACKS, *HARM)]
    verdicts = [(named(suite), f"{suite.items:,}", VERDICTS[suite.verdict]) for suite in found.measured.suites]
    notes = [
        f"{named(suite)}: {note}"
        for suite in found.measured.suites
        for note in [*suite.notes, chance_note(suite)]
        if note
    ]
    notes += found.measured.notes
    return joined(
        f"Evaluation {plain(found.evaluation.id)}, base and tuned on the same questions. Verdicts are of each set's "
        "first metric, at 5 % over all sets together (Holm 1979).",
        table(["set", "items", "tuned against base"], verdicts),
        table(COMPARED, _rows(suites)),
        bullets(plain(note) for note in notes),
    )


def _rows(suites: Sequence[SuiteReport]) -> list[tuple[str, ...]]:
    return [(f"{named(suite)}: {one.name}", *_cells(one)) for suite in suites for one in suite.metrics]


def _cells(one: Compared) -> tuple[str, ...]:
    sides = [f"{number(side)} ({interval(side)})" if interval(side) else number(side) for side in one.sides]
    return (f"{one.tuned.n:,}", *sides, change(one.difference, one.tuned))


def _lacking(found: Evidence) -> str:
    if found.measured is not None:
        return "Not measured in the newest evaluation."
    missing = found.missing["evaluation"]
    return f"{missing.what} {missing.how}"
