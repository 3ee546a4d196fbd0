"""Calibration error and Brier score against torchmetrics and scikit-learn; what answers state about themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from evaluators.calibration import brier, confidence, ece, reliability, stated
from evaluators.scores import compare, measure

few = settings(max_examples=40, deadline=None)
# Just 1 is left out, which torchmetrics puts into a sixteenth bin, and so are edges, of which one is rounded otherwise.
inside = st.floats(0, 0.999).filter(lambda one: abs(15 * one - round(15 * one)) > 1e-9)
judged = st.lists(st.tuples(inside, st.booleans()), min_size=1, max_size=60)


def own(items: list) -> list[str]:
    return [str(number) for number in range(len(items))]


@few
@given(judged)
def test_ece_is_torchmetrics(items: list[tuple[float, bool]]):
    sure, right = [one for one, _ in items], [good for _, good in items]
    expected = binary_calibration_error(
        torch.tensor(sure, dtype=torch.float64), torch.tensor(right).int(), n_bins=15, norm="l1"
    )
    score = ece(sure, right, own(items))
    assert float(score.of(score.rows.sum(axis=0))) == pytest.approx(float(expected), abs=1e-9)


@few
@given(judged)
def test_the_bins_add_up_to_the_ece(items: list[tuple[float, bool]]):
    sure, right = [one for one, _ in items], [good for _, good in items]
    bins = reliability(sure, right)
    assert len(bins) == 15 and sum(one.n for one in bins) == len(items)
    gaps = [
        one.n * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    score = ece(sure, right, own(items))
    assert float(score.of(score.rows.sum(axis=0))) == pytest.approx(sum(gaps) / len(items), abs=1e-9)


@few
@given(judged)
def test_brier_is_scikit_learns(items: list[tuple[float, bool]]):
    sure, right = [one for one, _ in items], [good for _, good in items]
    expected = brier_score_loss([int(good) for good in right], sure, pos_label=1)
    assert measure(brier(sure, right, own(items))).value == pytest.approx(expected, abs=1e-9)


def test_by_hand():
    # 0.9 sure of four answers of which two are right; 1 sure of one that is right.
    sure, right = [0.9] * 4 + [1.0], [True, True, False, False, True]
    error, score = ece(sure, right, own(sure)), brier(sure, right, own(sure))
    assert measure(error).value == pytest.approx(4 / 5 * 0.4)
    assert measure(score).value == pytest.approx((2 * 0.01 + 2 * 0.81) / 5)
    assert not error.higher_is_better and not score.higher_is_better
    ninth, last = reliability(sure, right)[13], reliability(sure, right)[14]
    assert (ninth.n, ninth.accuracy, last.n, last.accuracy) == (4, 0.5, 1, 1.0)
    assert ninth.confidence == pytest.approx(0.9)
    assert ninth.low <= 0.9 < ninth.high and last.high == 1


def test_no_confidence_is_left_out_and_no_answer_is_wrong():
    error = measure(ece([1.0, None, 1.0], [True, False, None], own([0] * 3)))
    assert (error.value, error.n) == (0.5, 2)
    assert measure(brier([1.0, None, 1.0], [True, False, None], own([0] * 3))).value == 0.5
    assert sum(one.n for one in reliability([1.0, None], [True, True])) == 1
    assert measure(ece([None], [True], ["1"])).value is None


def test_a_better_calibrated_model_is_better():
    right = [True, False] * 50
    found = compare(ece([0.99] * 100, right, own(right)), ece([0.55] * 100, right, own(right)))
    assert found.value == pytest.approx(-0.44) and found.verdict == "better"


@few
@given(st.lists(st.floats(-800, 0), min_size=1, max_size=6))
def test_confidence_is_the_softmax(totals: list[float]):
    assert confidence(totals) == pytest.approx(softmax(totals).tolist(), abs=1e-12)
    assert sum(confidence(totals)) == pytest.approx(1)


def test_confidence_by_hand_and_its_limits():
    import math

    assert confidence([math.log(0.02), math.log(0.06)]) == pytest.approx([0.25, 0.75])
    assert confidence([-1e6, float("-inf")]) == [1.0, 0.0]
    for impossible in ([], [float("-inf")] * 2):
        with pytest.raises(ValueError, match="at least one option"):
            confidence(impossible)
    with pytest.raises(ValueError, match=r"a confidence of 80"):
        ece([80.0], [True], ["1"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Assessment: a\nConfidence: high", 0.8),
        ("Confidence: Moderate.\nDisclaimer: none", 0.5),
        ("**Confidence:** Low", 0.2),
        ("- Confidence level: 70 percent", 0.7),
        ("Confidence: High (85 %)", 0.85),
        ("Confidence score: 0.85", 0.85),
        ("Confidence: low\nConfidence: high", 0.8),
        ("Confidence: high, as the rash is typical of low platelets", 0.8),
        ("Confidence: 80-90 %", None),
        ("Confidence: low to moderate", None),
        ("Confidence: 120 %", None),
        ("Confidence: very", None),
        ("Confidence:\n85 % of patients recover", None),
        ("High fever; I speak with confidence.", None),
        ("", None),
    ],
)
def test_what_an_answer_states(answer: str, expected: float | None):
    assert stated(answer) == expected
