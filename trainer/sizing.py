"""Peak memory of a run, as a range with its parts, from shapes alone: nothing is loaded. Its hours: `trainer.duration`.

Sources: QLoRA, Dettmers et al. 2023 (4-bit constants); Korthikanti et al. 2022 (what the backward pass keeps);
Rajbhandari et al. 2020 (full tuning: 16 bytes a parameter); lecture L1.13 (20 % of the memory stays free); and
measurements of SmolLM2-135M with LoRA on two CPU cores: 2.5 GiB at 4 x 256 tokens, 4.5 GiB at 4 x 512, 2.3 GiB with
checkpointing. Memory is in GiB (2^30 bytes), time in hours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from trainer import catalogue
from trainer.catalogue import BaseModelRow, GpuRow
from trainer.duration import NF4_BYTES, Range, answers_a_row, duration, recomputes, tasks
from trainer.hardware import Machine
from trainer.launch import launch
from trainer.launch.deepspeed import BUCKET
from trainer.method_sections import AdaLoraMethod, AdapterMethod, FullMethod, LoraMethod, PromptMethod, PTuningMethod
from trainer.methods.counts import linear_shapes, trained_numbers
from trainer.sections import RunConfig

_GIB = 1024**3
Fit = Literal["fits", "tight", "does_not_fit"]

FREE_SHARE = 0.2
"""Share of the memory that a plan leaves free (lecture L1.13)."""
TRAINED_BYTES = {"adapter": 4, "gradients": 4, "optimiser": 8}
"""A trained number: itself, its gradient and AdamW's two moments, in fp32; in full tuning it stands in the weights."""
WORKING_COPY_BYTES = 2
"""Full tuning computes in bf16: its fp32 weights' 16-bit copies, all of them held at the high end."""
RANK_SCORES_BYTES = 12
"""AdaLoRA's importance of each number, its mean and its spread over the steps, in fp32 (Zhang et al. 2023)."""
FISHER_BYTES = (2, 4)
"""EWC's Fisher information: kept in bf16, measured in fp32 before training begins (`trainer.steering.fisher`)."""
START_BYTES = 4
"""The base's own value, in fp32, where the change is more than scale x BA: `trainer.steering.weight_changes`."""
KEPT_PER_HIDDEN, KEPT_PER_INTERMEDIATE = (40, 62), (10, 16)
"""Bytes that a layer keeps for the backward pass, per token and unit of hidden or intermediate width (low, high).

Counted: norms in fp32, the inputs of seven adapted matrices cast to fp32, attention and MLP in bf16: 48 and 12.
Measured with the allocator's waste: 59 KB per token and layer at 576 and 1536, which the high end meets.
"""
LOGIT_BYTES = (12, 20)
"""Per position and vocabulary entry: logits in bf16 and fp32, their log-softmax, and the gradients of each."""
LOGIT_POSITIONS = 256
"""Positions whose logits are held at once: the chunk of `trainer.objectives.answer_loss`."""
_SHARED = {
    "ddp": (),
    "zero2": ("gradients", "optimiser"),
    "zero3": ("weights", "adapter", "gradients", "optimiser"),
    "fsdp": ("weights",),
}
"""Of what each device holds its share alone. Our FSDP2 keeps the adapter, which is small, whole (`trainer.launch`)."""
_WHOLE_LOGITS = ("gemma", "medgemma")
"""Names of models whose output layer is not plain, so that TRL's own loss holds the logits of every position."""
FRAGMENTED_SHARE = 0.5
"""Share of the activations that a CPU still holds with checkpointing, at the high end.

Measured: 22 to 44 % of what was held without it. It is not in use: with glibc made to return each freed block
(MALLOC_MMAP_THRESHOLD_) 2.36 GiB became 1.11, and the steps slower. A GPU's allocator uses freed blocks again.
"""
ANSWER_SHARE = (0.25, 0.5)
"""Share of a row that is answer; only the answer is projected onto the vocabulary."""
ANSWER_TOKENS = (150, 300)
"""Length of an answer, which the share above does not exceed (lecture L2.2)."""
LONGEST_ROWS = (0.6, 1.0)
"""Length of the longest batch as a share of max_length."""
OVERHEAD = {"cpu": (0.5, 0.9), "cuda": (0.7, 1.3)}
"""GiB before the model: Python with torch, transformers and TRL (measured here); CUDA context and workspaces."""
WASTE = {"cpu": 1.15, "cuda": 1.08}
"""What allocators keep beyond what is in use, at the high end."""


class Estimate(BaseModel):
    """What a run will need. `parts` (GiB) add up to the high end; `hours` is None where the rows are not known."""

    peak_gib: Range
    limit_gib: float
    fits: Fit
    hours: Range | None
    parts: dict[str, float]
    usd: Range | None = None
    """What the hours cost where the card is rented, from the catalogue's range of prices."""


def estimate(
    config: RunConfig,
    machine: Machine,
    rows: int | None = None,
    row_tokens: float | None = None,
    model: BaseModelRow | None = None,
) -> Estimate | None:
    """Peak memory and hours of a run; None where its model or its GPU is not known.

    On a CPU the limit is this machine's memory, or a process's part of it. On CUDA it is that of the planned GPU
    (`hardware.gpu`), else of this machine's first. Of several devices the peak is that of each.
    `rows` is how many rows there are before validation is kept back, `row_tokens` their mean length.
    """
    model = model or catalogue.base_model(config.model.name)
    gpu = _gpu(config, machine)
    if model is None or (config.hardware.device == "cuda" and gpu is None):
        return None
    limit = limit_gib(config, machine) or 0.0
    bf16 = gpu.bf16 if gpu else machine.cpu_bf16
    low, high = memory_parts(config, model, bf16=bf16)
    peak = Range(low=round(sum(low.values()), 2), high=round(sum(high.values()), 2))
    hours = None if rows is None else duration(config, model, machine, gpu, rows, row_tokens)
    return Estimate(
        peak_gib=peak,
        limit_gib=round(limit, 2),
        fits=fit(peak, limit),
        hours=hours,
        parts={name: round(value, 3) for name, value in high.items()},
        usd=_price(config, hours, gpu),
    )


def limit_gib(config: RunConfig, machine: Machine) -> float | None:
    """Memory that each process of the run may use, in GiB; None where its GPU is not known."""
    if config.hardware.device == "cpu":
        return machine.memory_gib / config.hardware.processes
    gpu = _gpu(config, machine)
    return gpu.memory_gib if gpu else None


def fit(peak: Range, limit_gib: float) -> Fit:
    """fits: all of the range leaves 20 % free; tight: its low end does, or it stays below the limit (lecture L1.13)."""
    usable = (1 - FREE_SHARE) * limit_gib
    if peak.high <= usable:
        return "fits"
    return "tight" if peak.low <= usable or peak.high <= limit_gib else "does_not_fit"


def memory_parts(
    config: RunConfig, model: BaseModelRow, bf16: bool = True
) -> tuple[dict[str, float], dict[str, float]]:
    """The parts of the peak in GiB, as (low, high), of each device; with offload, of the GPU's memory alone."""
    device, schedule = config.hardware.device, config.schedule
    ends = []
    for end in (0, 1):
        read = schedule.batch_size * answers_a_row(config)
        tokens = read * (schedule.max_length * LONGEST_ROWS[end] + _virtual_tokens(config))
        layer = KEPT_PER_HIDDEN[end] * model.hidden + KEPT_PER_INTERMEDIATE[end] * model.intermediate
        layer += _kept_by_bottlenecks(config, model)
        kept = model.layers * layer
        if recomputes(config):
            # Each layer keeps its bf16 input alone, and one layer at a time is computed again.
            fragmented = FRAGMENTED_SHARE * kept if device == "cpu" and end else 0.0
            kept = max(model.layers * 2 * model.hidden + layer, fragmented)
        logits = _logit_positions(config, model, tokens, end) * model.vocab * LOGIT_BYTES[end]
        if config.steering.distillation or config.adversarial.consistency:
            logits *= 2  # those of the base, or of the clean question, beside the model's
        parts = _on_each(config, model, bf16, end) | {"activations": tokens * kept, "logits": logits}
        parts = {name: value / _GIB for name, value in parts.items()}
        waste = (WASTE[device] - 1) * sum(parts.values()) if end else 0.0
        ends.append(parts | {"overhead": OVERHEAD[device][end] + waste})
    return ends[0], ends[1]


def host_gib(config: RunConfig, model: BaseModelRow) -> float:
    """What offload takes of a computer's own memory, in GiB: weights, gradients and moments; 0 without it.

    Of each machine, where several train together.
    """
    if config.hardware.offload:
        waiting = set(_SHARED[config.hardware.strategy]) - (set() if _offloads_weights(config) else {"weights"})
        standing = _standing(config, model, True, 1)
        return sum(standing.get(part, 0.0) for part in waiting) / config.hardware.machines / _GIB
    if not isinstance(config.method, FullMethod) or not config.method.offload:
        return 0.0
    return sum(TRAINED_BYTES.values()) * model.params_b * 1e9 / _GIB


def trained_in_run(config: RunConfig, model: BaseModelRow) -> int:
    """Numbers that the optimiser moves in this run, over all its tasks where each has its own.

    Where each specialty has its own, one is counted: how many there are is only known once the rows are read.
    """
    copies = tasks(config) if getattr(config.method, "per", "run") == "task" else 1
    return copies * trained_numbers(config.method, model)


def _on_each(config: RunConfig, model: BaseModelRow, bf16: bool, end: int) -> dict[str, float]:
    """What each device holds throughout, in bytes (Rajbhandari et al. 2020, section 5: P_os+g and P_os+g+p).

    By `hardware.strategy` its share of some parts alone; those wait in the computer's memory with hardware.offload.
    """
    parts = _standing(config, model, bf16, end)
    strategy, devices = config.hardware.strategy, launch.processes(config)
    if devices == 1:
        return parts
    for part in _SHARED[strategy]:
        waits = config.hardware.offload and (part != "weights" or _offloads_weights(config))
        parts[part] = 0.0 if waits else parts.get(part, 0.0) / devices
    if "weights" in _SHARED[strategy]:
        # Whole are the layer that is computed, at the high end the next one as well, and what belongs to no layer.
        layer = sum(inside * outside for inside, outside in linear_shapes(model).values())
        parts["whole layers"] = WORKING_COPY_BYTES * (_visiting(model) + end * layer)
    # What is sent: DDP's copy of the gradients, or a bucket of ZeRO's and FSDP's.
    trained = 4.0 * trained_in_run(config, model)
    parts["communication"] = trained if strategy == "ddp" else min(trained, 4.0 * BUCKET)
    return {name: size for name, size in parts.items() if size}


def _offloads_weights(config: RunConfig) -> bool:
    return "weights" in _SHARED[config.hardware.strategy]


def _standing(config: RunConfig, model: BaseModelRow, bf16: bool, end: int) -> dict[str, float]:
    """What is held throughout, in bytes: weights, what is trained of them, and what holds them back."""
    method, trained = config.method, trained_in_run(config, model)
    if isinstance(method, FullMethod):
        # With offload one layer at a time, and what belongs to none: embeddings and output layer.
        here = _visiting(model) if method.offload else trained
        parts: dict[str, float] = {"weights": here * (4 + WORKING_COPY_BYTES * end), "gradients": here * 4.0}
        parts["optimiser"] = 0.0 if method.offload else trained * 8.0
        copies = 0 if method.offload else trained
    else:
        parts = {"weights": weight_bytes(config, model, bf16)}
        parts |= {name: float(trained * size) for name, size in TRAINED_BYTES.items()}
        copies = _changed_numbers(config, model)
    if isinstance(method, AdaLoraMethod):
        parts["rank scores"] = float(trained * RANK_SCORES_BYTES)
    held = 0.0
    if config.steering.ewc:
        held += copies * FISHER_BYTES[end]
    if isinstance(method, FullMethod) and (config.steering.ewc or config.steering.l2_sp):
        held += copies * START_BYTES
    if held:
        parts["held back"] = held
    if config.steering.gradient_surgery != "off" or config.steering.conflict_every:
        # A gradient for each task, flat, and what is left of them.
        parts["gradients of tasks"] = 4.0 * trained * (tasks(config) + 1)
    return parts


def _visiting(model: BaseModelRow) -> int:
    layer = sum(inside * outside for inside, outside in linear_shapes(model).values())
    return layer + round(model.params_b * 1e9 - model.layers * layer)


def _changed_numbers(config: RunConfig, model: BaseModelRow) -> int:
    """Numbers of the base that an adapter changes: those of the adapted matrices, or of the norms."""
    method, shapes = config.method, linear_shapes(model)
    if not isinstance(method, LoraMethod | AdaLoraMethod):
        return trained_numbers(method, model)
    names = [name for name in shapes if method.target_modules == "all-linear" or name in method.target_modules]
    return model.layers * sum(shapes[name][0] * shapes[name][1] for name in names)


def _virtual_tokens(config: RunConfig) -> int:
    """Positions that soft prompts add to every row; a prefix adds keys and values alone."""
    return config.method.length if isinstance(config.method, PromptMethod | PTuningMethod) else 0


def _kept_by_bottlenecks(config: RunConfig, model: BaseModelRow) -> float:
    """Bytes for each token and layer: the inputs of both bottlenecks' two matrices in fp32."""
    if not isinstance(config.method, AdapterMethod):
        return 0.0
    return 2 * 4 * (model.hidden + 2 * config.method.width)


def _logit_positions(config: RunConfig, model: BaseModelRow, tokens: float, end: int) -> float:
    if model.name.startswith(_WHOLE_LOGITS) or config.hardware.strategy == "zero3":
        return tokens  # of ZeRO-3 the output layer makes them, which is whole while it reads alone
    answer = min(ANSWER_SHARE[end] * config.schedule.max_length, ANSWER_TOKENS[end])
    return min(config.schedule.batch_size * answer, LOGIT_POSITIONS)


def weight_bytes(config: RunConfig, model: BaseModelRow, bf16: bool = True) -> float:
    """Bytes of the frozen base. nf4 packs the linear layers; embeddings, output layer and norms stay whole."""
    precision = config.hardware.precision
    whole = 4 if precision == "fp32" or (precision == "auto" and config.hardware.device == "cpu" and not bf16) else 2
    total = model.params_b * 1e9
    if config.model.quantization == "none":
        return total * whole
    packed = model.layers * sum(inside * outside for inside, outside in linear_shapes(model).values())
    return packed * NF4_BYTES + (total - packed) * whole


def _price(config: RunConfig, hours: Range | None, gpu: GpuRow | None) -> Range | None:
    if hours is None or gpu is None or gpu.usd_per_hour is None:
        return None
    rented = config.hardware.machines * -(-config.hardware.processes // gpu.count)  # whole machines of `count` cards
    low, high = (rented * price for price in gpu.usd_per_hour)
    return Range(low=round(hours.low * low, 2), high=round(hours.high * high, 2))


def _gpu(config: RunConfig, machine: Machine) -> GpuRow | None:
    if config.hardware.device == "cpu":
        return None
    if config.hardware.gpu:
        return catalogue.gpu(config.hardware.gpu)
    return catalogue.gpu(machine.gpus[0].plan_name) if machine.gpus else None
