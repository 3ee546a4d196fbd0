"""The Data page: bring data in, see it, take out what must not be there, shape it, split it, and use it in a plan.

What is set here lives in a recipe on disk (`trainer.data.recipes`): the run file's `data` section. The browser only
keeps its name, so that a refreshed page goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from assistant.pages import data_charts, data_labels, data_preview, data_view, uploads
from assistant.pages.background import in_a_sentence, with_progress
from assistant.pages.data_settings import Settings
from assistant.pages.data_template import TemplatePart
from assistant.pages.storage import StoragePart
from assistant.pages.style import QUIET, empty, html, notice, page_title
from trainer.catalogue.datasets import data_set, data_sets
from trainer.config import ConfigError, parse
from trainer.data import kept, recipes
from trainer.data.records import DataError
from trainer.data.sources import locate, needs_fetching
from trainer.data.survey import Survey
from trainer.data_sections import DataFormat, DataSection, DataSource
from trainer.errors import ModelError
from trainer.sections import RunConfig

Updates = dict[Any, Any]
_FORMATS = [("as recognised", ""), *((name.replace("_", " "), name) for name in get_args(DataFormat))]
_TEST_SHARE = 0.1


@dataclass
class DataPage:
    """What other pages need of this one: `used` changes to a recipe's path and the time when it is to become a plan."""

    used: gr.State
    state: list[Any]
    outputs: list[Any]
    enter: Callable[[str | None, str | None], Iterator[Updates]]
    """For the tab's selection: shows the recipe of `state` where it is not shown yet."""


def build() -> DataPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return DataPage(used=page.used, state=[page.recipe, page.shown], outputs=page.outputs, enter=page.enter)


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        # A fixed secret, as on the Plan page: the name is no secret.
        self.recipe = gr.BrowserState(None, storage_key="bedside-data", secret="bedside")
        self.used = gr.State(None)
        self.shown = gr.State(None)  # the recipe that the page shows
        page_title("Data")
        self._draw_bring()
        with gr.Column(visible=False, elem_id="data-body") as self.body:
            self.head = html(elem_id="data-head")
            self.settings = Settings()
            with gr.Tabs(elem_id="data-tabs", overflow_behavior="wrap"):
                with gr.Tab("Source", id="source"):
                    self._draw_what()
                with gr.Tab("See", id="see"):
                    self.see = html(elem_id="data-see")
                    self.labels = data_labels.draw()
                with gr.Tab("De-identify", id="deidentify"):
                    self.settings.draw_deidentify()
                    self.preview = gr.Button("Show what would be taken out", elem_id="data-preview")
                    self.spans = html(elem_id="data-spans")
                with gr.Tab("Shape", id="shape"):
                    self.template = TemplatePart(self.recipe, self.fault)
                with gr.Tab("Split", id="split"):
                    self.settings.draw_split()
                    with gr.Row():
                        self.prepare = gr.Button("Prepare", variant="primary", elem_id="data-prepare", min_width=140)
                        self.use = gr.Button("Use it in a plan", elem_id="data-use", min_width=160)
                    self.prepared = html(elem_id="data-prepared")
        self.storage = StoragePart()
        what = [self.found, self.format, self.columns, self.bad, self.rejected]
        shown = [self.body, self.head, self.see, self.spans, self.prepared, *what, *self.settings.fields]
        shown += [part for part in self.template.outputs if part is not self.fault]
        self.outputs = [
            self.recipe,
            self.shown,
            self.saved,
            self.select,
            self.confirm,
            self.fault,
            self.nothing,
            self.licence,
            *shown,
        ]

    def _draw_bring(self) -> None:
        with gr.Row(elem_id="data-bring"):
            self.source = gr.Dropdown(
                [("", ""), *((row.name, row.name) for row in data_sets())],
                value="",
                label="A file, a folder, a published set, or owner/name on the Hub",
                allow_custom_value=True,
                scale=5,
                min_width=240,
                elem_id="data-source",
            )
            self.read = gr.Button("Read", variant="primary", scale=0, min_width=100, elem_id="data-read")
            self.upload = gr.UploadButton(
                "Upload", file_types=list(uploads.ACCEPTED), scale=0, min_width=110, elem_id="data-upload"
            )
        self.licence = html(visible=False, elem_id="data-licence")
        with gr.Row(visible=False, elem_id="data-saved") as self.saved:
            self.select = gr.Dropdown(
                [], label="Go on with", filterable=False, scale=5, min_width=240, elem_id="data-select"
            )
            self.delete = gr.Button("Delete", scale=0, min_width=110, elem_id="data-delete")
        with gr.Row(visible=False, elem_id="data-confirm") as self.confirm:
            html('<p class="bs-ask">Delete this data, its upload and what was prepared of it, for good?</p>')
            self.really = gr.Button("Delete for good", variant="stop", elem_id="data-really", min_width=150)
            self.keep = gr.Button("Keep it", elem_id="data-keep", min_width=110)
        self.fault = html(visible=False, elem_id="data-fault")
        self.nothing = html(
            empty(
                "No data yet",
                "Upload a file, or name a file, a folder or a published set. You see it here as the model will, before "
                "anything is trained on it.",
            ),
            elem_id="data-empty",
        )

    def _draw_what(self) -> None:
        self.found = html(elem_id="data-found")
        self.bad = html(elem_id="data-bad")
        with gr.Row(elem_id="data-by-hand"):
            self.format = gr.Dropdown(
                _FORMATS, value="", label="How a row is written", filterable=False, elem_id="data-format", min_width=220
            )
            self.columns = gr.Textbox(
                label="What a column is",
                info="One a line, such as: Frage = question, MRN = patient, seen = time",
                lines=2,
                elem_id="data-columns",
                min_width=260,
            )
        with gr.Row(elem_id="data-mend"):
            self.again = gr.Button("Read again", elem_id="data-again", min_width=120)
            self.rejected = gr.DownloadButton(
                "Download rejected rows", visible=False, elem_id="data-rejected", min_width=180
            )
            self.mended = gr.UploadButton(
                "Add mended rows", file_types=[".jsonl"], elem_id="data-mended", min_width=160
            )

    def connect(self) -> None:
        """Every event of the page."""
        self.source.change(self._licence, self.source, self.licence, **QUIET)
        self.read.click(self._bring, self.source, self.outputs, **QUIET)
        self.upload.upload(self._upload, self.upload, self.outputs, **QUIET)
        self.select.input(self.open, self.select, self.outputs, **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.recipe, self.outputs, **QUIET)
        by_hand = [self.recipe, self.format, self.columns]
        gr.on([self.again.click, self.format.input], self._by_hand, by_hand, self.outputs, **QUIET)
        self.mended.upload(self._add_mended, [self.recipe, self.mended], self.outputs, **QUIET)
        touched = [self.fault, self.prepared, self.see, *self.settings.folded]
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        gr.on(self.settings.changed, self._set, [self.recipe, *self.settings.fields], touched, **latest)
        self.preview.click(self._preview, self.recipe, self.spans, **QUIET)
        self.template.connect()
        data_labels.connect(self.labels, self.recipe, self.fault, self.see, self._seen)
        self.prepare.click(self._prepare, self.recipe, self.prepared, **QUIET)
        self.storage.connect()
        self.use.click(self._use, self.recipe, [self.used, self.fault], **QUIET)

    def enter(self, name: str | None, shown: str | None) -> Iterator[Updates]:
        """The page when its tab is selected: as it was left."""
        if shown is not None:
            yield {self.shown: shown}
        else:
            yield from self.open(name)

    def open(self, name: str | None) -> Iterator[Updates]:
        """The whole page with this recipe, else with the newest one, else with what to do first."""
        saved = recipes.saved()
        path = next((path for path in saved if path.name == name), saved[0] if saved else None)
        choices = [(one.name.removesuffix(recipes.SUFFIX), one.name) for one in saved]
        page: Updates = {
            self.recipe: path.name if path else None,
            self.shown: path.name if path else None,
            self.saved: gr.Row(visible=bool(saved)),
            self.select: gr.Dropdown(choices, value=path.name if path else None),
            self.confirm: gr.Row(visible=False),
            self.fault: gr.HTML(visible=False),
            self.licence: gr.HTML(visible=False),
            self.nothing: gr.HTML(visible=path is None),
            self.body: gr.Column(visible=False),
        }
        if path is None:
            yield page
            return
        try:
            data = recipes.load(path)
        except ConfigError as error:
            yield page | self._faults("This recipe cannot be read", [str(fault) for fault in error.faults])
            return
        yield page
        yield from self._look(path, data)

    def _look(self, path: Path, data: DataSection) -> Iterator[Updates]:
        """Survey the recipe's first source, with progress, and show what was found."""
        source = data.sources[0]
        found: Survey | None = None
        yield {self.licence: gr.HTML(data_view.reading(source.name), visible=True)}
        try:
            for told in with_progress(lambda report: data_preview.surveyed(source, report)):
                found = told.result
                if not told.done:
                    yield {self.licence: gr.HTML(data_view.reading(source.name, told.text), visible=True)}
            assert found is not None
            batch = data_preview.first_batch(source)
        except (DataError, ModelError, OSError) as error:
            # The format can still be set by hand, where that is what is wrong.
            parts = [self.head, self.found, self.see, self.bad]
            page = self._faults("This data cannot be read", [in_a_sentence(error)]) | dict.fromkeys(parts, "")
            yield page | {self.body: gr.Column(visible=True), self.licence: gr.HTML(visible=False)}
            return
        columns = "\n".join(f"{column} = {role}" for column, role in source.columns.items())
        rejected = str(data_preview.rejected_file(path, found.faults)) if found.faults else None
        yield {
            self.body: gr.Column(visible=True),
            self.fault: gr.HTML(visible=False),
            self.licence: gr.HTML(visible=False),
            self.head: data_view.head(found, data),
            self.found: data_view.found(found),
            self.format: source.format or "",
            self.columns: columns,
            self.bad: data_view.rejected(found.faults),
            self.rejected: gr.DownloadButton(value=rejected, visible=bool(found.faults)),
            self.see: data_charts.see(found, data, batch),
            self.spans: "",
            self.prepared: "",
            **self.settings.show(data),
            **self.template.show(data),
        }

    # --- bringing data in

    def _licence(self, name: str | None) -> Updates:
        """What a published set allows, before it is used."""
        row = data_set(name) if name else None
        return {self.licence: gr.HTML(data_view.licence(row) if row else "", visible=row is not None)}

    def _bring(self, name: str | None) -> Iterator[Updates]:
        if name and name.strip():
            yield from self._new(name.strip())
        else:
            yield self._faults("Nothing was named", ["Choose a published set, write a path, or upload a file."])

    def _upload(self, file: str | None) -> Iterator[Updates]:
        if not file:
            return
        try:
            path = uploads.keep(Path(file))
        except (uploads.UploadError, OSError) as error:
            yield self._faults("This file cannot be taken", [in_a_sentence(error)])
            return
        yield from self._new(str(path))

    def _new(self, name: str) -> Iterator[Updates]:
        """A recipe for a source that is brought in, fetched first where it has to be."""
        yield {self.nothing: gr.HTML(visible=False), self.fault: gr.HTML(visible=False)}
        try:
            source = parse({"data": {"sources": [{"name": name}]}}).data.sources[0]
            if needs_fetching(name):
                for told in with_progress(lambda report: locate(name, "train", report)):
                    if not told.done:
                        yield {self.licence: gr.HTML(data_view.reading(name, told.text), visible=True)}
            located = locate(name)
            path = recipes.path_for(name)
            known = None if located.patient_text else False
            recipes.save(path, DataSection(sources=[source], contains_phi=known, test_share=_TEST_SHARE))
        except (DataError, ConfigError, OSError) as error:
            yield self._faults("This data cannot be had", [in_a_sentence(error)])
            return
        yield from self.open(path.name)

    def _delete(self, name: str | None) -> Iterator[Updates]:
        """Remove the recipe and all that was made of it; what stands elsewhere on the disk is not touched."""
        if name is not None:
            kept.delete_recipe(recipes.at(name))
        yield from self.open(None)

    def _by_hand(self, name: str | None, form: str | None, columns: str | None) -> Iterator[Updates]:
        """The format or the columns, corrected by hand."""
        if name is None:
            return
        try:
            told = {"format": form or None, "columns": data_preview.read_columns(columns or "")}
            data = self._load(name)
            data.sources[0] = DataSource.model_validate(data.sources[0].model_dump() | told)
        except (ConfigError, DataError) as error:
            yield self._faults("That cannot be set", [str(error)])
            return
        recipes.save(recipes.at(name), data)
        yield from self._look(recipes.at(name), data)

    def _add_mended(self, name: str | None, file: str | None) -> Iterator[Updates]:
        """Rejected rows that were mended become a source beside the first."""
        if name is None or not file:
            return
        try:
            path = uploads.keep(Path(file))
            data = self._load(name)
            data.sources.append(data.sources[0].model_copy(update={"name": str(path), "rows": None}))
        except (uploads.UploadError, ConfigError, OSError) as error:
            yield self._faults("These rows cannot be added", [in_a_sentence(error)])
            return
        recipes.save(recipes.at(name), data)
        gr.Info("The mended rows are read beside the others when the data is prepared.", duration=5)
        yield from self.open(name)

    # --- what is done to it

    def _set(self, name: str | None, *values: Any) -> Updates:
        """Keep what was set; a fault is said and nothing is written."""
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        page = {self.prepared: ""} | self.settings.unfolded(values)
        try:
            recipes.save(recipes.at(name), self.settings.read(self._load(name), values))
        except ConfigError as error:
            return page | self._faults("That cannot be set yet", [str(fault) for fault in error.faults])
        return page | {self.fault: gr.HTML(visible=False)} | self._seen(name)

    def _seen(self, name: str) -> Updates:
        """What the See tab shows of a recipe that was looked at already."""
        data = self._load(name)
        try:
            found, batch = data_preview.surveyed(data.sources[0]), data_preview.first_batch(data.sources[0])
        except (DataError, ModelError, OSError) as error:
            return self._faults("This data cannot be read", [in_a_sentence(error)])
        return {self.see: data_charts.see(found, data, batch)}

    def _preview(self, name: str | None) -> Iterator[Updates]:
        if name is None:
            return
        data = self._load(name)
        yield {self.spans: data_view.reading("The first rows", "looking for names, dates, numbers and places")}
        try:
            yield {self.spans: data_view.spans(data_preview.identifiers(data), data)}
        except (DataError, OSError) as error:
            yield {self.spans: notice("This data cannot be read", [in_a_sentence(error)])}

    def _prepare(self, name: str | None) -> Iterator[Updates]:
        from trainer.data.prepare import prepare

        if name is None:
            return
        yield {self.prepared: data_view.reading("Preparing", "starting")}
        run = RunConfig(data=self._load(name))
        try:
            for told in with_progress(lambda report: prepare(run, report)):
                if told.done:
                    yield {self.prepared: data_view.prepared(told.result, data_preview.trained_batch(told.result))}
                else:
                    yield {self.prepared: data_view.reading("Preparing", told.text)}
        except (DataError, ModelError, OSError) as error:
            yield {self.prepared: notice("The data cannot be prepared", [in_a_sentence(error)])}

    def _use(self, name: str | None) -> Updates:
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        # With the time, so that the same recipe can be used twice.
        return {self.used: (str(recipes.at(name)), time.time())}

    def _load(self, name: str) -> DataSection:
        return recipes.load(recipes.at(name))

    def _faults(self, title: str, lines: list[str]) -> Updates:
        return {self.fault: gr.HTML(notice(title, lines), visible=True)}
