"""The task template that writes question and answer out of a record's columns, edited with its result beside it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from assistant.pages import data_preview
from assistant.pages.background import in_a_sentence
from assistant.pages.data_view import rendered
from assistant.pages.style import QUIET, html, notice
from trainer.data import recipes, task_templates
from trainer.data.records import DataError
from trainer.data_sections import DataSection, DataSource

Updates = dict[Any, Any]


class TemplatePart:
    """The part's components, and what each event does to them."""

    def __init__(self, recipe: Any, fault: Any):
        self.recipe = recipe
        self.fault = fault
        choices = [(one.name.replace("_", " "), one.name) for one in task_templates.builtin()]
        self.choice = gr.Dropdown(
            [("rows as they are", ""), *choices],
            value="",
            label="Task template",
            info="Writes the question and the answer out of your columns; a row without a needed column is set aside.",
            allow_custom_value=True,
            elem_id="data-template",
        )
        self.text = gr.Code(label="Template (Jinja)", lines=10, max_lines=24, elem_id="data-jinja", visible=False)
        with gr.Row(visible=False, elem_id="data-own-template") as self.own:
            self.name = gr.Textbox(
                label="Keep what you changed as a template of your own",
                placeholder="a_short_name",
                elem_id="data-template-name",
                min_width=240,
            )
            self.keep = gr.Button("Keep", elem_id="data-keep-template", scale=0, min_width=110)
        self.result = html(elem_id="data-rendered")

    @property
    def outputs(self) -> list[Any]:
        return [self.choice, self.text, self.own, self.result, self.fault]

    def connect(self) -> None:
        """Every event of the part."""
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        self.choice.input(self._choose, [self.recipe, self.choice], self.outputs, **QUIET)
        self.text.input(self._try, [self.recipe, self.text], self.result, **latest)
        self.keep.click(self._keep, [self.recipe, self.name, self.text], self.outputs, **QUIET)

    def show(self, data: DataSection) -> Updates:
        """The updates that make the part show a recipe's template."""
        template = data.sources[0].template
        page: Updates = {
            self.choice: template or "",
            self.own: gr.Row(visible=bool(template)),
            self.text: gr.Code(visible=bool(template)),
            self.result: "",
        }
        if not template:
            return page
        try:
            text = task_templates.load(template).source
        except DataError as error:
            return page | {self.result: notice("This template cannot be used", [str(error)])}
        return page | {self.text: gr.Code(value=text, visible=True), self.result: _rendered(data, text)}

    def _choose(self, name: str | None, template: str | None) -> Updates:
        if name is None:
            return {self.fault: gr.HTML(visible=False)}
        path = recipes.at(name)
        data = recipes.load(path)
        try:
            if template:
                task_templates.load(template)
        except DataError as error:
            return {self.fault: gr.HTML(notice("This template cannot be used", [str(error)]), visible=True)}
        data.sources[0] = DataSource.model_validate(data.sources[0].model_dump() | {"template": template or None})
        recipes.save(path, data)
        return self.show(data) | {self.fault: gr.HTML(visible=False)}

    def _try(self, name: str | None, text: str) -> Updates:
        return {self.result: _rendered(recipes.load(recipes.at(name)), text) if name else ""}

    def _keep(self, name: str | None, own: str | None, text: str) -> Updates:
        try:
            path = task_templates.save((own or "").strip(), text, recipes.folder())
        except DataError as error:
            return {self.fault: gr.HTML(notice("This template cannot be kept", [str(error)]), visible=True)}
        gr.Info(f"Kept as {path.name}; rows are written by it now.", duration=4)
        return self._choose(name, str(path))


def _rendered(data: DataSection, text: str) -> str:
    try:
        return rendered(task_templates.preview(text, data_preview.records(data.sources[0])))
    except (DataError, OSError) as error:
        return notice("The template has a fault", [in_a_sentence(error)])
