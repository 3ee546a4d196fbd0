"""Proof that nothing of the held-back rows is trained on.

Two kinds of evidence. What must not happen is counted over all rows: a row, a patient or a group of near-duplicates on
two sides. And since that trusts the grouping, a sample of held-back rows is compared with every training row word by
word, by exact Jaccard similarity, without signatures, bands or groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from trainer.data.near_duplicates import ALIKE, decisive, shingles, words
from trainer.data.records import DataError
from trainer.data.splits import SIDES, TRAIN

if TYPE_CHECKING:
    import numpy as np

SAMPLE = 300
"""Held-back rows compared word by word. None found bounds the share of such rows at 1 % (one-sided, 95 %)."""
_SHOWN = 5


class Alike(BaseModel):
    """A held-back row and the training row most like it."""

    held_back: str
    trained: str
    similarity: float
    """Jaccard similarity of the words' 3-shingles, exact."""


class LeakageReport(BaseModel):
    """What crosses from the held-back sides to training. Lists name at most five ids; counts are complete."""

    rows: dict[str, int]
    """Rows of each side."""
    patients: int
    patients_across: int = 0
    near_duplicate_groups: int
    """Groups of more than one row."""
    near_duplicate_groups_across: int = 0
    ids_across: int = 0
    named: list[str] = Field(default_factory=list)
    """Ids of rows that cross."""
    checked: int
    """Held-back rows that were compared word by word, each with all `compared_with` training rows."""
    compared_with: int
    largest_similarity: float = 0.0
    """Largest found between a checked row and a training row that agree in numbers and negations."""
    alike: list[Alike] = Field(default_factory=list)
    """Checked rows with a training row of `ALIKE` and more that agrees in numbers and negations; the likest first."""
    alike_count: int = 0
    same_words_other_numbers: int = 0
    """Checked rows of which a training row has the same words and other numbers or negations: items of one template, or
    one note with a value changed. Not counted as leakage."""
    dates: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """First and last date of each side, where rows have dates."""

    def assert_clean(self) -> None:
        """Raises `DataError` naming the rows where anything crosses."""
        faults = [
            f"{count:,} {what}"
            for count, what in (
                (self.ids_across, "rows stand on more than one side"),
                (self.patients_across, "patients have rows on more than one side"),
                (self.near_duplicate_groups_across, "groups of near-duplicates are on more than one side"),
            )
            if count
        ]
        if faults:
            raise DataError(
                f"The split leaks: {'; '.join(faults)} (rows {', '.join(self.named)}). Split again with whole groups."
            )
        if self.alike:
            worst = self.alike[0]
            raise DataError(
                f"The split leaks: held-back row {worst.held_back} and training row {worst.trained} are "
                f"{worst.similarity:.0%} the same words with the same numbers ({self.alike_count:,} such of "
                f"{self.checked:,} held-back rows checked). Remove one of them, or give both the same patient."
            )

    def __str__(self) -> str:
        crossing = self.ids_across + self.patients_across + self.near_duplicate_groups_across
        return (
            f"{' / '.join(f'{count:,} {side}' for side, count in self.rows.items())} rows; {self.patients:,} patients, "
            f"{self.near_duplicate_groups:,} groups of near-duplicates, {crossing:,} on more than one side; "
            f"{self.checked:,} held-back rows compared with all {self.compared_with:,} training rows: the likest has "
            f"{self.largest_similarity:.0%} of its words' triples in common; {self.same_words_other_numbers:,} differ "
            "from a training row in numbers or negations alone."
        )


def report(
    ids: Sequence[str],
    patients: Sequence[str | None],
    near: np.ndarray,
    sides: np.ndarray,
    texts: Iterable[str],
    times: Sequence[str | None] | None = None,
    seed: int = 0,
    sample: int = SAMPLE,
) -> LeakageReport:
    """Look for rows, patients and near-duplicates on more than one side; see the head of this file for how.

    All arguments have one entry a row, in one order. `near` are the groups of near-duplicates (not those merged with
    patients), `texts` what was compared to find them; it is gone through twice, so a list or an object that reads the
    rows anew, not a generator. `sample` held-back rows are drawn with `seed`. Costs one pass over all training texts.
    """
    import numpy as np

    held_back = np.flatnonzero(sides != TRAIN)
    if len(held_back) > sample:
        held_back = np.sort(np.random.default_rng(seed).choice(held_back, sample, replace=False))
    named: list[str] = []
    crossing = []
    for keys in (ids, patients, near.tolist()):
        rows, count = _across(keys, sides)
        crossing.append(count)
        named += [ids[row] for row in rows if ids[row] not in named]
    found = _likest(held_back.tolist(), sides, texts)
    alike = sorted(
        (
            Alike(held_back=ids[row], trained=ids[other], similarity=similarity)
            for row, (similarity, other, _) in found.items()
            if similarity >= ALIKE
        ),
        key=lambda pair: (-pair.similarity, pair.held_back),
    )
    return LeakageReport(
        rows={name: int((sides == side).sum()) for side, name in enumerate(SIDES)},
        patients=len({patient for patient in patients if patient}),
        patients_across=crossing[1],
        near_duplicate_groups=int((np.unique(near, return_counts=True)[1] > 1).sum()),
        near_duplicate_groups_across=crossing[2],
        ids_across=crossing[0],
        named=named[:_SHOWN],
        checked=len(held_back),
        compared_with=int((sides == TRAIN).sum()),
        largest_similarity=max((similarity for similarity, _, _ in found.values()), default=0.0),
        alike=alike[:_SHOWN],
        alike_count=len(alike),
        same_words_other_numbers=sum(variant for _, _, variant in found.values()),
        dates=_dates(sides, times),
    )


def _across(keys: Sequence[str | int | None], sides: np.ndarray) -> tuple[list[int], int]:
    """The rows at which a key (neither None nor empty) is first seen on another side, and how many keys there are."""
    first: dict[str | int, int] = {}
    rows: dict[str | int, int] = {}
    for row, (key, side) in enumerate(zip(keys, sides.tolist(), strict=True)):
        if key not in (None, "") and first.setdefault(key, side) != side:
            rows.setdefault(key, row)
    return list(rows.values()), len(rows)


def _likest(held_back: list[int], sides: np.ndarray, texts: Iterable[str]) -> dict[int, tuple[float, int, bool]]:
    """Of each held-back row: the largest similarity to a training row with the same numbers and negations, that row
    (the first of equals), and whether a training row of `ALIKE` has others."""
    import numpy as np

    wanted = set(held_back)
    chosen = {row: text for row, text in enumerate(texts) if row in wanted}
    if not held_back:
        return {}
    spoken = [words(chosen[row]) for row in held_back]
    sets = [shingles(chosen[row], parts) for row, parts in zip(held_back, spoken, strict=True)]
    numbers = [_decisive(parts) for parts in spoken]
    # In which of the checked rows each shingle stands.
    postings: dict[str, list[int]] = {}
    for position, one in enumerate(sets):
        for shingle in one:
            postings.setdefault(shingle, []).append(position)
    best: list[tuple[float, int]] = [(0.0, -1)] * len(sets)
    variant = [False] * len(sets)
    seen = 0
    for row, (text, side) in enumerate(zip(texts, sides.tolist(), strict=False)):
        seen += 1
        if side != TRAIN:
            continue
        parts = words(text)
        mine = shingles(text, parts)
        shared = [postings[shingle] for shingle in mine if shingle in postings]
        if not shared:
            continue
        own: int | None = None
        for position, common in enumerate(np.bincount(np.concatenate(shared)).tolist()):
            similarity = common / (len(mine) + len(sets[position]) - common)
            if common and (similarity > best[position][0] or (similarity >= ALIKE and not variant[position])):
                own = _decisive(parts) if own is None else own
                if own != numbers[position]:
                    variant[position] |= similarity >= ALIKE
                elif similarity > best[position][0]:
                    best[position] = (similarity, row)
    if seen != len(sides):
        raise ValueError(
            f"texts gave {seen} rows the second time, and there are {len(sides)}; it must not be a generator"
        )
    return {row: (*best[position], variant[position]) for position, row in enumerate(held_back)}


def _decisive(parts: Sequence[str]) -> int:
    """The numbers and negations of a text as one number that is quickly compared."""
    return hash(frozenset(decisive(parts).items()))


def _dates(sides: np.ndarray, times: Sequence[str | None] | None) -> dict[str, tuple[str, str]]:
    ranges: dict[str, tuple[str, str]] = {}
    for side, time in zip(sides.tolist(), times or [], strict=bool(times)):
        if time:
            name = SIDES[side]
            first, last = ranges.get(name, (time, time))
            ranges[name] = (min(first, time), max(last, time))
    return ranges
