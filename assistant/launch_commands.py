"""`bedside launch`: a run over several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from assistant.terminal import BadInput, Json, as_settings, say

On = Literal["slurm", "torchrun", "ray"]


class Launch(BaseModel):
    """A run that waits for its machines, and what starts it there."""

    run: str
    folder: str
    on: On
    machines: int
    processes: int
    """Of each machine."""
    script: str
    start: str
    """What to do with the script, in a sentence."""


def launch(
    file: Annotated[
        Path, typer.Argument(help="Run file (YAML); hardware.machines and hardware.processes say how many.")
    ],
    on: Annotated[
        On, typer.Option(help="slurm: a batch script; torchrun: a command for each machine; ray: a cluster.")
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.field=value, as in the run file; may be repeated.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="torchrun: how the other machines reach the first.")] = None,
    as_json: Json = False,
) -> None:
    """Prepare a run for several machines and print what starts it; all of them have to see Bedside's home."""
    from trainer import config as run_config
    from trainer import runs
    from trainer.launch import ray, slurm, torchrun

    config = run_config.load(file)
    if settings:
        config = run_config.with_values(config, as_settings(settings))
    if host is not None and on != "torchrun":
        raise BadInput(f"--host is for torchrun; {on} finds its machines by itself.")
    run = runs.create(config)
    scripts = {
        "slurm": lambda: slurm.script(config, run.folder),
        "torchrun": lambda: torchrun.script(config, run.folder, host),
        "ray": lambda: ray.script(config, run.folder),
    }
    start = {
        "slurm": "Write it to a file and hand that to sbatch.",
        "torchrun": f"Run it on each of the {config.hardware.machines} machines, the first included.",
        "ray": "Run it once, on a machine of the cluster.",
    }[on]
    if on == "torchrun" and host is None:
        start += f" Put the name of the first machine where {torchrun.HOST} stands, or give --host."
    made = Launch(
        run=run.id,
        folder=str(run.folder),
        on=on,
        machines=config.hardware.machines,
        processes=config.hardware.processes,
        script=scripts[on](),
        start=start,
    )
    if as_json:
        print(made.model_dump_json(indent=1))
        return
    print(made.script, end="")
    say(f"{start} `bedside runs show {run.id}` and the Runs page follow it, and stop it.")
