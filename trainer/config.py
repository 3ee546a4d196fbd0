"""The run file: the one contract between chat, form, command line, engine and checkpoint.

Everything that a run needs stands in a `RunConfig`; nothing is declared a second time elsewhere. The form on the
Plan page and `--set section.field=value` are made from these classes, and `bedside schema` prints their JSON Schema.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

FORMAT_VERSION = 1

Task = Literal[
    "diagnosis",
    "treatment",
    "test_interpretation",
    "patient_education",
    "summarization",
    "report_generation",
    "ner",
    "question_answering",
    "classification",
    "reasoning",
    "drug_information",
    "dialogue",
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Section(BaseModel):
    """A part of the run file; unknown fields are faults, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


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
    general_sources: list[DataSource] = Field(
        default_factory=lambda: [DataSource(name="starter/general")],
        description="General rows; steering.replay_share says how many are mixed in (lecture L2.8, L2.10).",
    )

    @field_validator("deidentify", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # YAML 1.1 reads an unquoted off as false; people write it so.
        return "off" if value is False else value


class LoraMethod(Section):
    """Low-rank adapters beside frozen weights: W = W0 + (alpha / rank) B A (Hu et al. 2021; lecture L1.2)."""

    kind: Literal["lora"] = Field(default="lora", description="How the trained weights are chosen.")
    rank: int = Field(default=16, ge=1, le=512, description="Rank r of the update (lecture L1.9: by task).")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale of the update; alpha / rank multiplies it.")
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Dropout before the adapter's first matrix (lecture L1.8)."
    )
    target_modules: Literal["all-linear"] | list[Text] = Field(
        default="all-linear", description="Layers that get an adapter: all-linear, or names such as q_proj and v_proj."
    )


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
    final_rate_share: float = Field(
        default=0.1, ge=0, le=1, description="Cosine decay ends at this share of the peak (lecture L1.6: 10 %)."
    )
    warmup_share: float = Field(
        default=0.05, ge=0, le=0.5, description="Share of the steps with a rising rate (lecture L1.6)."
    )
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="AdamW's weight decay (lecture L1.8: 0.01-0.1).")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm (lecture L1.8).")
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
        description="Ends the run after this many measurements of the validation loss without a gain of 0.001, and "
        "keeps the best (lecture L3.13: 3-5); never if empty.",
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


class HeldOutSet(Section):
    name: Text = Field(description="starter/clinical and the like, or the path of a file, never trained on.")
    metric: Literal["structure", "exact_match", "label"] = Field(
        description="structure: the taught lines are all there, in order; exact_match: equal to the reference answer; "
        "label: settles on the right class."
    )
    items: int = Field(default=40, ge=1, le=5000, description="How many items are scored, drawn with the run's seed.")


class EvaluationSection(Section):
    every: int = Field(
        default=50, ge=1, description="Steps between two measurements of the validation loss (lecture L3.11)."
    )
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
    keep_checkpoints: int = Field(
        default=2, ge=2, le=100, description="Older checkpoints are removed; two stay, should one be cut off."
    )


class RunConfig(Section):
    """One run of Bedside, complete: what is tuned, on what, how, where, and how it is judged."""

    format_version: Literal[1] = Field(default=FORMAT_VERSION, description="Version of the run file's format.")
    model: ModelSection = Field(default_factory=ModelSection)
    task: TaskSection = Field(default_factory=TaskSection)
    data: DataSection = Field(default_factory=DataSection)
    method: LoraMethod = Field(default_factory=LoraMethod)
    objective: SftObjective = Field(default_factory=SftObjective)
    schedule: ScheduleSection = Field(default_factory=ScheduleSection)
    steering: SteeringSection = Field(default_factory=SteeringSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    hardware: HardwareSection = Field(default_factory=HardwareSection)
    output: OutputSection = Field(default_factory=OutputSection)


class Fault(BaseModel):
    """One thing wrong with a run file: where, what was found, and the way out."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ConfigError(ValueError):
    """The run file has faults; `faults` lists all of them, and the text names each field and its way out."""

    def __init__(self, faults: list[Fault]):
        self.faults = faults
        super().__init__("; ".join(str(fault) for fault in faults))


def parse(data: dict[str, Any]) -> RunConfig:
    """Check a run file's content and return it as a `RunConfig`.

    Raises `ConfigError` with every fault at once: those of single fields, and those between fields that are themselves
    in order.
    """
    try:
        config, faults = RunConfig.model_validate(data), []
    except ValidationError as error:
        faults = [_field_fault(problem) for problem in error.errors()]
        # Faults between fields are looked for as well: with the faulty values left out, the rest can still be read.
        config = _without(data, [problem["loc"] for problem in error.errors()])
    known = {fault.field for fault in faults}
    if config is not None:
        faults += [fault for fault in _cross_faults(config) if fault.field not in known]
    if faults:
        raise ConfigError(faults)
    assert config is not None
    return config


def parse_yaml(text: str) -> RunConfig:
    """Read a run file from YAML text; raises `ConfigError` (see `parse`)."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "run file"
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError([Fault(field=place, message=f"not valid YAML ({reason}); mend this line.")]) from None
    if not isinstance(data, dict):
        raise ConfigError([Fault(field="run file", message="found no sections; it starts with 'format_version: 1'.")])
    return parse(data)


def load(path: Path) -> RunConfig:
    """Read a run file; raises `ConfigError`, also where the file itself cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError([Fault(field=str(path), message=f"cannot be read ({reason}).")]) from None
    return parse_yaml(text)


def to_yaml(config: RunConfig) -> str:
    """The run file as YAML, sections in the order of the contract."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def with_values(config: RunConfig, settings: dict[str, str]) -> RunConfig:
    """A copy with some fields set from text (`{"schedule.epochs": "2"}`), as the command line and the form do.

    Raises `ConfigError` naming every unknown field and every value that does not fit.
    """
    data = config.model_dump(mode="json")
    faults = []
    for name, text in settings.items():
        section, _, field = name.partition(".")
        if not isinstance(data.get(section), dict) or field not in data[section]:
            faults.append(Fault(field=name, message="there is no such field; `bedside schema` lists them."))
            continue
        try:
            data[section][field] = yaml.safe_load(_yaml_number(text))
        except yaml.YAMLError:
            data[section][field] = text
    if faults:
        raise ConfigError(faults)
    return parse(data)


def home() -> Path:
    """The folder that holds everything of the user's, readable by its owner alone; made where it is not there.

    `BEDSIDE_HOME`, else `/data/bedside` on a Hugging Face Space with storage, else `~/.bedside`.
    """
    if os.environ.get("BEDSIDE_HOME"):
        path = Path(os.environ["BEDSIDE_HOME"]).expanduser().absolute()
    elif os.environ.get("SPACE_ID") and Path("/data").is_dir():
        path = Path("/data/bedside")
    else:
        path = Path.home() / ".bedside"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _yaml_number(text: str) -> str:
    # YAML 1.1 reads 2e-4 as a string; people write it so.
    try:
        return repr(float(text)) if "e" in text.lower() else text
    except ValueError:
        return text


def _field_fault(problem: Any) -> Fault:
    name = ".".join(str(part) for part in problem["loc"]) or "run file"
    found = problem.get("input")
    described = _description(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return Fault(field=name, message="there is no such field; remove it, or see `bedside schema` for its name.")
    if problem["type"] == "missing":
        return Fault(field=name, message=f"is missing. {described}".strip())
    if name == "format_version":
        message = f"found {found!r}; this Bedside reads version {FORMAT_VERSION}. Plan the run again with this Bedside."
        return Fault(field=name, message=message)
    if problem["type"] in ("model_type", "dict_type"):
        return Fault(
            field=name, message=f"found {_short(found)}; it should hold names with values. {described}".strip()
        )
    # Pydantic begins with the type it wanted ("Input should be", "String should have"); "it" stands for the field.
    expected = re.sub(r"^\w+ (?=should )", "", problem["msg"]).rstrip(".")
    return Fault(field=name, message=f"found {_short(found)}; it {expected}. {described}".strip())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _description(location: tuple[int | str, ...]) -> str:
    model: Any = RunConfig
    description = ""
    for part in location:
        if isinstance(part, int):  # the place in a list
            continue
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            break
        description = fields[part].description or ""
        model = fields[part].annotation
        if get_origin(model) is list:
            model = get_args(model)[0]
    return description


def _without(data: dict[str, Any], locations: list[tuple[int | str, ...]]) -> RunConfig | None:
    pruned = yaml.safe_load(yaml.safe_dump(data)) if isinstance(data, dict) else {}
    for location in locations:
        # A fault inside a list spoils the list: its field as a whole falls back to the default.
        section, *rest = location
        if not rest or not isinstance(pruned.get(section), dict):
            pruned.pop(section, None)
        else:
            pruned[section].pop(rest[0], None)
    try:
        return RunConfig.model_validate(pruned)
    except ValidationError:
        return None


def _cross_faults(config: RunConfig) -> list[Fault]:
    faults = []
    if config.hardware.device == "cpu" and config.hardware.precision == "fp16":
        message = "a CPU does not train in fp16; set hardware.precision to auto, or hardware.device to cuda."
        faults.append(Fault(field="hardware.precision", message=message))
    if config.hardware.device == "cpu" and config.hardware.gpu is not None:
        message = f"names {config.hardware.gpu}, but hardware.device is cpu; set the device to cuda, or leave it empty."
        faults.append(Fault(field="hardware.gpu", message=message))
    if config.model.quantization == "nf4" and config.hardware.precision == "fp32":
        message = "4-bit weights are computed in bf16 or fp16; set hardware.precision to auto, or quantization to none."
        faults.append(Fault(field="model.quantization", message=message))
    every, saved = config.evaluation.every, config.schedule.checkpoint_every
    if config.schedule.patience is not None and saved % every:
        message = (
            f"the best checkpoint can only be kept where one is saved at a measurement: checkpoint_every ({saved}) has "
            f"to be a multiple of evaluation.every ({every}); or leave patience empty."
        )
        faults.append(Fault(field="schedule.patience", message=message))
    data = config.data
    if data.deidentify == "off" and data.contains_phi is not False and data.not_deidentified_because is None:
        message = (
            "rows that may hold patient data are only trained on as they are for a stated reason; give it, or mask."
        )
        faults.append(Fault(field="data.not_deidentified_because", message=message))
    if "back_translation" in data.augment and len(data.translation_models) != 2:
        message = "back_translation needs two local translation models, there and back; name their folders."
        faults.append(Fault(field="data.translation_models", message=message))
    if "paraphrase" in data.augment and data.paraphrase_model is None:
        message = "paraphrase needs a local model that rewrites sentences; name its folder."
        faults.append(Fault(field="data.paraphrase_model", message=message))
    if data.validation_share + data.test_share > 0.6:
        message = "validation and test take more than 60 % of the rows together; lower one of them."
        faults.append(Fault(field="data.test_share", message=message))
    trained = {source.name for source in config.data.sources if not source.name.startswith("starter/")}
    for index, held_out in enumerate(config.evaluation.held_out):
        if held_out.name in trained:
            message = f"{held_out.name} is also trained on (data.sources); hold out a file of its own."
            faults.append(Fault(field=f"evaluation.held_out.{index}.name", message=message))
    if not config.data.sources and config.evaluation.held_out:
        message = "held-out sets are named but data.sources is empty; name what is trained on."
        faults.append(Fault(field="data.sources", message=message))
    return faults
