"""The peak of memory of one trial among many in the same process."""

from __future__ import annotations

import ctypes
import gc
import re
from contextlib import suppress
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def can_be_told(device: str) -> bool:
    """Whether the peak can be begun anew: on a GPU, and on Linux."""
    return device == "cuda" or _FORGET.exists()


def begin(device: str) -> None:
    """Give back what earlier trials left, and begin a new peak."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError, AttributeError):  # another C library, which keeps less
        # A worker keeps freed memory for its next step (`starting.PROCESS_SETTINGS`); the next one does not pay for it.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _FORGET.write_text("5")  # the peak is what is resident now (proc(5))


def gib(device: str) -> float:
    """The peak since `begin`, in GiB: of the device, or resident in the machine's memory."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 2**20
