"""One process and two on this machine: rows a second, and whether both learn the same.

    python bench/processes.py [--steps 8] [--model NAME]

Every row is an ordinary run of the embedded model on starter data, of the same rows in the same order: 4 forward passes
of 4 rows a step. No dropout, which no two processes share. On one machine two processes have no more cores than one
with two threads, so that their ratio says what sharing the work out costs; on GPUs each process brings its own. The
first two steps are not timed. The last row stops two processes in the middle and goes on. Below it stands, by the
sizing model alone, what each of eight cards of 80 GB holds of a 70B model.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time

from trainer import config, events, hardware, models, runs, sizing
from trainer.jobs import ACTIVE
from trainer.runs import Run
from trainer.sections import RunConfig

WARM = 2  # steps
ROWS = 16  # of a step
# Processes, strategy, threads of each, and whether it is stopped in the middle.
SETUPS = {
    "1 process, 1 thread": (1, "ddp", 1, False),
    "1 process, 2 threads": (1, "ddp", 2, False),
    "2 processes, ddp": (2, "ddp", 1, False),
    "2 processes, fsdp": (2, "fsdp", 1, False),
    "2 processes, ddp, stopped and resumed": (2, "ddp", 1, True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="One process and two on this machine.")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--model", default=models.EMBEDDED)
    arguments = parser.parse_args()
    # A home of its own for the runs; the converted model stays where it is.
    os.environ["BEDSIDE_CACHE"] = str(models.cache_folder())
    found: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as home:
        os.environ["BEDSIDE_HOME"] = home
        for name, (processes, strategy, threads, stopped) in SETUPS.items():
            os.environ["OMP_NUM_THREADS"] = str(threads)
            run = trained(asked(arguments.model, arguments.steps, processes, strategy), arguments.steps // 2, stopped)
            if run.status.state != "done":
                print(f"{name}: {run.status.error}", file=sys.stderr)
                return 1
            found[name] = run
            print(f"{name}: done", file=sys.stderr, flush=True)
        table(found)
    seventy_billion()
    return 0


def asked(model: str, steps: int, processes: int, strategy: str) -> RunConfig:
    return config.parse(
        {
            "model": {"name": model},
            "data": {"sources": [{"name": "starter/clinical"}], "contains_phi": False, "general_sources": []},
            "method": {"kind": "lora", "rank": 8, "alpha": 16, "dropout": 0.0},
            "schedule": {
                "max_steps": steps,
                "batch_size": 4,
                "accumulation": 4,
                "learning_rate": 1e-3,
                "max_length": 256,
                "checkpoint_every": max(1, steps // 2),
            },
            "steering": {"replay_share": 0.0},
            "evaluation": {"every": 10_000, "sample_every": 10_000, "forgetting": False},
            "hardware": {"processes": processes, "strategy": strategy},
        }
    )


def trained(config: RunConfig, middle: int, stopped: bool) -> Run:
    run = runs.start(runs.create(config))
    asked_to_stop = False
    while run.status.state in ACTIVE:
        time.sleep(0.2)
        run = runs.get(run.id)
        if stopped and not asked_to_stop and run.status.step >= middle and run.status.state in ACTIVE:
            runs.stop(run)
            asked_to_stop = True
    if run.status.state == "stopped":
        return trained_on(runs.start(run))
    return run


def trained_on(run: Run) -> Run:
    while run.status.state in ACTIVE:
        time.sleep(0.2)
        run = runs.get(run.id)
    return run


def steps(run: Run) -> dict[int, events.StepEvent]:
    return {event.step: event for event in run.events() if isinstance(event, events.StepEvent)}


def rows_per_second(run: Run) -> float:
    """From the median time between two steps; checkpoints and a second start fall out of it."""
    times = [event.time for event in list(steps(run).values())[WARM - 1 :]]
    return ROWS / statistics.median(after - before for before, after in itertools.pairwise(times))


def table(found: dict[str, Run]) -> None:
    first, reference = steps(found["1 process, 1 thread"]), rows_per_second(found["1 process, 2 threads"])
    print(f"\n{hardware.detect().describe()}\n")
    print(
        "| | rows/s | of one process with two threads | GiB of a process | loss of the first step | of the last | ",
        end="",
    )
    print("largest difference of a step's loss |\n|---|---|---|---|---|---|---|")
    for name, run in found.items():
        told = steps(run)
        apart = max(abs(event.loss - first[step].loss) for step, event in told.items())
        speed = rows_per_second(run)
        last = told[max(told)]
        print(
            f"| {name} | {speed:.2f} | {speed / reference:.2f} | {last.memory_gib:.2f} | {told[1].loss:.4f} | "
            f"{last.loss:.4f} | {apart:.1e} |"
        )


def seventy_billion() -> None:
    """On paper: GiB on each of 8 x 80 GB, batches of one row of 1,024 tokens, with checkpointing."""
    setups = {
        "LoRA, one card (ddp)": ("lora", "ddp", False),
        "LoRA, ZeRO-3": ("lora", "zero3", False),
        "LoRA, FSDP2": ("lora", "fsdp", False),
        "full tuning, ZeRO-3": ("full", "zero3", False),
        "full tuning, ZeRO-3, offload": ("full", "zero3", True),
    }
    print("\nLlama-3.3-70B on 8 x A100 80 GB, on paper; GiB of each card at the high end, and of the computer\n")
    for name, (kind, strategy, offload) in setups.items():
        run = RunConfig.model_validate(
            {
                "model": {"name": "llama-3.3-70b-instruct"},
                "method": {"kind": kind},
                "hardware": {
                    "device": "cuda",
                    "gpu": "a100-80gb",
                    "processes": 8,
                    "strategy": strategy,
                    "offload": offload,
                },
                "schedule": {"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True},
            }
        )
        row = sizing.catalogue.base_model(run.model.name)
        found = sizing.estimate(run, hardware.detect())
        assert row is not None and found is not None
        parts = ", ".join(f"{part} {size:.1f}" for part, size in found.parts.items())
        waiting = sizing.host_gib(run, row)
        print(f"{name}: {found.peak_gib.low:.0f}-{found.peak_gib.high:.0f} of {found.limit_gib:.0f}: {found.fits}")
        print(f"  {parts}" + (f"; in the computer's memory {waiting:,.0f}" if waiting else ""))


if __name__ == "__main__":
    sys.exit(main())
