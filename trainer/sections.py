"""The run file: the one contract between chat, form, command line, engine and checkpoint.

Everything that a run needs stands in a `RunConfig`; nothing is declared a second time elsewhere. The form on the
Plan page and `--set section.field=value` are made from these classes, and `bedside schema` prints their JSON Schema.
How it is read and written: `trainer.config`; which values go together: `trainer.combinations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from trainer.data_sections import DataSection
from trainer.method_sections import METHOD_KINDS, AnyMethod, LoraMethod
from trainer.objective_sections import OBJECTIVE_KINDS, AnyObjective, SftObjective
from trainer.section import Section, Task, Text
from trainer.steering_sections import AdversarialSection, SteeringSection

FORMAT_VERSION = 1
Kernel = Literal["flash_attention", "liger", "compile"]
"""A faster way to compute the same on a GPU (`trainer.kernels`)."""


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
    kernels: list[Kernel] = Field(
        default_factory=list,
        description="Faster ways to compute the same on a GPU: flash_attention (FlashAttention 2, rows without "
        "padding), liger (fused norms, gates and rotary positions), compile (the layers are compiled, which takes "
        "minutes at first). What the machine lacks is left out, and the run says so.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Devices of each machine that train together, a process each. They share schedule.accumulation "
        "out, so that a step learns from as many rows as with one.",
    )
    machines: int = Field(default=1, ge=1, le=256, description="Machines that train together.")
    strategy: Literal["ddp", "fsdp", "zero2", "zero3"] = Field(
        default="ddp",
        description="What each device holds: ddp, the whole model; fsdp (FSDP2) and zero3 (DeepSpeed), its share of "
        "everything; zero2, the whole model and its share of gradients and optimiser.",
    )
    offload: bool = Field(
        default=False,
        description="For fsdp, zero2 and zero3: a device's share waits in the computer's memory (lecture L1.11).",
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
    objective: AnyObjective = Field(default_factory=SftObjective)
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


TAGGED: dict[str, Mapping[str, type[Section]]] = {"method": METHOD_KINDS, "objective": OBJECTIVE_KINDS}
"""Sections of several kinds, told apart by their field `kind`."""
