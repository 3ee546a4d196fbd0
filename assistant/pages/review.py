"""The Review page: judge two answers without knowing whose they are, see what the votes say, and align with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from assistant.pages import review_view
from assistant.pages.review_judging import Judging
from assistant.pages.review_preferences import Preferences
from assistant.pages.review_results import Results
from assistant.pages.review_sets import Sets
from assistant.pages.style import QUIET, empty, html, notice, page_title
from trainer import actor, model_refs

# The name and the set are the window's own where it has them, so that two windows can be two reviewers; a new window
# begins with what was kept last.
_RECALL = "(kept, ...rest) => [JSON.parse(sessionStorage.getItem('bedside-review')) ?? kept, ...rest]"
_KEEP = """
(tab, kept, set, reviewer, ...rest) => {
  sessionStorage.setItem('bedside-review', JSON.stringify({reviewer, set}));
  return [tab, kept, set, reviewer, ...rest];
}
"""
_NOBODY = {"reviewer": "", "set": None}
Updates = dict[Any, Any]


@dataclass
class ReviewPage:
    """What other pages need of this one.

    `started` changes to a run's id when the user aligns a model with the votes. `opens` has the page drawn in a new
    window and whenever its tab is chosen, given the app and the tab.
    """

    started: gr.State
    opens: Callable[[Any, Any], None]


def build() -> ReviewPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return ReviewPage(started=page.started, opens=page.opens)


class _Page:
    """The page's components: who judges which set, and four tabs of one part each."""

    def __init__(self) -> None:
        # A fixed secret, as the Plan page's.
        self.kept = gr.BrowserState(_NOBODY, storage_key="bedside-review", secret="bedside")
        self.started = gr.State(None)
        self.tab = gr.State("judge")
        page_title("Review")
        self.fault = html(visible=False, elem_id="review-fault")
        self.nothing = html(visible=False, elem_id="review-empty")
        with gr.Column(visible=False, elem_id="review-body") as self.body:
            with gr.Row(elem_id="review-who"):
                self.reviewer = gr.Textbox(
                    label="Your name", max_lines=1, elem_id="review-reviewer", min_width=240,
                    info="Sides are shuffled for each reviewer, and votes are kept by name",
                )  # fmt: skip
                self.chosen = gr.Dropdown(
                    [], label="Set", info="Questions that two models answered", filterable=False,
                    elem_id="review-select", min_width=240,
                )  # fmt: skip
            with gr.Tabs(elem_id="review-tabs", overflow_behavior="wrap"):
                with gr.Tab("Judge", id="judge") as judge:
                    self.judging = Judging()
                with gr.Tab("Results", id="results") as results:
                    self.results = Results()
                with gr.Tab("Preferences", id="preferences") as preferences:
                    self.preferences = Preferences(self.chosen, self.started)
                with gr.Tab("Sets", id="sets") as sets:
                    self.sets = Sets(self.chosen, self._changed)
        self.parts = {"judge": judge, "results": results, "preferences": preferences, "sets": sets}
        self.frame = [self.fault, self.nothing, self.body, self.reviewer, self.chosen, self.kept]
        self.asked = [
            self.judging.comparison, self.judging.reader, self.preferences.every, *self.preferences.rules,
        ]  # fmt: skip
        self.select = [self.kept, self.tab, *self.asked]
        self.now = [self.chosen, self.reviewer, *self.asked]
        parts = (self.judging, self.results, self.preferences, self.sets)
        self.outputs = [*self.frame, self.tab, *(one for part in parts for one in part.outputs)]

    def connect(self) -> None:
        """Every event of the page."""
        for name, tab in self.parts.items():
            tab.select(self._enter(name), self.now, self.outputs, **QUIET)
        changed = [self.chosen.change, self.reviewer.submit, self.reviewer.blur]
        # The last of several, or a name that is typed while the choice of the set is drawn would not be heard.
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        gr.on(changed, self._who, [self.tab, self.kept, *self.now], self.outputs, js=_KEEP, **latest)
        self.judging.connect()
        self.results.connect()
        self.preferences.connect()
        self.sets.connect([self.nothing, self.chosen])

    def opens(self, demo: Any, tab: Any) -> None:
        """Draw the page in a new window, with what this window remembers before what the browser does, and whenever its
        tab is chosen; then for the name that was typed meanwhile.
        """
        for opened in (
            demo.load(self.open, self.select, self.outputs, js=_RECALL, **QUIET),
            tab.select(self.open, self.select, self.outputs, **QUIET),
        ):
            opened.then(self._who, [self.tab, self.kept, *self.now], self.outputs, js=_KEEP, **QUIET)

    def open(self, kept: dict[str, Any] | None, tab: str, *asked: Any) -> Updates:
        """The whole page for the reviewer and the set that the browser remembers, else for the newest set."""
        kept = {**_NOBODY, **(kept or {})}
        if (person := actor.now()).role:
            kept["reviewer"] = person.name
        page = self._frame(kept["set"], kept["reviewer"])
        chosen = page[self.kept]["set"] if self.kept in page else None
        return {**page, **self._part(tab, chosen, kept["reviewer"], *asked)}

    def _frame(self, set_id: str | None, reviewer: str) -> Updates:
        """What stands above the tabs, with the sets that there are now; the newest where there is none of this id."""
        from trainer.review import queue

        try:
            found = queue.list_sets()
        except Exception as error:  # whatever the database says becomes one sentence
            told = notice("The votes cannot be read", [review_view.fault(error)])
            return {
                self.fault: gr.HTML(told, visible=True),
                self.nothing: gr.HTML(visible=False),
                self.body: gr.Column(visible=False),
            }
        person = actor.now()
        can = person.may("trainer") and bool(model_refs.known())
        known = [one.id for one in found]
        chosen = set_id if set_id in known else next(iter(known), None)
        return {
            self.fault: gr.HTML(visible=False),
            self.nothing: gr.HTML(_empty(can), visible=not found),
            self.body: gr.Column(visible=can or bool(found)),
            # What is being typed stays; whoever is signed in judges under that name.
            **({self.reviewer: reviewer} if reviewer and not person.role else {}),
            **({self.reviewer: gr.Textbox(person.name, interactive=False)} if person.role else {}),
            self.chosen: gr.Dropdown([(one.name, one.id) for one in found], value=chosen),
            self.kept: {"reviewer": reviewer, "set": chosen},
        }

    def _changed(self, set_id: str | None) -> Updates:
        """The list of sets once one was made or deleted; that the choice changes does the rest."""
        page = self._frame(set_id, "")
        return {part: page[part] for part in (self.nothing, self.chosen) if part in page}

    def _who(self, tab: str, kept: dict[str, Any] | None, set_id: str | None, reviewer: str, *asked: Any) -> Updates:
        """The tab that is open, for another reviewer or another set; as it is where neither has changed."""
        now = {"reviewer": _name(reviewer), "set": set_id}
        if now == kept:
            return {self.tab: tab}
        old = {} if kept and kept["set"] == set_id else self.preferences.forget()
        return {**old, **self._part(tab, set_id, reviewer, *asked), self.kept: now}

    def _enter(self, tab: str) -> Callable[..., Updates]:
        def enter(set_id: str | None, reviewer: str, *asked: Any) -> Updates:
            return {self.tab: tab, **self._part(tab, set_id, reviewer, *asked)}

        return enter

    def _part(
        self, tab: str, set_id: str | None, reviewer: str, stands: str | None, reader: str, *rules: Any
    ) -> Updates:
        """What a tab shows of this set to this reviewer; of the case that stands there, nothing is drawn anew."""
        name = _name(reviewer)
        if tab == "judge":
            return self.judging.open(set_id, name, stands, reader)
        if tab == "results":
            return self.results.open(set_id, name)
        return self.preferences.open(set_id, *rules) if tab == "preferences" else self.sets.open(set_id)


def _name(reviewer: str | None) -> str:
    return " ".join((reviewer or "").split())


def _empty(can: bool) -> str:
    if can:
        return empty(
            "Nothing to review yet",
            "Make a set under “Sets”: two models answer the same questions, and reviewers say, without knowing which "
            "is which, whose answer is better. A comparison in the Playground can be voted on too.",
        )
    return empty(
        "Nothing to review yet",
        "When a run has finished, its answers can be judged here beside its base model's by people who do not know "
        "which is which; their votes become the next run.",
    )
