"""Scores, against cases worked out by hand."""

import math

import pytest

from evaluators.held_out import Item, score, with_examples
from evaluators.metrics import exact_match, has_structure, majority_share, named_label, paired_difference, proportion

GOOD = "Assessment: a\nReasoning: b\nRed flags: c\nNext step: d\nConfidence: high\nDisclaimer: e"


def test_wilson_interval_of_a_published_example():
    # Newcombe 1998, table I, method 3: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
    share = proportion(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    none = proportion(0, 20)
    assert none.low == 0 and round(none.high, 4) == 0.1611
    with pytest.raises(ValueError):
        proportion(0, 0)


def test_paired_difference_of_a_case_worked_out_by_hand():
    # 2 lost, 1 won, 7 unchanged: (2 + 1) / 12 and (1 + 1) / 12 change, half = 1.96 sqrt((5/12 - 1/144) / 12) = 0.3622.
    first = [True] * 2 + [False] + [True] * 7
    second = [False] * 2 + [True] * 8
    difference, low, high = paired_difference(first, second)
    assert difference == pytest.approx(0.1)
    assert (low, high) == pytest.approx((1 / 12 - 0.36218, 1 / 12 + 0.36218), abs=1e-4)
    with pytest.raises(ValueError):
        paired_difference([], [])
    with pytest.raises(ValueError):
        paired_difference([True], [True, False])


@pytest.mark.parametrize(("lost", "won"), [(0.05, 0.05), (0.2, 0.05), (0.02, 0.0), (0.4, 0.1)])
def test_the_interval_of_a_paired_difference_holds_the_truth_95_times_in_100(lost: float, won: float):
    n, covered = 40, 0.0
    for losses in range(n + 1):
        for wins in range(n + 1 - losses):
            kept = n - losses - wins
            first = [True] * losses + [False] * wins + [True] * kept
            second = [False] * losses + [True] * (wins + kept)
            _, low, high = paired_difference(first, second)
            if low <= lost - won <= high:
                ways = math.comb(n, losses) * math.comb(n - losses, wins)
                covered += ways * lost**losses * won**wins * (1 - lost - won) ** kept
    assert covered >= 0.94


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOOD, True),
        (GOOD.replace("high", "Moderate."), True),
        (GOOD.replace("high", "very"), False),
        (GOOD.replace("Reasoning: b\n", ""), False),
        (GOOD.replace("Reasoning: b", "Reasoning:"), False),
        ("Next step: d\n" + GOOD.replace("Next step: d\n", ""), False),
        (GOOD.replace("\n", " "), False),
        (GOOD + "\nAssessment: again", False),
        ("", False),
    ],
)
def test_structure(answer: str, expected: bool):
    assert has_structure(answer) is expected


def test_exact_match_forgives_case_and_space_only():
    assert exact_match(" Drug: X;  dose: 5 mg. ", "drug: x; dose: 5 mg")
    assert not exact_match("drug: x; dose: 50 mg", "drug: x; dose: 5 mg")


def test_the_last_label_named_counts_and_only_whole_words():
    options = ["low", "normal", "high"]
    assert named_label("not low, so HIGH", options) == "high"
    assert named_label("below, abnormally, highest", options) is None
    assert majority_share(["a", "b", "a", "a"]) == 0.75


def test_a_broken_evaluator_is_seen():
    items = [Item(prompt=[], reference=label, label=label, options=["low", "high"]) for label in ["low", "low", "high"]]
    assert score(items, ["low"] * 3, "label").score == pytest.approx(2 / 3)
    assert score(items, ["I cannot say"] * 3, "label").score == 0
    assert score(items, [item.reference for item in items], "exact_match").score == 1
    with pytest.raises(ValueError):
        score(items, ["low"], "label")


def test_examples_stand_between_system_prompt_and_question():
    system, ask = {"role": "system", "content": "s"}, {"role": "user", "content": "q"}
    example = Item(prompt=[system, {"role": "user", "content": "eq"}], reference="ea")
    shown = with_examples(Item(prompt=[system, ask], reference="a"), [example])
    assert [message["content"] for message in shown] == ["s", "eq", "ea", "q"]
