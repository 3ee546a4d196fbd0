"""How rows are dealt out to processes, in one process that plays each of them."""

from typing import Any

import pytest
import torch

from trainer.data.tokens import IGNORED
from trainer.launch import launch, sharing
from trainer.steering.order import SimilarLengths


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def play(rank: int, size: int) -> None:
        monkeypatch.setattr(launch, "size", lambda: size)
        monkeypatch.setattr(launch, "rank", lambda: rank)

    return play


def test_an_epoch_is_filled_up_to_whole_batches_for_every_process_and_keeps_its_order(of: Any):
    order = SimilarLengths([5] * 9, batch_size=4, seed=17, general=[False] * 9)
    plain = list(order)
    assert sharing.order(order, 4) is order, "one that trains alone has the order as it is"
    of(0, 2)
    shared = sharing.order(order, 4)
    # 9 rows are 3 batches of 4, so that two processes have 2 each: 16 places.
    assert len(shared) == 16 and list(shared) == plain + [sharing.NO_ROW] * 7
    shared.set_epoch(1)
    assert order.epoch == 1 and list(shared)[:9] == list(order) != plain


def test_rows_that_are_not_there_are_not_learnt_from(of: Any):
    every = [{"labels": [IGNORED, 7]}, {"labels": [IGNORED, 8]}]

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"labels": torch.tensor([row["labels"] for row in rows])}

    assert sharing.rows(every) is every
    of(1, 2)
    rows = sharing.rows(every)
    batch = [rows[1], rows[sharing.NO_ROW]]
    assert sharing.together(batch, every, collate)["labels"].tolist() == [[IGNORED, 8]]
    nothing = sharing.together([rows[sharing.NO_ROW]] * 2, every, collate)
    assert nothing["labels"].tolist() == [[IGNORED, IGNORED]] and not sharing.learns(nothing)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_every_process_measures_as_many_batches_and_each_batch_counts_once(of: Any, count: int):
    batches = [[number] for number in range(count)]
    counted: list[int] = []
    for rank in range(3):
        of(rank, 3)
        dealt = list(sharing.of_this_process(batches))
        assert len(dealt) == -(-count // 3)
        counted += [batch[0] for batch, counts in dealt if counts]
    assert sorted(counted) == list(range(count))
