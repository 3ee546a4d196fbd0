"""The Runs page's account of a run that learns from preferences or rewards: its curves, and what came of it."""

from __future__ import annotations

from html import escape
from typing import Any

from assistant.pages.history import History, thinned
from assistant.pages.line_chart import line_chart
from assistant.pages.run_view import facts_list
from assistant.pages.style import badge
from trainer.steering.alignment_alarms import KL_BOUND

_ALARMS = {"collapse": "answers collapse", "length": "length rises", "kl": "far from the reference"}


def cards(past: History) -> str:
    """A card of the pairs and one of the rewards, where the run learns from them; else empty."""
    return "".join(f'<div class="bs-card">{found}</div>' for part in (_rewards, _pairs) if (found := part(past)))


def outcome(report: dict[str, Any] | None) -> str:
    """Cards of a finished run's report: how a reward model ranks held-out pairs, and what rewards became."""
    found = report or {}
    parts = (_held_out_pairs(found.get("held_out_pairs")), _gain(found.get("reward_gain")))
    return "".join(f'<div class="bs-card">{part}</div>' for part in parts if part)


def _pairs(past: History) -> str:
    if not past.preferences:
        return ""
    steps = thinned(past.preferences)
    likely = {
        name: [(one.step, value) for one in steps if (value := getattr(one, name)) is not None]
        for name in ("chosen", "rejected")
    }
    last = past.preferences[-1]
    facts = {"margin now": f"{last.margin:.3f}", "pairs won now": f"{last.accuracy:.0%}"}
    return (
        "<h3>Chosen against rejected</h3>"
        + line_chart({"margin": [(one.step, one.margin) for one in steps]}, "step", "margin of the rewards")
        + line_chart({"pairs won": [(one.step, one.accuracy) for one in steps]}, "step", "share", top=1.0)
        + (line_chart(likely, "step", "log-likelihood of an answer (nats)") if likely["chosen"] else "")
        + facts_list(facts)
        + '<p class="bs-soft">On the pairs of each step. A margin that grows while the chosen answers become unlikely '
        "too is a model that forgets how to answer.</p>"
    )


def _rewards(past: History) -> str:
    if not past.rewards:
        return ""
    steps, last = thinned(past.rewards), past.rewards[-1]
    reward = {"reward": [(one.step, one.reward) for one in steps]}
    if len(last.by_rule) > 1:
        reward |= {
            name: [(one.step, one.by_rule[name]) for one in steps if name in one.by_rule] for name in last.by_rule
        }
    distance = {"KL": [(one.step, one.kl) for one in steps if one.kl is not None]}
    spread = {
        "spread of the reward": [(one.step, one.spread) for one in steps],
        "share of answers alike": [(one.step, one.alike) for one in steps],
    }
    now = {one.alarm for one in past.alarms}
    state = "".join(badge(_ALARMS[alarm], "warn") for alarm in sorted(now))
    facts = {"reward now": f"{last.reward:.3f}", "length now": f"{last.length:.0f} tokens"}
    if last.kl is not None:
        facts["KL now"] = f"{last.kl:.2f} nats an answer"
    return (
        f'<div class="bs-row"><h3>Rewards</h3>{state}</div>'
        + line_chart(reward, "step", "reward")
        + line_chart({"length": [(one.step, one.length) for one in steps]}, "step", "tokens of an answer")
        + line_chart(distance, "step", "nats an answer", limit=KL_BOUND)
        + line_chart(spread, "step", "within a question")
        + facts_list(facts)
        + '<p class="bs-soft">Of the answers that the model drew in each step. The spread is what is learnt from: at 0 '
        "all answers to a question are worth the same.</p>"
    )


def _held_out_pairs(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    ranking = found["ranking"]
    facts = {
        f"ranked as people did (n = {ranking['pairs']})": _measured(ranking["accuracy"], share=True),
        "calibration error": _measured(ranking["calibration_error"]),
        "Brier score": _measured(ranking["brier"]),
        "mean margin": f"{ranking['margin']:.2f}",
    }
    bins = [one for one in ranking["bins"] if one["n"]]
    sure = {
        "right": [(one["confidence"], one["accuracy"]) for one in bins],
        "as sure as right": [(0.5, 0.5), (1.0, 1.0)],
    }
    side = "never seen in training" if found["side"] == "test" else "validation pairs"
    return (
        "<h3>The reward model on held-out pairs</h3>"
        + facts_list(facts)
        + (line_chart(sure, "how sure it is", "share right", top=1.0) if len(bins) > 1 else "")
        + f'<p class="bs-soft">{escape(side[:1].upper() + side[1:])}; with 95 % intervals over questions. How sure it '
        "is of the answer that it prefers follows from the margin.</p>"
    )


def _gain(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    facts = {
        f"base (n = {found['before']['n']})": _measured(found["before"]),
        "tuned": _measured(found["after"]),
        "gained": _measured(found["gained"]),
    }
    return (
        "<h3>Reward of answers to validation questions</h3>"
        + facts_list(facts)
        + '<p class="bs-soft">With 95 % intervals; what was gained is paired by question. A reward is what was aimed '
        "at, not whether the answers are good: compare them by hand.</p>"
    )


def _measured(one: dict[str, Any], share: bool = False) -> str:
    if one["value"] is None:
        return "not measured"

    def words(value: float) -> str:
        return f"{value:.0%}" if share else f"{value:.3f}"

    interval = "" if one["low"] is None else f" ({words(one['low'])} to {words(one['high'])})"
    return words(one["value"]) + interval
