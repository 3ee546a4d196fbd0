"""The Search tab: start a search from a run or a plan, follow it, and open what it found on the Plan page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from assistant.pages import search_view
from assistant.pages.background import in_a_sentence, said
from assistant.pages.style import QUIET, empty, html, page_title
from assistant.planner import advice_search, dialogue, draft_of_run, drafts
from assistant.search_words import details, value
from trainer import config as run_config
from trainer import hardware, jobs, queue, readiness, runs
from trainer.errors import UserError
from trainer.jobs import ACTIVE
from trainer.search import journal, outcome, searches
from trainer.search.searches import Search
from trainer.sections import RunConfig

REFRESH_SECONDS = 2.0
Updates = dict[Any, Any]


class Shown(NamedTuple):
    """What the page shows already: as on the Runs page, what has not changed is not drawn again."""

    search: str = ""
    state: str = ""
    written: int = 0
    """Bytes that its trials have written."""
    remark: str = ""
    """What its place in the queue says."""


NOTHING = Shown()


@dataclass
class SearchPage:
    """What other pages need of this one: `open(run_id)` gives the updates of `outputs`, that run chosen to start from;
    `planned` changes to a plan's id when what was found is to be planned with."""

    planned: gr.State
    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build() -> SearchPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return SearchPage(planned=page.planned, outputs=page.outputs, open=page.open)


class _Page:
    """The page's components, and what each button does to them."""

    def __init__(self) -> None:
        page_title("Search")
        self.planned = gr.State(None)
        self.nothing = html(
            empty(
                "Nothing to start from yet",
                "A search tries many short trainings of one run file and keeps the values that work best. Describe "
                "your model on the Plan page first; its run file can then be searched from here.",
            ),
            elem_id="search-nothing",
        )
        with gr.Column(elem_id="search-new", visible=False) as self.new:
            with gr.Row(elem_id="search-begin"):
                self.source = gr.Dropdown(
                    [], label="Start from", elem_id="search-source", filterable=False, min_width=260, scale=4
                )
                self.minutes = gr.Number(
                    60, label="Minutes it may take", minimum=1, precision=0, elem_id="search-minutes", min_width=150
                )
                self.start = gr.Button("Start search", variant="primary", elem_id="search-start", min_width=150)
            self.proposal = html(elem_id="search-proposed")
        self.told = html(visible=False, elem_id="search-said")
        self.select = gr.Dropdown([], label="Search", elem_id="search-select", visible=False, filterable=False)
        with gr.Column(visible=False, elem_id="search-body") as self.body:
            self.state = html(elem_id="search-state")
            self.notes = html(elem_id="search-notes", visible=False)
            with gr.Row(elem_id="search-actions"):
                self.stop = gr.Button("Stop", variant="stop", elem_id="search-stop", min_width=110)
                self.resume = gr.Button("Resume", variant="primary", elem_id="search-resume", min_width=110)
                self.delete = gr.Button("Delete", elem_id="search-delete", min_width=110)
            with gr.Row(visible=False, elem_id="search-confirm") as self.confirm:
                html('<p class="bs-ask">Delete this search and all its trials for good?</p>')
                self.really = gr.Button("Delete for good", variant="stop", elem_id="search-really", min_width=150)
                self.keep = gr.Button("Keep it", elem_id="search-keep", min_width=110)
            with gr.Row(visible=False, elem_id="search-take") as self.take:
                self.trial = gr.Dropdown(
                    [], label="Take the values of", elem_id="search-trial", filterable=False, min_width=260, scale=4
                )
                self.open_plan = gr.Button(
                    "Open on the Plan page", variant="primary", elem_id="search-plan", min_width=190
                )
            self.found = html(elem_id="search-found")
            self.trials = html(elem_id="search-table")
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.shown = gr.State(NOTHING)
        begin = [self.nothing, self.new, self.source, self.proposal, self.told, self.select]
        self.outputs = [*begin, *self._of_one()]

    def _of_one(self) -> list[Any]:
        parts = [self.body, self.state, self.notes, self.found, self.trials, self.take, self.trial]
        return [*parts, self.stop, self.resume, self.delete, self.confirm, self.timer, self.shown]

    def connect(self) -> None:
        """Every event of the page."""
        one = self._of_one()
        for changed in (self.source.input, self.minutes.change):
            changed(self._propose, [self.source, self.minutes], [self.proposal, self.told], **QUIET)
        self.start.click(self._start, [self.source, self.minutes], self.outputs, **QUIET)
        self.select.input(self.show, self.select, one, **QUIET)
        self.timer.tick(self.show, [self.select, self.shown], one, **QUIET)
        self.stop.click(self._stop, self.select, [self.told, *one], **QUIET)
        self.resume.click(self._resume, self.select, [self.told, *one], **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.select, self.outputs, **QUIET)
        self.open_plan.click(self._plan, [self.select, self.trial], [self.told, self.planned], **QUIET)

    def open(self, run: str | None, chosen: str | None = None) -> Updates:
        """The whole page, this run chosen to start from, and this search shown, or the newest."""
        sources = _sources()
        known = [identity for _, identity in sources]
        source = f"run {run}" if f"run {run}" in known else next(iter(known), None)
        found = searches.list_searches()
        names = [one.id for one in found]
        shown = chosen if chosen in names else next(iter(names), None)
        page: Updates = {
            self.nothing: gr.HTML(visible=not sources and not found),
            self.new: gr.Column(visible=bool(sources)),
            self.source: gr.Dropdown(sources, value=source),
            self.told: gr.HTML(visible=False),
            self.select: gr.Dropdown([(_label(one), one.id) for one in found], value=shown, visible=bool(found)),
        }
        page |= self._propose(source, advice_search.MINUTES) if source else {}
        return page | self.show(shown)

    def show(self, identity: str | None, shown: Shown = NOTHING) -> Updates:
        """One search's part of the page; `shown` is what it shows already."""
        hidden: Updates = {self.body: gr.Column(visible=False), self.timer: gr.Timer(active=False), self.shown: NOTHING}
        if not identity:
            return hidden
        try:
            search = searches.get(identity)
        except UserError as error:
            gr.Warning(str(error))
            return hidden
        active = search.status.state in ACTIVE
        remark = queue.remark(search)
        now = Shown(search.id, search.status.state, _written(search), remark)
        if now == shown:
            return {self.timer: gr.Timer(active=active)}
        found = details(search)
        notes = search_view.notes(search, found)
        page: Updates = {
            self.body: gr.Column(visible=True),
            self.state: search_view.state(search, found, remark),
            self.notes: gr.HTML(notes, visible=bool(notes)),
            self.found: search_view.found(found),
            self.trials: search_view.table(found),
            self.take: gr.Row(visible=found.search.best is not None),
            self.stop: gr.Button(visible=active),
            self.resume: gr.Button(visible=search.status.state in ("stopped", "failed")),
            self.delete: gr.Button(visible=not active),
            self.timer: gr.Timer(active=active),
            self.shown: now,
        }
        if search.id != shown.search:
            page[self.confirm] = gr.Row(visible=False)
        page[self.trial] = gr.Dropdown(_trials(search), value=found.search.best)
        return page

    def _propose(self, source: str | None, minutes: float | None) -> Updates:
        try:
            found = advice_search.propose(_config(source), hardware.detect(), minutes or advice_search.MINUTES)
        except UserError as error:
            return {self.proposal: "", self.told: _said(error)}
        return {self.proposal: search_view.proposal(found), self.told: gr.HTML(visible=False)}

    def _start(self, source: str | None, minutes: float | None) -> Updates:
        try:
            config = _config(source)
            if against := readiness.faults(config, hardware.detect()):
                return {self.told: gr.HTML(said(" ".join(against), "bad"), visible=True)}
            request = advice_search.propose(config, hardware.detect(), minutes or advice_search.MINUTES).request
            search = searches.start(searches.create(request))
        except (UserError, OSError) as error:
            return {self.told: _said(error)}
        run = source.removeprefix("run ") if source else None
        return self.open(run, search.id)

    def _stop(self, identity: str) -> Updates:
        try:
            searches.stop(searches.get(identity))
            gr.Info("The search ends after its present step; the trial that it is at is made again.", duration=4)
        except UserError as error:
            return {self.told: _said(error)}
        return self.show(identity)

    def _resume(self, identity: str) -> Updates:
        try:
            searches.start(searches.get(identity))
        except UserError as error:
            return {self.told: _said(error)}
        return {self.told: gr.HTML(visible=False), **self.show(identity)}

    def _delete(self, identity: str) -> Updates:
        try:
            searches.delete(searches.get(identity))
        except UserError as error:
            return {self.told: _said(error)}
        return self.open(None)

    def _plan(self, identity: str, trial: int | None) -> Updates:
        try:
            search = searches.get(identity)
            config = searches.best(search, trial)
            chosen = next(one for one in search.trials() if one.number == trial)
            values = ", ".join(f"{name} {value(one)}" for name, one in chosen.values.items())
            asked = f"Plan with what the search of {search.request.run.output.name} found in trial {trial}."
            words = (
                f"It found: {values}. These were chosen by short trainings on the validation rows; the run file beside "
                "this can be started as it is. What you say next plans it anew."
            )
            return {self.told: gr.HTML(visible=False), self.planned: draft_of_run.draft_of(config, asked, words).id}
        except (UserError, OSError) as error:
            return {self.told: _said(error)}


def _sources() -> list[tuple[str, str]]:
    """What a search can start from: saved plans that have a run file, and runs; newest first."""
    plans = [(f"Plan: {one.title}", f"plan {one.id}") for one in drafts.saved()[0] if _run_file(one) is not None]
    return plans[:10] + [(f"Run: {runs.label(one)}", f"run {one.id}") for one in runs.list_runs()[0]]


def _config(source: str | None) -> RunConfig:
    kind, _, identity = (source or "").partition(" ")
    if kind == "run":
        return runs.get(identity).config
    found = _run_file(drafts.load(identity))
    if found is None:
        raise drafts.DraftError("This plan has no run file yet; answer what is still asked on the Plan page.")
    return found


def _run_file(draft: drafts.Draft) -> RunConfig | None:
    if draft.edited_yaml:
        try:
            return run_config.parse_yaml(draft.edited_yaml)
        except run_config.ConfigError:
            return None
    return dialogue.show(draft).config


def _trials(search: Search) -> list[tuple[str, int]]:
    """Complete trials that can be taken: those of the front first."""
    trials = search.trials()
    front = outcome.front(trials, search.request.objectives)
    best = outcome.best(trials, search.request.objectives)
    rest = sorted(
        (one for one in outcome.complete(trials) if one not in front),
        key=lambda one: one.measured[search.request.objectives[0]],
    )
    several = len(search.request.objectives) > 1
    found = []
    for one in sorted(front, key=lambda one: one.number != (best.number if best else None)) + rest:
        which = "the best" if best and one.number == best.number else "on the front" if several and one in front else ""
        found.append((f"trial {one.number}{f', {which}' if which else ''}", one.number))
    return found


def _label(search: Search) -> str:
    when = jobs.when(search.id, "%-d %b, %H:%M:%S")
    return f"{search.request.run.output.name} · {search.request.method} · {when}"


def _written(search: Search) -> int:
    """How much has been written of its trials."""
    path = search.folder / journal.FILE
    return path.stat().st_size if path.exists() else 0


def _said(error: Exception) -> Any:
    return gr.HTML(said(in_a_sentence(error), "bad"), visible=True)
