"""Exports on the Release page: choose a format, make it, see how it was checked and where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from assistant import fault_log
from assistant.pages import export_view
from assistant.pages.background import in_a_sentence, said, with_progress
from assistant.pages.style import QUIET, html
from trainer import runs
from trainer.errors import UserError
from trainer.methods import saved
from trainer.model_refs import ModelRef

Updates = dict[Any, Any]


@dataclass
class ExportPart:
    """What the Release page needs of this part: `open(run_id)` gives the updates of `outputs` for this run."""

    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build(run_select: Any) -> ExportPart:
    """Draw the part (within the Release page) and connect it; `run_select` holds the id of the run that is shown."""
    part = _Part(run_select)
    part.connect()
    return ExportPart(outputs=part.outputs, open=part.open)


class _Part:
    """The part's components, and what each button does to them."""

    def __init__(self, run_select: Any) -> None:
        self.run = run_select
        with gr.Accordion("Export", open=False, visible=False, elem_id="export") as self.fold:
            html(
                "<p>A model leaves Bedside only after it was loaded anew and has answered 20 questions as the run "
                "does.</p>"
            )
            self.gates = html(elem_id="export-gates")
            self.what = gr.Radio(
                [(words, what) for what, words in export_view.WHAT.items()],
                value="merged", label="Format", elem_id="export-what",
            )  # fmt: skip
            self.adapter = gr.Dropdown(
                [], label="Adapter", info="The run has one for each task or specialty", visible=False,
                elem_id="export-adapter", filterable=False,
            )  # fmt: skip
            with gr.Row(elem_id="export-actions"):
                self.make = gr.Button(
                    "Export and check", variant="primary", scale=0, min_width=180, elem_id="export-make"
                )
            self.told = html(visible=False, elem_id="export-told")
            self.found = html(elem_id="export-found")
            with gr.Row(visible=False, elem_id="export-remove") as self.remove:
                self.which = gr.Dropdown(
                    [], label="Delete an export", elem_id="export-which", filterable=False, min_width=280
                )
                self.delete = gr.Button("Delete", scale=0, min_width=110, elem_id="export-delete")
            with gr.Row(visible=False, elem_id="export-confirm") as self.confirm:
                html('<p class="bs-ask">Delete this export for good? Its run stays.</p>')
                self.really = gr.Button("Delete for good", variant="stop", elem_id="export-really", min_width=150)
                self.keep = gr.Button("Keep it", elem_id="export-keep", min_width=110)
        self.outputs = [
            self.fold, self.gates, self.adapter, self.told, self.found, self.remove, self.which, self.confirm,
        ]  # fmt: skip

    def connect(self) -> None:
        """Every event of the part."""
        alone = {"concurrency_limit": 1, "concurrency_id": "export"}
        self.make.click(self._make, [self.run, self.what, self.adapter], self.outputs, **alone, **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, [self.run, self.which], self.outputs, **QUIET)

    def open(self, identity: str | None) -> Updates:
        """What there is of this run, and what its gates say; hidden where it has trained nothing."""
        from trainer.export import exports

        run = runs.get(identity) if identity else None
        if run is None or not run.weights:
            return {part: gr.update() for part in self.outputs} | {self.fold: gr.Accordion(visible=False)}
        names = saved.names(run.adapter)
        found, busy = exports.list_exports(run.id), exports.under_way(run.id)
        told = said(f"{', '.join(busy)} is being made; it stands here when it is done.") if busy else ""
        return {
            self.fold: gr.Accordion(visible=True),
            self.gates: gr.HTML(export_view.gates(**exports.gates(ModelRef(run=run.id)))),
            self.adapter: gr.Dropdown(names, value=next(iter(names), None), visible=len(names) > 1),
            self.told: gr.HTML(told, visible=bool(told)),
            self.found: gr.HTML(export_view.exported(found)),
            self.remove: gr.Row(visible=bool(found)),
            self.which: gr.Dropdown([one.id for one in found], value=found[0].id if found else None),
            self.confirm: gr.Row(visible=False),
        }

    def _make(self, identity: str, what: Any, adapter: str | None) -> Iterator[Updates]:
        """Export it beside the page, which may be left meanwhile."""
        from trainer.export import exports

        several = len(saved.names(runs.get(identity).adapter)) > 1
        try:
            work = with_progress(
                lambda report: exports.make(
                    ModelRef(run=identity), what, adapter=adapter if several else None, progress=report
                )
            )
            for told in work:
                if not told.done:
                    yield {self.told: gr.HTML(said(f"Exporting: {told.text}"), visible=True)}
        except Exception as error:  # of whatever a library raises: one sentence, never a traceback on the page
            fault_log.write("no export", error)
            yield self.open(identity) | {self.told: gr.HTML(said(in_a_sentence(error), "bad"), visible=True)}
            return
        yield self.open(identity) | {self.told: gr.HTML(said("Exported, and checked.", "good"), visible=True)}

    def _delete(self, identity: str, export: str | None) -> Updates:
        from trainer.export import exports

        try:
            exports.delete(exports.get(export or ""))
        except UserError as error:
            return {self.told: gr.HTML(said(str(error), "bad"), visible=True)}
        return self.open(identity)
