"""When each level of the curriculum begins, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trainer import events
from trainer.jobs import RunState
from trainer.reporting import Reporter
from trainer.steering.curriculum import Curriculum
from trainer.steering.order import SteeredOrder

LEVELS = ["facts", "concepts", "reasoning", "judgement"]
NOTHING: Any = None


def levels(count: int) -> SteeredOrder:
    """Forty rows of `count` levels."""
    of_each = [row % count for row in range(40)]
    return SteeredOrder([10] * 40, 4, 17, [False] * 40, of_each, [0] * 40, share=0.0, carry_over=0.2)


def reporter(folder: Path) -> Reporter:
    return Reporter(folder, RunState.model_construct(step=0))


def told(folder: Path, kind: type[events.Event]) -> list[Any]:
    return [event for event in events.read(folder / "events.jsonl") if isinstance(event, kind)]


def at(step: int, steps: int) -> Any:
    return SimpleNamespace(global_step=step, max_steps=steps)


def test_levels_that_no_row_has_take_no_steps(tmp_path: Path):
    order = levels(2)
    curriculum = Curriculum("steps", 0.001, ["facts", "judgement"], order, reporter(tmp_path))
    for step in range(1, 11):
        curriculum.on_step_end(NOTHING, at(step, 10), NOTHING)
        assert order.level == (step >= 5)
    alone = Curriculum("steps", 0.001, ["facts"], levels(1), reporter(tmp_path))
    alone.on_train_begin(NOTHING, at(0, 10), NOTHING)
    alone.on_step_end(NOTHING, at(9, 10), NOTHING)
    (warning,) = told(tmp_path, events.WarningEvent)
    assert "all rows that have a level are facts" in warning.message


def test_every_level_begins_in_time_where_the_loss_falls_on(tmp_path: Path):
    order = levels(4)
    curriculum = Curriculum("plateau", 0.01, LEVELS, order, reporter(tmp_path))
    losses = {0: 2.0, 10: 1.9, 20: 1.895, 30: 1.8, 40: 1.6, 50: 1.5, 60: 1.4}
    begun = {}
    for step in range(101):
        if step:
            curriculum.on_step_end(NOTHING, at(step, 100), NOTHING)
        if step in losses:
            curriculum.on_evaluate(NOTHING, at(step, 100), NOTHING, {"eval_loss": losses[step]})
        begun[step] = order.level
    assert [step for step in range(1, 101) if begun[step] != begun[step - 1]] == [27, 54, 80]
    assert "begins at the latest" in told(tmp_path, events.CurriculumEvent)[0].reason


def test_a_gain_keeps_a_level_and_two_measurements_without_one_end_it(tmp_path: Path):
    order = levels(3)
    curriculum = Curriculum("plateau", 0.01, LEVELS[:3], order, reporter(tmp_path))
    found = []
    for step, loss in enumerate([2.0, 1.995, 1.98, 1.975, 1.972, 1.97, 1.968], 1):
        curriculum.on_evaluate(NOTHING, at(step, 100), NOTHING, {"eval_loss": loss})
        found.append(order.level)
    assert found == [0, 0, 0, 0, 1, 1, 2], "1.98 is a gain over 2.0; then twice none over it, and twice over 1.972"
    first, second = told(tmp_path, events.CurriculumEvent)
    assert first.reason == "The validation loss (1.972) did not fall by 0.01 below 1.980 in 2 measurements."
    assert second.reason == "The validation loss (1.968) did not fall by 0.01 below 1.972 in 2 measurements."
