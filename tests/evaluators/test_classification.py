"""Accuracy and F1 of labels, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from evaluators.classification import accuracy, f1_scores, macro_accuracy
from evaluators.scores import Score, compare, measure

LABELS = ["yes", "no", "maybe"]
few = settings(max_examples=40, deadline=None)
answered = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, None, "rash"])), min_size=1, max_size=40
)


def own(items: list) -> list[str]:
    return [str(number) for number in range(len(items))]


def value(score: Score) -> float:
    return float(score.of(score.rows.sum(axis=0)))


@few
@given(answered)
def test_f1_is_scikit_learns(pairs: list[tuple[str, str | None]]):
    gold, predicted = [one for one, _ in pairs], [other for _, other in pairs]
    scores = f1_scores(gold, predicted, own(pairs), LABELS)
    theirs = [one or "unread" for one in predicted]
    expected = [
        f1_score(gold, theirs, labels=LABELS, average="macro", zero_division=np.nan),  # pyright: ignore[reportArgumentType]
        f1_score(gold, theirs, labels=LABELS, average="micro", zero_division=np.nan),  # pyright: ignore[reportArgumentType]
        *f1_score(gold, theirs, labels=LABELS, average=None, zero_division=np.nan),  # pyright: ignore
    ]
    assert [value(score) for score in scores] == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label")
@few
@given(answered)
def test_accuracies_are_scikit_learns(pairs: list[tuple[str, str | None]]):
    gold, theirs = [one for one, _ in pairs], [other or "unread" for _, other in pairs]
    right = [one == other for one, other in zip(gold, theirs, strict=True)]
    assert value(accuracy(right, own(pairs))) == pytest.approx(accuracy_score(gold, theirs), abs=1e-9)
    # Of groups that are the gold labels, the mean of accuracies is what scikit-learn calls balanced.
    by_label = macro_accuracy(right, gold, own(pairs))
    assert value(by_label) == pytest.approx(balanced_accuracy_score(gold, theirs), abs=1e-9)


def test_always_yes_by_hand():
    gold = ["yes"] * 6 + ["no"] * 3 + ["maybe"]
    macro, micro, yes, no, maybe = (measure(one) for one in f1_scores(gold, ["yes"] * 10, own(gold), LABELS))
    assert (micro.value, yes.value, no.value, maybe.value) == pytest.approx((0.6, 0.75, 0, 0))
    assert macro.value == pytest.approx(0.25)
    assert macro.name == "F1, macro" and "yes, no, maybe" in macro.note


def test_an_answer_that_cannot_be_read_is_wrong_and_counted():
    found = measure(accuracy([True, None, None, False], own([0] * 4)))
    assert (found.value, found.n) == (0.25, 4)
    assert measure(macro_accuracy([True, None], ["a", "b"], ["1", "2"])).value == 0.5
    macro = f1_scores(["yes", "no"], [None, None], ["1", "2"], LABELS)[0]
    assert measure(macro).value == 0


def test_groups_count_the_same_whatever_their_size():
    right, groups = [True] * 9 + [False], ["large"] * 9 + ["small"]
    found = measure(macro_accuracy(right, groups, own(right)))
    assert (found.value, found.n, found.units) == (0.5, 10, 10)


def test_a_label_that_nobody_gave_says_nothing():
    *_, maybe = f1_scores(["yes", "no"], ["yes", "yes"], ["1", "2"], LABELS)
    assert measure(maybe).value is None
    assert measure(f1_scores(["yes", "no"], ["yes", "no"], ["1", "2"], LABELS)[0]).value == 1


def test_scores_of_two_models_can_be_compared():
    gold = LABELS * 20
    base = f1_scores(gold, ["yes"] * 60, own(gold), LABELS)[0]
    found = compare(base, f1_scores(gold, list(gold), own(gold), LABELS)[0])
    assert found.value == pytest.approx(1 - 1 / 6) and found.verdict == "better"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"\['perhaps'\] are none of"):
        f1_scores(["perhaps"], ["yes"], ["1"], LABELS)
    with pytest.raises(ValueError, match="2 gold labels, 1 predictions"):
        f1_scores(["yes", "no"], ["yes"], ["1", "2"], LABELS)
