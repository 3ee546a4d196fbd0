"""Consistency over the variants of a question: shares that one can count by hand, from stand-ins for a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from respondents import ALWAYS_A, COPIES, REFUSES, Says, parrot

from evaluators.attacks.cases import make_cases
from evaluators.cases import Case, Item
from evaluators.consistency import ALIKE, same_text
from evaluators.overlap import EncoderMissing, embed
from evaluators.scores import compare, measure
from evaluators.suites import consistency


def asked(number: int, question: str, **known) -> Item:
    return Item(id=f"q{number}", prompt=[{"role": "user", "content": question}], **known)


CHOICES = [
    asked(
        number,
        f"A {age}-year-old man has chest pain and hypertension. What is the next step?",
        options=["ECG", "CT", "MRI"],
        answer=number,
    )
    for number, age in enumerate((31, 52, 73))
]


def varied(item: Item, *questions: str, kind: str = "style") -> list[Item]:
    return [
        item,
        *(item.asking(text, id=f"{item.id}/{n}", group=kind, how=f"{kind}: {n}") for n, text in enumerate(questions)),
    ]


def by_words(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for embeddings: texts are alike where their first words are the same."""
    first = [text.split()[0] if text else "" for text in texts]
    names = sorted(set(first))
    return np.eye(len(names))[[names.index(word) for word in first]]


def shares(cases: list[Case]) -> list[float | None]:
    return [measure(score).value for score in consistency.scores(cases)]


@pytest.mark.parametrize("respondent", [ALWAYS_A, COPIES, REFUSES])
def test_who_always_chooses_alike_is_consistent_whatever_the_variants(respondent: Says):
    items = [*CHOICES, *make_cases(CHOICES, per_item=6)]
    assert shares(consistency.ask(items, respondent)) == [1.0, 1.0]


def test_who_parrots_gold_on_questions_it_knows_to_the_letter_alone_can_be_counted():
    items = [
        *varied(CHOICES[0], "Hello. " + CHOICES[0].question, "Please help. " + CHOICES[0].question),
        *varied(CHOICES[1], "Hello. " + CHOICES[1].question, "something else altogether"),
    ]
    # the stand-in finds its questions within a longer text; the one that it does not know it answers with A, not with B
    cases = consistency.ask(items, parrot(CHOICES))
    strict, pairwise = consistency.scores(cases)
    assert measure(strict).value == 1 / 2 and measure(strict).units == 2 and measure(strict).interval == "exact"
    assert measure(pairwise).value == pytest.approx((1 + 1 / 3) / 2)
    assert [case.right for case in cases] == [None, True, True, None, True, False]


def test_one_that_flips_under_a_change_is_never_consistent():
    flips = Says(str, lambda text, replies: [1.0, 0.0, 0.0] if text.startswith("A ") else [0.0, 1.0, 0.0])
    items = [item for one in CHOICES for item in varied(one, "So: " + one.question, "Well: " + one.question)]
    cases = consistency.ask(items, flips)
    # the two variants agree with each other, and with the source not: one pair of three
    assert shares(cases) == [0.0, pytest.approx(1 / 3)]


def test_variants_of_one_question_are_no_further_evidence():
    few = consistency.ask([item for one in CHOICES for item in varied(one, "So: " + one.question)], ALWAYS_A)
    many = [item for one in CHOICES for item in varied(one, *(f"So {n}: " + one.question for n in range(9)))]
    first, second = (measure(consistency.scores(cases)[0]) for cases in (few, consistency.ask(many, ALWAYS_A)))
    assert (first.units, first.low, first.high) == (second.units, second.low, second.high) == (3, first.low, 1.0)


def test_kinds_that_change_the_meaning_are_left_out_and_sources_without_variants_say_nothing():
    items = [
        *varied(CHOICES[0], "So: " + CHOICES[0].question),
        *varied(CHOICES[1], "A man has no chest pain. What is the next step?", kind="negations"),
    ]
    cases = consistency.ask(items, ALWAYS_A)
    assert len(cases) == 3
    assert measure(consistency.scores(cases)[0]).units == 1
    assert measure(consistency.scores(consistency.ask(CHOICES, ALWAYS_A))[0]).value is None
    with pytest.raises(ValueError, match="q0, which is not among the items"):
        consistency.ask(items[1:2], ALWAYS_A)


def test_classes_and_short_answers_have_to_be_the_same_in_whatever_words():
    lab = asked(1, "Sodium 120 (reference 135-145): low, normal or high?", options=["low", "normal", "high"], answer=0)
    order = asked(2, "Take out the route: aspirin 81 mg by mouth", reference="oral")
    said = {lab.question: "120 is under 135: Low", order.question: "Oral."}
    answers = Says(lambda text: said.get(text, "it is low" if "Sodium" in text else "rectal"))
    items = [*varied(lab, "Hi. " + lab.question), *varied(order, "Hi. " + order.question)]
    cases = consistency.ask(items, answers, embed=lambda texts: pytest.fail("nothing free to compare"))
    assert [case.right for case in cases] == [None, True, None, False]


def test_free_text_is_the_same_by_meaning_numbers_and_negations():
    item = asked(1, "How is gout treated?", reference="Long. " * 30)
    said = {
        item.question: "Colchicine twice, 2 tablets",
        "alike": "Colchicine 2 tablets, 2 times",
        "numbers": "Colchicine twice, 5 tablets",
        "negated": "Colchicine twice, not 2 tablets",
        "other": "Rest twice, 2 tablets",
    }
    cases = consistency.ask(varied(item, *list(said)[1:]), Says(said.__getitem__), embed=by_words)
    assert [case.right for case in cases[1:]] == [True, False, False, False]
    assert shares(cases)[0] == 0.0
    assert same_text("a b", "A B.", 0.0)
    assert not same_text("Take it", "Leave it", ALIKE - 1e-6) and same_text("Take it", "Have it", ALIKE)


def test_base_and_tuned_are_compared_by_source_question():
    flips = Says(str, lambda text, replies: [1.0, 0.0, 0.0] if text.startswith("A ") else [0.0, 1.0, 0.0])
    items = [
        item
        for number in range(12)
        for item in varied(
            asked(number, f"A man of {number} years coughs.", options=["X", "Y", "Z"], answer=0), f"So: {number}"
        )
    ]
    base, tuned = (consistency.scores(consistency.ask(items, one))[0] for one in (flips, ALWAYS_A))
    difference = compare(base, tuned)
    assert (difference.value, difference.verdict, difference.units) == (1.0, "better", 12)


def test_scores_are_made_again_from_cases_that_were_kept_as_json():
    items = [*CHOICES, *make_cases(CHOICES, per_item=4)]
    cases = consistency.ask(items, ALWAYS_A)
    again = [Case.model_validate_json(case.model_dump_json(exclude_defaults=True)) for case in cases]
    assert shares(again) == shares(cases)


def test_the_threshold_tells_answers_reworded_from_answers_to_another_question():
    same = (
        "High blood pressure is treated with a thiazide diuretic and less salt in the diet.",
        "Hypertension is treated with a thiazide diuretic and with less dietary salt.",
    )
    other = "High blood pressure often has no symptoms and is found by measuring it at a visit."
    try:
        vectors = embed([*same, other])
    except EncoderMissing as error:
        pytest.skip(str(error))
    assert vectors[0] @ vectors[1] >= ALIKE > vectors[0] @ vectors[2]
