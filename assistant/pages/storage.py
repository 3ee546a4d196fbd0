"""What is kept on this machine, at the foot of the Data page: how much, since when, and its deletion for good."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from assistant.pages.style import QUIET, badge, html, notice
from trainer import storage
from trainer.errors import UserError
from trainer.storage import Stored

Updates = dict[Any, Any]
WORD = "delete"
"""What has to be typed."""


class StoragePart:
    """The part's components, and what each event does to them."""

    def __init__(self) -> None:
        with gr.Accordion("What is kept on this machine, and deleting it", open=False, elem_id="storage") as self.fold:
            # Until it is unfolded by somebody who may.
            told = '<p class="bs-soft">An administrator sees here what is kept, and deletes it.</p>'
            self.kept = html(told, elem_id="storage-kept")
            with gr.Row():
                self.kinds = gr.Dropdown(
                    [(storage.ABOUT[kind].what.capitalize(), kind) for kind in storage.KINDS],
                    label="Delete",
                    multiselect=True,
                    filterable=False,
                    scale=3,
                    min_width=260,
                    elem_id="storage-kinds",
                )
                self.days = gr.Number(
                    0, label="Older than, in days", minimum=0, scale=1, min_width=150, elem_id="storage-days"
                )
            with gr.Row(elem_id="storage-confirm"):
                self.typed = gr.Textbox(
                    label=f"To delete it for good, type: {WORD}", max_lines=1, scale=3, elem_id="storage-typed"
                )
                self.delete = gr.Button("Delete for good", variant="stop", min_width=150, elem_id="storage-delete")
            self.said = html(visible=False, elem_id="storage-said")

    def connect(self) -> None:
        """Every event of the part."""
        self.fold.expand(self._show, None, [self.kept, self.said], **QUIET)
        shown = [self.kept, self.said, self.typed, self.kinds]
        self.delete.click(self._delete, [self.kinds, self.days, self.typed], shown, **QUIET)

    def _show(self) -> Updates:
        return {self.kept: table(storage.stored()), self.said: gr.HTML(visible=False)}

    def _delete(self, kinds: list[str] | None, days: float | None, typed: str | None) -> Updates:
        named = set(kinds or [])
        chosen: list[storage.Kind] = [kind for kind in storage.KINDS if kind in named]
        if not chosen:
            return self._say("Nothing was deleted", ["Choose what is to be deleted."], "warn")
        if (typed or "").strip().lower() != WORD:
            return self._say("Nothing was deleted", [f"Type {WORD} into the field to go on."], "warn")
        try:
            removed = storage.remove(chosen, max(0.0, days or 0.0))
        except UserError as error:
            return self._say("Nothing was deleted", [str(error)], "bad")
        page = self._show() | self._say("Done", storage.told(removed), "warn" if removed.stayed else "good")
        return page | {self.typed: "", self.kinds: []}

    def _say(self, title: str, lines: list[str], tone: Any) -> Updates:
        return {self.said: gr.HTML(notice(title, lines, tone), visible=True)}


def table(kept: list[Stored]) -> str:
    """What is kept, a row a kind; and what goes by itself."""
    if not kept:
        return '<p class="bs-soft">Nothing is kept on this machine yet.</p>'
    # Beneath the name: in a column of its own it would be out of sight on a telephone.
    patients = f"<br>{badge('may hold patient text', 'warn')}"
    rows = "".join(
        f"<tr><td>{escape(one.what.capitalize())}{patients if one.patient_text else ''}</td>"
        f"<td>{one.entries:,}</td><td>{one.megabytes:,.1f} MB</td><td>{one.oldest:%-d %b %Y}</td></tr>"
        for one in kept
    )
    return (
        '<div class="bs-scroll" tabindex="0">'
        '<table class="bs-table"><thead><tr><th>Kept</th><th>Entries</th><th>Size</th>'
        f"<th>Since</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="bs-soft">{escape(storage.by_itself())}</p>'
    )
