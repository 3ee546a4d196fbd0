"""What a process of a run knows of the others that train with it.

Every process runs `engine.train` from top to bottom with the same values (SPMD). The first one, rank 0, is the main
one: it alone writes events, state, checkpoints and the report, asks monitors' questions, and decides; the others learn
what it decided (`from_main`). In a process that trains alone every function here does nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer.sections import RunConfig

WAIT = timedelta(hours=2)
"""Longest that processes wait for one that works alone: the main one, while it prepares the data."""
PARTING_SECONDS = 1.0
T = TypeVar("T")


class LaunchError(UserError):
    """The processes of a run cannot train together; the text says which, why and what to do."""


def processes(config: RunConfig) -> int:
    """How many processes train this run together, on all machines."""
    return config.hardware.processes * config.hardware.machines


def accumulation(config: RunConfig) -> int:
    """Forward passes of each process before a step: all processes together make `schedule.accumulation`."""
    return config.schedule.accumulation // processes(config)


def size() -> int:
    """How many processes train together now; 1 in one that trains alone."""
    group = _group()
    return group.get_world_size() if group else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def is_main() -> bool:
    """Whether this process tells and decides: rank 0, or one that trains alone."""
    return rank() == 0


def told(config: RunConfig) -> str:
    """How many processes train together, and how, in words; nothing of one that trains alone."""
    count = size()
    return f"{count} processes train together ({config.hardware.strategy})." if count > 1 else ""


def begin(device: str) -> None:
    """Meet the other processes, as the environment (torchrun's) names them; on a GPU, take the one of this rank."""
    import os

    import torch
    import torch.distributed

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # What is decided travels between CPUs, and gradients between the devices.
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=WAIT)


def leave() -> None:
    """Part from the others, all at the same time: what follows, the main process does alone."""
    if group := _group():
        group.barrier()
        group.destroy_process_group()
        # Gloo's threads give back what was sent, for which they need Python's lock; whoever frees the wrapped model
        # holds that lock while it waits for these threads to end. Without this pause a run could hang here for good.
        time.sleep(PARTING_SECONDS)


def wait() -> None:
    """Go on once all processes are here."""
    if group := _group():
        group.barrier()


def from_main(value: T) -> T:
    """The main process's value, whatever the others have; it has to be something that can be pickled."""
    group = _group()
    if group is None:
        return value
    told: list[Any] = [value]
    group.broadcast_object_list(told, device=_cpu())
    return told[0]


def totals(numbers: Sequence[float]) -> list[float]:
    """The sums over all processes of each of these numbers (as many in each)."""
    group = _group()
    if group is None:
        return list(numbers)
    import torch

    summed = torch.tensor(numbers, dtype=torch.float64)
    group.all_reduce(summed)
    return summed.tolist()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through this first and alone: what it writes, the others find there."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


def _group() -> Any:
    # Where torch is not imported nobody trains, and pages and commands have no need to wait for it.
    if "torch.distributed" not in sys.modules:
        return None
    import torch.distributed

    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed if there else None
