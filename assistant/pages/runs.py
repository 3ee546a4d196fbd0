"""The Runs page: follow a run live, stop and resume it, and read its report. It knows runs by their folders alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from assistant.pages import compare_runs, run_alignment, run_queue, run_steering, run_view
from assistant.pages.history import history
from assistant.pages.run_queue import QueuePart
from assistant.pages.style import QUIET, SERIES, empty, html, notice, page_title
from trainer import jobs, queue, runs
from trainer.jobs import ACTIVE, RunError
from trainer.runs import Run

REFRESH_SECONDS = 2.0
PARTS_DRAWN = 50
"""Curves are drawn anew when they have grown by one of so many parts: drawing takes a browser longer than a short step
takes, and nobody would see more."""
_SMALL = (
    ("runs-rate", "learning_rate", "learning rate", ".1e"),
    ("runs-speed", "tokens_per_second", "tokens per second", "d"),
    ("runs-memory", "memory_gib", "memory (GiB)", ".1f"),
    ("runs-norm", "gradient_norm", "gradient norm", ".1f"),
)
Updates = dict[Any, Any]


class Shown(NamedTuple):
    """What the page shows already: parts that have not changed are not drawn again, so that nothing flickers."""

    run: str = ""
    state: str = ""
    counts: tuple[int, ...] = ()
    drawn: int = 0
    """The curves, up to this step."""


NOTHING = Shown()


@dataclass
class RunsPage:
    """What other pages need of this one: `open(run_id)` gives the updates of `outputs` that show this run."""

    select: Any
    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build() -> RunsPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return RunsPage(select=page.select, outputs=page.outputs, open=page.open)


class _Page:
    """The page's components, and what each button does to them."""

    def __init__(self) -> None:
        page_title("Runs")
        self.unreadable = html(elem_id="runs-unreadable", visible=False)
        self.nothing = html(
            empty("No run yet", "Describe your model on the Plan page and press “Start run”. It appears here, live."),
            elem_id="runs-empty",
        )
        self.queue = QueuePart()
        self.select = gr.Dropdown([], label="Run", elem_id="runs-select", visible=False, filterable=False)
        with gr.Column(visible=False, elem_id="runs-body") as self.body:
            self.state = html(elem_id="runs-state")
            self.stuck = html(elem_id="runs-stuck", visible=False)
            self.notes = html(elem_id="runs-notes", visible=False)
            with gr.Row(elem_id="runs-actions"):
                self.stop = gr.Button("Stop", variant="stop", elem_id="runs-stop", min_width=110)
                self.end = gr.Button("End it now", variant="stop", elem_id="runs-end", min_width=110, visible=False)
                self.resume = gr.Button("Resume", variant="primary", elem_id="runs-resume", min_width=110)
                self.clone = gr.Button("Clone and start", elem_id="runs-clone", min_width=110)
                self.delete = gr.Button("Delete", elem_id="runs-delete", min_width=110)
            with gr.Row(visible=False, elem_id="runs-confirm") as self.confirm:
                html('<p class="bs-ask">Delete this run, its checkpoints and its adapter for good?</p>')
                self.really = gr.Button("Delete for good", variant="stop", elem_id="runs-really", min_width=150)
                self.keep = gr.Button("Keep it", elem_id="runs-keep", min_width=110)
            self.report = html(elem_id="runs-report", visible=False)
            with gr.Column(visible=False, elem_id="runs-curves") as self.curves:
                self.loss = gr.LinePlot(
                    x="step",
                    y="loss",
                    color="measured on",
                    color_map=SERIES,
                    title="Loss (lower is better)",
                    y_title="nats per answer token",
                    color_title=" ",
                    height=300,
                    show_label=False,
                    buttons=[],
                    elem_id="runs-loss",
                )
                with gr.Row():
                    self.small = [
                        gr.LinePlot(
                            x="step",
                            y=name,
                            title=name[0].upper() + name[1:],
                            y_title=" ",
                            y_axis_format=form,
                            height=190,
                            show_label=False,
                            buttons=[],
                            elem_id=identity,
                            min_width=240,
                        )
                        for identity, _, name, form in _SMALL
                    ]
            self.beside = gr.Dropdown(
                [], label="Compare with another run", elem_id="runs-beside", visible=False, filterable=False
            )
            self.compared = html(elem_id="runs-compared", visible=False)
            self.steering = html(elem_id="runs-steering", visible=False)
            self.samples = html(elem_id="runs-samples", visible=False)
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.shown = gr.State(NOTHING)
        self.outputs = [self.unreadable, self.nothing, self.select, *self.queue.outputs, *self._of_a_run()]

    def _of_a_run(self) -> list[Any]:
        buttons = [self.stop, self.end, self.resume, self.clone, self.delete, self.confirm]
        parts = [self.body, self.state, self.stuck, self.notes, self.report, self.curves, self.steering, self.samples]
        parts += [self.beside, self.compared]
        return [*parts, *buttons, self.loss, *self.small, self.timer, self.shown]

    def connect(self) -> None:
        """Every event of the page."""
        one = self._of_a_run()
        self.queue.connect()
        self.select.input(self.show, self.select, one, **QUIET)
        both = [*one, *self.queue.outputs]
        self.timer.tick(self._tick, [self.select, self.shown, *self.queue.inputs], both, **QUIET)
        self.beside.input(self._compare, [self.select, self.beside], self.compared, **QUIET)
        self.stop.click(self._stop, self.select, one, **QUIET)
        self.end.click(self._end, self.select, one, **QUIET)
        self.resume.click(self._resume, self.select, self.outputs, **QUIET)
        self.clone.click(self._clone, self.select, self.outputs, **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.select, self.outputs, **QUIET)

    def open(self, identity: str | None) -> Updates:
        """The whole page with this run, or with the newest where there is none of this id."""
        found, unreadable = runs.list_runs()
        known = {run.id for run in found}
        chosen = identity if identity in known else next((run.id for run in found), None)
        page: Updates = {
            self.unreadable: gr.HTML(notice("Left alone", unreadable, "warn"), visible=bool(unreadable)),
            self.nothing: gr.HTML(visible=not found),
            self.select: gr.Dropdown([(runs.label(run), run.id) for run in found], value=chosen, visible=bool(found)),
        }
        return page | self.queue.show(chosen=f"runs/{chosen}") | self.show(chosen)

    def show(self, identity: str | None, shown: Shown = NOTHING) -> Updates:
        """One run's part of the page; `shown` is what it shows already."""
        hidden: Updates = {self.body: gr.Column(visible=False), self.timer: gr.Timer(active=False), self.shown: NOTHING}
        if not identity:
            return hidden
        try:
            run = runs.get(identity)
        except RunError as error:
            gr.Warning(str(error))
            return hidden
        past = history(run.folder)
        active = run.status.state in ACTIVE
        last = past.steps[-1].step if past.steps else 0
        other = (run.id, run.status.state) != (shown.run, shown.state)
        # After a resume the last step may be one before those that are drawn.
        draw = other or abs(last - shown.drawn) * PARTS_DRAWN > last
        now = Shown(run.id, run.status.state, past.counts(), last if draw else shown.drawn)
        stuck, offered = run_queue.stuck(run)
        page: Updates = {
            self.body: gr.Column(visible=True),
            self.state: gr.HTML(run_view.state(run, past)),
            self.stuck: gr.HTML(stuck, visible=bool(stuck)),
            self.end: gr.Button(visible=offered),
            self.timer: gr.Timer(active=active or bool(queue.now().waiting)),
            self.shown: now,
        }
        if now == shown:
            return page
        notes, samples = run_view.notes(run, past), run_view.samples(past)
        steering = run_alignment.cards(past) + run_steering.cards(past)
        found = run.report()
        report = run_view.report(found) + run_alignment.outcome(found)
        page |= {
            self.notes: gr.HTML(notes, visible=bool(notes)),
            self.samples: gr.HTML(samples, visible=bool(samples)),
            self.steering: gr.HTML(f'<div class="bs-cards">{steering}</div>', visible=bool(steering)),
            self.report: gr.HTML(report, visible=bool(report)),
            self.curves: gr.Column(visible=bool(past.steps)),
            self.stop: gr.Button(visible=active),
            self.resume: gr.Button(visible=run.status.state in ("stopped", "failed") or _never_started(run)),
            self.delete: gr.Button(visible=not active or _never_started(run)),
        }
        if past.steps and draw:
            losses = past.losses()
            # Of just these lines: one that is new to a plot is drawn by Gradio only where the colours change.
            colors = {name: SERIES[name] for name in losses["measured on"].unique()}
            page[self.loss] = gr.LinePlot(losses, color_map=colors)
            page |= dict(zip(self.small, past.curves([(field, name) for _, field, name, _ in _SMALL]), strict=True))
        if shown.run != run.id:
            others = [(runs.label(one), one.id) for one in runs.list_runs()[0] if one.id != run.id]
            page[self.confirm] = gr.Row(visible=False)
            page[self.beside] = gr.Dropdown([("None", ""), *others], value="", visible=bool(others))
            page[self.compared] = gr.HTML(visible=False)
        return page

    def _tick(self, identity: str | None, shown: Shown, queue_shown: str, chosen: str | None) -> Updates:
        return self.show(identity, shown) | self.queue.show(queue_shown, chosen)

    def _compare(self, identity: str, other: str) -> Updates:
        try:
            drawn = compare_runs.comparison(runs.get(identity), runs.get(other)) if other else ""
        except RunError as error:
            gr.Warning(str(error))
            drawn = ""
        return {self.compared: gr.HTML(drawn, visible=bool(drawn))}

    def _stop(self, identity: str) -> Updates:
        try:
            run = runs.get(identity)
            runs.stop(run)
            waits = run.status.state == "queued"
            told = "It leaves the queue." if waits else "The run ends after its present step, with a checkpoint."
            gr.Info(f"{told} Resume goes on.", duration=4)
        except RunError as error:
            gr.Warning(str(error))
        return self.show(identity)

    def _end(self, identity: str) -> Updates:
        try:
            jobs.end(runs.get(identity))
        except RunError as error:
            gr.Warning(str(error))
        return self.show(identity)

    def _resume(self, identity: str) -> Updates:
        try:
            runs.start(runs.get(identity))
        except RunError as error:
            gr.Warning(str(error))
        return self.open(identity)

    def _clone(self, identity: str) -> Updates:
        try:
            identity = runs.start(runs.clone(runs.get(identity))).id
        except RunError as error:
            gr.Warning(str(error))
        return self.open(identity)

    def _delete(self, identity: str) -> Updates:
        try:
            runs.delete(runs.get(identity))
        except RunError as error:
            gr.Warning(str(error))
            return self.open(identity)
        return self.open(None)


def _never_started(run: Run) -> bool:
    return run.status.state == "queued" and run.status.pid is None
