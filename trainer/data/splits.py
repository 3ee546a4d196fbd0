"""Which row is trained on, which is validated on, and which is kept for the last test (lecture L3.11).

Rows of one patient, encounter or document, and near-duplicates, form a group, and a group is never divided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trainer.data.near_duplicates import join, renumbered
from trainer.data.records import DataError

if TYPE_CHECKING:
    import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
SIDES = ("train", "validation", "test")
_ISO_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")
_LISTED = 5  # strata that a note names
_LARGE_GROUP = 0.2
"""Share of the rows from which a single group is worth a remark."""


def merge_groups(patients: Sequence[str | None], near: np.ndarray) -> np.ndarray:
    """The groups that stay on one side: rows that share a patient or a group of `near` (near-duplicates), directly or
    through other rows.

    Shapes: `patients` and `near` (rows,), result (rows,) of int64, numbered by first appearance. A row whose patient is
    None or empty is tied by `near` alone.
    """
    import numpy as np

    if len(patients) != len(near):
        raise ValueError(f"{len(patients)} patients for {len(near)} rows")
    _, first, inverse = np.unique(near, return_index=True, return_inverse=True)
    labels = first[inverse]  # the smallest row of each group, as `join` wants it
    seen: dict[str, int] = {}
    earlier = np.fromiter(
        (seen.setdefault(patient, row) if patient else row for row, patient in enumerate(patients)),
        np.int64,
        len(patients),
    )
    join(labels, np.arange(len(labels)), earlier)
    return renumbered(labels)


def assign_sides(
    groups: np.ndarray,
    strata: Sequence[str],
    times: Sequence[str | None] | None,
    validation_share: float,
    test_share: float,
    seed: int,
    method: Literal["stratified", "time"],
) -> tuple[np.ndarray, list[str]]:
    """The side of each row (0 train, 1 validation, 2 test), and what a reader should know of the split, in sentences.

    stratified: the groups of each stratum (specialty; a group belongs to the one most of its rows have) are drawn with
    `seed`, so that each stratum's share on a side is within one group of the wanted. time: the newest groups are the
    test, the next the validation; a group is as new as its newest row, so no row of the training side is newer than a
    held-back group. Groups without a date are trained on. `times` are ISO 8601 dates, None or empty where unknown.

    Shapes: `groups`, `strata` and `times` (rows,); the sides (rows,) of int8. Shares are shares of rows, as near as
    whole groups allow. Train and validation are never empty. Raises `DataError` where all rows are one group, and for a
    split by time without dates.
    """
    import numpy as np

    if len(groups) == 0:
        raise DataError("There are no rows to split; give a source that holds some.")
    labels = renumbered(groups)
    sizes = np.bincount(labels)
    if len(sizes) == 1:
        what = "a single row" if len(groups) == 1 else f"{len(groups):,} rows that belong together"
        raise DataError(
            f"The data is {what} (one patient or document, or near-duplicates), which cannot be divided into training "
            "and validation; add rows of another patient or another text."
        )
    wanted = (validation_share * len(groups), test_share * len(groups))
    notes: list[str] = []
    if method == "time":
        sides = _by_time(labels, sizes, times, wanted, seed, notes)
    else:
        sides = _stratified(labels, sizes, strata, validation_share, test_share, seed)
    _fill_empty(sides, sizes, test_share > 0, seed)
    rows = sides[labels]
    _describe(rows, labels, sizes, strata, (validation_share, test_share), method, notes)
    return rows, notes


def _stratified(
    labels: np.ndarray, sizes: np.ndarray, strata: Sequence[str], validation: float, test: float, seed: int
) -> np.ndarray:
    import numpy as np

    random = np.random.default_rng(seed)
    sides = np.zeros(len(sizes), np.int8)
    stratum = _stratum_of_groups(labels, strata)
    carried = np.zeros(3)
    for number in np.unique(stratum):
        members = random.permutation(np.flatnonzero(stratum == number))
        rows = sizes[members].sum()
        # What rounding left of the wanted shares goes to the next stratum, or fifty specialties of four rows each would
        # give no validation at all; never more than half a group, which keeps each stratum's own share.
        most = rows / len(members) / 2
        for side, share in ((TEST, test), (VALIDATION, validation)):
            missing = share * rows + np.clip(carried[side], -most, most)
            for group in members:
                # Taken where that brings the side nearer to what it should have; a large group may never do so.
                if sides[group] == TRAIN and sizes[group] <= 2 * missing:
                    sides[group] = side
                    missing -= sizes[group]
            carried[side] = missing
    return sides


def _stratum_of_groups(labels: np.ndarray, strata: Sequence[str]) -> np.ndarray:
    """The stratum of each group, as a number in the order of the names: the one that most of its rows have."""
    import numpy as np

    names = {name: number for number, name in enumerate(sorted(set(strata)))}
    of_row = np.fromiter((names[name] for name in strata), np.int64, len(strata))
    pairs, counts = np.unique(labels * len(names) + of_row, return_counts=True)
    group, number = pairs // len(names), pairs % len(names)
    order = np.lexsort(
        (-number, counts, group)
    )  # the last of each group has the highest count, the first name on a tie
    last = np.append(np.flatnonzero(np.diff(group[order])), len(order) - 1)
    return number[order][last]


def _by_time(
    labels: np.ndarray,
    sizes: np.ndarray,
    times: Sequence[str | None] | None,
    wanted: tuple[float, float],
    seed: int,
    notes: list[str],
) -> np.ndarray:
    import numpy as np

    newest = [""] * len(sizes)
    undated = 0
    for row, (group, time) in enumerate(zip(labels.tolist(), times or [None] * len(labels), strict=True)):
        if not time:
            undated += 1
        elif not _ISO_DATE.fullmatch(time):
            raise DataError(
                f"Row {row + 1} has the time {time!r}; a split by time needs ISO dates such as 2024-03-01. Mend the "
                "dates, or take data.split: stratified."
            )
        elif time > newest[group]:
            newest[group] = time
    dated = [group for group in range(len(sizes)) if newest[group]]
    if len(dated) < 2:
        raise DataError(
            f"A split by time needs dates, and {undated:,} of {len(labels):,} rows have none; name the column that "
            "holds the date (columns: {seen_on: time}), or take data.split: stratified."
        )
    if undated:
        notes.append(f"{undated:,} rows have no date; those whose patient has none either are trained on.")
    # The draw decides between groups of one day.
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    dated.sort(key=lambda group: (newest[group], drawn[group]), reverse=True)
    sides = np.zeros(len(sizes), np.int8)
    # One group is left to validate on, and one to train on.
    free = len(dated) - (len(dated) == len(sizes))
    at = 0
    for side, missing, end in ((TEST, wanted[1], free - 1), (VALIDATION, wanted[0], free)):
        # At least one group where the side is wanted, and no skipping of a large one: that would train on the newest.
        first = at
        while missing > 0 and at < end and (at == first or sizes[dated[at]] <= 2 * missing):
            sides[dated[at]] = side
            missing -= sizes[dated[at]]
            at += 1
    return sides


def _fill_empty(sides: np.ndarray, sizes: np.ndarray, with_test: bool, seed: int) -> None:
    """Where train, validation or (with three groups) test is empty, move there the smallest group of the side that has
    most of them."""
    import numpy as np

    draw = np.random.default_rng(seed).permutation(len(sizes))
    needed = (VALIDATION, TRAIN, TEST) if with_test and len(sizes) > 2 else (VALIDATION, TRAIN)
    for side in needed:
        if not (sides == side).any():
            counts = np.bincount(sides, minlength=3)
            giver = max(
                (TRAIN, VALIDATION, TEST), key=lambda other: (counts[other], other)
            )  # of two groups, the test's
            can = np.flatnonzero(sides == giver)
            sides[can[np.lexsort((draw[can], sizes[can]))[0]]] = side


def _describe(
    sides: np.ndarray,
    labels: np.ndarray,
    sizes: np.ndarray,
    strata: Sequence[str],
    shares: tuple[float, float],
    method: str,
    notes: list[str],
) -> None:
    import numpy as np

    rows = len(sides)
    for side, share in zip((VALIDATION, TEST), shares, strict=True):
        real = (sides == side).mean()
        if abs(real - share) > max(0.01, 1 / rows):
            notes.append(
                f"The {SIDES[side]} side has {real:.1%} of the rows where {share:.1%} was asked for: groups (a "
                "patient, a document, near-duplicates) are not divided."
            )
    largest = sizes.max()
    if largest >= _LARGE_GROUP * rows and largest > 1:
        row = int(np.flatnonzero(labels == sizes.argmax())[0]) + 1
        notes.append(
            f"One group, that of row {row:,}, holds {largest:,} of {rows:,} rows: one patient or document, or rows "
            "that share most of their words."
        )
    if method != "stratified":
        return
    counts = {name: [0, 0, 0] for name in sorted(set(strata))}
    for name, side in zip(strata, sides.tolist(), strict=True):
        counts[name][side] += 1
    for side in (TRAIN, VALIDATION, TEST) if shares[1] > 0 else (TRAIN, VALIDATION):
        absent = [f"{name or 'no specialty'} ({sum(count):,})" for name, count in counts.items() if not count[side]]
        if absent:
            more = f" and {len(absent) - _LISTED} more" if len(absent) > _LISTED else ""
            shown = ", ".join(absent[:_LISTED]) + more
            notes.append(f"Too few rows or groups to divide; the {SIDES[side]} side has none of: {shown}.")
