"""How long a run trains, as a range of hours, from its steps and the operations in them.

Sources: Kaplan et al. 2020 (operations per token); lecture L1.11 (what checkpointing and offload cost); and
measurements of SmolLM2-135M with LoRA on two CPU cores.
"""

from __future__ import annotations

from pydantic import BaseModel

from trainer.catalogue import BaseModelRow, GpuRow
from trainer.hardware import Machine
from trainer.launch import launch
from trainer.method_sections import FullMethod, LoraMethod
from trainer.methods.counts import trained_numbers
from trainer.objective_sections import PAIRED, DpoObjective, KtoObjective
from trainer.sections import RunConfig
from trainer.steering.rank_search import MOST_TRIALS, trial_steps

NF4_BYTES = 0.5 + 0.127 / 8
"""A 4-bit number and its share of the doubly quantised constants, 0.127 bit (QLoRA, section 3)."""
TYPICAL_ROWS = (0.25, 0.6)
"""Mean length of a row as a share of max_length, where the data has not been read."""
GPU_EFFICIENCY = (0.25, 0.45)
"""Achieved share of the dense peak in LoRA training; 40-50 % is what well-tuned pre-training reaches."""
CPU_TOKENS_PER_SECOND = (175.0, 300.0)
"""Measured: SmolLM2-135M, LoRA, two cores that compute in bf16, no checkpointing; with its validation and samples."""
CPU_MEASURED_PARAMS_B, CPU_MEASURED_CORES = 0.1345, 2
OFFLOAD_SLOWER = (2.0, 3.0)
"""Weights that visit the GPU layer by layer (lecture L1.11)."""

LINK_BYTES_PER_SECOND = {False: (300e9, 12e9), True: (50e9, 3e9)}
"""Between devices of one machine: NVLink (A100 data sheet: 600 GB/s, half of it each way) or PCIe 3.0; between machines
(True): 400 Gbit/s InfiniBand or 25 Gbit/s Ethernet. Not measured here."""


class Range(BaseModel):
    low: float
    high: float


def duration(
    config: RunConfig,
    model: BaseModelRow,
    machine: Machine,
    gpu: GpuRow | None,
    rows: int,
    row_tokens: float | None = None,
) -> Range:
    """Hours of training, without loading and scoring. On a GPU where `gpu` is given, else on this machine's CPU.

    `row_tokens` are those of all answers of a row, each with its question.
    """
    longest = answers_a_row(config) * config.schedule.max_length
    lengths = [share * longest for share in TYPICAL_ROWS]
    if row_tokens is not None:
        lengths = [min(row_tokens, longest)] * 2
    ends = []
    for end in (0, 1):
        tokens = config.schedule.batch_size * lengths[end]
        if gpu is not None:
            seconds = _gpu_seconds(config, model, gpu, tokens, end)
        else:
            seconds = _cpu_seconds(config, model, machine, tokens, end)
        steps, devices = all_steps(config, rows)[end], launch.processes(config)
        if gpu is None:
            devices = config.hardware.machines  # processes on one machine share its cores
        step = config.schedule.accumulation / devices * seconds
        if launch.processes(config) > 1 and gpu is not None:
            sent = communicated(config, model) / LINK_BYTES_PER_SECOND[config.hardware.machines > 1][end]
            # At the fast end it is hidden behind the computing, as far as that takes as long.
            step = step + sent if end else max(step, sent)
        ends.append(float(f"{steps * step / 3600:.3g}"))
    return Range(low=ends[0], high=ends[1])


def communicated(config: RunConfig, model: BaseModelRow) -> float:
    """Bytes that each device sends in a step of the optimiser.

    Gradients, in fp32: all-reduced by a ring, twice their size x (N - 1) / N. Where weights are shared out they are
    gathered for every pass, forward and backward (Rajbhandari et al. 2020, section 7), in 16 bits.
    """
    devices = launch.processes(config)
    apart = (devices - 1) / devices
    found = 2 * 4 * trained_numbers(config.method, model) * apart
    if config.hardware.strategy in ("fsdp", "zero3"):
        passes = (3 if recomputes(config) else 2) * launch.accumulation(config)
        found += passes * 2 * model.params_b * 1e9 * apart
    return found


def total_steps(config: RunConfig, rows: int) -> int:
    """Steps of the optimiser in one training: rows with their replay, in effective batches, times the epochs.

    Disturbed rows (`adversarial`) count as many as are asked for; rewritten and repeated ones, of which nobody knows
    how many there will be, do not.
    """
    replay = config.steering.replay_share if config.objective.kind == "sft" else 0.0
    train = rows * (1 - config.data.validation_share) / (1 - replay)
    if config.adversarial.perturbations:
        train /= 1 - config.adversarial.share
    effective = config.schedule.batch_size * config.schedule.accumulation
    steps = max(1, round(config.schedule.epochs * max(1.0, train / effective)))
    return config.schedule.max_steps or steps


def all_steps(config: RunConfig, rows: int) -> tuple[int, int]:
    """Steps of everything that is trained (low, high): every fold, the meta-learning before, the search for a rank."""
    steps = total_steps(config, rows)
    low = high = steps * trainings(config, rows) + config.steering.reptile_steps
    if isinstance(config.method, LoraMethod) and config.method.search_rank:
        low, high = low + trial_steps(steps), high + MOST_TRIALS * trial_steps(steps)
    return low, high


def trainings(config: RunConfig, rows: int) -> int:
    """How often the model is trained: once, or once for each fold and once more on all rows (lecture L3.3)."""
    folds = {"split": 0, "k_fold": min(config.evaluation.folds, rows), "leave_one_out": rows}
    return folds[config.evaluation.validation] + 1


def operations_per_token(config: RunConfig, model: BaseModelRow) -> float:
    """Floating-point operations for a trained token.

    2 per frozen parameter forward and 2 backward, whose weight gradients are not needed, and 6 per trained one
    (Kaplan et al. 2020); 2 more with checkpointing. Distillation asks the base about the general rows, once forward.
    With gradient surgery the backward pass is made for each task. The consistency loss reads the clean twins of the
    disturbed rows, once forward; an attack on the embeddings makes all of it once for each of its passes. DPO asks the
    reference once forward, before training or in each step; KTO asks both about answers to other questions as well.
    """
    trained = trained_numbers(config.method, model)
    frozen = 0.0 if isinstance(config.method, FullMethod) else model.params_b * 1e9
    forward, backward = 2 * (frozen + trained), 2 * frozen + 4 * trained
    if config.steering.gradient_surgery != "off":
        backward *= tasks(config)
    if recomputes(config):
        forward += 2 * frozen + 2 * trained
    if config.steering.distillation:
        forward += 2 * frozen * config.steering.replay_share
    objective = config.objective
    once = 2 * (frozen + trained) / max(1.0, config.schedule.epochs)  # asked before training, spread over its passes
    if isinstance(objective, DpoObjective):
        forward += once if objective.precompute_reference else 2 * frozen
    if isinstance(objective, KtoObjective):
        forward += 2 * once + 2 * (frozen + trained)
    adversarial = config.adversarial
    if adversarial.consistency:
        forward += 2 * (frozen + trained) * adversarial.share
    passes = {"off": 1, "fgm": 2, "freelb": adversarial.embedding_steps}[adversarial.embedding]
    return (forward + backward) * passes


def answers_a_row(config: RunConfig) -> int:
    """Answers, each with its question, that are read of a row of data: two of a pair."""
    return 2 if config.objective.kind in PAIRED else 1


def recomputes(config: RunConfig) -> bool:
    """Whether each layer is computed again in the backward pass: with checkpointing, and with offload by itself."""
    return config.schedule.gradient_checkpointing or (isinstance(config.method, FullMethod) and config.method.offload)


def tasks(config: RunConfig) -> int:
    """How many tasks the run file names."""
    return 1 + len(config.task.other_tasks)


def _gpu_seconds(config: RunConfig, model: BaseModelRow, gpu: GpuRow, tokens: float, end: int) -> float:
    # The fast end of the hours goes with the high end of the efficiency.
    rate = gpu.bf16_tflops * 1e12 * GPU_EFFICIENCY[1 - end]
    computing = tokens * operations_per_token(config, model) / rate
    passes = 3 if config.schedule.gradient_checkpointing else 2
    parameters, bandwidth = model.params_b * 1e9, gpu.bandwidth_gb_s * 1e9
    if config.hardware.offload or (isinstance(config.method, FullMethod) and config.method.offload):
        return computing * OFFLOAD_SLOWER[end]
    if config.model.quantization == "nf4":
        # In each pass the 4-bit weights are read, written out in 16 bits and read again, before they are multiplied.
        return computing + passes * parameters * (NF4_BYTES + 4) / bandwidth
    return max(computing, passes * parameters * 2 / bandwidth)


def _cpu_seconds(config: RunConfig, model: BaseModelRow, machine: Machine, tokens: float, end: int) -> float:
    cores = max(1, machine.cores) / CPU_MEASURED_CORES
    slower = 1.0 if machine.cpu_bf16 else 2.0
    if config.schedule.gradient_checkpointing:
        slower *= 1.5
    # What was measured is LoRA: what else is computed, and for soft prompts what is not, counts in proportion.
    lora = operations_per_token(RunConfig(), model)
    slower *= operations_per_token(_without_checkpointing(config), model) / lora
    rate = CPU_TOKENS_PER_SECOND[1 - end] * cores / slower * CPU_MEASURED_PARAMS_B / model.params_b
    return tokens / rate


def _without_checkpointing(config: RunConfig) -> RunConfig:
    schedule = config.schedule.model_copy(update={"gradient_checkpointing": False})
    return config.model_copy(update={"schedule": schedule})
