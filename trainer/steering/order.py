"""The order in which rows are trained on; where padding costs something, in batches of similar length.

`SimilarLengths` fixes an epoch's order before it begins. `SteeredOrder` chooses each batch when it is asked for, and of
the kind that is wanted then, so that the curriculum and dynamic mixing can change what comes next.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch.utils.data

from trainer.data import mixing
from trainer.data.tokenised import Prepared
from trainer.sections import RunConfig


def build(run: RunConfig, prepared: Prepared, padding_costs: bool = True) -> SimilarLengths | SteeredOrder:
    """The order of a run's rows: steered where it has a curriculum, dynamic mixing, or weights for each group.

    Where padding costs nothing, chance alone makes the batches (`quick_layers`): a step on short answers has as much
    weight as one on long ones, and rows of one length are often of one task.
    """
    rows = prepared.train
    general = rows["general"][:]
    if not padding_costs:
        lengths = [0] * len(rows)
    elif "label" in rows.column_names:
        # Good answers are often the longer ones: by their own length, batches would hold good or bad ones alone.
        lengths = [len(one) for one in rows["prompt_ids"]]
    else:
        lengths = rows["length"][:]
    size, seed, steering = run.schedule.batch_size, run.schedule.seed, run.steering
    with_levels, dynamic = steering.curriculum != "off", steering.mixing == "dynamic"
    if not (with_levels or dynamic or prepared.groups):
        return SimilarLengths(lengths, size, seed, general)
    levels = dealt_levels(rows["level"][:], general, len(prepared.levels)) if with_levels else [0] * len(rows)
    groups = rows["group"][:] if prepared.groups else [0] * len(rows)
    held = sum(general) / len(rows)
    share = min(mixing.DYNAMIC_START, held) if dynamic else held
    return SteeredOrder(lengths, size, seed, general, levels, groups, share, steering.carry_over)


def dealt_levels(levels: Sequence[int], general: Sequence[bool], count: int) -> list[int]:
    """Each row's level, where own rows without one (-1) are dealt out in turn to the `count` levels that there are."""
    dealt, turn = [], 0
    for level, mixed_in in zip(levels, general, strict=True):
        if level < 0 and not mixed_in:
            level, turn = turn % max(1, count), turn + 1
        dealt.append(level)
    return dealt


class SimilarLengths(torch.utils.data.Sampler[int]):
    """Rows in batches of similar length, the batches in random order; another order each epoch.

    The order keeps the share of general rows the same throughout (`mixing.order_by_share`; lecture L2.10).

    transformers' own `group_by_length` keeps batches of one length, and with them one task, together for dozens of
    steps; the model then swings from task to task (lab values learnt alone: 73 % right, after such an epoch: 35 %).
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, general: list[bool]):
        self.lengths = lengths
        self.general = general
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, also when a run resumes within one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = random.Random(f"{self.seed}/{self.epoch}")
        order = sorted(range(len(self.lengths)), key=lambda row: (self.lengths[row], draw.random()))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        # A batch that is not full has to be the last, or all after it would be cut elsewhere.
        rest = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        held = sum(self.general[row] for batch in batches for row in batch) / max(1, sum(map(len, batches)))
        ordered = mixing.order_by_share(batches, self.general, held, f"{self.seed}/{self.epoch}")
        return iter([row for batch in ordered + rest for row in batch])


@dataclass
class Decision:
    """What batches are drawn by from a place on: `row` rows into `epoch`, which is where drawing stood."""

    epoch: int
    row: int
    share: float
    """Of general rows."""
    level: int
    """That is learnt now; earlier levels are carried over, later ones wait."""


class SteeredOrder(torch.utils.data.Sampler[int]):
    """Rows in batches of one kind each: general or own, of one level, of one group; which kind, is steered.

    An epoch has as many rows as there are, so as many batches as `SimilarLengths` has. The share of general rows, and
    that of earlier levels among the own ones (`carry_over`), hold to within a batch from each decision on. Between
    groups and levels that are equally wanted, the one comes next whose rows were seen least often in this level.
    All rows of a kind are seen once before any is seen again, also across epochs; a batch that a kind's last rows do
    not fill begins their next round.

    Everything follows from the seed and the decisions. Each is kept with the place where it took effect, and the data
    loader, which reads ahead, stands further on than training: a run that resumes draws the same rows anew.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        general: Sequence[bool],
        levels: Sequence[int],
        groups: Sequence[int],
        share: float,
        carry_over: float,
    ):
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.carry_over = carry_over
        self.kinds: dict[tuple[bool, int, int], list[int]] = {}
        for row, (mixed_in, level, group) in enumerate(zip(general, levels, groups, strict=True)):
            self.kinds.setdefault((mixed_in, 0 if mixed_in else level, group), []).append(row)
        self.epoch = 0
        self._drawn = (0, 0)
        self._decisions = [Decision(epoch=0, row=0, share=share, level=0)]

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch, also when a run resumes within one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        # From the first epoch on, because what is left of each kind depends on it; only this epoch's rows are given.
        course = _Course(self)
        current, taken = self._decisions[0], 1
        for epoch in range(self.epoch + 1):
            for start in range(0, len(self), self.batch_size):
                while taken < len(self._decisions) and self._place(taken) <= (epoch, start):
                    current, taken = self._decisions[taken], taken + 1
                batch = course.batch(min(self.batch_size, len(self) - start), current)
                if epoch == self.epoch:
                    self._drawn = (epoch, start + len(batch))
                    yield from batch

    @property
    def share(self) -> float:
        """The share of general rows that is aimed at now."""
        return self._decisions[-1].share

    @property
    def level(self) -> int:
        """The level that is learnt now, as an index."""
        return self._decisions[-1].level

    def steer(self, share: float | None = None, level: int | None = None) -> None:
        """Change what is drawn from the next batch on that is not drawn yet; None leaves it as it is."""
        epoch, row = self._drawn
        share, level = self.share if share is None else share, self.level if level is None else level
        self._decisions.append(Decision(epoch=epoch, row=row, share=share, level=level))

    def state(self) -> dict[str, Any]:
        """The decisions so far. Their places are counted in rows, so that they also serve with smaller batches."""
        return {"decisions": [asdict(one) for one in self._decisions]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the decisions of a checkpoint, in place of all that were taken since."""
        self._decisions = [Decision(**one) for one in state["decisions"]]
        self._drawn = self._place(-1)

    def _place(self, number: int) -> tuple[int, int]:
        return self._decisions[number].epoch, self._decisions[number].row


class _Course:
    """A run's batches, one after another."""

    def __init__(self, order: SteeredOrder):
        self.carry_over = order.carry_over
        pools = [
            _Pool(kind, rows, order.lengths, order.batch_size, order.seed) for kind, rows in sorted(order.kinds.items())
        ]
        # Of kinds that are due alike, the one named first comes next.
        random.Random(f"{order.seed}/kinds").shuffle(pools)
        self.general = [pool for pool in pools if pool.general]
        self.own = [pool for pool in pools if not pool.general]
        # Rows that are due by their share and have not come yet; negative where more came than were due.
        self.general_due = self.earlier_due = 0.0
        self.level = 0

    def batch(self, count: int, by: Decision) -> list[int]:
        """The next batch, of `count` rows."""
        if by.level != self.level:
            # Or the newest of the earlier levels would be carried over alone, until it was seen as often as they.
            self.level = by.level
            for pool in self.own:
                pool.seen = 0
        self.general_due += by.share * count
        if self.general and (not self.own or self.general_due > count / 2):
            self.general_due -= count
            wanted = self.general
        else:
            wanted = self._own(count, by)
        chosen = min(wanted, key=lambda pool: pool.seen / len(pool.rows))
        chosen.seen += count
        return chosen.draw(count)

    def _own(self, count: int, by: Decision) -> list[_Pool]:
        earlier = [pool for pool in self.own if pool.level < by.level]
        current = [pool for pool in self.own if pool.level == by.level]
        if not earlier or not current:
            return current or earlier or self.own
        self.earlier_due += self.carry_over * count
        if self.earlier_due > count / 2:
            self.earlier_due -= count
            return earlier
        return current


class _Pool:
    """The rows of one kind, in rounds: in each of them every row once, in batches of similar length."""

    def __init__(
        self, kind: tuple[bool, int, int], rows: list[int], lengths: Sequence[int], batch_size: int, seed: int
    ):
        self.general, self.level, self.group = kind
        self.rows = rows
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = f"{seed}/{'general' if self.general else 'own'}/{self.level}/{self.group}"
        self.seen = 0  # rows drawn, in this level of the curriculum
        self._rounds = 0
        self._batches: list[list[int]] = []
        self._rest: list[int] = []  # of this round, once its batches are used up

    def draw(self, count: int) -> list[int]:
        """The next `count` rows, at most a batch; a row comes twice only where there are fewer than that."""
        found: list[int] = []
        while missing := count - len(found):
            if self._batches:
                batch = self._batches.pop()
                found += batch[:missing]
                self._rest = sorted(self._rest + batch[missing:], key=self.lengths.__getitem__)
            elif self._rest:
                found += self._rest[:missing]
                self._rest = self._rest[missing:]
            else:
                found += self._begin_round(found, missing if found else 0)
        return found

    def _begin_round(self, last: list[int], missing: int) -> list[int]:
        """Shuffle the rows; returns the `missing` ones that fill the last round's last batch."""
        draw = random.Random(f"{self.seed}/{self._rounds}")
        self._rounds += 1
        order = sorted(self.rows, key=lambda row: (self.lengths[row], draw.random()))
        # What a round leaves to its end are its longest rows: others that are nearly as long go with them.
        longest = sorted(reversed(order), key=set(last).__contains__)
        filling = longest[:missing]
        taken = set(filling)
        order = [row for row in order if row not in taken]
        full = len(order) - len(order) % self.batch_size
        self._batches = [order[start : start + self.batch_size] for start in range(0, full, self.batch_size)]
        self._rest = order[full:]
        draw.shuffle(self._batches)
        return filling
