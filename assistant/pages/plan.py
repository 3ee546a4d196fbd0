"""The Plan page: the conversation on the left, the run file growing on the right, and the button that starts it.

What is said and edited lives in the draft on disk; the browser only keeps the draft's id, so that a refreshed page, or
an app that was started anew, goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from assistant.pages import form as run_form
from assistant.pages import plan_view, uploads
from assistant.pages.background import in_a_sentence
from assistant.pages.markdown import plain
from assistant.pages.rate_plot import rate_plot
from assistant.pages.style import QUIET, html, notice, page_title
from assistant.planner import dialogue, drafts, starter_run, suggestions
from assistant.planner.dialogue import Turn
from assistant.planner.drafts import Draft, DraftError
from trainer import catalogue, hardware, jobs, readiness, runs, sizing
from trainer import config as run_config
from trainer.config import ConfigError
from trainer.duration import total_steps
from trainer.sections import RunConfig

Updates = dict[Any, Any]


@dataclass
class PlanPage:
    """What other pages need of this one: `started` changes to a run's id when the user starts one."""

    started: gr.State
    load: Any
    draft: Any
    outputs: list[Any]
    say: Callable[[str | None, str], Updates]
    """Say something in the conversation of a draft; gives the updates of `outputs`."""
    open: Callable[[str | None], Updates]
    """Show a draft; gives the updates of `outputs`."""


def build() -> PlanPage:
    """Draw the page (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return PlanPage(
        started=page.started,
        load=lambda demo: demo.load(page.open, page.draft, page.outputs, **QUIET),
        draft=page.draft,
        outputs=page.outputs,
        say=page.say_in,
        open=page.open,
    )


class _Page:
    """The page's components, and what each event does to them."""

    def __init__(self) -> None:
        # A fixed secret: the id is no secret, and has to be readable after the app was started anew.
        self.draft = gr.BrowserState(None, storage_key="bedside-plan", secret="bedside")
        self.started = gr.State(None)
        page_title("Plan")
        with gr.Row(equal_height=False, elem_id="plan-row"):
            with gr.Column(scale=5, min_width=320, elem_id="plan-left"):
                self._draw_chat()
            with gr.Column(scale=6, min_width=320, elem_id="plan-right"):
                self._draw_run_file()
        kept = [self.select, self.export, self.delete, self.confirm]
        self.outputs = [self.draft, self.chat, self.say, *self.chips, *kept, *self._file_outputs()]

    def _draw_chat(self) -> None:
        self.chat = gr.Chatbot(
            elem_id="plan-chat", height=460, show_label=False, layout="bubble", buttons=[], feedback_options=None
        )
        with gr.Row(elem_id="plan-chips"):
            self.chips = [
                gr.Button(elem_id=f"plan-chip-{n}", visible=False, size="sm") for n in range(suggestions.MOST)
            ]
        with gr.Row(elem_id="plan-ask", equal_height=True):
            self.say = gr.Textbox(
                placeholder="What is the model for, which data, which GPU?",
                show_label=False,
                container=False,
                lines=1,
                max_lines=5,
                scale=5,
                min_width=160,
                autofocus=True,
                elem_id="plan-say",
            )
            self.send = gr.Button("Send", variant="primary", scale=0, min_width=90, elem_id="plan-send")
        with gr.Row(elem_id="plan-tools"):
            self.upload = gr.UploadButton(
                "Upload data",
                file_types=list(uploads.ACCEPTED),
                size="sm",
                elem_id="plan-upload",
                min_width=120,
            )
            self.new = gr.Button("New plan", size="sm", elem_id="plan-new", min_width=100)
        with gr.Accordion("Saved plans", open=False, elem_id="plan-saved") as self.saved:
            self.select = gr.Dropdown(label="Go on with", choices=[], interactive=True, elem_id="plan-select")
            with gr.Row(elem_id="plan-keep"):
                self.export = gr.DownloadButton("Export conversation", size="sm", visible=False, elem_id="plan-export")
                self.delete = gr.Button("Delete this plan", size="sm", visible=False, elem_id="plan-delete")
            with gr.Row(visible=False, elem_id="plan-confirm") as self.confirm:
                gr.Markdown("The plan and its conversation are removed for good.")
                self.really = gr.Button("Yes, delete", variant="stop", size="sm", elem_id="plan-really-delete")

    def _draw_run_file(self) -> None:
        self.known = html(elem_id="plan-known")
        with gr.Column(visible=False, elem_id="plan-file") as self.file:
            self.estimate = html(elem_id="plan-estimate")
            self.faults = html(visible=False, elem_id="plan-faults")
            self.start = gr.Button("Start run", variant="primary", size="lg", elem_id="plan-start")
            self.table = html(elem_id="plan-config")
            self.rates = html(elem_id="plan-rate-plot")
            self.others = html(visible=False, elem_id="plan-alternatives")
            with gr.Accordion("Edit the run file", open=False, elem_id="plan-edit"), gr.Tabs():
                with gr.Tab("YAML", elem_id="plan-edit-yaml"):
                    self.yaml = gr.Code(
                        language="yaml",
                        lines=18,
                        max_lines=40,
                        show_label=False,
                        wrap_lines=True,
                        interactive=True,
                        buttons=["copy", "download"],
                        elem_id="plan-yaml",
                    )
                    html('<p class="bs-soft">By keyboard: Escape, then Tab, leaves the editor.</p>')
                with gr.Tab("Form", elem_id="plan-edit-form"):
                    self.form = run_form.entries()
                    run_form.draw(self.form)

    def _file_outputs(self) -> list[Any]:
        shown = [self.known, self.file, self.estimate, self.faults, self.start, self.table, self.rates, self.others]
        return [*shown, self.yaml, *(entry.component for entry in self.form)]

    def connect(self) -> None:
        """Every event of the page."""
        gr.on([self.say.submit, self.send.click], self.say_in, [self.draft, self.say], self.outputs, **QUIET)
        for chip in self.chips:
            chip.click(self.say_in, [self.draft, chip], self.outputs, **QUIET)
        self.upload.upload(self._upload, [self.draft, self.upload], self.outputs, **QUIET)
        self.new.click(lambda: self.open(None), None, self.outputs, **QUIET)
        self.select.input(self.open, self.select, self.outputs, **QUIET)
        self.saved.expand(self._kept, self.draft, [self.select, self.export, self.delete, self.confirm], **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.draft, self.outputs, **QUIET)
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        self.yaml.input(self._edit_yaml, [self.draft, self.yaml], self._file_outputs(), **latest)
        fields = [entry.component for entry in self.form]
        kinds = {one.section: one.component for one in self.form if run_form.decides(one)}
        for section, kind in kinds.items():
            kind.input(partial(self._edit_kind, section), [self.draft, *fields], self._file_outputs(), **latest)
        triggers = [component.input for component in fields if component not in kinds.values()]
        gr.on(triggers, self._edit_form, [self.draft, *fields], self._file_outputs(), **latest)
        self.start.click(self._start, [self.draft, self.yaml], [self.faults, self.started], **QUIET)

    def open(self, identity: str | None) -> Updates:
        """The whole page with this draft; with a new one where there is none."""
        # Its libraries take a third of a second to import, which is spent while the greeting is read.
        threading.Thread(target=dialogue.planner, daemon=True).start()
        if identity:
            try:
                return self._all(drafts.load(identity))
            except DraftError:
                pass  # deleted, or of another home: a new plan is what is left to offer
        # Not saved before something was said, so that a visit alone leaves nothing behind.
        return self._all(dialogue.new_draft()) | {self.draft: None}

    def _kept(self, identity: str | None) -> Updates:
        """The saved plans, and what can be done with this one; read when they are looked at."""
        found, unreadable = drafts.saved()
        for sentence in unreadable:
            gr.Warning(sentence)
        here = next((one for one in found if one.id == identity), None)
        choices = [(f"{one.title} · {jobs.when(one.id, '%-d %b %Y, %H:%M')}", one.id) for one in found]
        return {
            self.select: gr.Dropdown(choices=choices, value=here.id if here else None),
            self.export: gr.DownloadButton(value=str(_exported(here)) if here else None, visible=here is not None),
            self.delete: gr.Button(visible=here is not None),
            self.confirm: gr.Row(visible=False),
        }

    def _delete(self, identity: str | None) -> Updates:
        try:
            if identity:
                drafts.delete(identity)
        except (DraftError, OSError) as error:
            gr.Warning(in_a_sentence(error))
        return self.open(None) | self._kept(None)

    def say_in(self, identity: str | None, text: str) -> Updates:
        """Say something in a draft's conversation, or in a new one's."""
        if not text.strip():
            return {self.say: ""}
        try:
            draft = self._draft(identity)
            edited = draft.edited_yaml is not None
            before = dialogue.show(draft).config
            draft, turn = dialogue.reply(draft, text)
            drafts.save(draft)
        except (DraftError, OSError) as error:
            gr.Warning(in_a_sentence(error))
            return {self.say: text}
        if edited and draft.edited_yaml is None:
            gr.Info("The plan was made anew from your answer; your edits of the run file went with the old one.")
        return self._all(draft, turn, before)

    def _upload(self, identity: str | None, file: str | None) -> Updates:
        if not file:
            return {self.say: ""}
        try:
            path = uploads.keep(Path(file))
        except (uploads.UploadError, OSError) as error:
            gr.Warning(in_a_sentence(error))
            return {self.say: ""}
        return self.say_in(identity, f"My data is in {path}")

    def _draft(self, identity: str | None) -> Draft:
        return drafts.load(identity) if identity else dialogue.new_draft()

    def _all(self, draft: Draft, turn: Turn | None = None, before: RunConfig | None = None) -> Updates:
        """The whole page; `before` is the run file of the message before, whose changes are marked."""
        turn = turn or dialogue.show(draft)
        offered = draft.offered
        page: Updates = {
            self.draft: draft.id,
            self.chat: [{"role": one["role"], "content": plain(one["content"])} for one in draft.messages],
            self.say: "",
        }
        for number, chip in enumerate(self.chips):
            page[chip] = gr.Button(offered[number] if number < len(offered) else "", visible=number < len(offered))
        page[self.confirm] = gr.Row(visible=False)
        return page | self._file(draft, turn, before=before)

    def _file(self, draft: Draft, turn: Turn, typing_in: str = "", before: RunConfig | None = None) -> Updates:
        """The right side; what the user is typing in (`yaml` or `form`) is left as it is."""
        page: Updates = {
            self.known: gr.HTML(plan_view.known(turn.answers), visible=turn.config is None),
            self.file: gr.Column(visible=turn.config is not None),
        }
        if turn.config is None:
            return page
        text = draft.edited_yaml or run_config.to_yaml(turn.config)
        config, faults = _read(text)
        page[self.faults] = gr.HTML(notice("The run file has faults", faults), visible=bool(faults))
        page[self.start] = gr.Button(interactive=not faults)
        if typing_in != "yaml":
            page[self.yaml] = text
        if config is None:
            # The last good values stay in sight, so that the fault can be mended beside them.
            return (
                page if typing_in else page | self._values(turn, turn.config) | run_form.to_form(self.form, turn.config)
            )
        page |= self._values(turn, config, before)
        return page if typing_in == "form" else page | run_form.to_form(self.form, config)

    def _values(self, turn: Turn, config: RunConfig, before: RunConfig | None = None) -> Updates:
        edited = config != turn.config
        found = _estimate(turn, config) if edited else turn.estimate
        others = "" if edited else plan_view.alternatives(turn.alternatives)
        return {
            self.estimate: plan_view.estimate(config, found),
            self.table: plan_view.run_file(config, turn.config, turn.reasons, before),
            self.rates: _rates(turn, config),
            self.others: gr.HTML(others, visible=bool(others)),
        }

    def _edit_yaml(self, identity: str | None, text: str) -> Updates:
        return self._edit(identity, text, "yaml")

    def _edit_form(self, identity: str | None, *values: Any) -> Updates:
        return self._edit_values(identity, list(values))

    def _edit_kind(self, section: str, identity: str | None, *values: Any) -> Updates:
        return self._edit_values(identity, list(values), section)

    def _edit_values(self, identity: str | None, values: list[Any], another_kind: str = "") -> Updates:
        try:
            text = run_config.to_yaml(run_form.from_form(self.form, values, another_kind))
        except ConfigError as error:
            faults = notice("The run file has faults", [str(fault) for fault in error.faults])
            return {self.faults: gr.HTML(faults, visible=True), self.start: gr.Button(interactive=False)}
        # The fields of another kind have to appear, so the form is drawn anew.
        return self._edit(identity, text, "" if another_kind else "form")

    def _edit(self, identity: str | None, text: str, typing_in: str) -> Updates:
        try:
            draft = self._draft(identity)
            turn = dialogue.show(draft)
            if turn.config is None:
                return {self.known: gr.skip()}
            same = text == run_config.to_yaml(turn.config)
            draft = draft.model_copy(update={"edited_yaml": None if same else text})
            drafts.save(draft)
        except (DraftError, OSError) as error:
            gr.Warning(in_a_sentence(error))
            return {self.known: gr.skip()}
        return self._file(draft, turn, typing_in)

    def _start(self, identity: str | None, text: str) -> Updates:
        try:
            draft = self._draft(identity)
            config = run_config.parse_yaml(text)
            refused = readiness.faults(config, hardware.detect())
            if refused:
                return {self.faults: gr.HTML(notice("This run cannot start here", refused), visible=True)}
            conversation = [{"role": one["role"], "content": one["content"]} for one in draft.messages]
            run = runs.start(runs.create(config, conversation))
        except ConfigError as error:
            faults = notice("The run file has faults", [str(fault) for fault in error.faults])
            return {self.faults: gr.HTML(faults, visible=True)}
        except (DraftError, runs.RunError, OSError) as error:
            return {self.faults: gr.HTML(notice("This run cannot start", [in_a_sentence(error)]), visible=True)}
        return {self.faults: gr.HTML(visible=False), self.started: run.id}


def _exported(draft: Draft) -> Path:
    """The conversation as a file in the folder that Gradio may serve; removed with its other files after an hour."""
    path = uploads.given_out(f"bedside-plan-{draft.id}.md")
    runs.write_atomically(path, drafts.as_markdown(draft))
    return path


def _read(text: str) -> tuple[RunConfig | None, list[str]]:
    try:
        return run_config.parse_yaml(text), []
    except ConfigError as error:
        return None, [str(fault) for fault in error.faults]


def _rows(turn: Turn, config: RunConfig) -> tuple[int | None, float | None]:
    """How many rows, and their mean tokens: known where they were said, or are the starter's."""
    names = [source.name for source in config.data.sources]
    if names and all(name.startswith("starter/") for name in names):
        return starter_run.starter_rows(config.data.sources), starter_run.ROW_TOKENS
    return turn.answers.examples, None


def _estimate(turn: Turn, config: RunConfig) -> sizing.Estimate | None:
    rows, row_tokens = _rows(turn, config)
    return sizing.estimate(config, hardware.detect(), rows=rows, row_tokens=row_tokens)


def _rates(turn: Turn, config: RunConfig) -> str:
    rows, _ = _rows(turn, config)
    model = catalogue.base_model(config.model.name)
    return rate_plot(config, model.layers if model else None, total_steps(config, rows) if rows else None)
