"""The dossier on the Release page: make it, download it, see what is met, and sign it by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant import fault_log
from assistant.pages import uploads
from assistant.pages.background import in_a_sentence, said
from assistant.pages.style import QUIET, html
from trainer import runs
from trainer.dossier import DossierError
from trainer.errors import UserError
from trainer.model_refs import ModelRef

if TYPE_CHECKING:  # the database is loaded when somebody opens a dossier, as on the section of versions
    from trainer.dossier.evidence import Evidence
    from trainer.dossier.record import Record

Updates = dict[Any, Any]
_FILES = {"PDF": "dossier.pdf", "HTML": "dossier.html", "Markdown": "dossier.md"}


@dataclass
class DossierPart:
    """What the Release page needs of this part: `open(run_id)` gives the updates of `outputs` for this run."""

    outputs: list[Any]
    open: Callable[[str | None], Updates]


def build(run_select: Any) -> DossierPart:
    """Draw the part (within the Release page) and connect it; `run_select` holds the id of the run that is shown."""
    part = _Part(run_select)
    part.connect()
    return DossierPart(outputs=part.outputs, open=part.open)


class _Part:
    """The part's components, and what each button does to them."""

    def __init__(self, run_select: Any) -> None:
        self.run = run_select
        with gr.Accordion("Dossier and sign-offs", open=False, visible=False, elem_id="dossier") as self.fold:
            html(
                "<p>All that is known of this model in one document: data, measurements, gates, risks, open questions, "
                "and what is missing. Experts sign it here, each by name.</p>"
            )
            self.state = html(elem_id="dossier-state")
            with gr.Row(elem_id="dossier-actions", elem_classes="bs-tools"):
                self.make = gr.Button("Make the dossier", variant="primary", elem_id="dossier-make", min_width=160)
                self.files = [
                    gr.DownloadButton(name, visible=False, elem_id=f"dossier-{name.lower()}", min_width=110)
                    for name in _FILES
                ]
            self.told = html(visible=False, elem_id="dossier-told")
            self.points = html(elem_id="dossier-points")
            self.signed = html(elem_id="dossier-signatures")
            with gr.Column(visible=False, elem_id="dossier-sign-form") as self.form:
                html("<h3>Sign this dossier</h3>")
                with gr.Row():
                    self.name = gr.Textbox(
                        label="Your first and last name", elem_id="dossier-name", min_width=220, max_length=120
                    )
                    self.role = gr.Dropdown(
                        [], value=None, label="Your profession", elem_id="dossier-role", filterable=False, min_width=220
                    )
                self.looked_at = gr.CheckboxGroup([], label="I have looked at", elem_id="dossier-looked-at")
                self.statement = gr.Textbox(
                    label="What you conclude, in your words", lines=3, elem_id="dossier-statement", max_length=2000
                )
                self.sign = gr.Button("Sign by name", elem_id="dossier-sign", scale=0, min_width=160)
            with gr.Accordion(
                "Take a sign-off back", open=False, visible=False, elem_id="dossier-back"
            ) as self.back_fold:
                with gr.Row():
                    self.which = gr.Dropdown([], label="Sign-off", elem_id="dossier-which", filterable=False)
                    self.who = gr.Textbox(label="Your name, as you signed", elem_id="dossier-who")
                self.why = gr.Textbox(label="Why", elem_id="dossier-why", max_length=2000)
                self.back = gr.Button(
                    "Take it back", variant="stop", elem_id="dossier-take-back", scale=0, min_width=160
                )
        self.seen = gr.State("")  # the evidence that the page shows, which is what is signed
        self.outputs = [
            self.fold, self.state, *self.files, self.told, self.points, self.signed, self.form, self.name, self.role,
            self.looked_at, self.statement, self.back_fold, self.which, self.who, self.why, self.seen,
        ]  # fmt: skip

    def connect(self) -> None:
        """Every event of the part."""
        form = [self.name, self.role, self.looked_at, self.statement]
        alone = {"concurrency_limit": 1, "concurrency_id": "dossier"}
        self.fold.expand(self._look, self.run, self.outputs, **QUIET)
        self.make.click(self._make, self.run, self.outputs, **alone, **QUIET)
        self.sign.click(self._sign, [self.run, self.seen, *form], self.outputs, **alone, **QUIET)
        self.back.click(self._take_back, [self.run, self.which, self.who, self.why], self.outputs, **alone, **QUIET)

    def open(self, identity: str | None) -> Updates:
        """Closed for another run: what is in it is read when somebody opens it."""
        run = runs.get(identity) if identity else None
        visible = run is not None and bool(run.weights)
        return {part: gr.update() for part in self.outputs} | {self.fold: gr.Accordion(visible=visible, open=False)}

    def _look(self, identity: str) -> Updates:
        try:
            return self._shown(identity)
        except UserError as error:
            return self._only(str(error))

    def _make(self, identity: str) -> Iterator[Updates]:
        yield {self.told: gr.HTML(said("Making the dossier: a few seconds."), visible=True)}
        yield self._after(identity, "Made.", lambda: None)

    def _sign(
        self, identity: str, seen: str, name: str, role: str | None, looked_at: list[str], statement: str
    ) -> Updates:
        from trainer.dossier import evidence, signoffs

        def sign() -> None:
            signoffs.give(evidence.gather(ModelRef(run=identity)), seen, name, role or "", looked_at, statement)

        return self._after(identity, "Signed; the dossier was made again with it.", sign)

    def _take_back(self, identity: str, which: int | None, who: str, why: str) -> Updates:
        from trainer.dossier import evidence, signoffs

        def take_back() -> None:
            signoffs.withdraw(evidence.gather(ModelRef(run=identity)), which or 0, who, why)

        return self._after(identity, "Taken back; the dossier was made again.", take_back)

    def _after(self, identity: str, sentence: str, work: Callable[[], None]) -> Updates:
        """Do it and write the dossier anew; what was wrong stands beside the form as it was filled in."""
        from trainer.dossier.dossier import make

        try:
            work()
            make(ModelRef(run=identity))
            return self._shown(identity) | {self.told: gr.HTML(said(sentence, "good"), visible=True)}
        except Exception as error:  # of whatever a library raises: one sentence, never a traceback on the page
            fault_log.write("no dossier", error)
            # On a phone the buttons of the forms are far from this line.
            gr.Warning(in_a_sentence(error))
            return {self.told: gr.HTML(said(in_a_sentence(error), "bad"), visible=True)}

    def _shown(self, identity: str) -> Updates:
        """The dossier that there is, beside the evidence as it is now."""
        from assistant.pages import dossier_view
        from trainer.dossier import checklist, evidence, signoffs

        found = evidence.gather(ModelRef(run=identity))
        made, when, folder = _made(found)
        changed = made is not None and made.evidence_sha256 != found.sha256
        given = signoffs.of(found)
        open_ = [one for one in given if one.standing != "withdrawn"]
        signed = dossier_view.signed(given, len(signoffs.standing(found)))
        return {
            self.fold: gr.update(),
            self.state: gr.HTML(dossier_view.state(when, changed)),
            **{
                button: gr.DownloadButton(value=_served(folder / name, identity) if made else None, visible=bool(made))
                for button, name in zip(self.files, _FILES.values(), strict=True)
            },
            self.told: gr.HTML(visible=False),
            self.points: gr.HTML(dossier_view.checklist(checklist.items(found), list(found.missing.values()))),
            self.signed: gr.HTML(signed),
            # Who signs has had the document to read.
            self.form: gr.Column(visible=made is not None and not changed),
            self.name: gr.Textbox(value=""),
            self.role: gr.Dropdown(list(signoffs.ROLES), value=None),
            self.looked_at: gr.CheckboxGroup(list(signoffs.LOOKED_AT), value=[]),
            self.statement: gr.Textbox(value=""),
            self.back_fold: gr.Accordion(visible=bool(open_), open=False),
            self.which: gr.Dropdown([(f"{one.reviewer}, {one.given:%-d %b %Y, %H:%M}", one.id) for one in open_],
                                    value=open_[0].id if open_ else None),
            self.who: gr.Textbox(value=""),
            self.why: gr.Textbox(value=""),
            self.seen: found.sha256,
        }  # fmt: skip

    def _only(self, sentence: str) -> Updates:
        hidden = (*self.files, self.form, self.back_fold)
        return {part: gr.update(visible=False) for part in hidden} | {
            self.state: gr.HTML(""),
            self.points: gr.HTML(""),
            self.signed: gr.HTML(""),
            self.told: gr.HTML(said(sentence, "bad"), visible=True),
        }


def _made(found: Evidence) -> tuple[Record | None, datetime | None, Path]:
    """The record of the dossier in the home, when it was made, and its folder; None where there is none to be read."""
    from trainer.dossier import dossier, record

    folder = dossier.default_folder(found.ref)
    try:
        kept = record.read(folder / record.FILE)
        return kept, datetime.fromtimestamp((folder / record.FILE).stat().st_mtime), folder
    except DossierError:
        return None, None, folder


def _served(path: Path, run: str) -> str:
    """A copy in the folder that Gradio may serve; removed with its other files after an hour."""
    target = uploads.given_out(f"{run}-{path.name}")
    shutil.copyfile(path, target)
    return str(target)
