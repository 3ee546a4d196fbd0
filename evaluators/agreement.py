"""Do two judges agree beyond chance? Cohen's kappa: a judge model against the rules, a clinician against either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluators.scores import Measure, Score, divide, measure

if TYPE_CHECKING:
    import numpy as np


def cohen_kappa(
    first: Sequence[str], second: Sequence[str], units: Sequence[str] | None = None, seed: int = 0
) -> Measure:
    """Kappa (Cohen 1960) of two judges' labels for the same items, with a bootstrap interval over source questions.

    1: they always agree; 0: as often as chance would have it; below: less often. `units` are the items' source
    questions; without them each item is its own. The value is None where chance would always agree (no items, or both
    gave all of them one label), and there is no interval where that goes for too many resamples. Raises `ValueError`
    where the lists are not equally long.
    """
    import numpy as np

    labels = sorted(set(first) | set(second))
    rows = np.zeros((len(first), len(labels), len(labels)))
    for row, one, other in zip(rows, first, second, strict=True):
        row[labels.index(one), labels.index(other)] = 1.0

    def of(sums: np.ndarray) -> np.ndarray:
        cells = sums.reshape(*sums.shape[:-1], len(labels), len(labels))
        n = cells.sum(axis=(-2, -1))
        agreed = np.trace(cells, axis1=-2, axis2=-1) * n
        chance = (cells.sum(axis=-1) * cells.sum(axis=-2)).sum(axis=-1)
        return divide(agreed - chance, n * n - chance)

    own = [str(number) for number in range(len(first))]
    note = "Agreement beyond chance: 1 is full agreement, 0 no better than chance."
    return measure(
        Score(
            "Cohen's kappa",
            rows.reshape(len(first), len(labels) ** 2),
            of,
            own if units is None else units,
            "number",
            note=note,
        ),
        seed,
    )
