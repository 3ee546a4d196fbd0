"""The run file: the one contract between chat, form, command line, engine and checkpoint.

Everything that a run needs stands in a `RunConfig`; nothing is declared a second time elsewhere. The form on the
Plan page and `--set section.field=value` are made from these classes, and `bedside schema` prints their JSON Schema.
How it is read and written: `trainer.config`; which values go together: `trainer.combinations`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from trainer.method_sections import AnyMethod, LoraMethod
from trainer.section import Section, Task, Text

FORMAT_VERSION = 1


class ModelSection(Section):
    name: Text = Field(
        default="smollm2-135m-instruct",
        description="Base model: a name from the catalogue, a Hugging Face Hub id, or a folder with safetensors.",
    )
    quantization: Literal["none", "nf4"] = Field(
        default="none",
        description="nf4 keeps the frozen base in 4 bits with double quantisation (QLoRA); none keeps it whole.",
    )


class TaskSection(Section):
    name: Task = Field(default="question_answering", description="What the model is for.")
    other_tasks: list[Task] = Field(default_factory=list, description="Further tasks that the same model serves.")
    specialty: Text | None = Field(default=None, description="Clinical specialty, where the data comes from one.")
    system_prompt: Text = Field(
        default="You are a clinical assistant.",
        description="Stands before every conversation, in training and in use, for base and tuned model alike.",
    )


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


class SftObjective(Section):
    """Supervised fine-tuning: cross-entropy of the answer's tokens only; the prompt is not trained."""

    kind: Literal["sft"] = Field(default="sft", description="What is minimised.")


class ScheduleSection(Section):
    epochs: float = Field(default=3.0, gt=0, le=100, description="Passes over the training rows.")
    max_steps: int | None = Field(
        default=None, ge=1, description="Ends the run after this many steps, whatever the epochs."
    )
    batch_size: int = Field(default=4, ge=1, le=1024, description="Rows in one forward pass.")
    accumulation: int = Field(default=4, ge=1, le=1024, description="Forward passes before each step of the optimiser.")
    learning_rate: float = Field(default=2e-4, gt=0, le=0.1, description="Peak learning rate.")
    decay: Literal["cosine", "linear"] = Field(default="cosine", description="How the rate falls (lecture L1.6).")
    final_rate_share: float = Field(
        default=0.1, ge=0, le=1, description="The decay ends at this share of the peak (lecture L1.6: 10 %)."
    )
    warmup_share: float = Field(
        default=0.05, ge=0, le=0.5, description="Share of the steps with a rising rate (lecture L1.6)."
    )
    layer_rate_ratio: float = Field(
        default=1.0,
        ge=1.0,
        le=100.0,
        description="Rate of the top layer over that of the bottom one, even steps of the exponent between; 1: "
        "the same for all (lecture L1.7: 10).",
    )
    unfreezing_share: float = Field(
        default=0.0,
        ge=0.0,
        le=0.9,
        description="Share of the steps over which the layers join in, the top ones first; 0: all at once (L1.7).",
    )
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="AdamW's weight decay (lecture L1.8: 0.01-0.1).")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm (lecture L1.8).")
    neftune_alpha: float = Field(
        default=0.0,
        ge=0.0,
        le=50.0,
        description="Noise on the input embeddings, alpha / sqrt(tokens x width); 0: none (NEFTune, Jain et al. "
        "2023: 5); it regularises; it is no defence against attacks.",
    )
    mixup_alpha: float = Field(
        default=0.0,
        ge=0.0,
        le=4.0,
        description="Rows of a batch are mixed in the embeddings, by shares of Beta(alpha, alpha); 0: none (L3.9).",
    )
    max_length: int = Field(
        default=1024, ge=16, le=131072, description="Tokens in a row; longer rows are cut, and counted."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Recompute activations in the backward pass: about half the memory, slower (lecture L1.11).",
    )
    checkpoint_every: int = Field(default=50, ge=1, description="Steps between checkpoints that a run can resume from.")
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Ends the run after this many measurements of evaluation.watch without a gain of "
        "evaluation.least_gain, and keeps the best (lecture L3.13: 3-5); never if empty.",
    )
    seed: int = Field(
        default=17, ge=0, le=2**31 - 1, description="Seed of the rows' order, the adapter's start and dropout."
    )


class SteeringSection(Section):
    replay_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the training rows that is general, non-medical text, against forgetting (lecture L2.8).",
    )
    mixing: Literal["fixed", "dynamic"] = Field(
        default="fixed",
        description="dynamic: begins with half general rows and goes down to replay_share, as long as the loss on "
        "general rows does not rise (lecture L2.11).",
    )
    curriculum: Literal["off", "steps", "plateau"] = Field(
        default="off",
        description="Facts, concepts, reasoning, judgement in this order (lecture L2.7); the next level begins after "
        "its share of the steps, or when the validation loss no longer falls.",
    )
    carry_over: float = Field(
        default=0.2, ge=0.0, le=0.9, description="Share of rows from earlier levels once a later one has begun."
    )
    task_weights: Literal["rows", "uniform", "inverse_loss", "uncertainty", "dynamic"] = Field(
        default="rows",
        description="rows: every token counts the same; uniform: every task the same; inverse_loss: by 1 / its loss; "
        "uncertainty: learnt (Kendall et al. 2018); dynamic: more for tasks that learn slowly (Liu et al. 2019) "
        "(lecture L2.5).",
    )
    gradient_surgery: Literal["off", "pcgrad", "upgrad"] = Field(
        default="off",
        description="Where the tasks' gradients conflict, the conflicting part is taken out: PCGrad (Yu et al. 2020) "
        "or UPGrad (Quinton & Rey 2024) (lecture L2.6).",
    )
    conflict_every: int | None = Field(
        default=None, ge=1, description="Steps between two measurements of how far the tasks' gradients conflict."
    )
    ewc: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength of elastic weight consolidation, whose Fisher information is taken on general rows, with "
        "a mean of 1; 0: off (Kirkpatrick et al. 2017; lecture L2.8).",
    )
    l2_sp: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength of the pull back to the base's weights; 0: off (Li et al. 2018; lecture L2.8).",
    )
    distillation: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Strength with which general rows keep the untouched base's answers; 0: off (Li & Hoiem 2017; "
        "lecture L2.8).",
    )
    forgetting_every: int | None = Field(
        default=None, ge=1, description="Steps between two looks at general questions while training; never if empty."
    )
    forgetting_limit: float = Field(
        default=5.0,
        gt=0,
        le=100,
        description="Absolute points of accuracy that may be lost on general or on general medical questions "
        "(lecture L2.9: 5 %).",
    )
    forgetting_action: Literal["warn", "stop", "roll_back"] = Field(
        default="roll_back",
        description="Past the limit: say it, end the run, or end it and keep the last checkpoint within the limit.",
    )
    harm_every: int | None = Field(
        default=None, ge=1, description="Steps between two looks at answers to harmful requests; never if empty."
    )
    harm_limit: float = Field(
        default=10.0,
        gt=0,
        le=100,
        description="Points by which the share of harmful answers may rise above the base's.",
    )
    harm_action: Literal["warn", "stop"] = Field(default="warn", description="Past the limit: say it, or end the run.")
    reptile_steps: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Steps of meta-learning over the tasks before training, for a start that learns from few examples; "
        "0: none (Reptile, Nichol et al. 2018; lecture L3.3).",
    )


class AdversarialSection(Section):
    perturbations: list[
        Literal[
            "typos",
            "ocr",
            "synonyms",
            "abbreviations",
            "brand_generic",
            "paraphrase",
            "style",
            "demographics",
            "irrelevant_context",
            "injection",
        ]
    ] = Field(
        default_factory=list,
        description="Ways in which questions of the training rows are disturbed without a change of meaning; each "
        "disturbed row joins its clean one, with the same answer (lecture L3.5, L3.9).",
    )
    share: float = Field(
        default=0.5,
        gt=0,
        le=0.9,
        description="Share of the own training rows that are disturbed, where perturbations are named; 0.5: one for "
        "each clean row.",
    )
    consistency: float = Field(
        default=0.0,
        ge=0.0,
        le=100.0,
        description="Strength with which the answer to a disturbed question is held to what the model says to the "
        "clean one, token by token; 0: off (as Miyato et al. 2018).",
    )
    embedding: Literal["off", "fgm", "freelb"] = Field(
        default="off",
        description="Training under attack on the question's embeddings: fgm, one step along the gradient (Miyato et "
        "al. 2017); freelb, several (Zhu et al. 2020) (lecture L3.6).",
    )
    epsilon: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Norm of that attack on a row, as a share of the norm of its question's embeddings (Miyato et al. "
        "2017: about 0.02).",
    )
    embedding_steps: int = Field(default=3, ge=1, le=10, description="Passes of freelb over each batch.")
    hard_cases: Text | None = Field(
        default=None,
        description="File of cases that an evaluation failed on (JSON lines): training rows like them come more often.",
    )

    @field_validator("embedding", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # As data.deidentify's.
        return "off" if value is False else value


class HeldOutSet(Section):
    name: Text = Field(description="starter/clinical and the like, or the path of a file, never trained on.")
    metric: Literal["structure", "exact_match", "label"] = Field(
        description="structure: the taught lines are all there, in order; exact_match: equal to the reference answer; "
        "label: settles on the right class."
    )
    items: int = Field(default=40, ge=1, le=5000, description="How many items are scored, drawn with the run's seed.")


class EvaluationSection(Section):
    every: int = Field(
        default=50, ge=1, description="Steps between two measurements on the validation rows (lecture L3.11)."
    )
    watch: Literal["loss", "token_accuracy", "answer_accuracy", "worst_task_loss"] = Field(
        default="loss",
        description="What early stopping and the best checkpoint go by: the loss, the share of answer tokens that are "
        "right, of answers that are right throughout, or the loss of the task that does worst.",
    )
    least_gain: float = Field(
        default=0.001, ge=0.0, le=1.0, description="What counts as a gain in it (lecture L3.13: 0.001-0.01)."
    )
    validation: Literal["split", "k_fold", "leave_one_out"] = Field(
        default="split",
        description="split: one share of the rows is held back; k_fold and leave_one_out train again and again, each "
        "time without some rows, and tell the spread (lecture L3.3: for 5-100 rows).",
    )
    folds: int = Field(default=5, ge=2, le=20, description="Folds of k_fold.")
    sample_every: int = Field(default=50, ge=1, description="Steps between two sample answers.")
    sample_prompts: list[Text] = Field(default_factory=list, max_length=8, description="Questions answered meanwhile.")
    held_out: list[HeldOutSet] = Field(
        default_factory=list, description="Scored after training: base, prompted, tuned."
    )
    forgetting: bool = Field(
        default=True, description="Measure general questions and perplexity before and after training (lecture L2.9)."
    )
    max_new_tokens: int = Field(
        default=220, ge=1, le=4096, description="Longest answer, in tokens, in samples and scoring."
    )


class HardwareSection(Section):
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Where the run trains.")
    gpu: Text | None = Field(
        default=None, description="The GPU of the plan, by catalogue name; only the estimate uses it."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto", description="Of the frozen base; adapters are fp32. auto: bf16 where the device computes in it."
    )


class OutputSection(Section):
    name: Text = Field(default="run", max_length=80, description="Name of the run; its folder is named after it.")
    trackers: list[Literal["trackio", "wandb"]] = Field(
        default_factory=list,
        description="Where the curves are kept besides TensorBoard's files in the run folder; offline, numbers only.",
    )
    keep_checkpoints: int = Field(
        default=2, ge=2, le=100, description="Older checkpoints are removed; two stay, should one be cut off."
    )


class RunConfig(Section):
    """One run of Bedside, complete: what is tuned, on what, how, where, and how it is judged."""

    format_version: Literal[1] = Field(default=FORMAT_VERSION, description="Version of the run file's format.")
    model: ModelSection = Field(default_factory=ModelSection)
    task: TaskSection = Field(default_factory=TaskSection)
    data: DataSection = Field(default_factory=DataSection)
    method: AnyMethod = Field(default_factory=LoraMethod)
    objective: SftObjective = Field(default_factory=SftObjective)
    schedule: ScheduleSection = Field(default_factory=ScheduleSection)
    steering: SteeringSection = Field(default_factory=SteeringSection)
    adversarial: AdversarialSection = Field(default_factory=AdversarialSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    hardware: HardwareSection = Field(default_factory=HardwareSection)
    output: OutputSection = Field(default_factory=OutputSection)

    @field_validator("method", mode="before")
    @classmethod
    def _lora_is_meant(cls, value: Any) -> Any:
        # Most run files are LoRA's; one that only gives a rank is not asked which method that is of.
        return {"kind": "lora", **value} if isinstance(value, dict) and "kind" not in value else value
