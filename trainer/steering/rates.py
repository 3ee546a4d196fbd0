"""How fast each part of a model learns over a run: plain arithmetic, for the optimiser and for the plot on the plan.

Layers are counted from the bottom, 0 to `layers` - 1; the embeddings go with the bottom one, the last norm and the
output layer with the top one. Steps are those of the optimiser: step s is the one with s done before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from trainer.method_sections import LoraMethod
from trainer.sections import RunConfig

POINTS = 60  # of a curve, before its corners are added


def schedule(run: RunConfig, total_steps: int) -> Callable[[int], float]:
    """The share of the peak rate at a step: a rising warm-up, then a cosine or a line down to `final_rate_share`.

    Lecture L1.6. The cosine is the same as transformers' `cosine_with_min_lr`: with a warm-up, step 0 has rate 0.
    """
    warmup = math.ceil(total_steps * run.schedule.warmup_share)
    final = run.schedule.final_rate_share

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        left = 0.5 * (1 + math.cos(math.pi * done)) if run.schedule.decay == "cosine" else 1 - done
        return final + (1 - final) * left

    return share


def by_layer(run: RunConfig) -> bool:
    """Whether the layers differ: in their rates, or in when they begin."""
    return run.schedule.layer_rate_ratio > 1 or run.schedule.unfreezing_share > 0


def b_ratio(run: RunConfig) -> float:
    """Rate of LoRA's B over that of A (LoRA+, Hayou et al. 2024); 1 for every other method."""
    return run.method.rate_ratio if isinstance(run.method, LoraMethod) else 1.0


def peak(run: RunConfig, layer: int, layers: int) -> float:
    """Peak rate of a layer: `learning_rate` at the top, and down to 1 / `layer_rate_ratio` of it at the bottom.

    Each layer's is the same multiple of the one below (lecture L1.7; Howard & Ruder 2018 do the same with 2.6).
    """
    from_top = (layers - 1 - layer) / max(1, layers - 1)
    return run.schedule.learning_rate * run.schedule.layer_rate_ratio**-from_top


def unfreezing(run: RunConfig, layer: int, layers: int, total_steps: int) -> int:
    """The first step in which a layer trains: 0 for the top one, then one after another down to the bottom one.

    The bottom one begins after `unfreezing_share` of all steps (lecture L1.7; gradual unfreezing, Howard & Ruder 2018).
    """
    from_top = (layers - 1 - layer) / max(1, layers - 1)
    return round(run.schedule.unfreezing_share * total_steps * from_top)


def curves(run: RunConfig, layers: int, total_steps: int) -> dict[str, list[tuple[int, float]]]:
    """Learning rate over the steps, by who learns at it: (step, rate), with 0 where a layer does not train yet.

    One curve where all weights learn alike; bottom, middle and top layer where layers differ; A and B where LoRA's do.
    """
    who = {"all weights": layers - 1}
    if by_layer(run) and layers > 1:
        who = {"top layer": layers - 1, "middle layer": layers // 2, "bottom layer": 0}
        if layers == 2:
            del who["middle layer"]
    parts = {"": 1.0} if b_ratio(run) == 1 else {"A": 1.0, "B": b_ratio(run)}
    found = {}
    for name, layer in who.items():
        begins = unfreezing(run, layer, layers, total_steps)
        for part, ratio in parts.items():
            label = ", ".join(word for word in (name if len(who) > 1 or not part else "", part) if word)
            found[label] = _curve(run, ratio * peak(run, layer, layers), begins, total_steps)
    return found


def _curve(run: RunConfig, highest: float, begins: int, total_steps: int) -> list[tuple[int, float]]:
    share = schedule(run, total_steps)
    last = max(0, total_steps - 1)
    corners = {begins, max(0, begins - 1), min(last, math.ceil(total_steps * run.schedule.warmup_share))}
    steps = {round(last * point / POINTS) for point in range(POINTS + 1)} | corners
    return [(step, highest * share(step) if step >= begins else 0.0) for step in sorted(steps)]
