"""Scores of single answers, and proportions with their uncertainty."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel

STRUCTURE = ("Assessment", "Reasoning", "Red flags", "Next step", "Confidence")
_CONFIDENCE = {"high", "moderate", "low"}
Z_95 = 1.959964  # of the normal distribution, both sides


class Proportion(BaseModel):
    """A share of `n` cases with its 95 % interval (Wilson's score interval)."""

    score: float
    low: float
    high: float
    n: int


def proportion(successes: float, n: int) -> Proportion:
    """`successes` of `n` with the 95 % score interval of Wilson (1927); raises `ValueError` for n = 0.

    A mean number of successes over several draws need not be whole.
    """
    if n < 1:
        raise ValueError("a proportion needs at least one case")
    z = Z_95
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Proportion(score=share, low=max(0.0, centre - half), high=min(1.0, centre + half), n=n)


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, float, float]:
    """Share right at first minus share right afterwards, on the same cases, with its 95 % interval: (d, low, high).

    The interval is the adjusted Wald interval of Bonett and Price (2012) for paired proportions: a case is added to
    each way of changing, and the rest is as in McNemar's test, where only the cases that changed count. Raises
    `ValueError` without a case, or where the two are not equally long.
    """
    n = len(first)
    if not n:
        raise ValueError("a difference needs at least one case")
    lost = sum(before and not after for before, after in zip(first, second, strict=True))
    won = sum(after and not before for before, after in zip(first, second, strict=True))
    less, more = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    half = Z_95 * math.sqrt((less + more - (less - more) ** 2) / (n + 2))
    return (lost - won) / n, max(-1.0, less - more - half), min(1.0, less - more + half)


def has_structure(answer: str) -> bool:
    """Does the answer carry the taught labels (lecture L2.4), each once, in order, at a line's start and with text?

    The confidence has to be one of the three taught words.
    """
    labelled = re.findall(rf"^({'|'.join(STRUCTURE)}):[ \t]*(.*)$", answer, flags=re.MULTILINE)
    if tuple(label for label, _ in labelled) != STRUCTURE or not all(text.strip() for _, text in labelled):
        return False
    return labelled[-1][1].strip().rstrip(".").lower() in _CONFIDENCE


def exact_match(answer: str, reference: str) -> bool:
    """Equal but for letter case, white space and a final full stop."""
    return _plain(answer) == _plain(reference)


def named_label(answer: str, options: Sequence[str]) -> str | None:
    """The one of `options` that the answer settles on: the last one it names as a whole word, or None.

    The last, since an answer that reasons first names the options it rejects before the one it takes.
    """
    words = re.findall("|".join(rf"\b{re.escape(option)}\b" for option in options), answer, flags=re.IGNORECASE)
    return next(option for option in options if option.lower() == words[-1].lower()) if words else None


def majority_share(labels: Sequence[str]) -> float:
    """What always giving the commonest label would score."""
    return Counter(labels).most_common(1)[0][1] / len(labels)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(".").lower()
