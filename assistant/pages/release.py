"""The Release page: measure a run's model, see whether it is better, worse or unknown, and what the gates say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from assistant import fault_log
from assistant.pages import dossier, export, release_view, uploads
from assistant.pages.background import in_a_sentence, said
from assistant.pages.history import history
from assistant.pages.runs import REFRESH_SECONDS
from assistant.pages.style import QUIET, empty, html, page_title
from trainer import jobs, runs
from trainer.evaluation import evaluations, harden
from trainer.evaluation.evaluations import Evaluation
from trainer.evaluation.request import EvaluationRequest
from trainer.jobs import ACTIVE, RunError
from trainer.runs import Run

ITEMS = 200
Updates = dict[Any, Any]


class Shown(NamedTuple):
    """What the page shows already: as on the Runs page, what has not changed is not drawn again."""

    evaluation: str = ""
    state: str = ""
    counts: tuple[int, ...] = ()
    """Suites, latencies and gradients measured, and notes."""


NOTHING = Shown()


@dataclass
class ReleasePage:
    """What other pages need of this one: `open(run_id)` gives the updates of `outputs` that show this run."""

    select: Any
    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build() -> ReleasePage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return ReleasePage(select=page.run, outputs=page.outputs, open=page.open)


class _Page:
    """The page's components, and what each button does to them."""

    def __init__(self) -> None:
        page_title("Release")
        self.nothing = html(
            empty(
                "Nothing to measure yet",
                "When a run has finished, its model is measured here against its base: on general questions, on "
                "harmful requests, on your own data, and under attack.",
            ),
            elem_id="release-empty",
        )
        with gr.Column(visible=False, elem_id="release-body") as self.body:
            with gr.Row():
                self.run = gr.Dropdown([], label="Run", elem_id="release-run", filterable=False, min_width=280)
                self.select = gr.Dropdown(
                    [], label="Evaluation", elem_id="release-select", visible=False, filterable=False, min_width=280
                )
            with gr.Accordion("What is measured", open=False, elem_id="release-settings"):
                with gr.Row(elem_id="release-bring"):
                    self.data = gr.Textbox(
                        label="Data of your own",
                        info="A file or folder; empty: the sets that Bedside brings and those that the run holds back",
                        placeholder="/path/to/data",
                        min_width=240,
                        elem_id="release-data",
                    )
                    self.upload = gr.UploadButton(
                        "Upload", file_types=list(uploads.ACCEPTED), scale=0, min_width=110, elem_id="release-upload"
                    )
                with gr.Row():
                    self.items = gr.Number(
                        ITEMS, label="Items", info="At most so many of each set of yours", precision=0,
                        elem_id="release-items",
                    )  # fmt: skip
                    self.against = gr.Dropdown(
                        [], label="Compared with", info="The base model, or another run's tuned model",
                        elem_id="release-against", filterable=False,
                    )  # fmt: skip
            with gr.Row(elem_id="release-actions"):
                self.evaluate = gr.Button("Evaluate", variant="primary", elem_id="release-evaluate", min_width=110)
                self.attack = gr.Button("Attack, train against it, attack again", elem_id="release-harden")
                self.stop = gr.Button("Stop", variant="stop", elem_id="release-stop", min_width=110)
                self.resume = gr.Button("Resume", elem_id="release-resume", min_width=110)
                self.delete = gr.Button("Delete", elem_id="release-delete", min_width=110)
            with gr.Row(visible=False, elem_id="release-confirm") as self.confirm:
                html('<p class="bs-ask">Delete this evaluation and its cases for good?</p>')
                self.really = gr.Button("Delete for good", variant="stop", elem_id="release-really", min_width=150)
                self.keep = gr.Button("Keep it", elem_id="release-keep", min_width=110)
            self.said = html(visible=False, elem_id="release-said")
            self.dossier = dossier.build(self.run)
            self.export = export.build(self.run)
            self.state = html(elem_id="release-state", visible=False)
            self.notes = html(elem_id="release-notes", visible=False)
            self.report = html(elem_id="release-report", visible=False)
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.shown = gr.State(NOTHING)
        self.outputs = [self.nothing, self.body, self.run, *self._of_run_parts(), *self._of_one()]

    def _of_run_parts(self) -> list[Any]:
        return [self.against, self.said, *self.dossier.outputs, *self.export.outputs]

    def _of_one(self) -> list[Any]:
        return [
            self.select, self.state, self.notes, self.report, self.stop, self.resume, self.delete, self.confirm,
            self.timer, self.shown,
        ]  # fmt: skip

    def connect(self) -> None:
        """Every event of the page."""
        one, asked = self._of_one(), [self.run, self.data, self.items, self.against]
        self.run.input(self._of_run, [self.run, self.shown], [*self._of_run_parts(), *one], **QUIET)
        self.select.input(self.show, self.select, one, **QUIET)
        self.timer.tick(self.show, [self.select, self.shown], one, **QUIET)
        self.upload.upload(self._take, self.upload, [self.data, self.said], **QUIET)
        self.evaluate.click(self._evaluate, asked, self.outputs, **QUIET)
        self.attack.click(self._harden, asked, self.outputs, **QUIET)
        self.stop.click(self._stop, self.select, one, **QUIET)
        self.resume.click(self._resume, self.select, one, **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, [self.run, self.select], self.outputs, **QUIET)

    def open(self, identity: str | None) -> Updates:
        """The page with every run that has trained something; the newest is chosen where there is none of this id."""
        found = [run for run in runs.list_runs()[0] if run.weights]
        known = [run.id for run in found]
        chosen = identity if identity in known else next(iter(known), None)
        return {
            self.nothing: gr.HTML(visible=not found),
            self.body: gr.Column(visible=bool(found)),
            self.run: gr.Dropdown([(runs.label(run), run.id) for run in found], value=chosen),
            **self._of_run(chosen),
        }

    def _of_run(self, identity: str | None, shown: Shown = NOTHING) -> Updates:
        """The run's evaluations, the newest shown, and what it can be compared with."""
        others = [(runs.label(run), run.id) for run in runs.list_runs()[0] if run.weights and run.id != identity]
        page: Updates = {
            self.against: gr.Dropdown([("Its base model", ""), *others], value=""),
            self.said: gr.HTML(visible=False),
            **self.dossier.open(identity),
            **self.export.open(identity),
        }
        found = evaluations.list_evaluations(identity) if identity else []
        return page | self.show(found[0].id if found else None, shown)

    def show(self, identity: str | None, shown: Shown = NOTHING) -> Updates:
        """One evaluation's part of the page; `shown` is what it shows already."""
        try:
            evaluation = evaluations.get(identity) if identity else None
        except RunError as error:
            gr.Warning(str(error))
            evaluation = None
        if evaluation is None:
            parts = (self.select, self.state, self.notes, self.report)
            buttons = (self.stop, self.resume, self.delete)
            return {
                **{part: gr.update(visible=False) for part in (*parts, *buttons)},
                self.select: gr.Dropdown([], value=None, visible=False),
                self.confirm: gr.Row(visible=False),
                self.timer: gr.Timer(active=False),
                self.shown: NOTHING,
            }
        past, active = history(evaluation.folder), evaluation.status.state in ACTIVE
        report = evaluation.report()
        measured = (len(report.suites), len(report.latency), len(report.gradient)) if report else ()
        now = Shown(evaluation.id, evaluation.status.state, (*measured, len(past.notes)))
        page: Updates = {
            self.state: gr.HTML(release_view.state(evaluation, past), visible=True),
            self.timer: gr.Timer(active=active),
            self.shown: now,
        }
        if now == shown:
            return page
        known = evaluations.list_evaluations(evaluation.request.run)
        notes = release_view.notes(evaluation, past)
        if evaluation.id != shown.evaluation:
            page[self.confirm] = gr.Row(visible=False)
        return page | {
            self.select: gr.Dropdown([(_label(one), one.id) for one in known], value=evaluation.id, visible=True),
            self.notes: gr.HTML(notes, visible=bool(notes)),
            self.report: gr.HTML(release_view.report(evaluation), visible=report is not None),
            self.stop: gr.Button(visible=active),
            self.resume: gr.Button(visible=evaluation.status.state in ("stopped", "failed")),
            self.delete: gr.Button(visible=not active),
        }

    def _take(self, file: str) -> Updates:
        try:
            path = uploads.keep(Path(file))
        except (uploads.UploadError, OSError) as error:
            return {self.said: _said(in_a_sentence(error)), self.data: gr.update()}
        return {self.data: str(path), self.said: gr.HTML(visible=False)}

    def _evaluate(self, identity: str, data: str, items: float | None, against: str) -> Updates:
        def wanted(run: Run) -> EvaluationRequest:
            from trainer.evaluation.standard import request_for

            return request_for(run, data=_paths(data), items=int(items or ITEMS), against=against or None)

        return self._begin(identity, wanted)

    def _harden(self, identity: str, data: str, items: float | None, against: str) -> Updates:
        def wanted(run: Run) -> EvaluationRequest:
            from trainer.evaluation.standard import request_for

            suites = ["robustness", "consistency"]
            section = harden.usual(run.config).adversarial
            return request_for(run, suites, _paths(data), int(items or ITEMS), harden=section, latency=False)

        return self._begin(identity, wanted)

    def _begin(self, identity: str, wanted: Callable[[Run], EvaluationRequest]) -> Updates:
        """Start the evaluation that was asked for; what is wrong with it is said in one sentence."""
        try:
            evaluation = evaluations.start(evaluations.create(wanted(runs.get(identity))))
        except Exception as error:  # whatever a reader of files raises becomes one sentence, never a traceback
            fault_log.write("no evaluation", error)
            return self.open(identity) | {self.said: _said(in_a_sentence(error))}
        return self.open(identity) | self.show(evaluation.id)

    def _stop(self, identity: str) -> Updates:
        try:
            evaluations.stop(evaluations.get(identity))
            gr.Info("It ends after the answers that it is at; resume goes on from there.", duration=4)
        except RunError as error:
            gr.Warning(str(error))
        return self.show(identity)

    def _resume(self, identity: str) -> Updates:
        try:
            evaluations.start(evaluations.get(identity))
        except RunError as error:
            gr.Warning(str(error))
        return self.show(identity)

    def _delete(self, run: str, identity: str) -> Updates:
        try:
            evaluations.delete(evaluations.get(identity))
        except RunError as error:
            gr.Warning(str(error))
        return self.open(run)


def _label(evaluation: Evaluation) -> str:
    """When it was made and what it is: "25 Nov, 03:20 · 8 sets"."""
    when, sets = jobs.when(evaluation.id, "%-d %b, %H:%M"), len(evaluation.request.suites)
    what = "attack and training against it" if evaluation.request.harden else f"{sets} set{'' if sets == 1 else 's'}"
    return f"{when} · {what}" + (" · against an earlier model" if evaluation.request.against else "")


def _paths(data: str) -> list[Path]:
    return [Path(data.strip()).expanduser()] if data and data.strip() else []


def _said(sentence: str) -> Any:
    return gr.HTML(said(sentence, "bad"), visible=True)
