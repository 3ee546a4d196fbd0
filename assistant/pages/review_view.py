"""The Review page's words and tables as HTML. All text that comes from a model, a reviewer or a file is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from assistant import fault_log
from assistant.pages import review_charts
from assistant.pages.background import in_a_sentence
from assistant.pages.run_view import facts_list
from assistant.pages.style import Tone, badge
from assistant.pages.vote_form import SIDES
from trainer import model_refs, runs
from trainer.jobs import RunError

if TYPE_CHECKING:
    from assistant.planner.advice_models import Reason
    from evaluators.scores import Measure
    from trainer.data.rows import Message, Row
    from trainer.review.ballots import Ballot, Disagreement, Shown
    from trainer.review.preference_data import PreferenceData
    from trainer.review.queue import ReviewerProgress, SetProgress
    from trainer.review.results import PairResult, ReviewResults
    from trainer.sections import RunConfig
    from trainer.store import ReviewSet

CHOICES = {"left": "A is better", "right": "B is better", "tie": "a tie", "both_bad": "both are bad"}
_AGREED: dict[str, Tone] = {"reliable": "good", "tentative": "warn", "too low": "bad", "not enough evidence": "warn"}
EXAMPLES = 3  # pairs, and comparisons left out, that a preview shows
SHOWN = 400  # characters of a text in an example


def fault(error: Exception) -> str:
    """What the page says of an error, whose kind is in the log."""
    fault_log.write("the Review page cannot", error)
    return in_a_sentence(error)


def remark(sentence: str) -> str:
    """A sentence where a case would stand."""
    return f'<div class="bs-empty"><p>{escape(sentence)}</p></div>'


def case_progress(shown: Shown) -> str:
    """How far the reviewer is in the set, and why this case is in it."""
    share = 100 * shown.done / shown.total if shown.total else 0.0
    about = " · ".join(one for one in (shown.group, shown.chosen_by) if one)
    return (
        f'<div class="bs-bar bs-fill-accent" role="img" aria-label="{shown.done} of {shown.total} cases done">'
        f'<i style="width:{share:.1f}%"></i></div><div class="bs-row bs-soft"><span>Case {shown.done + 1} of '
        f"{shown.total}</span><span>{escape(about)}</span></div>"
    )


def no_case(readers: Sequence[ReviewerProgress], whole: SetProgress, reviewer: str) -> str:
    """Why a reviewer has no case now."""
    if whole.answered < whole.cases:
        return (
            f"The models have answered {whole.answered} of {whole.cases} cases, and you have judged what there is; "
            "“Sets” lets them answer the rest."
        )
    own = next((one for one in readers if one.reviewer == reviewer), None)
    if own is None or not own.total:
        return "No case of this set is dealt to you."
    skipped = f", {own.skipped} of them skipped" if own.skipped else ""
    return f"All done: {own.done + own.skipped} cases{skipped}. Thank you. “Results” shows what came of the votes."


def question(messages: Sequence[Message]) -> str:
    """The conversation up to the question, which stands out."""
    return f'<div class="bs-card"><h3>Question</h3>{_turns(messages)}</div>'


def model_name(name: str) -> str:
    """Whose an answer is, once it may be said."""
    return f'<p class="bs-soft">This is {escape(name)}.</p>'


def set_state(found: ReviewSet, whole: SetProgress, readers: Sequence[ReviewerProgress]) -> str:
    """How far a set and each of its reviewers are; it names no model, since a reviewer may read it."""
    facts = facts_list(
        {
            "cases": f"{whole.cases:,}",
            "answered": f"{whole.answered:,}",
            "judged": f"{whole.judged:,}",
            "votes": f"{whole.votes:,}",
            "read twice": f"{found.double_share:.0%}" if found.reviewers else "by whoever comes",
        }
    )
    rows = "".join(
        f"<tr><td>{escape(one.reviewer)}</td><td>{one.done}</td><td>{one.skipped}</td><td>{one.open}</td></tr>"
        for one in readers
    )
    table = (
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>Reviewer</th><th>judged</th><th>skipped</th>'
        f"<th>open</th></tr></thead><tbody>{rows}</tbody></table></div>"
        if rows
        else '<p class="bs-soft">Nobody has judged a case of it yet.</p>'
    )
    how = badge("blind", "quiet") if found.blind else badge("with names", "warn")
    return (
        f'<div class="bs-card"><div class="bs-row bs-head"><span class="bs-big">{escape(found.name)}</span>{how}</div>'
        f"{facts}{table}</div>"
    )


def results(found: ReviewResults) -> str:
    """All that the votes say: who wins first, then how far that can be trusted."""
    if not found.votes:
        return remark("Nobody has judged a case of this set yet.")
    facts = facts_list(
        {
            "votes": f"{found.votes:,}",
            "cases judged": f"{found.comparisons:,}",
            "reviewers": f"{found.reviewers:,}",
            "adjudicated": f"{found.adjudicated:,}",
            "changed after the names were shown": f"{found.changed:,}",
            "corrected": f"{found.corrections:,}",
            "time for a case": "not measured" if found.seconds is None else f"{found.seconds:.0f} s (median)",
        }
    )
    called = names({*found.bradley_terry.ratings, *(ref for one in found.pairs for ref in (one.first, one.second))})
    pairs = "".join(_pair_result(one, called) for one in found.pairs)
    return (
        f'<div class="bs-stack"><div class="bs-card"><h3>Who is preferred</h3>{pairs}{facts}</div>'
        f"{_rankings(found, called)}{_agreement(found)}{_position(found)}{_stars(found, called)}</div>"
    )


def names(refs: Iterable[str]) -> dict[str, str]:
    """What models are called beside each other, as short as tells them apart; the reference where a run is gone."""
    split = {ref: (ref.partition(":")[0], ref.partition(":")[2].replace("-", " ") or model_refs.TUNED) for ref in refs}
    if len({run for run, _ in split.values()}) == 1:
        return {ref: part for ref, (_, part) in split.items()}
    found: dict[str, tuple[str, str]] = {}
    for ref, (identity, part) in split.items():
        try:
            run = runs.get(identity)
            found[ref] = (f"{run.config.output.name} · {part}", f"{runs.label(run)} · {part}")
        except RunError:
            found[ref] = (ref, ref)
    short = [name for name, _ in found.values()]
    return {ref: name if short.count(name) == 1 else whole for ref, (name, whole) in found.items()}


def _pair_result(one: PairResult, called: Mapping[str, str]) -> str:
    first, second = called[one.first], called[one.second]
    better = {"first is better": first, "second is better": second}.get(one.verdict)
    verdict = badge(f"{better} is preferred", "good") if better else badge("not enough evidence", "warn")
    counts = {"first": one.first_wins, "tie": one.ties, "both bad": one.both_bad, "second": one.second_wins}
    share = one.win_share
    told = f"{first} is preferred in {_percent(share)} of {one.votes} vote{_s(one.votes)}, ties counted half"
    p = "" if one.p is None else f"; sign test over questions: p = {one.p:.2g}"
    return (
        f"<p>{verdict}</p>{review_charts.wins_bar(first, second, counts)}"
        f'<p class="bs-soft">{escape(told)}, over {one.comparisons} question{_s(one.comparisons)}{p}.</p>'
    )


def _rankings(found: ReviewResults, called: Mapping[str, str]) -> str:
    parts = ""
    for title, ranking in (("Bradley-Terry", found.bradley_terry), ("Elo", found.elo)):
        rows = [(called[name], one) for name, one in ranking.ratings.items()]
        drawing = review_charts.intervals(rows, f"{title} rating (400 points: wins ten times as often)")
        note = f'<p class="bs-soft">{escape(_with_names(ranking.remark, called))}</p>' if ranking.remark else ""
        parts += drawing + note
    return f'<div class="bs-card"><h3>Ratings over all comparisons</h3>{parts}</div>'


def _with_names(remark: str, called: Mapping[str, str]) -> str:
    for ref in sorted(called, key=len, reverse=True):
        remark = remark.replace(ref, called[ref])
    return remark


def _agreement(found: ReviewResults) -> str:
    agreed = found.agreement
    rows = [("Krippendorff's alpha, choice", agreed.alpha), ("Fleiss' kappa, choice", agreed.fleiss)]
    rows += [(f"Cohen's kappa, {one.first} and {one.second}", one.kappa) for one in agreed.kappas]
    rows += [(f"alpha of the stars, {name}", one) for name, one in agreed.ratings.items()]
    lowest = min((one.low for _, one in rows if one.low is not None), default=0.0)
    drawing = review_charts.intervals(
        [row for row in rows if row[1].value is not None],
        "1 is full agreement, 0 no more than chance",
        (min(-0.2, math.floor(10 * lowest) / 10), 1.0),
    )
    tone = _AGREED[agreed.verdict]
    left = found.open_disagreements
    decide = f"<p>{left} case{_s(left)} that readers judged differently can be decided below.</p>" if left else ""
    return (
        f'<div class="bs-card"><h3>Do the readers agree?</h3><p>{badge(agreed.verdict, tone)} {escape(agreed.said)} '
        f"{agreed.unanimous} of {agreed.shared} were judged the same by all.</p>{drawing}{decide}</div>"
    )


def _position(found: ReviewResults) -> str:
    bias = found.position
    if bias.share is None:
        return ""
    tone: Tone = "good" if bias.verdict == "not shown" else "warn"
    p = "" if bias.p is None else f" (exact binomial test: p = {bias.p:.2g})"
    return (
        f'<div class="bs-card"><h3>Does the place on the page decide?</h3><p>{badge(bias.verdict, tone)} Sides are '
        f"shuffled, so that without bias the left answer wins half of the time{p}.</p>"
        f"{review_charts.left_share(bias.share)}</div>"
    )


def _stars(found: ReviewResults, called: Mapping[str, str]) -> str:
    if not found.ratings:
        return ""
    criteria = list(dict.fromkeys(name for given in found.ratings.values() for name in given))
    charts = "".join(
        review_charts.intervals(
            [(called[model], given[name]) for model, given in found.ratings.items() if name in given],
            f"{name.capitalize()}, 1 to 5",
            (1.0, 5.0),
        )
        for name in criteria
    )
    return f'<div class="bs-card"><h3>Ratings of the answers</h3>{charts}</div>'


def disagreement(one: Disagreement, number: int, of: int) -> str:
    """A case that its readers judged differently, and what each said, as the adjudicator sees it."""
    shown = one.shown
    answers = "".join(
        f'<div class="bs-way"><q>{SIDES[side]}</q><p class="bs-text">{escape(text)}</p></div>'
        for side, text in (("left", shown.left), ("right", shown.right))
    )
    votes = "".join(f"<li>{escape(reviewer)}: {ballot(said)}</li>" for reviewer, said in one.votes.items())
    return (
        f'<div class="bs-card"><h3>To be decided: {number} of {of} that readers judged differently'
        f"{', in opposite ways' if one.opposite else ''}</h3>{_turns(shown.messages)}"
        f'<div class="bs-ways">{answers}</div><ul class="bs-list">{votes}</ul></div>'
    )


def ballot(given: Ballot) -> str:
    """One vote in a line."""
    parts = [f"<strong>{CHOICES[given.choice]}</strong>"]
    for side, ratings in sorted(given.ratings.items()):
        parts.append(f"{SIDES[side]}: " + ", ".join(f"{escape(name)} {stars}" for name, stars in ratings.items()))
    for span in given.spans:
        reason = f" ({escape(span.reason)})" if span.reason else ""
        parts.append(f"wrong in {SIDES[span.side]}: “{escape(_short(span.text))}”{reason}")
    if given.comment:
        parts.append(f"“{escape(_short(given.comment))}”")
    if given.correction:
        parts.append(f"corrected to “{escape(_short(given.correction))}”")
    return "; ".join(parts)


def counted(counts: Mapping[str, int]) -> str:
    """Preference data in a few words: "12 pairs, 30 labels"."""
    labels = counts["good"] + counts["bad"]
    return f"{counts['pairs']} pair{_s(counts['pairs'])}, {labels} label{_s(labels)}"


def preference_data(data: PreferenceData) -> str:
    """What the votes give: counts, why the others give nothing, and a few of each."""
    counts = data.counts
    facts = facts_list(
        {
            "compared": f"{counts['comparisons']:,}",
            "votes": f"{counts['votes']:,}",
            "pairs": f"{counts['pairs']:,}",
            "good labels": f"{counts['good']:,}",
            "bad labels": f"{counts['bad']:,}",
        }
    )
    reasons = "".join(f"<li>{count} × {escape(reason)}</li>" for reason, count in data.reasons.items())
    left = f'<h3>Give no pair</h3><ul class="bs-list bs-soft">{reasons}</ul>' if reasons else ""
    pairs = "".join(_pair(row) for row in data.pairs[:EXAMPLES])
    first = f"Pairs, the first {min(EXAMPLES, len(data.pairs))} of {len(data.pairs)}"
    shown = f'<details class="bs-defaults"><summary>{first}</summary>{pairs}</details>' if pairs else ""
    omitted = "".join(
        f'<div class="bs-sample"><q>{escape(_short(one.question))}</q><p class="bs-soft">{escape(one.reason)}'
        f"{f'; it gives {one.labels} label{_s(one.labels)} all the same' if one.labels else ''}</p></div>"
        for one in data.left_out[:EXAMPLES]
    )
    fold = (
        f'<details class="bs-defaults"><summary>Examples of what gives none</summary>{omitted}</details>'
        if omitted
        else ""
    )
    return (
        f'<div class="bs-card"><h3>What {escape(data.source)} give</h3>{facts}{_wrong(data)}{left}{fold}{shown}</div>'
    )


def alignment(config: RunConfig, reasons: Sequence[Reason]) -> str:
    """What the planner chose for the alignment run, each value with its reason and source."""
    rows = "".join(
        f'<div class="bs-value"><div><div class="bs-name">{escape(one.field)}</div><div class="bs-what">'
        f'{escape(_short(_value(one.value)))}</div></div><div><div class="bs-why">{escape(one.why)}</div>'
        f'<div class="bs-source">{escape(one.source)}</div></div></div>'
        for one in reasons
    )
    return f'<div class="bs-card"><h3>{escape(config.output.name)}: {escape(config.objective.kind)}</h3>{rows}</div>'


def _turns(messages: Sequence[Message]) -> str:
    before = "".join(
        f'<p class="bs-text bs-soft">{"Question" if one["role"] == "user" else "Answer"}: {escape(one["content"])}</p>'
        for one in messages[:-1]
    )
    return f'{before}<p class="bs-text">{escape(messages[-1]["content"])}</p>'


def _wrong(data: PreferenceData) -> str:
    found = data.agreement
    if found.wrong_pairs is None:
        return '<p class="bs-soft">Nothing was read twice, so that nobody can say how many pairs are wrong.</p>'
    return (
        f'<p class="bs-soft">Of {found.doubly_read} pairs of readers {found.differ} preferred different answers; about '
        f"{found.wrong_pairs:.0%} of the pairs are then expected to be the wrong way round.</p>"
    )


def _pair(row: Row) -> str:
    asked, chosen, rejected = (
        escape(_short(messages[-1]["content"])) if messages else ""
        for messages in (row.get("prompt"), row.get("chosen"), row.get("rejected"))
    )
    return (
        f'<div class="bs-sample"><q>{asked}</q><p>{badge("chosen", "good")} {chosen}</p>'
        f"<p>{badge('rejected', 'quiet')} {rejected}</p></div>"
    )


def _percent(one: Measure) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "an unknown share" if one.value is None else f"{one.value:.0%}"
    return f"{one.value:.0%} ({one.low:.0%} to {one.high:.0%})"


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()}…"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
