"""What `bench/methods.py` measures of a run, and how its tables are printed."""

from __future__ import annotations

import statistics
from typing import Literal

from pydantic import BaseModel

Table = Literal["methods", "retention", "order"]


class Measured(BaseModel):
    """A finished row. `tokens` are those of one pass, or of its part that was seen; `before` and `loss` validation
    losses in nats a token; `base` and `scores` shares of the held-out items by set; `forgotten` points of accuracy."""

    table: Table
    setting: str
    seed: int
    budget: int
    tokens: int
    rate: float
    share: float
    peak_gib: float
    tokens_per_second: float
    before: float
    loss: float
    base: dict[str, float]
    scores: dict[str, float]
    forgotten: float | None = None
    perplexity_before: float | None = None
    perplexity: float | None = None
    ended: str | None = None
    minutes: float

    @property
    def gain(self) -> float:
        return self.before - self.loss


def print_methods(rows: list[Measured]) -> None:
    """A line a method, below the base's own."""
    print(
        f"{'method':18} {'rate':>7} {'trained':>9} {'GiB':>5} {'tok/s':>6} {'tokens':>7} {'loss':>6} {'structure':>9} "
        f"{'lab':>5} {'orders':>6} {'forgotten':>9} {'perplexity':>10}"
    )
    for row in rows[:1]:
        print(f"{'the base itself':57} {row.before:12.3f} {_scores(row.base)} {row.perplexity_before:20.1f}")
    for row in rows:
        cost = f"{row.rate:7.0e} {row.share:9.3%} {row.peak_gib:5.1f} {row.tokens_per_second:6.0f} {row.tokens:7,}"
        kept = f"{row.forgotten:+9.1f} {row.perplexity:10.1f}"
        print(f"{row.setting:18} {cost} {row.loss:6.3f} {_scores(row.scores)} {kept}")


def print_retention(rows: list[Measured]) -> None:
    """A line a setting, with what it loses and saves beside nothing against forgetting."""
    print(
        f"{'against forgetting':18} {'seed':>4} {'tokens':>7} {'loss':>6} {'gain lost':>9} {'lab':>5} {'orders':>6} "
        f"{'forgotten':>9} {'of off':>6} {'perplexity':>10} {'base':>6}"
    )
    plain = {row.seed: row for row in rows if row.setting == "off"}
    for row in rows:
        off = plain.get(row.seed, row)
        assert row.forgotten is not None and off.forgotten is not None
        lost = f"{1 - row.gain / off.gain:.1%}" if off.gain > 0 else "-"
        share = f"{row.forgotten / off.forgotten:.0%}" if off.forgotten > 0 else "-"
        told = f"{row.scores['starter/lab']:5.0%} {row.scores['starter/orders']:6.0%} {row.forgotten:+9.1f} {share:>6}"
        kept = f"{row.perplexity:10.1f} {row.perplexity_before:6.1f}"
        print(f"{row.setting:18} {row.seed:4} {row.tokens:7,} {row.loss:6.3f} {lost:>9} {told} {kept}")


def print_order(rows: list[Measured]) -> None:
    """A line a setting: losses and scores over the seeds, and the differences to the rows as they come."""
    print(f"{'rows':22} {'seeds':>5} {'loss':>15} {'difference':>16} {'lab':>13} {'orders':>13}")
    plain = {row.seed: row.loss for row in rows if row.setting == "as they come"}
    for name in dict.fromkeys(row.setting for row in rows):
        mine = [row for row in rows if row.setting == name]
        apart = [row.loss - plain[row.seed] for row in mine if row.seed in plain and name != "as they come"]
        lab, orders = (_spread([row.scores[source] for row in mine], 2) for source in ("starter/lab", "starter/orders"))
        loss, difference = _spread([row.loss for row in mine], 3), _spread(apart, 3, "+") if apart else "-"
        print(f"{name:22} {len(mine):5} {loss:>15} {difference:>16} {lab:>13} {orders:>13}")


def _spread(values: list[float], digits: int, sign: str = "") -> str:
    """Mean and standard deviation; one value has none."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.{digits}f}{spread}"


def _scores(scores: dict[str, float]) -> str:
    return f"{scores['starter/clinical']:9.0%} {scores['starter/lab']:5.0%} {scores['starter/orders']:6.0%}"
