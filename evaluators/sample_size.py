"""How many cases a limit takes: exact one-sided bounds of a share, and the fewest cases that can show it."""

from __future__ import annotations

from collections.abc import Callable

LEVEL = 0.95
_MOST = 10**12  # cases


def bounds(failing: float, n: float) -> tuple[float, float]:
    """One-sided 95 % bounds of a share, each by itself (Clopper and Pearson 1934); (0, 1) where n is 0."""
    from scipy.stats import beta

    if not 0 <= failing <= n:
        raise ValueError(f"{failing:g} failing of {n:g} cases: give a number from 0 to the number of cases")
    low = float(beta.ppf(1 - LEVEL, failing, n - failing + 1)) if failing > 0 else 0.0
    high = float(beta.ppf(LEVEL, failing + 1, n - failing)) if failing < n else 1.0
    return low, high


def cases_needed(failing: int, limit: float) -> int:
    """The fewest cases in which `failing` may fail and the share still be shown to lie below `limit`."""
    found = fewest(lambda n: bounds(failing, n)[1] < limit, failing)
    assert found is not None  # any share above 0 is reached
    return found


def fewest(enough: Callable[[int], bool], start: int) -> int | None:
    """The smallest number above `start` that is enough, where all beyond it are; None where it is absurdly large."""
    low, high = start, max(1, 2 * start)
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
