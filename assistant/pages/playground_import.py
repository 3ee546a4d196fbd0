"""An adapter that was trained elsewhere, brought in as a run by its archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from assistant import fault_log
from assistant.pages.background import in_a_sentence, said
from assistant.pages.style import QUIET, html
from trainer import models

Updates = dict[Any, Any]


class ImportFold:
    """The fold that takes an archive, the base that it is for, and a name."""

    def __init__(self) -> None:
        with gr.Accordion("Bring in an adapter that was trained elsewhere", open=False, elem_id="play-bring"):
            html('<p class="bs-soft">It needs adapter_config.json and adapter_model.safetensors (LoRA or IA3).</p>')
            self._file = gr.File(
                label="A zip archive",
                file_types=[".zip"],
                height=180,
                elem_id="play-bring-file",
            )
            with gr.Row():
                self._base = gr.Textbox(
                    models.EMBEDDED,
                    label="The base that it was trained on",
                    info="A name of the catalogue, a Hub id, or a folder",
                    max_lines=1,
                    min_width=260,
                    elem_id="play-bring-base",
                )
                self._name = gr.Textbox(
                    label="Name", info="As lists will show it", max_lines=1, min_width=200, elem_id="play-bring-name"
                )
            with gr.Row(elem_classes=["bs-tools"]):
                self._take = gr.Button("Bring it in", size="sm", scale=0, elem_id="play-bring-take")
            self._said = html(visible=False, elem_id="play-bring-said")
        self.outputs = [self._file, self._name, self._said]

    def connect(self, brought: Callable[[str], Updates], outputs: list[Any]) -> None:
        """The button's event; `brought`, given the new run's id, makes the page's updates, within `outputs`."""
        self._brought = brought
        waits = {"concurrency_limit": 1, "concurrency_id": "import"}
        told = self._take.click(
            lambda: gr.HTML(said("Comparing it with the base…"), visible=True), None, self._said, queue=False, **QUIET
        )
        told.then(self._bring, [self._file, self._base, self._name], outputs, **waits, **QUIET)

    def _bring(self, upload: str | None, base: str, name: str) -> Updates:
        from trainer.imported import import_adapter

        try:
            if not upload:
                raise ValueError("Choose the adapter's archive first.")
            run = import_adapter(Path(upload), base.strip(), name)
        except Exception as error:  # of whatever an archive may hold: one sentence, never a traceback on the page
            fault_log.write("not imported", error)
            return {self._said: gr.HTML(said(in_a_sentence(error), "bad"), visible=True)}
        told = said(f"{run.config.output.name} is a run now; it stands above against its base.", "good")
        return {
            **self._brought(run.id),
            self._file: None,
            self._name: "",
            self._said: gr.HTML(told, visible=True),
        }
