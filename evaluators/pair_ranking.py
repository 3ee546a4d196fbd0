"""Does a model that gives answers a number rank them as people did, and does it know how sure it may be?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel

from evaluators import calibration, scores

Rated = tuple[float, float]
"""Rewards of the answer that people chose and of the one that they rejected."""


class PairRanking(BaseModel):
    """What pairs that it was not trained on say of a reward model.

    Intervals are over questions: several pairs of one question do not count as several.
    """

    pairs: int
    accuracy: scores.Measure
    """Share of pairs whose chosen answer has the higher reward; equal rewards count as wrong."""
    calibration_error: scores.Measure
    """Of how sure it is of the answer that it prefers, sigmoid(|r_chosen - r_rejected|), against being right."""
    brier: scores.Measure
    bins: list[calibration.Bin]
    margin: float
    """Mean of r_chosen - r_rejected."""


def pair_ranking(rated: Sequence[Rated], questions: Sequence[str]) -> PairRanking:
    """How pairs were ranked; `questions` (one a pair) are what is answered. Raises `ValueError` without a pair.

    Under Bradley and Terry's model the chosen answer wins with a probability of sigmoid(r_chosen - r_rejected), which
    is what a reward model learns; as a claim about the answer that it prefers, this is at least 0.5.
    """
    if not rated:
        raise ValueError("a ranking needs at least one pair")
    margins = [chosen - rejected for chosen, rejected in rated]
    right = [margin > 0 for margin in margins]
    sure = [1 / (1 + math.exp(-abs(margin))) for margin in margins]
    agreed = scores.mean("pairs ranked as people did", [float(one) for one in right], questions)
    return PairRanking(
        pairs=len(rated),
        accuracy=scores.measure(agreed),
        calibration_error=scores.measure(calibration.ece(sure, list(right), questions)),
        brier=scores.measure(calibration.brier(sure, list(right), questions)),
        bins=calibration.reliability(sure, list(right)),
        margin=fmean(margins),
    )
