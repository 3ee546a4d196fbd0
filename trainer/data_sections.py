"""The run file's data section: what is trained on, and what is done to it before."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from trainer.section import Section, Text

DataFormat = Literal[
    "messages",
    "sharegpt",
    "prompt_completion",
    "alpaca",
    "question_answer",
    "multiple_choice",
    "context_question",
    "dialogue_note",
    "entities",
    "clinical_note",
    "preference",
    "graded_answers",
    "unpaired_preference",
    "text",
]


class DataSource(Section):
    name: Text = Field(
        description="A file or folder, starter/clinical and the like, a catalogue name, or a Hub data set (owner/name)."
    )
    rows: int | None = Field(
        default=None, ge=1, description="At most this many rows, drawn with the run's seed; all if empty."
    )
    format: DataFormat | None = Field(
        default=None, description="How a row is written; told from the content where it is empty."
    )
    columns: dict[str, Text] = Field(
        default_factory=dict,
        description="What a column is, where its name does not say: {Frage: question, MRN: patient, seen_on: time}.",
    )
    template: Text | None = Field(
        default=None, description="Task template that writes the question and the answer: a name, or a Jinja file."
    )
    corrections: Text | None = Field(
        default=None, description="File of what people corrected on the Data page: specialty, task, expert validation."
    )


class DataSection(Section):
    sources: list[DataSource] = Field(default_factory=list, description="What is trained on.")
    contains_phi: bool | None = Field(
        default=None,
        description="Does any source hold patient data? Unless it is a clear no (false), rows are de-identified.",
    )
    deidentify: Literal["mask", "surrogate", "drop", "off"] = Field(
        default="mask",
        description="What happens to what identifies a person: mask ([NAME]), surrogate (an invented value, the same "
        "within a patient), drop the row, or off, which needs a reason (lecture L3.20).",
    )
    not_deidentified_because: Text | None = Field(
        default=None, description="Why rows that may hold patient data are trained on as they are; kept in the run."
    )
    validation_share: float = Field(
        default=0.1, ge=0.02, le=0.5, description="Share of the rows kept for the validation loss (lecture L3.11)."
    )
    test_share: float = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="Share of the rows kept aside for the last test, never looked at before.",
    )
    split: Literal["stratified", "time"] = Field(
        default="stratified",
        description="stratified: every specialty on every side; time: the newest rows are held back (lecture L3.11). "
        "Rows of one patient, and near-duplicates, always stay on one side.",
    )
    balance: Literal["none", "specialty", "task", "label"] = Field(
        default="none",
        description="Repeat rows of rare classes, up to four times, towards equal shares (lecture L3.20).",
    )
    augment: list[Literal["synonyms", "abbreviations", "brand_generic", "back_translation", "paraphrase"]] = Field(
        default_factory=list, description="Ways in which training rows are rewritten into further ones (lecture L3.9)."
    )
    augment_share: float = Field(
        default=0.2, gt=0, le=2.0, description="Added rows for each training row, where data.augment names a way."
    )
    translation_models: list[Text] = Field(
        default_factory=list,
        max_length=2,
        description="For back_translation: two local translation models (Marian), there and back.",
    )
    paraphrase_model: Text | None = Field(
        default=None, description="For paraphrase: a local sequence-to-sequence model that rewrites sentences."
    )
    canaries: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Invented records planted among the training rows, to measure whether the model gives rows back "
        "(Carlini et al. 2019); 0: none. For a trial run: a model that is released needs none in it.",
    )
    general_sources: list[DataSource] = Field(
        default_factory=lambda: [DataSource(name="starter/general")],
        description="General rows; steering.replay_share says how many are mixed in (lecture L2.8, L2.10).",
    )

    @field_validator("deidentify", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # YAML 1.1 reads an unquoted off as false; people write it so.
        return "off" if value is False else value
