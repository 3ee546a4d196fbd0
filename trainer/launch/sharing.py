"""How the rows of each step are dealt out to processes that train together.

Of the batches of a run's order each process takes every N-th, so that a step learns from the same rows whatever N is.
An epoch's last step may hold fewer batches than there are processes: those that are left over read one row without
learning from it, because a step needs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch.utils.data

from trainer.data.tokens import IGNORED
from trainer.launch import launch

NO_ROW = -1
"""Stands in the order where a process has no row."""


class EqualBatches(torch.utils.data.Sampler[int]):
    """An order of rows whose epochs are filled up with `NO_ROW` to whole batches, as many for each process."""

    def __init__(self, order: Any, batch_size: int):
        self.order = order
        self.rows_together = batch_size * launch.size()

    def __len__(self) -> int:
        return -(-len(self.order) // self.rows_together) * self.rows_together

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from [NO_ROW] * (len(self) - len(self.order))

    def set_epoch(self, epoch: int) -> None:
        """Tell the order which epoch it is, where it asks."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


class Rows(torch.utils.data.Dataset[dict[str, Any] | None]):
    """Rows by number, and None for `NO_ROW`."""

    def __init__(self, rows: Any):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any] | None:
        return None if number == NO_ROW else self.rows[number]


def order(steered: Any, batch_size: int) -> Any:
    """The order as each process is to have it; as it is in one that trains alone."""
    return steered if launch.size() == 1 else EqualBatches(steered, batch_size)


def rows(dataset: Any) -> Any:
    """What is trained on, as each process is to have it; as it is in one that trains alone."""
    return dataset if launch.size() == 1 else Rows(dataset)


def together(batch: list[Any], every: Any, collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> dict[str, Any]:
    """The rows of a batch that are there, collated; where none is, a row of `every` with nothing to learn of it."""
    there = [row for row in batch if row is not None]
    if there:
        return collate(there)
    read = collate([every[0]])
    read["labels"].fill_(IGNORED)
    return read


def of_this_process(batches: list[list[int]]) -> Iterator[tuple[list[int], bool]]:
    """The batches that this process reads where all are dealt out, and whether each counts.

    Every process has as many, since reading may need all of them (`hardware.strategy`): where one has none left, it
    reads the first again, which does not count.
    """
    for start in range(0, len(batches), launch.size()):
        number = start + launch.rank()
        yield (batches[number], True) if number < len(batches) else (batches[0], False)


def learns(batch: dict[str, Any]) -> bool:
    """Whether a batch holds anything to learn."""
    return bool((batch["labels"] != IGNORED).any())
