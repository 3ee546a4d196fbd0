"""What a model is wrapped in where several processes train it, checked in the run itself.

A launcher that starts one process in place of two, or a wrapper that silently becomes another, would train on without a
word, on fewer rows or with all of the model on each device.
"""

from __future__ import annotations

from typing import Any

from trainer.launch import launch
from trainer.launch.launch import LaunchError
from trainer.objectives.answer_loss import bare
from trainer.sections import RunConfig

NAMES = {"ddp": "DistributedDataParallel", "fsdp": "FSDPModule", "zero2": "DeepSpeedEngine", "zero3": "DeepSpeedEngine"}


def check(config: RunConfig, model: Any) -> None:
    """Raises `LaunchError` where not as many processes train, or not in the wrapper, as the run file says."""
    wanted, found = launch.processes(config), launch.size()
    if wanted != found:
        raise LaunchError(
            f"hardware.processes x machines is {wanted}, but {found} processes were started; start them with `bedside "
            "train`, or with the commands that `bedside launch` prints."
        )
    strategy = config.hardware.strategy
    # FSDP2 changes the class of the model itself, within PEFT's.
    names = [kind.__name__ for kind in type(bare(model) if strategy == "fsdp" else model).__mro__]
    if NAMES[strategy] not in names:
        raise LaunchError(
            f"hardware.strategy is {strategy}, but the model was not wrapped in {NAMES[strategy]} (it is a "
            f"{names[0]}); set hardware.strategy to ddp, which works everywhere."
        )
