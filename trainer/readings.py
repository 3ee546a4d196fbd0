"""What the machine's sensors say while a run trains: memory, temperature, power and use of the device."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from trainer.events import ReadingEvent

_GIB = 2**30
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
"""What Linux calls a CPU's sensors (Intel, AMD, AMD, ARM boards, ACPI), the best first."""
_RAPL = Path("/sys/class/powercap")
"""Where Linux counts the energy of Intel's and AMD's processors; most systems let the administrator alone read it."""
_counted: dict[Path, tuple[float, int]] = {}
"""Seconds and microjoules at the last reading of each processor."""


def read(device: str) -> ReadingEvent:
    """One reading of the device (`cpu` or `cuda`), by NVML for a GPU; a value that cannot be read is None.

    Takes a few milliseconds and never raises. GPU memory is what all processes have there together. A CPU's power
    (RAPL) is the mean since the reading before. A GPU without NVML, and a container or macOS, which hide the CPU's
    sensors, have the process's own memory (RSS) alone.
    """
    reading = ReadingEvent(process_gib=psutil.Process().memory_info().rss / _GIB)
    if device != "cuda":
        reading.temperature_c, reading.power_w = _cpu_temperature(), _cpu_power()
        return reading
    handle = _gpu()
    if handle is None:
        return reading
    import pynvml

    memory = _asked(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    use = _asked(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    milliwatts = _asked(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
    if memory is not None:
        reading.gpu_gib, reading.gpu_limit_gib = memory.used / _GIB, memory.total / _GIB
    reading.gpu_use = None if use is None else use.gpu / 100
    reading.power_w = None if milliwatts is None else milliwatts / 1000
    reading.temperature_c = _asked(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    return reading


@functools.cache
def _gpu() -> Any:
    """NVML's handle of the GPU that torch uses: by its UUID, because CUDA_VISIBLE_DEVICES renumbers torch's alone."""
    try:
        import pynvml
        import torch

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    except Exception:  # a part of the driver or of CUDA is missing, each of which says so in its own way
        return None


def _asked(question: Callable[[], Any]) -> Any:
    """What NVML answers; None where this card cannot say (many cannot tell their power)."""
    import pynvml

    try:
        return question()
    except pynvml.NVMLError:
        return None


def _cpu_temperature() -> float | None:
    """The hottest of the CPU's sensors, in °C."""
    sensors = getattr(psutil, "sensors_temperatures", dict)()  # Linux and FreeBSD have it
    found = next((sensors[name] for name in _CPU_SENSORS if sensors.get(name)), [])
    return max((one.current for one in found), default=None)


def _cpu_power() -> float | None:
    """Watts of all processors of the machine since the last reading; None at the first, and where one is not read."""
    watts = []
    for package in sorted(_RAPL.glob("intel-rapl:?")):  # AMD's stand under the same name
        try:
            counted = int((package / "energy_uj").read_text())
            largest = int((package / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            return None
        now, before = time.monotonic(), _counted.get(package)
        _counted[package] = (now, counted)
        if before is not None and now > before[0]:
            # The counter begins at 0 again when it is full.
            used = counted - before[1] + (largest if counted < before[1] else 0)
            watts.append(used / 1e6 / (now - before[0]))
    return sum(watts) if watts else None
