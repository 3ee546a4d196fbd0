"""A run over several machines of a Ray cluster: `python -m trainer.launch.ray FOLDER` starts a torchrun on each.

Ray finds the machines and gives them out; what trains are the same processes as everywhere else.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from trainer import config as run_config
from trainer import jobs
from trainer.launch import torchrun
from trainer.launch.launch import LaunchError
from trainer.sections import RunConfig

STARTING_SECONDS = 600
"""Longest that the cluster may take to have so many devices free."""


def script(config: RunConfig, folder: Path) -> str:
    """What is run once, on a machine of the cluster."""
    command = [sys.executable, "-m", "trainer.launch.ray", str(folder)]
    return "\n".join([*torchrun.setting(folder), shlex.join(command), ""])


def train(folder: Path, address: str = "auto") -> None:
    """Train the run in `folder` on the cluster at `address`, to its end; its state stands in its folder.

    Raises `LaunchError` where the cluster has too few devices, or where a machine's processes failed.
    """
    import ray
    from ray.exceptions import GetTimeoutError
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    config = run_config.load(folder / "run.yaml")
    hardware = config.hardware
    ray.init(address=address, ignore_reinit_error=True)
    needed = {"GPU" if hardware.device == "cuda" else "CPU": float(hardware.processes)}
    places = placement_group([needed] * hardware.machines, strategy="SPREAD")
    try:
        try:
            ray.get(places.ready(), timeout=STARTING_SECONDS)
        except GetTimeoutError:
            raise LaunchError(
                f"The Ray cluster has not {hardware.machines} x {hardware.processes} free devices; start more workers, "
                "or lower hardware.machines or hardware.processes."
            ) from None

        def on(number: int, function: Any) -> Any:
            place = PlacementGroupSchedulingStrategy(places, placement_group_bundle_index=number)
            devices = {f"num_{kind.lower()}s": count for kind, count in needed.items()}
            return ray.remote(function).options(scheduling_strategy=place, max_retries=0, **devices)

        endpoint: Any = ray.get(on(0, _endpoint).remote())
        machines = []
        for number in range(hardware.machines):
            command = torchrun.arguments(config, folder, folder.name, endpoint, first=number == 0)
            machines.append(on(number, _run).remote(command, folder, str(run_config.home()), str(jobs.CODE_ROOT)))
        codes: Any = ray.get(machines)
    finally:
        remove_placement_group(places)
    # A run that was stopped, or whose main process said why it failed, ends with other codes than 0 as well.
    if any(codes) and jobs.read_state(folder).state in jobs.ACTIVE:
        raise LaunchError(
            f"The processes of a machine ended with status {max(codes)} and without a word; log.txt may say more. What "
            "was started goes on from the last checkpoint when it is started again."
        )


def _endpoint() -> str:
    """An address and a free port of this machine."""
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"


def _run(command: list[str], folder: Path, home: str, code: str) -> int:
    """The processes of this machine, which write to the run's log."""
    with (folder / "log.txt").open("a") as log:
        environment = os.environ | {"BEDSIDE_HOME": home}
        return subprocess.run(command, cwd=code, env=environment, stdout=log, stderr=log).returncode


if __name__ == "__main__":
    try:
        train(Path(sys.argv[1]))
    except LaunchError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
