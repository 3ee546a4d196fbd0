"""Hugging Face's ZeroGPU, where a Space is lent a GPU for the length of a call.

The call runs in another process, which Hugging Face's `spaces` package makes (it is there on such a Space, and nowhere
else): what goes in and comes out is pickled, and models that the app has loaded are not there. So the call names the
models, and loads them itself. Untested on a real one; a stand-in for `spaces` is used in the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from trainer import hardware

SECONDS = 120
"""Longest that a GPU is borrowed for one answer, models loaded; an answer that takes longer is cut off there."""
DEVICE = "cuda"
C = TypeVar("C", bound=Callable[..., Any])


def borrows_gpu(work: C) -> C:
    """Let each call of this generator have a GPU on a ZeroGPU Space; elsewhere it is as it was."""
    if not hardware.is_zero_gpu():
        return work
    import spaces  # pyright: ignore[reportMissingImports]

    return spaces.GPU(duration=SECONDS)(work)
