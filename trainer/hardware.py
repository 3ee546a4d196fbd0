"""This machine's devices, found without importing torch, so that the chat and `bedside doctor` answer at once."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel

from trainer import catalogue

_GIB = 1024**3
# CPU features that multiply bf16 numbers in hardware, as Linux names them.
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


class GpuDevice(BaseModel):
    """A GPU in this machine. `row` is its name in the catalogue, where it is there."""

    name: str
    memory_gib: float
    row: str | None = None

    @property
    def plan_name(self) -> str:
        """How a run file names it: the catalogue's name, else its memory ("24gb")."""
        return self.row or f"{round(self.memory_gib):d}gb"


class Machine(BaseModel):
    """What this machine can train on. Memory is what this process may use, in GiB."""

    cpu_name: str
    cores: int
    memory_gib: float
    cpu_bf16: bool
    gpus: list[GpuDevice] = []

    def describe(self) -> str:
        """One sentence for people: "This machine has 2 cores, 23 GiB of memory and no GPU."; memory rounded down."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"This machine has {cores}, {int(self.memory_gib)} GiB of memory and {self._gpu_words()}."

    def _gpu_words(self) -> str:
        if not self.gpus:
            return "no GPU"
        names = [f"{gpu.name} ({gpu.memory_gib:.0f} GiB)" for gpu in self.gpus]
        if len(set(names)) == 1 and len(names) > 1:
            return f"{len(names)} GPUs, each {names[0]}"
        return ("the GPUs " if len(names) > 1 else "the GPU ") + ", ".join(names)


class Memory(BaseModel):
    """Of a device, in GiB."""

    total_gib: float
    free_gib: float


def memory(device: str) -> Memory | None:
    """A device's memory now: the machine's (`cpu`), or that of a GPU (`cuda-0` and so on, as nvidia-smi numbers them);
    None where it cannot be read.
    """
    if device == "cpu":
        # What the system can take back at once counts as free.
        free = psutil.virtual_memory().available
        if (limit := _container_memory()) < float("inf"):
            free = min(free, limit - _container_use())
        return Memory(total_gib=detect().memory_gib, free_gib=max(0.0, free / _GIB))
    said = _nvidia_smi("--query-gpu=memory.total,memory.free", f"--id={device.removeprefix('cuda-')}").split(",")
    if len(said) != 2 or not all(one.strip().isdigit() for one in said):
        return None
    total, free = (int(one) / 1024 for one in said)
    return Memory(total_gib=total, free_gib=free)


@cache
def detect() -> Machine:
    """Look once at this machine's processor, memory and NVIDIA GPUs; a container's limits count as the machine's."""
    cpuinfo = _text(Path("/proc/cpuinfo"))
    name = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    memory = min(psutil.virtual_memory().total, _container_memory())
    return Machine(
        cpu_name=name[1].strip() if name else platform.processor() or platform.machine(),
        cores=_cores(),
        memory_gib=round(memory / _GIB, 2),
        cpu_bf16=bool(flags and _BF16_FLAGS & set(flags[1].split())),
        gpus=_nvidia_gpus(),
    )


def is_zero_gpu() -> bool:
    """Whether this is a Hugging Face Space that is lent a GPU for single calls, and has none of its own."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def cpu_has_bf16() -> bool:
    """Whether this machine's CPU multiplies in bf16 itself; emulated, bf16 is several times slower than fp32."""
    return detect().cpu_bf16


def parse_nvidia_smi(text: str) -> list[GpuDevice]:
    """GPUs from lines of `nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits` (MiB)."""
    devices = []
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if not name or not memory.strip().isdigit():
            continue
        memory_gib = int(memory) / 1024
        row = catalogue.gpu_of_device(name.strip(), memory_gib)
        devices.append(GpuDevice(name=name.strip(), memory_gib=round(memory_gib, 1), row=row.name if row else None))
    return devices


def _nvidia_gpus() -> list[GpuDevice]:
    # A driver that is installed but broken or stuck cannot train either.
    return parse_nvidia_smi(_nvidia_smi("--query-gpu=name,memory.total"))


def _nvidia_smi(*query: str) -> str:
    """What nvidia-smi answers, in lines of values with commas; empty where it is not there or does not answer."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", *query, "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _text(Path("/sys/fs/cgroup/cpu.max")).strip().partition(" ")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def _container_memory() -> float:
    limit = _text(Path("/sys/fs/cgroup/memory.max")).strip()
    return float(limit) if limit.isdigit() else float("inf")


def _container_use() -> float:
    """Bytes of the container's limit that are in use; pages of files that can be dropped are not."""
    used = _text(Path("/sys/fs/cgroup/memory.current")).strip()
    cached = re.search(r"^inactive_file (\d+)$", _text(Path("/sys/fs/cgroup/memory.stat")), re.MULTILINE)
    return (float(used) if used.isdigit() else 0.0) - (float(cached[1]) if cached else 0.0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
