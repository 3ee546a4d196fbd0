"""The time as this process counts it from its start, which nobody can set."""

from __future__ import annotations

import time


def _counted() -> float:
    """Seconds since the machine was started; those in which it slept are among them, where the system says so."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


_BEGAN = time.time() - _counted()


def now() -> float:
    """This moment in seconds since 1970, as the clock was when the process began: set back or forward since, it would
    make a day's work of a minute's, or old what is of today."""
    return _BEGAN + _counted()
