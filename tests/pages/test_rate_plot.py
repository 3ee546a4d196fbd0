"""The plot of the rates on the plan: who learns at which rate, and when each begins."""

from __future__ import annotations

import re

from assistant.pages.rate_plot import rate_plot
from trainer.sections import RunConfig


def a_run(method: dict | None = None, **schedule: float) -> RunConfig:
    return RunConfig.model_validate({"method": {"kind": "lora", **(method or {})}, "schedule": schedule})


def names(page: str) -> list[str]:
    return re.findall(r"</i>([^<]+)</span>", page)


def test_one_curve_where_all_learn_alike() -> None:
    page = rate_plot(a_run(learning_rate=2e-4), layers=30, steps=214)
    assert names(page) == ["all weights, up to 0.0002"]
    assert "in units of 0.0001" in page and "step 214" in page
    assert "The rate rises for 11 steps, then falls as a cosine to 10% of its peak (lecture L1.6)." in page


def test_layers_and_factors_have_curves_of_their_own() -> None:
    page = rate_plot(a_run({"rate_ratio": 16}, layer_rate_ratio=10, unfreezing_share=0.5, warmup_share=0), 30, 214)
    assert len(names(page)) == 6 and names(page)[1] == "top layer, B, up to 0.0032"
    assert page.count("<polyline") == 6
    assert "top layer learns 10 times as fast" in page and "B learns 16 times as fast as A" in page
    assert "the bottom one after 107 steps" in page and "rises" not in page


def test_unknown_steps_are_told_in_percent() -> None:
    page = rate_plot(a_run(unfreezing_share=0.5), layers=None, steps=None)
    assert "% of the steps: 100" in page
    assert "rises for 5% of the steps" in page and "the bottom one after 50% of the steps" in page
    assert rate_plot(a_run(), layers=1, steps=1), "a run of one step has a plot as well"
