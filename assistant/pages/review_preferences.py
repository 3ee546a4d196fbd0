"""The Review page's preferences: what the votes give under stated rules, kept, downloaded, and aligned with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.pages import review_view, uploads
from assistant.pages.background import said
from assistant.pages.style import QUIET, html, notice
from trainer import hardware, readiness, runs
from trainer.config import ConfigError

if TYPE_CHECKING:
    from trainer.review.preference_data import Rules
    from trainer.review.preferences import Kind, PreferenceData, Saved

_DOWNLOADS: tuple[tuple[Kind, str], ...] = (("preference", "pairs"), ("unpaired_preference", "labels"))
Updates = dict[Any, Any]


class Preferences:
    """Rules, the rows that they give, and the button that makes an alignment run of them."""

    def __init__(self, chosen: Any, started: Any):
        """`chosen` holds the set's id; `started` takes the id of the run that is started."""
        self.chosen, self.started = chosen, started
        self._draw_rules()
        self.preview = html(elem_id="review-preview")
        with gr.Row(elem_id="review-align-row"):
            self.name = gr.Textbox(
                label="Name", info="A version is added each time it is saved", max_lines=1, elem_id="review-data-name",
                min_width=200,
            )  # fmt: skip
            self.run = gr.Dropdown(
                [], label="Run that is aligned", info="The new run goes on from what it trained", filterable=False,
                elem_id="review-align-run", min_width=240,
            )  # fmt: skip
        with gr.Row(elem_id="review-align-actions", elem_classes=["bs-tools"]):
            self.align = gr.Button("Align with these votes", variant="primary", elem_id="review-align", min_width=200)
            self.save = gr.Button("Save without training", elem_id="review-save", min_width=180)
        self.said = html(visible=False, elem_id="review-align-said")
        self.reasons = html(visible=False, elem_id="review-reasons")
        with gr.Accordion("Saved", open=False, visible=False, elem_id="review-saved-fold") as self.fold:
            self.saved = gr.Dropdown([], label="Preference data", filterable=False, elem_id="review-saved")
            with gr.Row(elem_id="review-saved-actions", elem_classes=["bs-tools"]):
                self.downloads = [
                    gr.DownloadButton(f"Download {what}", elem_id=f"review-download-{what}", min_width=160)
                    for _, what in _DOWNLOADS
                ]
                self.delete = gr.Button("Delete", elem_id="review-data-delete", min_width=110)
            with gr.Row(visible=False, elem_id="review-data-confirm", elem_classes=["bs-tools"]) as self.confirm:
                html('<p class="bs-ask">Delete this version for good? Its votes stay.</p>')
                self.really = gr.Button("Delete for good", variant="stop", elem_id="review-data-really", min_width=150)
                self.keep = gr.Button("Keep it", elem_id="review-data-keep", min_width=110)
        kept = [self.fold, self.saved, *self.downloads, self.confirm]
        self.outputs = [self.preview, self.name, self.run, self.align, self.save, self.said, self.reasons, *kept]

    def _draw_rules(self) -> None:
        from trainer.review.preference_data import Rules

        fields = Rules.model_fields
        with gr.Accordion("Rules", open=False, elem_id="review-rules"):
            self.every = gr.Checkbox(
                label="All votes, of every set and of the Playground", container=False, elem_id="review-every"
            )
            with gr.Row():
                least = gr.Number(
                    fields["least_readers"].default, label="Least readers", info=fields["least_readers"].description,
                    precision=0, minimum=1, elem_id="review-rule-readers", min_width=200,
                )  # fmt: skip
                ties = gr.Dropdown(
                    [("Left out", "leave_out"), ("Both good", "both_good")],
                    value=fields["ties"].default,
                    label="Ties",
                    info="Both good makes two good labels of a tie, and never a pair",
                    filterable=False,
                    elem_id="review-rule-ties",
                    min_width=200,
                )
            with gr.Row():
                alike = gr.Slider(
                    0.5, 1, value=fields["alike"].default, step=0.01, label="Nearly equal answers",
                    info=fields["alike"].description, elem_id="review-rule-alike", min_width=200,
                )  # fmt: skip
                gap = gr.Slider(
                    0.25, 4, value=fields["rating_gap"].default, step=0.25, label="Rating gap",
                    info=fields["rating_gap"].description, elem_id="review-rule-gap", min_width=200,
                )  # fmt: skip
            corrections = gr.Checkbox(
                fields["corrections"].default, label="Corrected answers are taught", container=False,
                elem_id="review-rule-corrections",
            )  # fmt: skip
        self.rules = [least, ties, alike, gap, corrections]

    def connect(self) -> None:
        """Every event of this part."""
        asked = [self.chosen, self.every, *self.rules]
        changed = [self.every.input, *(one.input for one in self.rules)]
        latest: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
        shown = [self.preview, self.align, self.save]
        gr.on(changed, self._preview, asked, shown, **latest)
        self.save.click(self._save, [self.name, *asked], self.outputs, **QUIET)
        told = self.align.click(
            lambda: gr.HTML(said("One moment…"), visible=True), None, self.said, queue=False, **QUIET
        )
        told.then(self._align, [self.run, self.name, *asked], [*self.outputs, self.started], **QUIET)
        self.saved.input(self._of_saved, self.saved, [*self.downloads, self.confirm], **QUIET)
        self.delete.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._delete, self.saved, [self.fold, self.saved, *self.downloads, self.confirm], **QUIET)

    def open(self, set_id: str | None, *asked: Any) -> Updates:
        """What this set's votes give, the runs that can be aligned, and what is saved."""
        found = [run for run in runs.list_runs()[0] if run.weights]
        choices = [(runs.label(run), run.id) for run in found]
        name, run = _names(set_id)
        value = run if run in [one.id for one in found] else next((one.id for one in found), None)
        return {
            **self._preview(set_id, *asked),
            **self._kept(),
            self.name: name,
            self.run: gr.Dropdown(choices, value=value),
        }

    def forget(self) -> Updates:
        """What was said of another set's data goes."""
        return {self.said: gr.HTML(visible=False), self.reasons: gr.HTML(visible=False)}

    def _preview(self, set_id: str | None, *asked: Any) -> Updates:
        try:
            data = _data(set_id, *asked)
        except Exception as error:  # whatever the database or a rule says becomes one sentence
            return {self.preview: said(review_view.fault(error), "bad"), **self._usable(False)}
        return {self.preview: review_view.preference_data(data), **self._usable(bool(data.pairs or data.labels))}

    def _usable(self, usable: bool) -> Updates:
        return {self.align: gr.Button(interactive=usable), self.save: gr.Button(interactive=usable)}

    def _save(self, name: str, *asked: Any) -> Updates:
        from trainer.review import preferences

        try:
            saved = preferences.save(_data(*asked), name)
        except Exception as error:
            return {self.said: gr.HTML(said(review_view.fault(error), "bad"), visible=True)}
        told = f"Saved as {saved.id}: {review_view.counted(saved.manifest.counts)}."
        return {**self._kept(saved.id), self.said: gr.HTML(said(told, "good"), visible=True)}

    def _align(self, run_id: str | None, name: str, *asked: Any) -> Updates:
        """Save the data, let the planner choose how to learn from it, and start that run."""
        from assistant.planner import advice_alignment
        from trainer.review import preferences

        try:
            run = runs.get(run_id or "")
            saved = preferences.save(_data(*asked), name)
        except Exception as error:
            return {self.said: gr.HTML(said(review_view.fault(error), "bad"), visible=True)}
        page = self._kept(saved.id)
        try:
            config, reasons = advice_alignment.align(saved, run)
            page[self.reasons] = gr.HTML(review_view.alignment(config, reasons), visible=True)
            if refused := readiness.faults(config, hardware.detect()):
                return page | {self.said: gr.HTML(notice("This run cannot start here", refused), visible=True)}
            made = runs.start(runs.create(config))
        except ConfigError as error:
            faults = notice("These do not go together", [str(one) for one in error.faults])
            return page | {self.said: gr.HTML(faults, visible=True)}
        except Exception as error:
            return page | {self.said: gr.HTML(said(review_view.fault(error), "bad"), visible=True)}
        told = f"{saved.id} is saved, and the run {made.id} learns from it."
        return page | {self.said: gr.HTML(said(told, "good"), visible=True), self.started: made.id}

    def _kept(self, identity: str | None = None) -> Updates:
        from trainer.review import preferences

        try:
            found = preferences.list_saved()
        except Exception as error:
            gr.Warning(review_view.fault(error))
            found = []
        chosen = identity or next((one.id for one in found), None)
        choices = [(f"{one.id} · {review_view.counted(one.manifest.counts)}", one.id) for one in found]
        return {
            self.fold: gr.Accordion(visible=bool(found)),
            self.saved: gr.Dropdown(choices, value=chosen),
            **self._of_saved(chosen),
        }

    def _of_saved(self, identity: str | None) -> Updates:
        from trainer.review import preferences

        page: Updates = {self.confirm: gr.Row(visible=False)}
        saved = preferences.load(identity) if identity else None
        for button, (kind, what) in zip(self.downloads, _DOWNLOADS, strict=True):
            file = _file(saved, kind, what) if saved else None
            page[button] = gr.DownloadButton(value=file, visible=file is not None)
        return page

    def _delete(self, identity: str) -> Updates:
        from trainer.review import preferences

        try:
            preferences.delete(identity)
        except Exception as error:
            gr.Warning(review_view.fault(error))
        return self._kept()


def _data(set_id: str | None, every: bool, *rules: Any) -> PreferenceData:
    from trainer.review import preferences

    return preferences.from_votes(None if every or not set_id else [set_id], _rules(*rules))


def _rules(least: float | None, ties: Any, alike: float, gap: float, corrections: bool) -> Rules:
    from trainer.review.preference_data import Rules

    return Rules(least_readers=int(least or 1), ties=ties, alike=alike, rating_gap=gap, corrections=corrections)


def _names(set_id: str | None) -> tuple[str, str]:
    """The set's name, and the run that is aligned with its votes: that of its tuned model."""
    from trainer.review import queue
    from trainer.review.prompts import ReviewError

    try:
        found = queue.get_set(set_id or "")
    except ReviewError:
        return "votes", ""
    tuned = [one for one in (found.first, found.second) if not one.endswith(":base")]
    return found.name, (tuned or [found.first])[0].partition(":")[0]


def _file(saved: Saved, kind: Kind, what: str) -> str | None:
    """The rows as a file in the folder that Gradio may serve; None where there are none."""
    from trainer.review import preferences

    path = uploads.given_out(f"{saved.id}-{what}.jsonl")
    path.unlink(missing_ok=True)
    try:
        preferences.export(saved.id, kind, path)
    except preferences.DataError:
        return None
    return str(path)
