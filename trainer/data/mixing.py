"""What a run sees how often: general rows beside medical ones (lecture L2.8, L2.10), rare classes (lecture L3.20)."""

from __future__ import annotations

import random
from collections.abc import Sequence

MOST_REPEATS = 4
"""Muennighoff et al. 2023 ("Scaling data-constrained language models"): up to four passes over the same data are about
as good as new data; after that the gain fades."""
DYNAMIC_START = 0.5
"""Share of general rows with which dynamic mixing begins (lecture L2.11: 50/50)."""
MOST_HELD_BACK = 40
"""General rows that are kept aside to measure the loss on: enough for a mean that is compared with itself."""


def mix_general(medical: int, general: int, share: float, seed: int) -> tuple[list[int], list[str]]:
    """Which of `general` general rows to mix into `medical` rows so that they are `share` of all, and what to say.

    The lecture's fixed mixes (L2.10) are 0.1, 0.2, 0.3 and 0.5; by level of adaptation 0.05, 0.2 and 0.4.
    Returns indices into the general rows: each once before any comes a second time, drawn with `seed`, at most
    `MOST_REPEATS` times each. Where that is not enough the share falls short, and a sentence says what it is.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}; a share of general rows is at least 0 and under 1")
    wanted = round(medical * share / (1 - share))
    if not wanted:
        return [], []
    draw = random.Random(f"{seed}/general")
    chosen: list[int] = []
    for _ in range(MOST_REPEATS):
        # sample() of all rows is a shuffle; the last pass takes what is still missing.
        chosen += draw.sample(range(general), min(general, wanted - len(chosen)))
    real = len(chosen) / (medical + len(chosen)) if chosen else 0.0
    notes = []
    if len(chosen) < wanted:
        notes.append(
            f"General rows are {real:.1%} of the mix where {share:.0%} was asked for, which takes {wanted:,}: there "
            f"are {general:,}, and each is used {MOST_REPEATS} times at most (more adds little, Muennighoff et al. "
            "2023); add general sources."
        )
    elif wanted > general:
        notes.append(
            f"The {general:,} general rows are used {wanted / general:.1f} times each, to be {real:.1%} of the mix; up "
            f"to {MOST_REPEATS} times is about as good as new rows (Muennighoff et al. 2023)."
        )
    return chosen, notes


def hold_back(rows: Sequence[int], most_share: float, seed: int) -> list[int]:
    """Which of these general rows are never trained on, so that the loss on general rows can be measured.

    At most `MOST_HELD_BACK`, and at most `most_share` of them, drawn with `seed`; in the order of `rows`.
    """
    count = min(MOST_HELD_BACK, int(len(rows) * most_share))
    return sorted(random.Random(f"{seed}/held back").sample(rows, count))


def balance(labels: Sequence[str], seed: int = 0) -> list[int]:
    """Repeat rows of rare classes towards equal shares, each `MOST_REPEATS` times at most (lecture L3.20).

    `labels` has a class for each row; rows with an empty one are kept once. Returns indices of rows: all rows in their
    order, then the repeats, class by class, drawn with `seed`. For the training side only: a repeated row in the
    validation would count twice. What it does to the shares: `inspection.balance.balance_effect`.
    """
    members: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if label:
            members.setdefault(label, []).append(row)
    largest = max(map(len, members.values()), default=0)
    indices = list(range(len(labels)))
    for label, rows in sorted(members.items()):
        draw = random.Random(f"{seed}/balance/{label}")
        missing = min(largest, len(rows) * MOST_REPEATS) - len(rows)
        while missing > 0:
            drawn = draw.sample(rows, min(len(rows), missing))
            indices += drawn
            missing -= len(drawn)
    return indices


def order_by_share(
    batches: Sequence[list[int]], is_general: Sequence[bool], share: float, seed: int | str
) -> list[list[int]]:
    """The batches in a random order in which the share of general rows is `share` all the way, not just in the end.

    After each batch the general rows seen so far are within one batch (of the largest's size) of their share of the
    rows seen. As in error diffusion, a batch that has too many follows when there were too few, and the other way
    round; which of them is drawn with `seed`. `is_general` says it for each row that batches may name.

    `share` is what the rows hold, as `mix_general` left it: raises `ValueError` where the batches hold another share by
    more than one batch, since no order could keep it.
    """
    sizes = [len(batch) for batch in batches]
    general = [sum(is_general[row] for row in batch) for batch in batches]
    rows, all_general = sum(sizes), sum(general)
    if abs(all_general - share * rows) > max(sizes, default=0):
        raise ValueError(
            f"the batches hold {all_general / rows:.1%} general rows, not {share:.1%}: no order can keep that"
        )
    # How far each batch moves the count from the share held, in whole numbers: they sum to 0 exactly.
    moves = [one * rows - size * all_general for one, size in zip(general, sizes, strict=True)]
    draw = random.Random(f"{seed}/order")
    waiting = list(range(len(batches)))
    draw.shuffle(waiting)
    below, level, above = (
        [batch for batch in waiting if (moves[batch] > 0) - (moves[batch] < 0) == sign] for sign in (-1, 0, 1)
    )
    order: list[list[int]] = []
    excess = 0
    for left in range(len(batches), 0, -1):
        if draw.random() * left < len(level):
            batch = level.pop()
        else:
            # One that leads back always exists, because what is left sums to minus the excess.
            back = (
                below
                if excess > 0 or (excess == 0 and draw.random() * (len(below) + len(above)) < len(below))
                else above
            )
            batch = back.pop()
        excess += moves[batch]
        order.append(batches[batch])
    return order
