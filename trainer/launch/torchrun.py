"""A run over several machines by torchrun: the same command on each of them, which meet at the first."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from trainer import config as run_config
from trainer import jobs
from trainer.sections import RunConfig

PORT = 29500
STARTING_SECONDS = 600
"""Longest that a machine waits for the first one to be there."""
HOST = "FIRST_MACHINE"
"""Stands where the name or address of the first machine goes, as long as nobody said it."""


def arguments(
    config: RunConfig, folder: Path, rendezvous_id: str, endpoint: str, first: bool | None = None
) -> list[str]:
    """The command of one machine. `endpoint` is host:port of the first, which all have to reach; `first` says whether
    this is it, where torchrun is not to find that out by the name.

    None is started a second time: a run goes on from its last checkpoint, and who resumes it sees why it ended.
    """
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nnodes={config.hardware.machines}",
        f"--nproc-per-node={config.hardware.processes}",
        f"--rdzv-id={rendezvous_id}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={endpoint}",
        f"--rdzv-conf=read_timeout={STARTING_SECONDS}"
        + (f",is_host={str(first).lower()}" if first is not None else ""),
        "--max-restarts=0",
        "-m",
        "trainer.launch.rank",
        str(folder),
    ]


def script(config: RunConfig, folder: Path, host: str | None = None) -> str:
    """What is run on each machine, the first included; `host` is how the others reach the first."""
    command = arguments(config, folder, folder.name, f"{host or HOST}:{PORT}")
    return "\n".join([*setting(folder), shlex.join(command), ""])


def setting(folder: Path) -> list[str]:
    """Lines before the command: the run folder, which all machines have to see under this path, and the code."""
    return [
        f"# On storage that all machines see under this path: {folder}",
        f"export BEDSIDE_HOME={shlex.quote(str(run_config.home()))}",
        f"cd {shlex.quote(str(jobs.CODE_ROOT))}",
    ]
