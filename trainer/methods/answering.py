"""A model that is being trained answers for a while, as it is or as its base; afterwards it trains on as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def same_gradients(model: Any) -> Iterator[None]:
    """Afterwards the same weights are trained as before: PEFT's switches change that as well."""
    flags = [(one, one.requires_grad) for one in model.parameters()]
    try:
        yield
    finally:
        for one, trained in flags:
            one.requires_grad_(trained)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within it the model is in eval mode; afterwards it is as it was, and the same weights are trained."""
    was_training = model.training
    model.eval()
    try:
        with same_gradients(model):
            yield
    finally:
        model.train(was_training)


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Within it a model with an adapter answers as its base does, without dropout or noise.

    PEFT's `disable_adapter` alone leaves the weights of all but the active adapter, and of none that gradual
    unfreezing holds back, frozen behind it.
    """
    with evaluating(model), model.disable_adapter():
        yield
