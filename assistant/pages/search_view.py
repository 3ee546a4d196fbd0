"""The Search tab's words and tables as HTML. All text that comes from a run file or a trial is escaped."""

from __future__ import annotations

from html import escape

from assistant.pages import search_charts
from assistant.pages.run_view import TONES, duration, facts_list
from assistant.pages.style import Tone, badge, notice
from assistant.planner.advice_search import Proposal
from assistant.search_words import STATES, UNITS, SearchDetails, measured, value
from trainer.search.outcome import TrialRecord
from trainer.search.searches import Search

_TRIAL_TONES: dict[str, Tone] = {
    "waiting": "quiet",
    "running": "busy",
    "complete": "good",
    "pruned": "warn",
    "unfit": "quiet",
    "failed": "bad",
}
_METHODS = {
    "tpe": "values drawn near what was good (TPE)",
    "random": "values drawn at random",
    "hyperopt": "values drawn near what was good (Hyperopt’s TPE)",
    "population": "trained side by side, the worst going on from the best",
}


def proposal(found: Proposal) -> str:
    """What would be searched, with a reason for each part; folded, since nothing has to be decided."""
    rows = "".join(
        f'<div class="bs-value"><div><span class="bs-name">{escape(one.field)}</span><br>'
        f'<span class="bs-what">{escape(_short(one.value))}</span></div><div class="bs-why">{escape(one.why)} '
        f'<span class="bs-source">{escape(one.source)}</span></div></div>'
        for one in found.reasons
    )
    request = found.request
    head = (
        f"{request.trials} short trainings of about {request.tokens:,} tokens each, over {len(request.space.root)} "
        "values of the run file"
    )
    return (
        f'<details class="bs-card" id="search-proposal"><summary>{escape(head)}<span class="bs-soft"> · what and why'
        f"</span></summary>{rows}</details>"
    )


def state(search: Search, found: SearchDetails, remark: str = "") -> str:
    """The head of a search: name, state, how many trials are made, and what was found so far.

    `remark`: where it stands in the queue, or that it does not get on.
    """
    summary, status = found.search, search.status
    name = found.request.run.output.name
    how = f"{_METHODS[summary.method]}; chosen by {' and '.join(UNITS[one] for one in found.request.objectives)}"
    share = 100 * summary.done / summary.trials
    return (
        f'<div class="bs-card" id="search-head"><div class="bs-row bs-head"><span class="bs-big">{escape(name)}</span>'
        f"{badge(status.state, TONES[status.state])}</div>"
        f'<p class="bs-soft">{escape(how)}</p>{f"<p>{escape(remark)}</p>" if remark else ""}'
        f'<div class="bs-bar bs-fill-accent"><i style="width:{share:.1f}%"></i></div>'
        f'<div class="bs-row"><span>{summary.done} of {summary.trials} trials</span>'
        f'<span class="bs-soft">{escape(_left(found))}</span></div>{facts_list(_facts(found))}</div>'
    )


def notes(search: Search, found: SearchDetails) -> str:
    """Why the search failed or stopped, and which trials could not be made."""
    lines = [f"Trial {one.number}: {one.detail}" for one in found.trials if one.state in ("unfit", "failed")]
    if search.status.error:
        return notice("This search failed", [search.status.error, *lines], "bad")
    if search.status.state == "stopped":
        return notice("This search was stopped", ["Resume goes on after the trials that are done.", *lines], "warn")
    return notice("Not counted", lines, "warn")


def found(details: SearchDetails) -> str:
    """All drawings of a search, as cards; empty before there is something to draw."""
    best, request = details.search.best, details.request
    parts = {
        "Losses on the way": search_charts.curves(details.trials, best),
        "Objectives against each other": search_charts.pareto(details.trials, request.objectives, best),
        "Which values matter": search_charts.importance(details.importance),
    }
    told = {
        "Which values matter": "How much of what tells the best tenth of the complete trials from the rest lies in "
        "each value (PED-ANOVA). With few trials this is a hint and no more.",
    }
    cards = "".join(
        f'<div class="bs-card"><h3>{title}</h3>{drawn}<p class="bs-soft">{told.get(title, "")}</p></div>'
        for title, drawn in parts.items()
        if drawn
    )
    across = search_charts.parallel(details.trials, request, best)
    wide = f'<div class="bs-card"><h3>Trials across their values</h3>{across}</div>' if across else ""
    return f'<div class="bs-stack">{wide}<div class="bs-cards">{cards}</div></div>' if wide or cards else ""


def table(details: SearchDetails) -> str:
    """All trials with their values and what was measured."""
    if not details.trials:
        return ""
    names, objectives = list(details.request.space.root), details.request.objectives
    heads = ["Trial", "", *(UNITS[one] for one in objectives)]
    heads += [name.partition(".")[2].replace("_", " ") for name in names]
    rows = "".join(_row(one, details) for one in details.trials)
    titles = "".join(f"<th>{escape(head)}</th>" for head in heads)
    return (
        '<div class="bs-card"><h3>Trials</h3><div class="bs-scroll" tabindex="0">'
        '<table class="bs-table" id="search-trials"><thead>'
        f"<tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="bs-soft">In brackets: the last loss of a trial that ended early. The first trial is the run file as '
        "it is, where its values are among those searched.</p></div>"
    )


def _row(trial: TrialRecord, details: SearchDetails) -> str:
    taken = trial.number == details.search.best
    number = f"<strong>{trial.number} · taken</strong>" if taken else str(trial.number)
    if trial.number in details.front and not taken and len(details.request.objectives) > 1:
        number += '<br><span class="bs-soft">on the front</span>'
    cells = [number, badge(STATES[trial.state], _TRIAL_TONES[trial.state])]
    cells += [escape(measured(trial, one)) for one in details.request.objectives]
    cells += [escape(value(trial.values.get(name))) for name in details.request.space.root]
    title = f' title="{escape(trial.detail)}"' if trial.detail else ""
    return f"<tr{title}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _facts(found: SearchDetails) -> dict[str, str]:
    facts: dict[str, str] = {}
    trials = {one.number: one for one in found.trials}
    best = trials.get(found.search.best) if found.search.best is not None else None
    first = trials.get(0)
    if best is not None:
        for objective in found.request.objectives:
            facts[f"{UNITS[objective]}, taken"] = measured(best, objective)
            own = found.request.space.values_of(found.request.run)
            if first is not None and first.measured and first.values == own and first is not best:
                facts[f"{UNITS[objective]}, run file as it is"] = measured(first, objective)
    ended = sum(one.state == "pruned" for one in found.trials)
    if ended:
        facts["ended early"] = str(ended)
    seconds = [one.seconds for one in found.trials if one.state == "complete"]
    if seconds:
        facts["a complete trial takes"] = duration(sum(seconds) / len(seconds))
    return facts


def _left(found: SearchDetails) -> str:
    seconds = [one.seconds for one in found.trials if one.seconds]
    left = found.search.trials - found.search.done
    if found.search.state != "training" or not seconds or not left:
        return ""
    return f"about {duration(left * sum(seconds) / len(seconds) / found.request.workers)} left, at most"


def _short(found: object) -> str:
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)
