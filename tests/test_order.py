"""The order of the rows: by length, level, group and share, as decided, and the same after a resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import skip_first_batches
from accelerate.data_loader import prepare_data_loader

from trainer import events
from trainer.data.tokenised import Prepared
from trainer.jobs import RunState
from trainer.reporting import Reporter
from trainer.sections import RunConfig
from trainer.steering.curriculum import Curriculum
from trainer.steering.dynamic_mixing import DynamicMixing
from trainer.steering.order import SimilarLengths, SteeredOrder, build, dealt_levels
from trainer.steering.rows_seen import RowsSeen

SIZE = 4
LEVELS = ["facts", "concepts", "reasoning", "judgement"]
NOTHING: Any = None


def steered(
    own: list[tuple[int, int]], general: list[int] | None = None, share: float = 0.0, carry: float = 0.2
) -> SteeredOrder:
    """Own rows as (level, group), then general rows by their group."""
    mixed_in = general or []
    lengths = [10 + row * 7 % 50 for row in range(len(own) + len(mixed_in))]
    levels = [level for level, _ in own] + [-1] * len(mixed_in)
    groups = [group for _, group in own] + mixed_in
    flags = [False] * len(own) + [True] * len(mixed_in)
    return SteeredOrder(lengths, SIZE, 17, flags, levels, groups, share, carry)


def batches(order: Any) -> list[list[int]]:
    rows = list(order)
    return [rows[start : start + SIZE] for start in range(0, len(rows), SIZE)]


def train(
    order: Any,
    epochs: int,
    accumulation: int = 1,
    each_step: Callable[[int, list[list[int]]], None] = lambda step, taken: None,
    done: int = 0,
) -> Iterator[list[list[int]]]:
    """The batches of each step as transformers takes them, from step `done` on; `each_step` hears of its end."""
    loader: Any = prepare_data_loader(
        torch.utils.data.DataLoader(range(len(order)), batch_size=SIZE, sampler=order),  # pyright: ignore
        put_on_device=False,
    )
    batch_count = len(loader)
    steps = -(-batch_count // accumulation)
    for epoch in range(done // steps, epochs):
        first = done - epoch * steps if epoch == done // steps else 0
        one: Any = skip_first_batches(loader, first * accumulation) if first else loader
        one.set_epoch(epoch)
        source = iter(one)
        for step in range(first, steps):
            taken = [batch.tolist() for _ in range(accumulation) if (batch := next(source, None)) is not None]
            each_step(epoch * steps + step + 1, taken)
            yield taken


def reporter(folder: Path) -> Reporter:
    return Reporter(folder, RunState.model_construct(step=0))


def told(folder: Path, kind: type[events.Event]) -> list[Any]:
    return [event for event in events.read(folder / "events.jsonl") if isinstance(event, kind)]


def at(step: int, steps: int) -> Any:
    return SimpleNamespace(global_step=step, max_steps=steps)


def test_where_nothing_steers_the_order_is_what_it_always_was():
    """Pinned from the first version: runs that are begun again train on the same batches."""
    lengths = [10 + row * 37 % 90 for row in range(103)]
    order = SimilarLengths(lengths, 4, 17, [row % 7 == 0 for row in range(103)])
    first = [84, 67, 50, 33, 93, 3, 76, 59, 42, 25, 8, 98, 74, 57, 40, 23, 71, 54, 37, 20, 39, 22, 95, 5]
    assert list(order)[:24] == first and list(order)[-3:] == [51, 34, 17]
    order.set_epoch(1)
    assert list(order)[:12] == [41, 24, 7, 97, 13, 86, 69, 52, 35, 18, 91, 1]


def test_batches_have_similar_lengths_in_mixed_order():
    lengths = [10, 200] * 40 + [50]
    order = SimilarLengths(lengths, 8, seed=1, general=[False] * 81)
    rows = list(order)
    assert sorted(rows) == list(range(81)) and rows == list(order)
    found = [[lengths[row] for row in rows[start : start + 8]] for start in range(0, 81, 8)]
    assert sum(len(set(batch)) == 1 for batch in found) >= 9, "but for the borders between lengths"
    firsts = [batch[0] for batch in found]
    assert firsts != sorted(firsts) and firsts != sorted(firsts, reverse=True)
    order.set_epoch(1)
    assert list(order) != rows


def test_where_padding_costs_nothing_chance_makes_the_batches():
    from datasets import Dataset

    lengths = [10, 200] * 40
    rows = Dataset.from_dict({"length": lengths, "general": [False] * 80, "level": [-1] * 80})
    prepared = Prepared(rows, rows, rows, NOTHING, [])
    run = RunConfig()
    mixed = {}
    for padding_costs in (True, False):
        order = list(build(run, prepared, padding_costs))
        assert sorted(order) == list(range(80))
        size = run.schedule.batch_size
        batches = [{lengths[row] for row in order[start : start + size]} for start in range(0, 80, size)]
        mixed[padding_costs] = sum(len(batch) == 2 for batch in batches) / len(batches)
    assert mixed[True] <= 0.1 and mixed[False] >= 0.6


def test_a_run_is_steered_only_where_something_steers_it():
    from datasets import Dataset

    columns = {"length": [5] * 8, "general": [False] * 6 + [True] * 2, "level": [0, 1, -1, -1, 1, 0, -1, -1]}
    rows = Dataset.from_dict({**columns, "group": [0, 1, 0, 1, 0, 1, 0, 1]})
    prepared = Prepared(rows, rows, rows, NOTHING, [], levels=["facts", "reasoning"])
    run = RunConfig()
    assert isinstance(build(run, prepared), SimilarLengths)
    run.steering.mixing = "dynamic"
    mixed = build(run, prepared)
    assert isinstance(mixed, SteeredOrder) and mixed.share == 0.25, "half is aimed at, and a quarter is there"
    assert set(mixed.kinds) == {(False, 0, 0), (True, 0, 0)}
    run.steering.mixing, run.steering.curriculum = "fixed", "steps"
    prepared.groups = ["diagnosis", "treatment"]
    both = build(run, prepared)
    assert isinstance(both, SteeredOrder)
    assert both.kinds == {
        (False, 0, 0): [0, 2],
        (False, 1, 1): [1, 3],
        (False, 1, 0): [4],
        (False, 0, 1): [5],
        (True, 0, 0): [6],
        (True, 0, 1): [7],
    }


def test_rows_without_a_level_are_dealt_out_evenly():
    general = [False] * 7 + [True]
    assert dealt_levels([-1, 2, -1, 0, -1, -1, 1, -1], general, 3) == [0, 2, 1, 0, 2, 0, 1, -1]
    assert dealt_levels([-1, -1], [False, False], 0) == [0, 0]


def test_a_batch_is_of_one_kind_and_every_row_is_seen_once_where_nothing_repeats():
    order = steered([(0, 0)] * 24 + [(0, 1)] * 8 + [(0, 2)] * 4, [0] * 4 + [1] * 4 + [2] * 4, share=0.25)
    kind = {row: kind for kind, rows in order.kinds.items() for row in rows}
    orders = []
    for epoch in range(3):
        order.set_epoch(epoch)
        found = batches(order)
        orders.append(found)
        assert Counter(row for batch in found for row in batch) == dict.fromkeys(range(48), 1)
        assert all(len({kind[row] for row in batch}) == 1 for batch in found)
        lengths = [[order.lengths[row] for row in batch] for batch in found if batch[0] < 24]
        assert all(max(batch) - min(batch) <= 15 for batch in lengths), "of 10 to 59"
    assert orders[0] != orders[1] != orders[2]


def test_all_rows_of_a_kind_are_seen_before_any_again_over_epochs_and_odd_ends():
    order = steered([(0, 0)] * 19 + [(0, 1)] * 6 + [(0, 2)] * 2)
    seen: Counter[int] = Counter()
    for epoch in range(4):
        order.set_epoch(epoch)
        assert len(list(order)) == len(order) == 27
        for batch in batches(order):
            seen.update(batch)
            for rows in order.kinds.values():
                times = [seen[row] for row in rows]
                assert max(times) - min(times) <= 1
                if not set(batch).isdisjoint(rows):
                    assert set(batch) <= set(rows), "one group a batch"
                    assert len(set(batch)) == min(len(batch), len(rows)), "no row twice, where there are enough"
    assert max(seen.values()) <= 6 and min(seen.values()) >= 3, "no group more often than its size asks for"


def test_the_share_of_general_rows_holds_within_a_batch_after_each_decision():
    order = steered([(0, 0)] * 200, [0] * 200, share=0.5)
    shares, seen = {0: 0.5, 30: 0.3, 60: 0.1, 80: 0.0}, []
    for number, batch in enumerate(b for b in _one_by_one(order)):
        seen.append(sum(row >= 200 for row in batch))
        if number + 1 in shares:
            order.steer(share=shares[number + 1])
    for begin, end in ((0, 30), (30, 60), (60, 80), (80, 100)):
        wanted = shares[begin] * SIZE * (end - begin)
        assert abs(sum(seen[begin:end]) - wanted) <= SIZE
    assert order.share == 0.0


def _one_by_one(order: SteeredOrder) -> Iterator[list[int]]:
    rows = iter(order)
    while batch := [row for _, row in zip(range(SIZE), rows, strict=False)]:
        yield batch


def test_levels_come_in_order_with_some_of_the_earlier_ones(tmp_path: Path):
    order = steered([(row % 4, 0) for row in range(160)], carry=0.25)
    curriculum = Curriculum("steps", 0.001, LEVELS, order, reporter(tmp_path))
    steps = 80
    curriculum.on_train_begin(NOTHING, at(0, steps), NOTHING)
    by_step = [
        Counter(row % 4 for row in batch)
        for (batch,) in train(
            order, 2, each_step=lambda step, _: curriculum.on_step_end(NOTHING, at(step, steps), NOTHING)
        )
    ]
    # One batch is read ahead, so that a level begins in the step after next; but none is at the end of an epoch (40).
    phases = [by_step[0:21], by_step[21:40], by_step[40:61], by_step[61:80]]
    for level, phase in enumerate(phases):
        rows = sum(phase, Counter())
        assert set(rows) == set(range(level + 1)), "nothing of later levels, something of each earlier one"
        earlier = sum(count for one, count in rows.items() if one < level)
        assert abs(earlier - (0.25 * rows.total() if level else 0)) <= SIZE
    assert [(event.level, event.reason.split(":")[0]) for event in told(tmp_path, events.CurriculumEvent)] == [
        ("facts", "The first level."),
        ("concepts", "After 20 of 80 steps"),
        ("reasoning", "After 40 of 80 steps"),
        ("judgement", "After 60 of 80 steps"),
    ]


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("done", [0, 7, 10, 15, 25])
def test_a_run_that_resumes_goes_on_with_the_same_rows(tmp_path: Path, accumulation: int, done: int):
    """Curriculum, dynamic mixing and groups together, over two epochs and a half, through accelerate's loader."""
    steps = 34 if accumulation == 1 else 12

    class Run:
        def __init__(self) -> None:
            own = [(row % 4, row % 3) for row in range(37)]
            self.order = steered(own, [row % 3 for row in range(29)], share=0.5)
            self.curriculum = Curriculum("plateau", 0.1, LEVELS, self.order, reporter(tmp_path))
            self.mixing = DynamicMixing(0.1, self.order)
            self.parts: list[Any] = [self.order, self.curriculum, self.mixing]
            self.saved: dict[int, list[Any]] = {}

        def each_step(self, step: int, taken: list[list[int]]) -> None:
            self.curriculum.on_step_end(NOTHING, at(step, steps), NOTHING)
            if step % 3 == 0:
                metrics = {"eval_loss": 2 + step % 2 / 100, "eval_general_loss": 3 + step % 4 / 20}
                self.curriculum.on_evaluate(NOTHING, at(step, steps), NOTHING, metrics)
                self.mixing.on_evaluate(NOTHING, at(step, steps), NOTHING, metrics)
            self.saved[step] = [part.state() for part in self.parts]

    done = min(done, steps - 1)
    whole = Run()
    whole.saved[0] = [part.state() for part in whole.parts]
    all_steps = list(train(whole.order, 2, accumulation, whole.each_step))
    again = Run()
    for part, state in zip(again.parts, whole.saved[done], strict=True):
        part.restore(state)
    assert list(train(again.order, 2, accumulation, again.each_step, done)) == all_steps[done:]
    assert [part.state() for part in again.parts] == [part.state() for part in whole.parts]
    assert whole.order.level == 3 and len({one.share for one in whole.order._decisions}) > 2, "there was steering"


def test_after_a_roll_back_decisions_are_taken_where_it_stands():
    order = steered([(row % 2, 0) for row in range(40)], carry=0.0)
    saved = order.state()
    list(order)
    order.steer(level=1)
    order.restore(saved)
    assert order.level == 0
    order.steer(level=1)
    assert [row % 2 for row in order] == [1] * 40


def test_decisions_hold_with_smaller_batches():
    order = steered([(row % 2, 0) for row in range(64)], carry=0.0)
    rows = _one_by_one(order)
    for _ in range(6):
        next(rows)
    order.steer(level=1)
    smaller = steered([(row % 2, 0) for row in range(64)], carry=0.0)
    smaller.batch_size = 2
    smaller.restore(order.state())
    levels = [row % 2 for row in smaller]
    assert levels == [0] * 24 + [1] * 40


def test_what_is_told_is_what_was_trained_on(tmp_path: Path):
    order = steered([(0, 0)] * 64 + [(1, 0)] * 56, [0] * 40, share=0.25)
    seen = RowsSeen(["facts", "reasoning"], order, True, reporter(tmp_path))
    general = torch.tensor([row >= 120 for row in range(160)])
    level = torch.tensor([0] * 64 + [1] * 56 + [-1] * 40)
    level[:4] = -1
    taken: list[int] = []

    def each_step(step: int, found: list[list[int]]) -> None:
        for batch in found:
            taken.extend(batch)
            seen.count({"general": general[batch], "level": level[batch]})
        seen.on_step_end(NOTHING, at(step, 40), NOTHING)

    for step, _ in enumerate(train(order, 1, each_step=each_step), 1):
        if step == 18:
            order.steer(level=1, share=0.0)
            state = seen.state()
            seen.restore(state)
    first, last = told(tmp_path, events.MixEvent)
    for event, rows in ((first, taken[:80]), (last, taken[80:])):
        assert event.rows == len(rows) and event.general == int(general[rows].sum())
        names = ["facts" if value == 0 else "reasoning" if value == 1 else "no level" for value in level[rows].tolist()]
        assert event.levels == Counter(n for n, g in zip(names, general[rows].tolist(), strict=True) if not g)
    assert last.target == 0.0 and first.levels["facts"] > 40
