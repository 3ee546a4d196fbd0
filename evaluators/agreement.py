"""Do judges agree beyond chance? Two of them (Cohen's kappa), or many, who need not all judge everything.

Every coefficient is a function of sums over items (`evaluators.scores`), so its interval is the bootstrap over items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from evaluators.resampling import clopper_pearson
from evaluators.scores import Measure, Score, divide, measure

if TYPE_CHECKING:
    import numpy as np

NOTE = "Agreement beyond chance: 1 is full agreement, 0 no better than chance."


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

    return _measure("Cohen's kappa", rows.reshape(len(first), len(labels) ** 2), of, units, seed)


def fleiss_kappa(labels: Sequence[Sequence[str]], units: Sequence[str] | None = None, seed: int = 0) -> Measure:
    """Kappa of many judges (Fleiss 1971), who need not be the same for each item; `labels` holds each item's labels.

    An item counts with the share of its pairs of judges who agree, and a category with its share of all labels; where
    every item has as many labels, this is Fleiss' own coefficient. Items with fewer than two labels are left out. The
    value is None where chance would always agree. Raises `ValueError` where there are not as many units as items.
    """
    import numpy as np

    known = sorted({label for given in labels for label in given})
    rows = np.zeros((len(labels), len(known) + 2))
    for row, given in zip(rows, labels, strict=True):
        if len(given) < 2:
            continue
        counts = np.array([list(given).count(label) for label in known], dtype=float)
        row[:-2] = counts
        row[-2] = (counts * (counts - 1)).sum() / (len(given) * (len(given) - 1))
        row[-1] = 1.0

    def of(sums: np.ndarray) -> np.ndarray:
        counts, agreed = sums[..., :-2], divide(sums[..., -2], sums[..., -1])
        chance = (divide(counts, counts.sum(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
        return divide(agreed - chance, 1 - chance)

    return _measure("Fleiss' kappa", rows, of, units, seed)


def krippendorff_alpha(
    values: Sequence[Sequence[str]] | Sequence[Sequence[float]],
    level: Literal["nominal", "ordinal", "interval"] = "nominal",
    units: Sequence[str] | None = None,
    seed: int = 0,
) -> Measure:
    """Alpha (Krippendorff 2011) of what each item was given, by any number of judges; missing judgements are left out.

    `level` says how far two values lie apart: nominal, any two the same (labels); ordinal, by the ranks between them
    (ratings in order); interval, by the square of their difference. Items with fewer than two values say nothing.
    1 is full agreement and 0 chance; Krippendorff asks for 0.8, and 0.667 for tentative conclusions. The value is None
    where all values are the same. Where all judges agree on labels, no resample can differ: the interval is then from
    the largest share of disagreement that none in so many units leaves open (Clopper and Pearson), over that expected
    by chance. Raises `ValueError` where there are not as many units as items.
    """
    import numpy as np

    given: list[list[str | float]] = [list(one) for one in values]
    known = sorted({value for one in given for value in one})  # pyright: ignore[reportArgumentType] one kind in a call
    size = len(known)
    rows = np.zeros((len(given), size, size))
    for row, one in zip(rows, given, strict=True):
        if len(one) < 2:
            continue
        counts = np.array([one.count(value) for value in known], dtype=float)
        # Every ordered pair of judges of the item, each judge's value with weight 1 in all.
        row += (np.outer(counts, counts) - np.diag(counts)) / (len(one) - 1)

    def of(sums: np.ndarray) -> np.ndarray:
        seen = sums.reshape(*sums.shape[:-1], size, size)
        totals = seen.sum(axis=-1)
        apart = _distances(known, totals, level)
        expected = (totals[..., :, None] * totals[..., None, :] * apart).sum(axis=(-2, -1))
        n = totals.sum(axis=-1)
        return 1 - (n - 1) * divide((seen * apart).sum(axis=(-2, -1)), expected)

    found = _measure(f"Krippendorff's alpha ({level})", rows.reshape(len(given), size * size), of, units, seed)
    if level == "nominal" and found.value == 1 and found.low is None:
        totals = rows.sum(axis=(0, 1))
        chance = 1 - float((totals * (totals - 1)).sum() / (totals.sum() * (totals.sum() - 1)))
        _, most = clopper_pearson(0, found.units)
        return found.model_copy(update={"low": 1 - most / chance, "high": 1.0, "interval": "exact"})
    return found


def _distances(known: Sequence[str | float], totals: np.ndarray, level: str) -> np.ndarray:
    """(..., k, k): squared distances of the values; ordinal ones depend on how often each value was given."""
    import numpy as np

    if level == "nominal":
        return 1.0 - np.eye(len(known))
    if level == "interval":
        scale = np.array(known, dtype=float)
        return (scale[:, None] - scale[None, :]) ** 2
    # The ranks from the middle of one value to the middle of the other.
    middle = totals.cumsum(axis=-1) - totals / 2
    return (middle[..., :, None] - middle[..., None, :]) ** 2


def _measure(
    name: str, rows: np.ndarray, of: Callable[[np.ndarray], np.ndarray], units: Sequence[str] | None, seed: int
) -> Measure:
    own = [str(number) for number in range(len(rows))]
    return measure(Score(name, rows, of, own if units is None else units, "number", note=NOTE), seed)
