"""The Data page: bring data in, see it, take out what must not be there, shape it, split it, and use it in a plan.

What is set here lives in a recipe on disk (`trainer.data.recipes`): the run file's `data` section. The browser only
keeps its name, so that a refreshed page goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from assistant.pages import data_charts, data_labels, data_preview, data_view, uploads
from assistant.pages.background import with_progress
from assistant.pages.style import QUIET, empty, html, notice
from trainer.catalogue.datasets import data_sets
from trainer.config import ConfigError, DataFormat, DataSection, DataSource, RunConfig, parse
from trainer.data import recipes, task_templates
from trainer.data.records import DataError
from trainer.data.sources import locate, needs_fetching
from trainer.models import ModelError

Updates = dict[Any, Any]
_FORMATS = [("as recognised", ""), *((name.replace("_", " "), name) for name in DataFormat.__args__)]
_PHI = [("not known", "unknown"), ("no", "no"), ("yes", "yes")]
_MEANT = {"unknown": None, "no": False, "yes": True}
_WAYS = [
    ("medical synonyms", "synonyms"),
    ("abbreviations", "abbreviations"),
    ("brand ↔ generic", "brand_generic"),
    ("back-translation", "back_translation"),
]
_ACTIONS = [
    ("mask: [NAME], [DATE 2019]", "mask"),
    ("surrogate: invented, the same within a patient", "surrogate"),
    ("drop rows that hold any", "drop"),
    ("off, for a stated reason", "off"),
]


@dataclass
class DataPage:
    """What other pages need of this one: `used` changes to a recipe's path when it is to become a plan."""

    used: gr.State
    recipe: Any
    outputs: list[Any]
    open: Any


def build() -> DataPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return DataPage(used=page.used, recipe=page.recipe, outputs=page.outputs, open=page.open)


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        # A fixed secret, as on the Plan page: the name is no secret.
        self.recipe = gr.BrowserState(None, storage_key="bedside-data", secret="bedside")
        self.used = gr.State(None)
        self._draw_bring()
        self.nothing = html(
            empty(
                "No data yet",
                "Upload a file, or name a file, a folder or a published set. You see it here as the model will, before "
                "anything is trained on it.",
            ),
            elem_id="data-empty",
        )
        with gr.Column(visible=False, elem_id="data-body") as self.body:
            self.head = html(elem_id="data-head")
            with gr.Tabs(elem_id="data-tabs"):
                with gr.Tab("What it is", id="what"):
                    self._draw_what()
                with gr.Tab("See", id="see") as self.see_tab:
                    self.see = html(elem_id="data-see")
                    self.labels = data_labels.draw()
                with gr.Tab("De-identify", id="deidentify") as self.deidentify_tab:
                    self._draw_deidentify()
                with gr.Tab("Shape", id="shape") as self.shape_tab:
                    self._draw_shape()
                with gr.Tab("Split and use", id="split"):
                    self._draw_split()
        what = [self.found, self.format, self.columns, self.bad, self.rejected]
        self.settings = [self.phi, self.action, self.because, self.template, self.validation, self.test, self.method]
        self.settings += [self.balance, self.augment, self.augment_share, self.translators]
        shown = [self.body, self.head, self.see, *what, *self.settings, self.prepared, self.use]
        self.outputs = [self.recipe, self.select, self.fault, self.nothing, self.licence, *shown]

    def _draw_bring(self) -> None:
        with gr.Row(elem_id="data-bring", equal_height=True):
            named = [row.name for row in data_sets()]
            self.source = gr.Dropdown(
                [("", ""), *((name, name) for name in named)],
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
        self.select = gr.Dropdown([], label="Go on with", visible=False, filterable=False, elem_id="data-select")
        self.fault = html(visible=False, elem_id="data-fault")

    def _draw_what(self) -> None:
        self.found = html(elem_id="data-found")
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
        self.again = gr.Button("Read again", elem_id="data-again")
        self.bad = html(elem_id="data-bad")
        with gr.Row():
            self.rejected = gr.DownloadButton("Download rejected rows", visible=False, elem_id="data-rejected")
            self.mended = gr.UploadButton(
                "Add mended rows", file_types=[".jsonl"], size="sm", visible=True, elem_id="data-mended"
            )

    def _draw_deidentify(self) -> None:
        with gr.Row():
            self.phi = gr.Dropdown(
                _PHI,
                value="unknown",
                label="Does it hold anything about real patients?",
                filterable=False,
                elem_id="data-phi",
                min_width=240,
            )
            self.action = gr.Dropdown(
                _ACTIONS,
                value="mask",
                label="What identifies a person",
                filterable=False,
                elem_id="data-action",
                min_width=280,
            )
        self.because = gr.Textbox(
            label="Why rows that may hold patient data are used as they are; kept in the run",
            visible=False,
            elem_id="data-because",
        )
        self.preview = gr.Button("Show what would be taken out", elem_id="data-preview")
        self.spans = html(elem_id="data-spans")

    def _draw_shape(self) -> None:
        self.template = gr.Dropdown(
            [("rows as they are", ""), *((one.name.replace("_", " "), one.name) for one in task_templates.builtin())],
            value="",
            label="Task template",
            allow_custom_value=True,
            elem_id="data-template",
        )
        self.jinja = gr.Code(label="Template (Jinja)", lines=10, max_lines=24, elem_id="data-jinja", visible=False)
        with gr.Row():
            self.template_name = gr.Textbox(label="Name of your own", visible=False, elem_id="data-template-name")
            self.keep_template = gr.Button("Keep as your own", visible=False, elem_id="data-keep-template")
        self.rendered = html(elem_id="data-rendered")

    def _draw_split(self) -> None:
        with gr.Row():
            self.validation = gr.Slider(
                0.02, 0.5, 0.1, step=0.01, label="Share for validation", elem_id="data-validation", min_width=220
            )
            self.test = gr.Slider(
                0.0, 0.5, 0.1, step=0.01, label="Share for the test", elem_id="data-test", min_width=220
            )
            self.method = gr.Dropdown(
                [("every specialty on every side", "stratified"), ("the newest rows held back", "time")],
                value="stratified",
                label="Split",
                filterable=False,
                elem_id="data-method",
                min_width=220,
            )
        with gr.Row():
            self.balance = gr.Dropdown(
                [("as they are", "none"), ("by specialty", "specialty"), ("by task", "task"), ("by label", "label")],
                value="none",
                label="Repeat rows of rare classes",
                filterable=False,
                elem_id="data-balance",
                min_width=200,
            )
            self.augment = gr.Dropdown(
                _WAYS, value=[], multiselect=True, label="Add rewritten rows", elem_id="data-augment", min_width=240
            )
            self.augment_share = gr.Slider(
                0.05, 2.0, 0.2, step=0.05, label="Added rows a row", elem_id="data-augment-share", min_width=200
            )
        self.translators = gr.Textbox(
            label="Two local translation models, there and back, one a line",
            lines=2,
            visible=False,
            elem_id="data-translators",
        )
        with gr.Row():
            self.prepare = gr.Button("Prepare", variant="primary", elem_id="data-prepare", min_width=140)
            self.use = gr.Button("Use it in a plan", elem_id="data-use", min_width=160)
        self.prepared = html(elem_id="data-prepared")

    def connect(self) -> None:
        """Every event of the page."""
        self.source.change(self._licence, self.source, self.licence, **QUIET)
        self.read.click(self._bring, self.source, self.outputs, **QUIET)
        self.upload.upload(self._upload, self.upload, self.outputs, **QUIET)
        self.select.input(self.open, self.select, self.outputs, **QUIET)
        again = [self.recipe, self.format, self.columns]
        gr.on([self.again.click, self.format.input], self._by_hand, again, self.outputs, **QUIET)
        self.mended.upload(self._add_mended, [self.recipe, self.mended], self.outputs, **QUIET)
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        touched = [self.fault, self.because, self.translators, self.prepared, self.see]
        changes = [
            component.release if isinstance(component, gr.Slider) else component.input
            for component in self.settings
            if component is not self.template
        ]
        gr.on(changes, self._set, [self.recipe, *self.settings], touched, **latest)
        self.preview.click(self._preview, self.recipe, self.spans, **QUIET)
        self._connect_shape(latest)
        data_labels.connect(self.labels, self.recipe, self.fault, self.see, self._seen)
        self.prepare.click(self._prepare, self.recipe, [self.prepared, self.fault], **QUIET)
        self.use.click(self._use, self.recipe, [self.used, self.fault], **QUIET)

    def _connect_shape(self, latest: dict[str, Any]) -> None:
        shape = [self.jinja, self.template_name, self.keep_template, self.rendered, self.fault]
        self.template.input(self._choose_template, [self.recipe, self.template], shape, **QUIET)
        self.jinja.input(self._try_template, [self.recipe, self.jinja], self.rendered, **latest)
        kept = [self.recipe, self.template_name, self.jinja]
        self.keep_template.click(self._keep_template, kept, [self.template, *shape], **QUIET)

    # --- bringing data in

    def open(self, name: str | None) -> Iterator[Updates]:
        """The whole page with this recipe; with what to do first where there is none."""
        saved = recipes.saved()
        path = next((path for path in saved if path.name == name), None)
        page: Updates = {
            self.select: gr.Dropdown(
                [(_title(one), one.name) for one in saved], value=path.name if path else None, visible=bool(saved)
            ),
            self.fault: gr.HTML(visible=False),
            self.nothing: gr.HTML(visible=path is None),
            self.body: gr.Column(visible=False),
        }
        if path is None:
            yield page | {self.recipe: None}
            return
        try:
            data = recipes.load(path)
        except ConfigError as error:
            yield page | self._faults("This recipe cannot be read", [str(fault) for fault in error.faults])
            return
        yield page | {self.recipe: path.name, self.head: data_view.reading(data.sources[0].name)}
        yield from self._look(path, data)

    def _look(self, path: Path, data: DataSection) -> Iterator[Updates]:
        """Survey the recipe's source, with progress, and show what was found."""
        source = data.sources[0]
        page: Updates = {self.body: gr.Column(visible=True)}
        try:
            for told in with_progress(lambda report: data_preview.surveyed(source, report)):
                if told.done:
                    found = told.result
                    break
                yield page | {self.head: data_view.reading(source.name, told.text)}
        except (DataError, ModelError, OSError) as error:
            what = [self.found, self.see, self.bad]
            yield page | self._faults("This data cannot be read", [str(error)]) | dict.fromkeys(what, "")
            return
        yield page | {
            self.fault: gr.HTML(visible=False),
            self.head: data_view.head(found, data),
            self.found: data_view.found(found),
            self.format: source.format or "",
            self.columns: "\n".join(f"{column} = {role}" for column, role in source.columns.items()),
            self.bad: data_view.rejected(found.faults),
            self.rejected: gr.DownloadButton(
                value=str(data_preview.rejected_file(path, found.faults)) if found.faults else None,
                visible=bool(found.faults),
            ),
            self.see: data_charts.see(found.inspection, data, data_preview.first_batch(source)),
            self.prepared: "",
            **self._settings_of(data),
        }

    def _settings_of(self, data: DataSection) -> Updates:
        phi = next(name for name, meant in _MEANT.items() if meant is data.contains_phi)
        return {
            self.phi: phi,
            self.action: data.deidentify,
            self.because: gr.Textbox(value=data.not_deidentified_because or "", visible=data.deidentify == "off"),
            self.template: data.sources[0].template or "",
            self.validation: data.validation_share,
            self.test: data.test_share,
            self.method: data.split,
            self.balance: data.balance,
            self.augment: data.augment,
            self.augment_share: data.augment_share,
            self.translators: gr.Textbox(
                value="\n".join(data.translation_models), visible="back_translation" in data.augment
            ),
        }

    def _licence(self, name: str | None) -> Any:
        """What a published set allows, before it is used."""
        row = next((row for row in data_sets() if row.name == name), None)
        return gr.HTML(data_view.licence(row) if row else "", visible=row is not None)

    def _bring(self, name: str | None) -> Iterator[Updates]:
        if not (name or "").strip():
            yield self._faults("Nothing was named", ["Choose a published set, write a path, or upload a file."])
            return
        yield from self._new(str(name).strip())

    def _upload(self, file: str | None) -> Iterator[Updates]:
        if not file:
            return
        try:
            kept = uploads.keep(Path(file))
        except (uploads.UploadError, OSError) as error:
            yield self._faults("This file cannot be taken", [str(error)])
            return
        yield from self._new(str(kept))

    def _new(self, name: str) -> Iterator[Updates]:
        """A recipe for a source that is brought in, fetched first where it has to be."""
        yield {self.nothing: gr.HTML(visible=False), self.fault: gr.HTML(visible=False)}
        try:
            source = parse({"data": {"sources": [{"name": name}]}}).data.sources[0]
            if needs_fetching(name):
                for told in with_progress(lambda report: locate(name, "train", report)):
                    yield {self.licence: gr.HTML(data_view.reading(name, told.text), visible=not told.done)}
            located = locate(name)
        except (DataError, ConfigError, OSError) as error:
            yield self._faults("This data cannot be had", [str(error)])
            return
        path = recipes.path_for(name)
        contains_phi = None if located.patient_text else False
        recipes.save(path, DataSection(sources=[source], contains_phi=contains_phi, test_share=0.1))
        yield from self.open(path.name)

    def _by_hand(self, name: str | None, format: str, columns: str) -> Iterator[Updates]:
        """The format or the columns, corrected by hand."""
        if name is None:
            return
        try:
            given = data_preview.read_columns(columns)
            data = self._load(name)
            data.sources[0] = DataSource.model_validate(
                data.sources[0].model_dump() | {"format": format or None, "columns": given}
            )
        except (ConfigError, DataError) as error:
            yield self._faults("That cannot be set", [str(error)])
            return
        recipes.save(recipes.folder() / name, data)
        yield from self._look(recipes.folder() / name, data)

    def _add_mended(self, name: str | None, file: str | None) -> Iterator[Updates]:
        """Rejected rows that were mended become a source beside the first."""
        if name is None or not file:
            return
        try:
            kept = uploads.keep(Path(file))
            data = self._load(name)
            data.sources.append(data.sources[0].model_copy(update={"name": str(kept), "rows": None}))
        except (uploads.UploadError, ConfigError, OSError) as error:
            yield self._faults("These rows cannot be added", [str(error)])
            return
        recipes.save(recipes.folder() / name, data)
        gr.Info("The mended rows are read beside the others when the data is prepared.", duration=5)
        yield from self.open(name)

    # --- settings

    def _set(self, name: str | None, *values: Any) -> Updates:
        """Keep what was set; a fault is said and nothing is written."""
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        phi, action, because, _, validation, test, method, balance, augment, share, translators = values
        shown: Updates = {
            self.because: gr.Textbox(visible=action == "off"),
            self.translators: gr.Textbox(visible="back_translation" in augment),
            self.prepared: "",
        }
        data = self._load(name)
        changed = data.model_dump() | {
            "contains_phi": _MEANT[phi],
            "deidentify": action,
            "not_deidentified_because": (because or "").strip() or None,
            "validation_share": validation,
            "test_share": test,
            "split": method,
            "balance": balance,
            "augment": augment,
            "augment_share": share,
            "translation_models": [line.strip() for line in (translators or "").splitlines() if line.strip()],
        }
        try:
            data = parse({"data": changed}).data
        except ConfigError as error:
            return shown | self._faults("That cannot be set yet", [str(fault) for fault in error.faults])
        recipes.save(recipes.folder() / name, data)
        return shown | {self.fault: gr.HTML(visible=False)} | self._seen(name)

    def _seen(self, name: str | None) -> Updates:
        """What the See tab shows of a recipe that was looked at already."""
        if name is None:
            return {}
        data = self._load(name)
        try:
            found = data_preview.surveyed(data.sources[0])
        except (DataError, ModelError, OSError) as error:
            return self._faults("This data cannot be read", [str(error)])
        return {self.see: data_charts.see(found.inspection, data, data_preview.first_batch(data.sources[0]))}

    # --- what would be done

    def _preview(self, name: str | None) -> Iterator[Updates]:
        if name is None:
            return
        data = self._load(name)
        yield {self.spans: data_view.reading("the first rows", "looking for names, dates and numbers")}
        try:
            yield {self.spans: data_view.spans(data_preview.identifiers(data), data)}
        except (DataError, OSError) as error:
            yield {self.spans: notice("This data cannot be read", [str(error)])}

    def _choose_template(self, name: str | None, template: str) -> Updates:
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        data = self._load(name)
        hidden: Updates = {part: gr.update(visible=bool(template)) for part in (self.jinja, self.template_name)}
        hidden |= {self.keep_template: gr.Button(visible=bool(template)), self.fault: gr.HTML(visible=False)}
        try:
            text = task_templates.load(template).source if template else ""
            source = data.sources[0].model_dump() | {"template": template or None}
            data.sources[0] = DataSource.model_validate(source)
        except DataError as error:
            return hidden | self._faults("This template cannot be used", [str(error)])
        recipes.save(recipes.folder() / name, data)
        hidden[self.jinja] = gr.Code(value=text, visible=bool(template))
        return hidden | {self.rendered: self._rendered(data, text) if template else ""}

    def _try_template(self, name: str | None, text: str) -> Updates:
        return {self.rendered: self._rendered(self._load(name), text) if name else ""}

    def _rendered(self, data: DataSection, text: str) -> str:
        try:
            return data_view.rendered(task_templates.preview(text, data_preview.records(data.sources[0])))
        except DataError as error:
            return notice("The template has a fault", [str(error)])

    def _keep_template(self, name: str | None, own: str, text: str) -> Updates:
        try:
            path = task_templates.save((own or "").strip(), text, recipes.folder())
        except DataError as error:
            return self._faults("This template cannot be kept", [str(error)])
        return {self.template: str(path)} | self._choose_template(name, str(path))

    # --- doing it

    def _prepare(self, name: str | None) -> Iterator[Updates]:
        from trainer.data.prepare import prepare

        if name is None:
            return
        yield {self.fault: gr.HTML(visible=False), self.prepared: data_view.reading("the rows", "starting")}
        run = RunConfig(data=self._load(name))
        try:
            for told in with_progress(lambda report: prepare(run, report)):
                if told.done:
                    yield {self.prepared: data_view.prepared(told.result)}
                else:
                    yield {self.prepared: data_view.reading("the rows", told.text)}
        except (DataError, OSError) as error:
            yield {self.prepared: notice("The data cannot be prepared", [str(error)])}

    def _use(self, name: str | None) -> Updates:
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        faults = _faults_of(self._load(name))
        if faults:
            return self._faults("Not yet", faults)
        # Another value each time, so that the same recipe can be used twice.
        return {self.used: (str(recipes.folder() / name), time.time())}

    def _load(self, name: str) -> DataSection:
        return recipes.load(recipes.folder() / Path(name).name)

    def _faults(self, title: str, lines: list[str]) -> Updates:
        return {self.fault: gr.HTML(notice(title, lines), visible=True)}


def _faults_of(data: DataSection) -> list[str]:
    try:
        parse({"data": data.model_dump()})
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    return []


def _title(path: Path) -> str:
    return path.name.removesuffix(recipes.SUFFIX)
