"""One of the processes that train a run together: `python -m trainer.launch.rank FOLDER`, started by torchrun.

`trainer.launch.supervise` starts those of one machine; over several machines the commands do that `bedside launch`
prints. Arguments behind the folder are settings of the run file that differ for now (schedule.batch_size=2).
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record

from trainer import config as run_config
from trainer import jobs
from trainer.launch import launch
from trainer.launch.launch import LaunchError
from trainer.sections import RunConfig

LOOK_SECONDS = 1.0  # between two looks whether the process that started this one still lives
ENDED_EARLY = 3
"""Exit status of a main process that has said why it ends; the others, which wait for it, are then ended too."""
ANOTHER_IS_GONE = (
    "Another process of this run ended, on this machine or another one; its output says why. Resume goes on from the "
    "last checkpoint."
)


@record
def main(folder: Path, settings: list[str]) -> None:
    """Train with the others. What goes wrong the main process tells, where it is not that another one is gone."""
    from trainer import engine, worker
    from trainer.reporting import Mute, Reporter, StopRequested

    parent = os.getppid()
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    jobs.set_environment()
    status = jobs.read_state(folder)
    supervised = status.pid == parent
    config = run_config.load(folder / "run.yaml")
    config = run_config.with_values(config, dict(one.split("=", 1) for one in settings))
    _share_cores(config)
    launch.begin(config.hardware.device)
    worker.keep_what_was_loaded()
    if not launch.is_main():
        with suppress(StopRequested):
            engine.train(config, Mute(folder, status))
        return
    with ExitStack() as held:
        if not supervised:
            held.enter_context(_life(folder))
            status.pid, status.error = os.getpid(), None
            (folder / jobs.STOP).unlink(missing_ok=True)
        reporter = Reporter(folder, status)

        def train() -> None:
            try:
                engine.train(config, reporter)
            except Exception as error:
                if _another_is_gone(error) and not supervised:
                    raise LaunchError(ANOTHER_IS_GONE) from error
                raise

        # Without a word of its own: the supervisor knows of all processes, and which ended first.
        worker.told(reporter, train, lambda error: supervised and (_another_is_gone(error) or _is_memory(error)))
        if status.state != "done":
            raise SystemExit(ENDED_EARLY)


def _is_memory(error: Exception) -> bool:
    from trainer import preflight

    return preflight.is_out_of_memory(error)


def _another_is_gone(error: Exception) -> bool:
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo" in str(error).lower() or "nccl" in str(error).lower()


def _life(folder: Path) -> ExitStack:
    """Hold the job's lock, as `starting.go` does for one that it starts; raises `LaunchError` where another has it."""
    stack = ExitStack()
    life = stack.enter_context((folder / jobs.LIFE_LOCK).open("a"))
    try:
        fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LaunchError(f"Run {folder.name} is being trained already; stop it first (`bedside runs stop`).") from None
    return stack


def _share_cores(config: RunConfig) -> None:
    """On CPUs, as many threads as each process of this machine has cores; OMP_NUM_THREADS says otherwise."""
    import torch

    from trainer import hardware

    if config.hardware.device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, hardware.detect().cores // int(os.environ["LOCAL_WORLD_SIZE"])))


def _end_with(parent: int) -> None:
    # Killed (kill -9), a supervisor cannot end its processes; two sets of them would write to one run.
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
