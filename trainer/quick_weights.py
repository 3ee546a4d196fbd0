"""Where a model that answers on a CPU may have its weights a second time (`evaluators.quick_decoding`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer import room

if TYPE_CHECKING:
    from evaluators.quick_decoding import QuickWeights


def quick_weights(model: Any) -> QuickWeights | None:
    """A copy of its weights that answers sooner on a CPU, where the model is of a kind that is known and half of the
    memory to spare holds it."""
    if model.device.type != "cpu":
        return None
    from evaluators import quick_decoding

    return quick_decoding.prepare(model, int(room.spare_gib("cpu") * 2**30 / 2))
