"""Peak memory and duration of a run, as ranges with their parts, from shapes alone: nothing is loaded.

Sources: QLoRA, Dettmers et al. 2023 (4-bit constants); Korthikanti et al. 2022 (what the backward pass keeps);
Kaplan et al. 2020 (operations per token); lecture L1.13 (20 % of the memory stays free); and measurements of
SmolLM2-135M with LoRA on two CPU cores: 2.5 GiB at 4 x 256 tokens, 4.5 GiB at 4 x 512, 2.3 GiB with checkpointing.
Memory is in GiB (2^30 bytes), time in hours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from trainer import catalogue
from trainer.catalogue import BaseModelRow, GpuRow
from trainer.hardware import Machine
from trainer.method_sections import LoraMethod
from trainer.sections import RunConfig

_GIB = 1024**3
Fit = Literal["fits", "tight", "does_not_fit"]

FREE_SHARE = 0.2
"""Share of the memory that a plan leaves free (lecture L1.13)."""
NF4_BYTES = 0.5 + 0.127 / 8
"""A 4-bit number and its share of the doubly quantised constants, 0.127 bit (QLoRA, section 3)."""
ADAPTER_BYTES = {"adapter": 4, "gradients": 4, "optimiser": 8}
"""fp32 adapter, fp32 gradient, AdamW's two fp32 moments."""
KEPT_PER_HIDDEN, KEPT_PER_INTERMEDIATE = (40, 62), (10, 16)
"""Bytes that a layer keeps for the backward pass, per token and unit of hidden or intermediate width (low, high).

Counted: norms in fp32, the inputs of seven adapted matrices cast to fp32, attention and MLP in bf16: 48 and 12.
Measured with the allocator's waste: 59 KB per token and layer at 576 and 1536, which the high end meets.
"""
LOGIT_BYTES = (12, 20)
"""Per position and vocabulary entry: logits in bf16 and fp32, their log-softmax, and the gradients of each."""
LOGIT_POSITIONS = 256
"""Positions whose logits are held at once: the chunk of `trainer.objectives.answer_loss`."""
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
TYPICAL_ROWS = (0.25, 0.6)
"""Mean length of a row as a share of max_length, where the data has not been read."""
OVERHEAD = {"cpu": (0.5, 0.9), "cuda": (0.7, 1.3)}
"""GiB before the model: Python with torch, transformers and TRL (measured here); CUDA context and workspaces."""
WASTE = {"cpu": 1.15, "cuda": 1.08}
"""What allocators keep beyond what is in use, at the high end."""
GPU_EFFICIENCY = (0.25, 0.45)
"""Achieved share of the dense peak in LoRA training; 40-50 % is what well-tuned pre-training reaches."""
CPU_TOKENS_PER_SECOND = (175.0, 300.0)
"""Measured: SmolLM2-135M, LoRA, two cores that compute in bf16, no checkpointing; with its validation and samples."""
CPU_MEASURED_PARAMS_B, CPU_MEASURED_CORES = 0.1345, 2


class Range(BaseModel):
    low: float
    high: float


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

    On a CPU the limit is this machine's memory. On CUDA it is that of the planned GPU (`hardware.gpu`), else of this
    machine's first. `rows` is how many rows there are before validation is kept back, `row_tokens` their mean length.
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
        usd=_price(hours, gpu),
    )


def limit_gib(config: RunConfig, machine: Machine) -> float | None:
    """Memory that the run may use, in GiB; None where its GPU is not known."""
    if config.hardware.device == "cpu":
        return machine.memory_gib
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
    """The parts of the peak in GiB, as (low, high)."""
    device, schedule = config.hardware.device, config.schedule
    trained = adapter_parameters(config.method, model)
    fixed = {"weights": weight_bytes(config, model, bf16) / _GIB}
    fixed |= {name: trained * size / _GIB for name, size in ADAPTER_BYTES.items()}
    ends = []
    for end in (0, 1):
        tokens = schedule.batch_size * schedule.max_length * LONGEST_ROWS[end]
        layer = KEPT_PER_HIDDEN[end] * model.hidden + KEPT_PER_INTERMEDIATE[end] * model.intermediate
        kept = model.layers * layer
        if schedule.gradient_checkpointing:
            # Each layer keeps its bf16 input alone, and one layer at a time is computed again.
            fragmented = FRAGMENTED_SHARE * kept if device == "cpu" and end else 0.0
            kept = max(model.layers * 2 * model.hidden + layer, fragmented)
        logits = _logit_positions(config, model, tokens, end) * model.vocab * LOGIT_BYTES[end]
        parts = fixed | {"activations": tokens * kept / _GIB, "logits": logits / _GIB}
        waste = (WASTE[device] - 1) * sum(parts.values()) if end else 0.0
        ends.append(parts | {"overhead": OVERHEAD[device][end] + waste})
    return ends[0], ends[1]


def _logit_positions(config: RunConfig, model: BaseModelRow, tokens: float, end: int) -> float:
    if model.name.startswith(_WHOLE_LOGITS):
        return tokens
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


def adapter_parameters(method: LoraMethod, model: BaseModelRow) -> int:
    """Trained parameters of LoRA: rank x (inputs + outputs) of each adapted matrix (Hu et al. 2021, section 4)."""
    shapes = linear_shapes(model)
    names = list(shapes) if method.target_modules == "all-linear" else method.target_modules
    return model.layers * sum(method.rank * sum(shapes[name]) for name in names if name in shapes)


def linear_shapes(model: BaseModelRow) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of one layer's matrices, by their names in Llama-like models (all of the catalogue)."""
    hidden, queries, keys = model.hidden, model.heads * model.head_dim, model.kv_heads * model.head_dim
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, model.intermediate),
        "up_proj": (hidden, model.intermediate),
        "down_proj": (model.intermediate, hidden),
    }


def duration(
    config: RunConfig,
    model: BaseModelRow,
    machine: Machine,
    gpu: GpuRow | None,
    rows: int,
    row_tokens: float | None = None,
) -> Range:
    """Hours of training, without loading and scoring."""
    steps = total_steps(config, rows)
    batches = steps * config.schedule.accumulation
    lengths = [share * config.schedule.max_length for share in TYPICAL_ROWS]
    if row_tokens is not None:
        lengths = [min(row_tokens, config.schedule.max_length)] * 2
    ends = []
    for end in (0, 1):
        tokens = config.schedule.batch_size * lengths[end]
        seconds = (
            _gpu_seconds(config, model, gpu, tokens, end) if gpu else _cpu_seconds(config, model, machine, tokens, end)
        )
        ends.append(batches * seconds / 3600)
    return Range(low=_rounded(ends[0]), high=_rounded(ends[1]))


def total_steps(config: RunConfig, rows: int) -> int:
    """Steps of the optimiser: training rows with their replay, in effective batches, times the epochs."""
    train = rows * (1 - config.data.validation_share) / (1 - config.steering.replay_share)
    effective = config.schedule.batch_size * config.schedule.accumulation
    steps = max(1, round(config.schedule.epochs * max(1.0, train / effective)))
    return min(steps, config.schedule.max_steps or steps)


def operations_per_token(config: RunConfig, model: BaseModelRow) -> float:
    """Floating-point operations for a trained token.

    2 per frozen parameter forward and 2 backward, whose weight gradients are not needed (Kaplan et al. 2020 count 6
    with them); 2 more with checkpointing; 6 per adapter parameter.
    """
    frozen = model.params_b * 1e9
    passes = 6 if config.schedule.gradient_checkpointing else 4
    return passes * frozen + 6 * adapter_parameters(config.method, model)


def _gpu_seconds(config: RunConfig, model: BaseModelRow, gpu: GpuRow | None, tokens: float, end: int) -> float:
    assert gpu is not None
    # The fast end of the hours goes with the high end of the efficiency.
    rate = gpu.bf16_tflops * 1e12 * GPU_EFFICIENCY[1 - end]
    computing = tokens * operations_per_token(config, model) / rate
    passes = 3 if config.schedule.gradient_checkpointing else 2
    parameters, bandwidth = model.params_b * 1e9, gpu.bandwidth_gb_s * 1e9
    if config.model.quantization == "nf4":
        # In each pass the 4-bit weights are read, written out in 16 bits and read again, before they are multiplied.
        return computing + passes * parameters * (NF4_BYTES + 4) / bandwidth
    return max(computing, passes * parameters * 2 / bandwidth)


def _cpu_seconds(config: RunConfig, model: BaseModelRow, machine: Machine, tokens: float, end: int) -> float:
    cores = max(1, machine.cores) / CPU_MEASURED_CORES
    slower = 1.0 if machine.cpu_bf16 else 2.0
    if config.schedule.gradient_checkpointing:
        slower *= 1.5
    rate = CPU_TOKENS_PER_SECOND[1 - end] * cores / slower * CPU_MEASURED_PARAMS_B / model.params_b
    return tokens / rate


def _price(hours: Range | None, gpu: GpuRow | None) -> Range | None:
    if hours is None or gpu is None or gpu.usd_per_hour is None:
        return None
    low, high = gpu.usd_per_hour
    return Range(low=round(hours.low * low, 2), high=round(hours.high * high, 2))


def _gpu(config: RunConfig, machine: Machine) -> GpuRow | None:
    if config.hardware.device == "cpu":
        return None
    if config.hardware.gpu:
        return catalogue.gpu(config.hardware.gpu)
    return catalogue.gpu(machine.gpus[0].plan_name) if machine.gpus else None


def _rounded(hours: float) -> float:
    return float(f"{hours:.3g}")
