"""What the Runs page tells of a run that learns from preferences or rewards, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

from assistant.pages import run_alignment, run_view
from assistant.pages.history import History
from evaluators import scores
from evaluators.pair_ranking import pair_ranking
from trainer import events, runs
from trainer.report import HeldOutPairs, RewardGain
from trainer.sections import RunConfig

ROW = '<img src=x onerror="alert(1)">'


def told(tmp_path: Path, *happened: events.Event) -> History:
    path = tmp_path / "events.jsonl"
    for event in happened:
        events.append(path, event)
    return History(path).update()


def rewarded(step: int, reward: float, **others: object) -> events.RewardEvent:
    values: dict = {"reward": reward, "spread": 0.2, "length": 40.0, "kl": 1.5, "by_rule": {"structure": reward}}
    return events.RewardEvent(step=step, **{**values, **others})


def preferred(step: int, margin: float, chosen: float | None = None) -> events.PreferenceEvent:
    rejected = None if chosen is None else chosen - margin
    return events.PreferenceEvent(step=step, margin=margin, accuracy=0.75, chosen=chosen, rejected=rejected)


def alarm(step: int, kind: str = "length") -> events.AlarmEvent:
    return events.AlarmEvent.model_validate({"step": step, "alarm": kind, "message": f"{ROW} of {kind}"})


def test_a_run_without_rewards_shows_no_card(tmp_path: Path) -> None:
    assert run_alignment.cards(told(tmp_path, events.EvalEvent(step=5, loss=1.0))) == ""
    assert run_alignment.outcome(None) == "" and run_alignment.outcome({"held_out_pairs": None}) == ""


def test_rewards_are_curves_with_the_bound_of_the_kl(tmp_path: Path) -> None:
    page = run_alignment.cards(told(tmp_path, rewarded(1, 0.2), rewarded(2, 0.6, length=31.0, kl=2.25)))
    assert "reward by step: reward ends at 0.6" in page
    assert "nats an answer by step: KL ends at 2.25" in page and "stroke-dasharray" in page
    assert "0.600" in page and "31 tokens" in page and "2.25 nats an answer" in page
    assert "structure" not in page, "a single rule is the reward itself"
    both = {"structure": 0.5, ROW: 0.1}
    page = run_alignment.cards(told(tmp_path, rewarded(3, 0.6, by_rule=both), rewarded(4, 0.6, by_rule=both)))
    assert "structure" in page and "<img" not in page and "&lt;img" in page


def test_without_a_reference_nothing_is_said_of_the_kl(tmp_path: Path) -> None:
    page = run_alignment.cards(told(tmp_path, rewarded(1, 0.2, kl=None), rewarded(2, 0.3, kl=None)))
    assert "KL" not in page


def test_pairs_show_margin_and_likelihoods_where_there_are_any(tmp_path: Path) -> None:
    page = run_alignment.cards(told(tmp_path, preferred(1, 0.0), preferred(2, 0.5)))
    assert "margin ends at 0.5" in page and "75%" in page and "log-likelihood" not in page
    page = run_alignment.cards(told(tmp_path, preferred(3, 0.5, chosen=-9.0), preferred(4, 0.7, chosen=-12.0)))
    assert "chosen ends at -12" in page and "rejected ends at -12.7" in page


def test_what_a_resumed_run_does_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    past = told(
        tmp_path,
        rewarded(1, 0.1),
        rewarded(2, 0.2),
        alarm(2, "kl"),
        rewarded(3, 0.9),
        alarm(3, "length"),
        alarm(3, "collapse"),
    )
    assert [one.alarm for one in past.alarms] == ["kl", "length", "collapse"], "two alarms of one step both stand"
    before = past.counts()
    past = told(tmp_path, rewarded(3, 0.3))
    assert [one.reward for one in past.rewards] == [0.1, 0.2, 0.3]
    assert [one.alarm for one in past.alarms] == ["kl"]
    assert past.counts() != before, "the page is drawn again"


def test_alarms_are_notices_and_their_words_are_never_run(tmp_path: Path, tiny_run: RunConfig) -> None:
    run = runs.create(tiny_run)
    past = told(tmp_path, rewarded(3, 0.9), alarm(3))
    notes = run_view.notes(run, past)
    assert "Step 3: &lt;img" in notes and "<img" not in notes
    assert "length rises" in run_alignment.cards(past)


def test_the_reward_models_ranking_is_told_with_its_interval() -> None:
    ranking = pair_ranking([(2.0, 0.0), (1.0, 0.5), (0.0, 1.0), (3.0, 0.0)], ["a", "b", "c", "d"])
    page = run_alignment.outcome({"held_out_pairs": HeldOutPairs(side="test", ranking=ranking).model_dump()})
    assert "ranked as people did (n = 4)" in page and "75% (19% to 99%)" in page
    assert "Never seen in training" in page
    page = run_alignment.outcome({"held_out_pairs": HeldOutPairs(side="validation", ranking=ranking).model_dump()})
    assert "Validation pairs" in page


def test_what_rewards_became_is_told_with_the_paired_interval() -> None:
    units = [str(number) for number in range(20)]
    levels = [number / 40 for number in range(20)]
    gained = [0.5 + number % 2 for number in range(20)]
    before = scores.mean("reward", levels, units, "number")
    after = scores.mean("reward", [one + more for one, more in zip(levels, gained, strict=True)], units, "number")
    gain = RewardGain(before=scores.measure(before), after=scores.measure(after), gained=scores.compare(before, after))
    page = run_alignment.outcome({"reward_gain": gain.model_dump()})
    assert "base (n = 20)" in page and re.search(r"1\.000 \(0\.\d+ to 1\.\d+\)", page)
