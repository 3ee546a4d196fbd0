"""What is done to the rows, as set on the Data page: the fields of the run file's `data` section."""

from __future__ import annotations

from typing import Any

import gradio as gr

from trainer.config import parse
from trainer.data_sections import DataSection

_PHI = [("not known", "unknown"), ("no", "no"), ("yes", "yes")]
_MEANT = {"unknown": None, "no": False, "yes": True}
_ACTIONS = [
    ("mask: [NAME], [DATE 2019]", "mask"),
    ("surrogate: invented, the same within a patient", "surrogate"),
    ("drop rows that hold any", "drop"),
    ("off, for a stated reason", "off"),
]
_SPLITS = [("every specialty on every side", "stratified"), ("the newest rows held back", "time")]
_BALANCE = [("as they are", "none"), ("by specialty", "specialty"), ("by task", "task"), ("by label", "label")]
_WAYS = [
    ("medical synonyms", "synonyms"),
    ("abbreviations", "abbreviations"),
    ("brand ↔ generic", "brand_generic"),
    ("back-translation", "back_translation"),
    ("paraphrase", "paraphrase"),
]


class Settings:
    """The fields in two groups, each drawn within its tab."""

    def draw_deidentify(self) -> None:
        """Whether there are patients in the data, and what is done about it."""
        with gr.Row():
            self.phi = gr.Dropdown(
                _PHI,
                label="Does it hold anything about real patients?",
                filterable=False,
                elem_id="data-phi",
                min_width=240,
            )
            self.action = gr.Dropdown(
                _ACTIONS, label="What identifies a person", filterable=False, elem_id="data-action", min_width=280
            )
        self.because = gr.Textbox(
            label="Why rows that may hold patient data are used as they are; kept in the run",
            visible=False,
            elem_id="data-because",
        )

    def draw_split(self) -> None:
        """How rows are divided, repeated and added to."""
        with gr.Row():
            self.validation = gr.Slider(
                0.02, 0.5, step=0.01, label="Share for validation", elem_id="data-validation", min_width=220
            )
            self.test = gr.Slider(0.0, 0.5, step=0.01, label="Share for the test", elem_id="data-test", min_width=220)
            self.split = gr.Dropdown(_SPLITS, label="Split", filterable=False, elem_id="data-split", min_width=220)
        with gr.Row():
            self.balance = gr.Dropdown(
                _BALANCE, label="Repeat rows of rare classes", filterable=False, elem_id="data-balance", min_width=200
            )
            self.augment = gr.Dropdown(
                _WAYS, multiselect=True, label="Add rewritten rows", elem_id="data-augment", min_width=240
            )
            self.augment_share = gr.Slider(
                0.05, 2.0, step=0.05, label="Added rows for each row", elem_id="data-augment-share", min_width=200
            )
        self.translators = gr.Textbox(
            label="Two local translation models, there and back, one a line",
            lines=2,
            visible=False,
            elem_id="data-translators",
        )
        self.paraphraser = gr.Textbox(
            label="Local model that rewrites sentences", visible=False, elem_id="data-paraphraser"
        )

    @property
    def fields(self) -> list[Any]:
        """All fields, in the order in which `read` takes their values."""
        shares = [self.validation, self.test, self.split]
        return [self.phi, self.action, self.because, *shares, self.balance, *self._augmentation]

    @property
    def _augmentation(self) -> list[Any]:
        return [self.augment, self.augment_share, self.translators, self.paraphraser]

    @property
    def folded(self) -> list[Any]:
        """Fields that are only shown where another asks for them."""
        return [self.because, self.translators, self.paraphraser]

    @property
    def changed(self) -> list[Any]:
        """The events that tell of a change."""
        return [one.release if isinstance(one, gr.Slider) else one.input for one in self.fields]

    def show(self, data: DataSection) -> dict[Any, Any]:
        """The updates that make the fields show this data section."""
        return {
            self.phi: next(name for name, meant in _MEANT.items() if meant is data.contains_phi),
            self.action: data.deidentify,
            self.because: gr.Textbox(value=data.not_deidentified_because or "", visible=data.deidentify == "off"),
            self.validation: data.validation_share,
            self.test: data.test_share,
            self.split: data.split,
            self.balance: data.balance,
            self.augment: data.augment,
            self.augment_share: data.augment_share,
            self.translators: gr.Textbox(
                value="\n".join(data.translation_models), visible="back_translation" in data.augment
            ),
            self.paraphraser: gr.Textbox(value=data.paraphrase_model or "", visible="paraphrase" in data.augment),
        }

    def read(self, data: DataSection, values: tuple[Any, ...]) -> DataSection:
        """The data section with what the fields say; raises `ConfigError` with every fault."""
        phi, action, because, validation, test, split, balance, augment, share, translators, paraphraser = values
        told = {
            "contains_phi": _MEANT[phi],
            "deidentify": action,
            "not_deidentified_because": (because or "").strip() or None,
            "validation_share": validation,
            "test_share": test,
            "split": split,
            "balance": balance,
            "augment": augment,
            "augment_share": share,
            "translation_models": [line.strip() for line in (translators or "").splitlines() if line.strip()],
            "paraphrase_model": (paraphraser or "").strip() or None,
        }
        return parse({"data": data.model_dump() | told}).data

    def unfolded(self, values: tuple[Any, ...]) -> dict[Any, Any]:
        """Shows the fields that a choice asks for, while it is not complete yet."""
        return {
            self.because: gr.Textbox(visible=values[1] == "off"),
            self.translators: gr.Textbox(visible="back_translation" in values[7]),
            self.paraphraser: gr.Textbox(visible="paraphrase" in values[7]),
        }
