"""Fleiss' kappa and Krippendorff's alpha, against the worked examples of their authors and by hand."""

from __future__ import annotations

import math

import pytest

from evaluators.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha

# Fleiss (1971), table 1: how many of six psychiatrists gave each of 30 patients each of five diagnoses.
DIAGNOSES = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
# Krippendorff (2011), section C: four observers, twelve units, with judgements missing.
OBSERVERS = ["123321412   ", "1233224125 3", " 3332342251 ", "12332441251 "]


def _items() -> list[list[int]]:
    return [[int(row[unit]) for row in OBSERVERS if row[unit] != " "] for unit in range(12)]


def test_fleiss_own_example():
    labels = [
        [name for name, count in zip("abcde", row, strict=True) for _ in range(int(count))] for row in DIAGNOSES.split()
    ]
    assert all(len(given) == 6 for given in labels) and len(labels) == 30
    found = fleiss_kappa(labels)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.low is not None and found.high is not None and 0.30 < found.low < 0.43 < found.high < 0.56
    assert (found.n, found.interval) == (30, "bootstrap")


def test_fleiss_leaves_out_what_one_judge_saw():
    two = [["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]]
    # Agreed 3/4; 3 of 8 labels are a: chance 9/64 + 25/64 = 34/64.
    assert fleiss_kappa(two).value == pytest.approx((0.75 - 34 / 64) / (1 - 34 / 64))
    alone = fleiss_kappa([*two, ["a"], []])
    assert (alone.value, alone.n) == (fleiss_kappa(two).value, 4)
    assert fleiss_kappa([["a", "a"], ["a", "a"]]).value is None, "chance would always agree"


def test_alpha_of_krippendorffs_example():
    items = _items()
    assert sum(map(len, items)) == 41 and len(items[-1]) == 1, "40 pairable values, as published"
    nominal = krippendorff_alpha([[str(value) for value in one] for one in items])
    assert nominal.value == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(items, "ordinal").value == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(items, "interval").value == pytest.approx(0.849, abs=5e-4)
    assert nominal.n == 11 and nominal.low is not None and nominal.high is not None
    assert nominal.low < 0.743 < nominal.high <= 1


def test_alpha_of_two_judges_without_missing_values_is_near_cohens_kappa():
    first, second = list("yyynnnynynnyynyn") * 4, list("yynnnnynyynyynyy") * 4
    alpha = krippendorff_alpha(list(zip(first, second, strict=True))).value
    kappa = cohen_kappa(first, second).value
    assert alpha is not None and kappa is not None
    assert alpha == pytest.approx(kappa, abs=0.02) and alpha != kappa


def test_alpha_is_none_where_all_values_are_the_same_and_one_where_all_agree():
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]).value is None
    assert krippendorff_alpha([]).value is None
    assert krippendorff_alpha([[1, 1], [5, 5], [3, 3, 3]], "ordinal").value == 1


def test_distances_of_ratings_count():
    """One step apart is less disagreement than four, by order and by interval, and the same by name."""
    near, far = [[1, 1], [5, 5], [4, 5], [1, 1], [3, 3]], [[1, 1], [5, 5], [1, 5], [1, 1], [3, 3]]
    for level in ("ordinal", "interval"):
        one, other = krippendorff_alpha(near, level).value, krippendorff_alpha(far, level).value
        assert one is not None and other is not None and one > other + 0.3
    assert not math.isnan(krippendorff_alpha(near).value or math.nan)


def test_full_agreement_is_as_sure_as_its_number_of_items():
    found = krippendorff_alpha([["a", "a"], ["b", "b"]] * 20)
    # None of 40 disagree: 0.0881 at most do; 80 labels, half of them each, differ by chance in 40/79.
    assert (found.value, found.high, found.interval) == (1, 1, "exact")
    assert found.low == pytest.approx(1 - 0.0881 / (40 / 79), abs=1e-3)
    few = krippendorff_alpha([["a", "a"], ["b", "b"]])
    assert few.value == 1 and few.low is not None and few.low < 0
