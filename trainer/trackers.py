"""Where a run's curves are kept besides its events: TensorBoard always, W&B and trackio by choice, all in its folder.

Numbers and the run file only. Rows, answers and sample questions may hold what patients said, and a tracker's files
are made to be passed on, so none of their text ever goes there. Nothing is sent: `wandb sync` and trackio's own
commands are for whoever decides to.

To look: `tensorboard --logdir RUN/tensorboard`; `TRACKIO_DIR=RUN/trackio trackio show --project bedside`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from trainer.errors import UserError
from trainer.sections import RunConfig

PROJECT = "bedside"
_SENDS = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID", "TRACKIO_WEBHOOK_URL")
"""Settings by which trackio would send what it is told."""


class TrackerError(UserError):
    """A tracker cannot be used; the text names the field and the way out."""


def faults(run: RunConfig) -> list[str]:
    """A sentence for each tracker that the run names and that is not installed."""
    return [
        f"output.trackers: {name} is not installed; pip install {name} (or the extra bedside[trackers]), or take it "
        "off the list: the curves are in the run folder for TensorBoard all the same."
        for name in run.output.trackers
        if find_spec(name) is None
    ]


class Trackers:
    """Writes the curves of the run in `folder`; use one at a time in a process, and `close` it.

    `first_step` is the step that a run goes on from: TensorBoard then hides what an earlier process told of later
    ones. W&B has a run for each process, in one group; trackio goes on with the run that it has.
    Raises `TrackerError` where one that is named is not installed.
    """

    def __init__(self, folder: Path, run: RunConfig, first_step: int = 0):
        if missing := faults(run):
            raise TrackerError(" ".join(missing))
        from torch.utils.tensorboard.writer import SummaryWriter

        config = run.model_dump(mode="json", exclude={"evaluation": {"sample_prompts"}})
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1, flush_secs=10)
        self._board.add_text("run file", f"```yaml\n{yaml.safe_dump(config, sort_keys=False)}\n```", first_step + 1)
        self._wandb = _wandb(folder, config) if "wandb" in run.output.trackers else None
        self._trackio = _trackio(folder, config) if "trackio" in run.output.trackers else None

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Note numbers at a step of the optimiser. Raises `TypeError` for anything else, text above all."""
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} at step {step}: trackers are told numbers only, not {type(value).__name__}.")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb:
            # As a value of its own: W&B's own step only goes up, and a run that goes back takes some again.
            self._wandb.log({**values, "step": step})
        if self._trackio:
            self._trackio.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is still held back."""
        self._board.close()
        for one in (self._wandb, self._trackio):
            if one:
                one.finish()


def _wandb(folder: Path, config: dict[str, Any]) -> Any:
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # else crashes of wandb itself are reported to its makers
    os.environ["WANDB_CACHE_DIR"] = str(folder / "wandb" / "cache")
    import wandb

    settings = wandb.Settings(
        console="off",  # what is printed may quote rows
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_meta=True,  # the machine's name and the user's
        x_disable_stats=True,
        x_save_requirements=False,
    )
    found = wandb.init(
        project=PROJECT, group=folder.name, dir=str(folder), config=config, mode="offline", settings=settings
    )
    found.define_metric("*", step_metric="step")
    return found


def _trackio(folder: Path, config: dict[str, Any]) -> Any:
    for name in _SENDS:
        os.environ.pop(name, None)
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")  # read once, when it is imported
    import trackio
    from trackio.utils import TRACKIO_DIR

    if folder / "trackio" != TRACKIO_DIR:
        raise TrackerError(f"output.trackers: trackio already writes to {TRACKIO_DIR} in this process; start another.")
    with _offline():
        return trackio.init(
            PROJECT,
            name=folder.name,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )


@contextmanager
def _offline() -> Iterator[None]:
    # trackio asks the Hub for the name of whoever is logged in.
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
