"""The processes of one machine: started through torchrun's own agent, watched, ended together, and told what happened.

The worker of a run does this where its run file asks for several (`hardware.processes`). `accelerate launch --cpu`
would silently start one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import jobs, preflight
from trainer.launch import launch
from trainer.launch.launch import LaunchError
from trainer.sections import RunConfig

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from trainer.reporting import Reporter

ENDING_SECONDS = 20  # that a process has to end by itself, before it is killed


def train(config: RunConfig, reporter: Reporter) -> None:
    """Let `hardware.processes` processes train the run in the reporter's folder, to its end or until it is stopped.

    Where one of them runs out of memory all begin again from the last checkpoint with half the batch and as many rows a
    step. Afterwards the reporter's status is what the main process left. Raises `LaunchError` where one was killed, or
    ended in a way that the main process could not tell.
    """
    if config.hardware.machines > 1:
        raise LaunchError(
            f"hardware.machines is {config.hardware.machines}, and one alone cannot start this run; `bedside launch "
            "RUNFILE --on slurm`, `torchrun` or `ray` gives what to start on each."
        )
    settings: list[str] = []
    while failures := _run(reporter.folder, config, settings):
        _take_over(reporter)
        if reporter.status.state not in jobs.ACTIVE:
            return
        smaller = preflight.with_smaller_batch(config) if _out_of_memory(failures) else None
        if smaller is None or smaller.schedule.accumulation % launch.processes(smaller):
            raise LaunchError(_sentence(failures, config, reporter))
        config = smaller
        batch, accumulation = config.schedule.batch_size, config.schedule.accumulation
        settings = [f"schedule.batch_size={batch}", f"schedule.accumulation={accumulation}"]
        reporter.warn(
            f"Memory ran out in one of the processes: all go on with batches of {batch}; {batch * accumulation} rows a "
            "step as before."
        )
    _take_over(reporter)


def _run(folder: Path, config: RunConfig, settings: list[str]) -> dict[int, ProcessFailure]:
    """Start the processes and wait for them; by rank, how those ended that failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    count = config.hardware.processes
    agent = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=ENDING_SECONDS,
    )
    try:
        elastic_launch(agent, sys.executable)("-m", "trainer.launch.rank", str(folder), *settings)
    except ChildFailedError as error:
        return error.failures
    except SignalException as error:
        if (folder / jobs.STOP).exists():
            raise jobs.StopRequested from None
        raise LaunchError(
            f"The processes were ended from outside ({error.sigval.name}). Resume goes on from the last checkpoint."
        ) from None
    return {}


def _take_over(reporter: Reporter) -> None:
    for name, value in jobs.read_state(reporter.folder):
        setattr(reporter.status, name, value)
    reporter.status.pid = os.getpid()


def _out_of_memory(failures: dict[int, ProcessFailure]) -> bool:
    found = "OutOfMemoryError", "MemoryError", "can't allocate memory"
    return any(name in _message(one) for one in failures.values() for name in found)


def _sentence(failures: dict[int, ProcessFailure], config: RunConfig, reporter: Reporter) -> str:
    """Of the process that failed by itself; the others fail because it is gone, or are ended by the agent."""
    by_itself = {rank: one for rank, one in failures.items() if one.exitcode < 0 and -one.exitcode != signal.SIGTERM}
    rank, failure = min((by_itself or failures).items(), key=lambda one: (one[1].timestamp, one[0]))
    ranks = f"rank {rank} of {config.hardware.processes}"
    during = f" at step {reporter.status.step} of {reporter.status.total_steps}" if reporter.status.total_steps else ""
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        return (
            f"Process {rank} ({ranks}) was killed ({name}){during}, and the others were "
            "ended with it. Resume goes on from the last checkpoint; log.txt may say more."
        )
    return (
        f"Process {rank} ({ranks}) ended{during}: {_message(failure)}. Resume goes on from "
        "the last checkpoint; log.txt says more."
    )


def _message(failure: ProcessFailure) -> str:
    told: Any = failure.message
    text = told["message"] if isinstance(told, dict) else told
    return str(text).strip().splitlines()[0]
