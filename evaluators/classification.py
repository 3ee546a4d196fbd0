"""Accuracy and F1 of chosen labels. An answer in which no label could be read is wrong, never left out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluators.scores import Score, divide, mean

if TYPE_CHECKING:
    import numpy as np


def accuracy(right: Sequence[bool | None], units: Sequence[str]) -> Score:
    """Share of all items that are right (micro); `right` is None where the answer could not be read."""
    return mean("Accuracy", [bool(one) for one in right], units)


def macro_accuracy(right: Sequence[bool | None], groups: Sequence[str], units: Sequence[str]) -> Score:
    """The mean of the groups' accuracies, each group counting the same however many items it has.

    In a resample, a group of which no item was drawn is left out of the mean. Raises `ValueError` where the three are
    not equally long.
    """
    import numpy as np

    names = sorted(set(groups))
    rows = np.zeros((len(units), len(names), 2))
    for row, good, group in zip(rows, right, groups, strict=True):
        row[names.index(group)] = bool(good), 1

    def of(sums: np.ndarray) -> np.ndarray:
        shares = sums.reshape(*sums.shape[:-1], len(names), 2)
        return _mean_known(divide(shares[..., 0], shares[..., 1]))

    note = f"Mean of the accuracies of {len(names)} groups."
    return Score("Accuracy, mean of groups", rows.reshape(len(units), 2 * len(names)), of, units, note=note)


def f1_scores(
    gold: Sequence[str], predicted: Sequence[str | None], units: Sequence[str], labels: Sequence[str]
) -> list[Score]:
    """F1 of single labels: macro, micro, then of each of `labels` in order, as scikit-learn's `f1_score` defines them.

    A prediction that is None or none of `labels` misses its gold label and falsely accuses no other. A label that
    neither gold nor predictions have says nothing, and is left out of the macro mean (`zero_division=nan`). Raises
    `ValueError` for a gold label that is none of `labels`, and where gold, predictions and units are not equally long.
    """
    import numpy as np

    unknown = sorted(set(gold) - set(labels))
    if unknown:
        raise ValueError(f"gold labels {unknown} are none of {list(labels)}; give all labels that may be right")
    truth = np.array([[one == label for label in labels] for one in gold], dtype=bool).reshape(-1, len(labels))
    chosen = np.array([[one == label for label in labels] for one in predicted], dtype=bool).reshape(-1, len(labels))
    if not len(truth) == len(chosen) == len(units):
        raise ValueError(f"{len(truth)} gold labels, {len(chosen)} predictions, {len(units)} source questions")
    counts = np.stack([truth & chosen, ~truth & chosen, truth & ~chosen], axis=-1)
    rows = counts.reshape(len(units), 3 * len(labels)).astype(float)

    def by_label(sums: np.ndarray) -> np.ndarray:
        return sums.reshape(*sums.shape[:-1], len(labels), 3)

    def macro(sums: np.ndarray) -> np.ndarray:
        return _mean_known(_f1(by_label(sums)))

    def micro(sums: np.ndarray) -> np.ndarray:
        return _f1(by_label(sums).sum(axis=-2))

    def single(index: int, sums: np.ndarray) -> np.ndarray:
        return _f1(by_label(sums)[..., index, :])

    note = f"Mean over the labels {', '.join(labels)}."
    return [
        Score("F1, macro", rows, macro, units, scale="score", note=note),
        Score("F1, micro", rows, micro, units, scale="score"),
        *(
            Score(f"F1 of {label}", rows, partial(single, index), units, scale="score")
            for index, label in enumerate(labels)
        ),
    ]


def _f1(counts: np.ndarray) -> np.ndarray:
    """(..., 3) right, falsely named and missed, to (...) F1."""
    right, false, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    return divide(2 * right, 2 * right + false + missed)


def _mean_known(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is not nan; nan where all is."""
    import numpy as np

    known = ~np.isnan(values)
    return divide(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
