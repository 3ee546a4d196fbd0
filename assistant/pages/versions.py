"""Versions on the Release page: register a model, see what changed and what broke, put into use, roll back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages.background import said
from assistant.pages.style import QUIET, empty, html, page_title
from evaluators.sequential import Design
from trainer import model_refs, runs
from trainer.errors import UserError
from trainer.model_refs import ModelRef
from trainer.versions import numbering

if TYPE_CHECKING:  # the database is loaded when somebody opens the section: a third of what drawing all pages takes
    from trainer.store import Version

Updates = dict[Any, Any]


@dataclass
class VersionsPage:
    """What other pages need of this one: `open(run_id)` gives the updates of `outputs`, this run's model chosen."""

    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build() -> VersionsPage:
    """Draw the section (within a tab) and connect it."""
    page = _Page()
    page.connect()
    return VersionsPage(outputs=page.outputs, open=page.open)


class _Page:
    """The section's components, and what each button does to them."""

    def __init__(self) -> None:
        page_title("Versions")
        self.nothing = html(
            empty(
                "No version yet",
                "A version is a trained model with a number, a changelog and what its gates said. When a run has been "
                "evaluated, register it here, and put it into use.",
            ),
            elem_id="versions-empty",
        )
        self.told = html(visible=False, elem_id="versions-said")
        with gr.Accordion("Register a model", open=False, visible=False, elem_id="versions-register") as self.form:
            with gr.Row():
                self.model = gr.Dropdown([], label="Model", elem_id="versions-model", filterable=False, min_width=280)
                self.to = gr.Dropdown(
                    [], label="Line", info="A new name begins a new line", allow_custom_value=True,
                    elem_id="versions-to", min_width=200,
                )  # fmt: skip
                self.change = gr.Dropdown(
                    list(numbering.CHANGES), value="data", label="What kind of change", elem_id="versions-change",
                    filterable=False, min_width=200,
                )  # fmt: skip
            self.note = gr.Textbox(label="What changed, in your words", elem_id="versions-note")
            with gr.Row():
                self.known = gr.Textbox(
                    label="Its training data knows nothing after", info="2026-03-31; empty: read from the rows' dates",
                    elem_id="versions-known", min_width=280,
                )  # fmt: skip
                self.despite = gr.Textbox(
                    label="Why all the same", info="Only where a gate fails, or too many cases fail now",
                    elem_id="versions-despite", min_width=280,
                )  # fmt: skip
            with gr.Row(elem_id="versions-form-actions"):
                self.preview = gr.Button("Preview", elem_id="versions-preview", min_width=110)
                self.register = gr.Button("Register", variant="primary", elem_id="versions-keep", min_width=110)
            self.draft = html(visible=False, elem_id="versions-drafted")
        with gr.Column(visible=False, elem_id="versions-body") as self.body:
            with gr.Row():
                self.line = gr.Dropdown([], label="Line", elem_id="versions-lines", filterable=False, min_width=200)
                self.number = gr.Dropdown(
                    [], label="Version", elem_id="versions-select", filterable=False, min_width=200
                )
            self.all = html(elem_id="versions-all")
            self.one = html(elem_id="versions-shown")
            with gr.Row(elem_id="versions-actions"):
                self.use = gr.Button("Put into use", elem_id="versions-use", min_width=110)
                self.back = gr.Button("Roll back", variant="stop", elem_id="versions-back", min_width=110)
                self.beside = gr.Button("Try on users", elem_id="versions-try", min_width=110)
                self.end = gr.Button("End the A/B test", visible=False, elem_id="versions-end", min_width=110)
            with gr.Column(visible=False, elem_id="versions-confirm") as self.confirm:
                self.ask = html(elem_id="versions-ask")
                with gr.Row(elem_id="versions-confirm-row"):
                    self.why = gr.Textbox(label="Why", elem_id="versions-why", min_width=220)
                    self.really = gr.Button(
                        "Do it", variant="primary", scale=0, elem_id="versions-really", min_width=110
                    )
                    self.keep = gr.Button("Leave it", scale=0, elem_id="versions-leave", min_width=110)
            self.compared = html(elem_id="versions-compared", visible=False)
            self.test = html(elem_id="versions-test", visible=False)
        self.asked = gr.State("")  # what the confirmation is of: "use", "back", "try" or "end"
        self.outputs = [
            self.nothing, self.told, self.form, self.model, self.to, self.draft, self.despite, self.body,
            *self._of_a_line(),
        ]  # fmt: skip

    def _of_a_line(self) -> list[Any]:
        return [self.line, self.number, self.all, self.test, self.end, *self._of_one()]

    def _of_one(self) -> list[Any]:
        return [self.one, self.compared, self.use, self.back, self.beside, self.confirm, self.asked, self.why]

    def connect(self) -> None:
        """Every event of the section."""
        form = [self.model, self.to, self.change, self.note, self.known, self.despite]
        chosen, asking = [self.line, self.number], [self.confirm, self.ask, self.why, self.asked]
        self.line.input(self._line, self.line, self._of_a_line(), **QUIET)
        self.number.input(self._one, chosen, self._of_one(), **QUIET)
        self.preview.click(self._preview, form, [self.told, self.draft], **QUIET)
        self.register.click(self._register, form, self.outputs, **QUIET)
        self.use.click(self._ask_use, chosen, asking, **QUIET)
        self.back.click(self._ask_back, self.line, asking, **QUIET)
        self.beside.click(self._ask_try, chosen, asking, **QUIET)
        self.end.click(self._ask_end, self.line, asking, **QUIET)
        self.keep.click(lambda: gr.Column(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._do, [*chosen, self.asked, self.why], self.outputs, **QUIET)

    def open(self, identity: str | None, line: str | None = None) -> Updates:
        """The section with every line; a run's model is chosen to be registered, and `line`, or the first, shown."""
        from trainer.store import StoreError
        from trainer.versions import registry

        try:
            lines = registry.lines()
        except StoreError as error:
            return {part: gr.update(visible=False) for part in (self.nothing, self.form, self.body)} | {
                self.told: _said(error)
            }
        known = [ref for ref in model_refs.known() if not ref.is_base]
        chosen = next((str(ref) for ref in known if ref.run == identity), next((str(ref) for ref in known), None))
        shown = line if line in lines else next(iter(lines), None)
        return {
            self.nothing: gr.HTML(visible=not lines),
            self.told: gr.HTML(visible=False),
            self.form: gr.Accordion(visible=bool(known)),
            self.model: gr.Dropdown([(model_refs.label(ref), str(ref)) for ref in known], value=chosen),
            self.to: gr.Dropdown(lines, value=shown or _line_of(chosen), allow_custom_value=True),
            self.draft: gr.HTML(visible=False),
            self.despite: gr.Textbox(value=""),
            self.body: gr.Column(visible=bool(lines)),
            **self._line(shown),
        }

    def _line(self, line: str | None) -> Updates:
        from assistant.pages import versions_view
        from trainer.versions import ab_test, registry

        found = registry.versions(line) if line else []
        in_use = registry.in_use(line) if line else None
        chosen = in_use.number if in_use else next((one.number for one in found), None)
        tests = ab_test.tests(line) if line else []
        page: Updates = {
            self.line: gr.Dropdown(registry.lines(), value=line),
            self.number: gr.Dropdown([one.number for one in found], value=chosen),
            self.all: gr.HTML(versions_view.line(found, in_use, registry.history(line)) if line else ""),
            self.test: gr.HTML(versions_view.ab_test(ab_test.state(tests[0])) if tests else "", visible=bool(tests)),
            self.end: gr.Button(visible=bool(tests) and tests[0].ended is None),
        }
        return page | self._one(line, chosen)

    def _one(self, line: str | None, number: str | None) -> Updates:
        """A version's own part, with what it can no longer do beside the one that it goes on from."""
        from assistant.pages import versions_view
        from trainer.versions import ab_test, registry

        hidden: Updates = {
            self.one: gr.HTML(""),
            self.compared: gr.HTML(visible=False),
            self.use: gr.Button(visible=False),
            self.back: gr.Button(visible=False),
            self.beside: gr.Button(visible=False),
            self.confirm: gr.Column(visible=False),
            self.asked: "",
            self.why: gr.Textbox(value=""),
        }
        if not line or not number:
            return hidden
        version, in_use = registry.get(line, number), registry.in_use(line)
        before = registry.before_that(line)
        compared = _compared(version)
        other = in_use is not None and in_use.number != number
        return hidden | {
            self.one: gr.HTML(versions_view.version(version, in_use)),
            self.compared: gr.HTML(compared, visible=bool(compared)),
            self.use: gr.Button(f"Put {number} into use", visible=in_use is None or other),
            self.back: gr.Button(f"Roll back to {before}", visible=before is not None),
            self.beside: gr.Button(f"Try {number} on half of the users", visible=other and not ab_test.running(line)),
        }

    def _preview(self, model: str, line: str, change: numbering.Change, note: str, known: str, _: str) -> Updates:
        from assistant.pages import versions_view
        from trainer.versions import registry

        try:
            found = registry.draft(_name(line), _ref(model), change, note, knowledge=known.strip() or None)
        except UserError as error:
            return {self.told: _said(error), self.draft: gr.HTML(visible=False)}
        return {self.told: gr.HTML(visible=False), self.draft: gr.HTML(versions_view.draft(found), visible=True)}

    def _register(
        self, model: str, line: str, change: numbering.Change, note: str, known: str, despite: str
    ) -> Updates:
        from trainer.versions import registry

        try:
            kept = registry.register(
                _name(line), _ref(model), change, note, knowledge=known.strip() or None, despite=despite
            )
        except UserError as error:
            return {self.told: _said(error)}
        page = self.open(_ref(model).run, kept.line)
        page |= {self.number: gr.Dropdown([one.number for one in registry.versions(kept.line)], value=kept.number)}
        sentence = f"{kept.line} {kept.number} is registered; it is not in use yet."
        return page | self._one(kept.line, kept.number) | {self.told: gr.HTML(said(sentence, "good"), visible=True)}

    def _ask_use(self, line: str, number: str) -> Updates:
        return self._asking(f"Put {line} {number} into use?", "use")

    def _ask_back(self, line: str) -> Updates:
        from trainer.versions import registry

        return self._asking(f"Roll {line} back to {registry.before_that(line)}, which was in use before?", "back")

    def _ask_try(self, line: str, number: str) -> Updates:
        from trainer.versions import registry

        in_use, design = registry.in_use(line), Design()
        assert in_use is not None
        return self._asking(
            f"Begin an A/B test? Half of the users get {number}, the others keep {in_use.number}. Such a test finds a "
            f"difference that is not there in {100 * design.alpha:g} % of cases, and misses one of "
            f"{100 * design.smallest:g} points in {100 * design.beta:g} %; in a terminal other numbers can be given.",
            "try",
        )

    def _ask_end(self, line: str) -> Updates:
        from trainer.versions import ab_test

        running = ab_test.running(line)
        assert running is not None
        return self._asking(
            f"End the A/B test of {running.first} and {running.second}? What is in use stays in use. Where the test is "
            "undecided, say why it ends now.",
            "end",
        )

    def _asking(self, question: str, what: str) -> Updates:
        return {
            self.confirm: gr.Column(visible=True),
            self.ask: gr.HTML(f'<p class="bs-ask">{escape(question)}</p>'),
            self.why: gr.Textbox(visible=what != "try"),
            self.asked: what,
        }

    def _do(self, line: str, number: str, what: str, why: str) -> Updates:
        from trainer.versions import ab_test, registry

        try:
            match what:
                case "back":
                    registry.roll_back(line, why)
                case "try":
                    ab_test.begin(line, number)
                case "end":
                    if running := ab_test.running(line):
                        ab_test.end(running, why)
                case _:
                    registry.put_in_use(line, number, why)
        except UserError as error:
            return {self.told: _said(error)}
        return self.open(None, line)


def _compared(version: Version) -> str:
    """Beside its parent; why not, where a run is gone. Empty for the first of a line."""
    from assistant.pages import versions_view
    from trainer.versions import compatibility, registry

    if version.parent is None:
        return ""
    try:
        parent = registry.get(version.line, version.parent)
        found = compatibility.compare(model_refs.parse(parent.model), model_refs.parse(version.model))
    except UserError as error:
        return said(f"What {version.number} can no longer do cannot be said: {error}", "warn")
    return versions_view.compatibility(found, parent.number, version.number)


def _line_of(model: str | None) -> str | None:
    """The name of a new line: that of the run."""
    return runs.get(model_refs.parse(model).run).config.output.name.replace(" ", "-") if model else None


def _name(line: str | None) -> str:
    return (line or "").strip()


def _ref(model: str | None) -> ModelRef:
    return model_refs.parse(model or "")


def _said(error: UserError) -> Any:
    return gr.HTML(said(str(error), "bad"), visible=True)
