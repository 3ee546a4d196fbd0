"""How the share of general rows moves with the validation losses."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.steering.dynamic_mixing import DynamicMixing
from trainer.steering.order import SteeredOrder

NOTHING: Any = None


@pytest.mark.parametrize(
    ("losses", "shares"),
    [
        pytest.param(
            [(2, 3), (1.9, 3), (1.8, 3.04), (1.7, 3), (1.6, 3), (1.5, 3)], [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], id="down"
        ),
        pytest.param([(2, 3), (1.9, 3), (1.8, 3.06), (1.7, 3.2), (1.6, 3)], [0.5, 0.4, 0.5, 0.5, 0.4], id="up again"),
        pytest.param([(2, 3), (1.9, 3), (1.96, 3), (1.94, 3)], [0.5, 0.4, 0.4, 0.3], id="own rises: it waits"),
        pytest.param([(2, None), (1.9, None), (1.8, None)], [0.5, 0.4, 0.3], id="nothing to measure on"),
    ],
)
def test_the_share_of_general_rows_follows_both_losses(losses: list[tuple[float, float | None]], shares: list[float]):
    general = [row >= 20 for row in range(40)]
    order = SteeredOrder([10] * 40, 4, 17, general, [0] * 40, [0] * 40, share=0.5, carry_over=0.2)
    mixing = DynamicMixing(0.1, order)
    found = []
    for own, general in losses:
        metrics = {"eval_loss": own, **({} if general is None else {"eval_general_loss": general})}
        mixing.on_evaluate(NOTHING, NOTHING, NOTHING, metrics)
        found.append(order.share)
    assert found == shares


def test_with_few_general_rows_it_begins_with_what_there_are():
    general = [row >= 30 for row in range(40)]
    order = SteeredOrder([10] * 40, 4, 17, general, [0] * 40, [0] * 40, share=0.25, carry_over=0.2)
    mixing = DynamicMixing(0.4, order)
    for general_loss in (3, 3, 3.1, 3):
        mixing.on_evaluate(NOTHING, NOTHING, NOTHING, {"eval_loss": 2, "eval_general_loss": general_loss})
        assert order.share == 0.25
