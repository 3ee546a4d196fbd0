"""What a run was computed with: packages, code, processor and threads; kept in its folder, and compared later."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel

from trainer import hardware
from trainer.atomic import write_atomically
from trainer.run_differences import ABSENT, Different

FILE = "environment.json"  # in a run folder
_OWN = "bedside"
_CODE = Path(__file__).resolve().parent.parent
_PARTS = ("trainer", "evaluators")  # what the numbers of a run follow from
_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES")


class Environment(BaseModel):
    """Everything besides data and run file that a run's numbers may depend on."""

    python: str
    system: str
    cpu: str
    cores: int
    memory_gib: float
    gpus: list[str]
    threads: int
    """That torch computes with."""
    blas: str
    """Which library multiplies matrices, and which of the processor's instructions it uses."""
    settings: dict[str, str] = {}
    """Environment variables that change what is computed, where they are set."""
    code_sha256: str
    """Of Bedside's own code below the pages."""
    packages: dict[str, str]
    """Installed versions of what Bedside needs, and of what that needs."""


def here() -> Environment:
    """This process's environment. Imports torch; reads Bedside's code and the packages' metadata (about 0.3 s)."""
    import torch

    machine = hardware.detect()
    libraries = [name for name in ("mkl", "mkldnn", "openmp") if getattr(torch.backends, name).is_available()]
    return Environment(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=machine.cpu_name,
        cores=machine.cores,
        memory_gib=machine.memory_gib,
        gpus=[f"{gpu.name} ({gpu.memory_gib:g} GiB)" for gpu in machine.gpus],
        threads=torch.get_num_threads(),
        blas=f"{', '.join(libraries) or 'none known'}; {torch.backends.cpu.get_cpu_capability()}",
        settings={name: os.environ[name] for name in _SETTINGS if name in os.environ},
        code_sha256=_code_hash(),
        packages=_packages(),
    )


def record(folder: Path, warn: Callable[[str], None]) -> None:
    """Keep this environment in a run folder; where it began in another one, say what differs."""
    now, before = here(), of(folder)
    if before is None:
        write_atomically(folder / FILE, now.model_dump_json(indent=1))
    elif found := differences(before, now):
        named = "; ".join(f"{one.field} {one.second} instead of {one.first}" for one in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        warn(f"The run goes on in another environment than it began in: {named}{more}.")


def of(folder: Path) -> Environment | None:
    """What a run recorded; None for one of an earlier Bedside, or whose file is damaged."""
    try:
        return Environment.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def differences(first: Environment, second: Environment) -> list[Different]:
    """Everything in which two environments differ, each with both values."""
    before, after = _flat(first), _flat(second)
    return [
        Different(field=name, first=before.get(name, ABSENT), second=after.get(name, ABSENT))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def _flat(found: Environment) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in found.model_dump().items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": str(one) for key, one in value.items()}
        else:
            flat[name] = ", ".join(value) if isinstance(value, list) else str(value)
    return flat


@cache
def _packages() -> dict[str, str]:
    """Every package that Bedside needs in turn; all that are installed where Bedside itself is not."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    wanted = [_OWN]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        try:
            one = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = one.version
        needs = map(Requirement, one.requires or [])
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    if not found:
        found = {canonicalize_name(one.name): one.version for one in metadata.distributions()}
    return dict(sorted(found.items()))


@cache
def _code_hash() -> str:
    digest = hashlib.sha256()
    for part in _PARTS:
        for path in sorted((_CODE / part).rglob("*")):
            if path.suffix in (".py", ".yaml", ".jinja"):
                digest.update(f"{path.relative_to(_CODE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
