"""How fast each part of the model will learn, step by step: the plot on the plan."""

from __future__ import annotations

import math
from html import escape

from assistant.pages.line_chart import line_chart
from trainer.sections import RunConfig
from trainer.steering import rates

_LAYERS = 30  # where the model's are not known: the shape of the curves is the same
_STEPS = 1000  # where the run's are not known, and the plot goes by percent of them


def rate_plot(config: RunConfig, layers: int | None, steps: int | None) -> str:
    """A card with a curve for each part that has a rate of its own, and what makes it so.

    `layers` are the model's, `steps` the whole run's; None where they are not known.
    """
    total = steps or _STEPS
    curves = rates.curves(config, layers or _LAYERS, total)
    highest = max(rate for curve in curves.values() for _, rate in curve) or config.schedule.learning_rate
    unit = 10 ** math.floor(math.log10(highest))  # so that the axis has short numbers, which a telephone has room for
    across = 1 if steps else 100 / total
    shown = {
        f"{name}, up to {max(rate for _, rate in curve):.2g}": [
            ((step + 1) * across, rate / unit) for step, rate in curve
        ]
        for name, curve in curves.items()
    }
    x = "step" if steps else "% of the steps:"
    chart = line_chart(shown, x, f"learning rate, in units of {unit:g}", top=highest / unit)
    told = escape(" ".join(_sentences(config, steps)))
    return f'<div class="bs-card" id="plan-rates"><h3>Rates</h3>{chart}<p class="bs-soft">{told}</p></div>'


def _sentences(config: RunConfig, steps: int | None) -> list[str]:
    def after(share: float, count: int) -> str:
        return f"{count:,} steps" if steps else f"{share:.0%} of the steps"

    schedule = config.schedule
    how = "as a cosine" if schedule.decay == "cosine" else "evenly"
    warmup, begins = math.ceil(schedule.warmup_share * (steps or 0)), rates.unfreezing(config, 0, 2, steps or 0)
    rises = f"rises for {after(schedule.warmup_share, warmup)}, then " if schedule.warmup_share else ""
    found = [f"The rate {rises}falls {how} to {schedule.final_rate_share:.0%} of its peak (lecture L1.6)."]
    if schedule.layer_rate_ratio > 1:
        found.append(f"The top layer learns {schedule.layer_rate_ratio:g} times as fast as the bottom one (L1.7).")
    if schedule.unfreezing_share > 0:
        later = after(schedule.unfreezing_share, begins)
        found.append(f"The top layer trains at once, the bottom one after {later} (L1.7).")
    if rates.b_ratio(config) > 1:
        found.append(f"B learns {rates.b_ratio(config):g} times as fast as A (LoRA+).")
    return found
