"""Why a run cannot be started on this machine: asked by the planner, the pages, `bedside train` and the worker."""

from __future__ import annotations

import importlib.util
import shutil

from trainer import catalogue, config, earlier_runs, sizing, trackers
from trainer.data.loading import LOOKED_AT, read_rows
from trainer.data.records import DataError
from trainer.data.sources import locate, needs_fetching
from trainer.hardware import Machine
from trainer.sections import RunConfig

FREE_GIB = 1.0  # beside the checkpoints: the converted model, events, logs


def refusals(config: RunConfig, machine: Machine) -> list[str]:
    """One sentence for each reason, with the way out; empty where the run can start."""
    reasons = []
    if not config.data.sources:
        reasons.append(
            "No data is chosen (data.sources is empty); name a file, a folder or a published set, or use the starter "
            "data."
        )
    if config.hardware.device == "cuda" and not machine.gpus:
        planned = f" ({config.hardware.gpu})" if config.hardware.gpu else ""
        reasons.append(
            f"This plan needs a GPU{planned}, and this machine has none that CUDA can use; save the run file, copy it "
            "to the machine with the GPU, and run `bedside train run.yaml` there. Or plan for this machine's CPU."
        )
    hardware = config.hardware
    if hardware.machines > 1:
        reasons.append(
            f"hardware.machines is {hardware.machines}, and this is one of them; `bedside launch RUNFILE --on slurm`, "
            "torchrun or ray prints what starts the run on all."
        )
    elif hardware.device == "cuda" and machine.gpus and hardware.processes > len(machine.gpus):
        reasons.append(
            f"hardware.processes is {hardware.processes}, and this machine has {len(machine.gpus)} GPUs; lower it."
        )
    elif hardware.device == "cpu" and hardware.processes > machine.cores:
        reasons.append(
            f"hardware.processes is {hardware.processes}, and this machine has {machine.cores} cores; lower it to that."
        )
    if hardware.strategy in ("zero2", "zero3") and importlib.util.find_spec("deepspeed") is None:
        reasons.append(
            f"hardware.strategy {hardware.strategy} needs DeepSpeed, which is not installed; run `pip install "
            "deepspeed` in Bedside's environment, or take fsdp."
        )
    model = catalogue.base_model(config.model.name)
    needed = sizing.host_gib(config, model) if model else 0.0
    if machine.gpus and needed > machine.memory_gib:
        reasons.append(
            f"method.offload keeps about {needed:.0f} GiB in the computer's memory, and this machine has "
            f"{machine.memory_gib:.0f}; take a smaller model, or method.kind lora."
        )
    return reasons


def faults(run: RunConfig, machine: Machine) -> list[str]:
    """What would stop the run when it starts: its refusals, else data that cannot be read, else too little disk.

    Reads the data, so it is asked when a run is started and not at every turn of the dialogue.
    """
    found = refusals(run, machine) + trackers.faults(run) + earlier_runs.faults(run)
    if found:
        return found
    for source in run.data.sources:
        try:
            # The first rows alone: all of them are read, and faults counted, once the run prepares its data.
            if not needs_fetching(source.name):
                read_rows(source, locate(source.name), limit=LOOKED_AT)
        except DataError as error:
            found.append(str(error))
    needed = FREE_GIB + checkpoints_gib(run)
    free = shutil.disk_usage(config.home()).free / 2**30
    if free < needed:
        found.append(
            f"The disk of {config.home()} has {free:.1f} GiB free and the run needs about {needed:.1f}; free some "
            "space, or point BEDSIDE_HOME to another disk."
        )
    return found


def checkpoints_gib(run: RunConfig) -> float:
    """Space of the kept checkpoints: trained weights and AdamW's two moments, in fp32 (0 for unknown shapes)."""
    model = catalogue.base_model(run.model.name)
    if model is None:
        return 0.0
    # One more than are kept: the oldest goes only once the newest is complete.
    copies = run.output.keep_checkpoints + 1
    return copies * 12 * sizing.trained_in_run(run, model) / 2**30
