"""Which weights of the base general rows depend on: the Fisher information's diagonal (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from trainer.data.records import DataError
from trainer.data.sources import Progress
from trainer.methods import MethodError
from trainer.methods.answering import evaluating, untouched
from trainer.steering.weight_changes import Change

if TYPE_CHECKING:
    from datasets import Dataset

ROWS = 64
"""General rows that it is taken on; each costs about twice its step in training."""
_SCALE = 2.0**10  # of the loss: an fp16 model's gradients would otherwise be rounded to zero; exact in every format


def fisher_information(
    model: Any, moved: Sequence[Change], rows: Sequence[Mapping[str, Any]], progress: Progress
) -> dict[str, torch.Tensor]:
    """Diagonal of the empirical Fisher information of the base's weights, fp32, by the names of their changes.

    The mean over the rows of the squared gradient of a row's mean loss; rows have `input_ids` and `labels`, and the
    labels are the rows' own. A frozen linear layer's gradient is made from what goes in and what comes back, so that
    4-bit weights have one too. Memory: 4 bytes for each weight. Raises `MethodError` for an adapter on embeddings.
    """
    totals: dict[str, torch.Tensor] = {}

    def add(name: str, gradient: torch.Tensor) -> None:
        squared = (gradient.float() / _SCALE).square() / len(rows)
        totals[name] = squared if name not in totals else totals[name].add_(squared)

    # Two adapters may change the same weight; it has one gradient.
    weights = {change.name: change for change in moved}
    parameters = {name: one.parameter for name, one in weights.items() if one.parameter is not None}
    device = model.get_input_embeddings().weight.device
    with ExitStack() as stack:
        # With its adapter off a PiSSA model is not the base; with the untrained adapter on it is.
        adapter = isinstance(model, PeftModel) and not hasattr(model, "pissa_start")
        stack.enter_context(untouched(model) if adapter else evaluating(model))
        for one in parameters.values():
            one.requires_grad_(True)
        for name, one in weights.items():
            if one.parameter is None:
                stack.enter_context(_weight_gradients(one, lambda gradient, name=name: add(name, gradient)))
        embedded = stack.enter_context(_embedded(model))
        for done, row in enumerate(rows):
            progress("measuring what general rows depend on", done, len(rows))
            tokens = torch.tensor([list(row["input_ids"])], device=device)
            labels = torch.tensor([list(row["labels"])], device=device)
            loss = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=labels, use_cache=False).loss
            wanted = list(parameters.values()) or [embedded[-1]]
            found = torch.autograd.grad(loss * _SCALE, wanted, allow_unused=True)
            for name, gradient in zip(parameters, found, strict=False):
                if gradient is not None:
                    add(name, gradient)
    return totals


def general_rows(sets: Sequence[Dataset], seed: int) -> list[Mapping[str, Any]]:
    """At most `ROWS` of the general rows in these sets of tokenised rows, drawn with the seed; `DataError` if none."""
    general = [(one, int(row)) for one in sets for row in np.flatnonzero(np.array(one["general"][:], bool))]
    if not general:
        raise DataError(
            "steering.ewc: its Fisher information is taken on general rows, and there are none; name some in "
            "data.general_sources, or use steering.l2_sp."
        )
    drawn = np.random.default_rng(seed).permutation(len(general))[:ROWS]
    return [general[place][0][general[place][1]] for place in sorted(drawn.tolist())]


def save(information: Mapping[str, torch.Tensor], path: Path) -> None:
    """Keep it in bf16, divided by its mean over all weights; raises `DataError` where it says nothing."""
    total = sum(float(one.sum()) for one in information.values())
    mean = total / max(1, sum(one.numel() for one in information.values()))
    if not 0 < mean < float("inf"):
        raise DataError(
            "steering.ewc: the general rows' gradients are zero or not numbers, so that they say nothing of the "
            "weights; use steering.l2_sp."
        )
    partial = path.with_suffix(".part")
    # bf16: an estimate from some rows is not more exact than its three digits, and it is as large as the base.
    save_file({name: (one / mean).to(torch.bfloat16).cpu().contiguous() for name, one in information.items()}, partial)
    partial.rename(path)


def read(path: Path, moved: Sequence[Change]) -> dict[str, torch.Tensor]:
    """What `save` kept, each where its weight is; raises `DataError` where it is of other weights."""
    found = load_file(path)
    information = {}
    for change in moved:
        place = change.parameter if change.parameter is not None else next(change.layer.parameters())
        if change.name in found:
            information[change.name] = found[change.name].to(place.device)
    if not information:
        raise DataError(f"{path}: holds the Fisher information of other weights; remove it, and it is measured again.")
    return information


@contextmanager
def _embedded(model: Any) -> Iterator[list[torch.Tensor]]:
    """The embeddings that the last pass read; gradients go back to there, also where every weight is frozen."""
    last: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        last[:] = [output if output.requires_grad else output.detach().requires_grad_(True)]
        return last[0]

    hook = model.get_input_embeddings().register_forward_hook(keep)
    try:
        yield last
    finally:
        hook.remove()


@contextmanager
def _weight_gradients(change: Change, hear: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Tells a frozen linear layer's gradient, (out, in), in each backward pass: what comes back times what went in."""
    if not hasattr(change.layer, "in_features") and not hasattr(change.layer, "nf"):
        raise MethodError(
            f"method.target_modules: steering.ewc can weigh linear layers, and {change.name} is none; leave it out, "
            "or use steering.l2_sp."
        )

    def watch(module: Any, arguments: Any, output: torch.Tensor) -> None:
        given = arguments[0].detach().flatten(0, -2)

        def multiply(back: torch.Tensor) -> None:
            gradient = back.flatten(0, -2).float().T @ given.float()
            # GPT-2's layers keep their weights as (in, out).
            hear(gradient.T if hasattr(module, "nf") else gradient)

        output.register_hook(multiply)

    hook = change.layer.register_forward_hook(watch)
    try:
        yield
    finally:
        hook.remove()
