"""Which of several models to take (lecture L3.14): limits first, then the Pareto front, then what matters most.

What was not measured is never taken for good: under a limit it excludes, beside a number it is worse, and a model of
which the first thing asked is not known is not chosen on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field


class Criterion(BaseModel):
    """What candidates are compared by; `limit` is the worst value that may be chosen at all."""

    name: str
    better: Literal["higher", "lower"]
    limit: float | None = None


# In the order in which they decide; limits: lecture L3.15 and L3.17.
CRITERIA = (
    Criterion(name="quality", better="higher"),
    Criterion(name="harmful share", better="lower", limit=0.001),
    Criterion(name="robustness", better="higher"),
    Criterion(name="latency, s", better="lower", limit=2.0),
    Criterion(name="memory, GiB", better="lower"),
    Criterion(name="tokens/s", better="higher"),
    Criterion(name="cost of 1,000 answers", better="lower"),
    Criterion(name="interpretability", better="higher"),
)


class Candidate(BaseModel):
    """A model and what is known of it, by the names of the criteria; None or nothing: not measured."""

    name: str
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """95 % intervals of those values that have one."""


class Choice(BaseModel):
    """What was chosen and why; `name` is None where nothing may be."""

    name: str | None
    reasons: list[str]
    dominated: dict[str, str]
    """Candidates that another is nowhere worse than and somewhere better, and that other."""
    excluded: dict[str, str]
    """Candidates beyond a limit, and which."""


def choose(candidates: Sequence[Candidate], criteria: Sequence[Criterion]) -> Choice:
    """The candidate to take: within every limit, not dominated, and best by the criteria in their order.

    A criterion decides only between intervals that do not overlap (a value without one is taken as exact): all whose
    interval reaches the best one's stay for the next. Where none decides, the first in the list is taken. Raises
    `ValueError` where two candidates have one name.
    """
    if len({one.name for one in candidates}) < len(candidates):
        raise ValueError(f"two candidates have one name among {_listed(candidates)}: give each its own")
    excluded = {one.name: why for one in candidates if (why := _beyond(one, criteria))}
    kept = [one for one in candidates if one.name not in excluded]
    dominated = _dominated(kept, criteria)
    left = [one for one in kept if one.name not in dominated]
    reasons = [f"{name} is out: {why}." for name, why in excluded.items()]
    reasons += [f"{name} is nowhere better than {by}, and somewhere worse." for name, by in dominated.items()]
    if not left:
        reasons.append("No candidate is within every limit." if candidates else "There is no candidate.")
        return Choice(name=None, reasons=reasons, dominated=dominated, excluded=excluded)
    for criterion in criteria:
        if len(left) == 1:
            break
        left, reason = _better(left, criterion)
        reasons.append(reason)
    if len(left) > 1:
        reasons.append(f"Nothing tells {_listed(left)} apart: the first in the list is taken.")
    elif len(candidates) - len(excluded) - len(dominated) == 1:
        reasons.append(f"{left[0].name} alone is left.")
    return Choice(name=left[0].name, reasons=reasons, dominated=dominated, excluded=excluded)


def pareto(candidates: Sequence[Candidate], criteria: Sequence[Criterion]) -> list[str]:
    """Names of those that no other dominates, in their order (by the values alone, whatever their intervals)."""
    dominated = _dominated(candidates, criteria)
    return [one.name for one in candidates if one.name not in dominated]


def cost_of_thousand(seconds_per_answer: float, price_per_hour: float | None = None) -> float:
    """Machine seconds that 1,000 answers take, or their price where an hour of the machine has one."""
    seconds = 1000 * seconds_per_answer
    return seconds if price_per_hour is None else seconds / 3600 * price_per_hour


def _beyond(candidate: Candidate, criteria: Sequence[Criterion]) -> str:
    """The limits that it breaks or of which nothing is known, in words; empty where there is none."""
    found = []
    for criterion in criteria:
        value, limit = candidate.values.get(criterion.name), criterion.limit
        if limit is None:
            continue
        if value is None:
            found.append(f"{criterion.name} has a limit of {limit:g} and was not measured")
        elif _signed(value, criterion) < _signed(limit, criterion):
            side = "under" if criterion.better == "higher" else "over"
            found.append(f"{criterion.name} {value:.4g} is {side} the limit of {limit:g}")
    return "; ".join(found)


def _dominated(candidates: Sequence[Candidate], criteria: Sequence[Criterion]) -> dict[str, str]:
    found = {}
    for one in candidates:
        by = [other.name for other in candidates if _dominates(other, one, criteria)]
        if by:
            found[one.name] = by[0]
    return found


def _dominates(first: Candidate, second: Candidate, criteria: Sequence[Criterion]) -> bool:
    pairs = [(_known(first, criterion), _known(second, criterion)) for criterion in criteria]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _better(candidates: Sequence[Candidate], criterion: Criterion) -> tuple[list[Candidate], str]:
    """Those that nothing shows to be worse by the criterion than the best, and a sentence."""
    name = criterion.name
    known = [one for one in candidates if one.values.get(name) is not None]
    if not known:
        return list(candidates), f"{name.capitalize()} was measured of none of {_listed(candidates)}."
    best = max(known, key=lambda one: _known(one, criterion))
    reach = min(_signed(end, criterion) for end in _interval(best, name))
    left = [one for one in known if max(_signed(end, criterion) for end in _interval(one, name)) >= reach]
    worse = [one for one in candidates if one not in left]
    if not worse:
        return left, f"By {name}, {_values(left, name)} are not told apart: no reason."
    if len(left) == 1:
        return left, f"{best.name} is best by {name}: {_values([best, *worse], name)}."
    return left, f"By {name}, {_values(worse, name)} fall behind {_values(left, name)}."


def _interval(candidate: Candidate, name: str) -> tuple[float, float]:
    value = candidate.values[name]
    assert value is not None
    return candidate.intervals.get(name, (value, value))


def _known(candidate: Candidate, criterion: Criterion) -> float:
    value = candidate.values.get(criterion.name)
    return float("-inf") if value is None else _signed(value, criterion)


def _signed(value: float, criterion: Criterion) -> float:
    return value if criterion.better == "higher" else -value


def _values(candidates: Sequence[Candidate], name: str) -> str:
    return _join([f"{one.name} ({_value(one, name)})" for one in candidates])


def _value(candidate: Candidate, name: str) -> str:
    value = candidate.values.get(name)
    if value is None:
        return "not measured"
    if name not in candidate.intervals:
        return f"{value:.4g}"
    low, high = candidate.intervals[name]
    return f"{value:.4g}, {low:.4g} to {high:.4g}"


def _listed(candidates: Sequence[Candidate]) -> str:
    return _join([one.name for one in candidates])


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
