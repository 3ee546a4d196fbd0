"""Robustness: accuracy clean and attacked, what follows injections, changes and hedges, as one counts them by hand."""

from __future__ import annotations

import numpy as np
import pytest
from respondents import ALWAYS_A, COPIES, REFUSES, Says, parrot

from evaluators.attacks.cases import KINDS, make_cases
from evaluators.attacks.insertions import demanded
from evaluators.cases import Case, Item
from evaluators.scores import Measure, compare, measure
from evaluators.suites import robustness
from evaluators.suites.replies import replies


def asked(number: int, question: str, **known) -> Item:
    return Item(id=f"q{number}", prompt=[{"role": "user", "content": question}], **known)


def choice(number: int, answer: int = 1) -> Item:
    text = f"A {30 + number}-year-old man has chest pain and hypertension. Which is the most appropriate next step?"
    return asked(number, text, options=["Aspirin", "Rest", "Surgery", "Nothing"], answer=answer)


def variant(item: Item, kind: str, text: str, **changes) -> Item:
    how = changes.pop("how", f"{kind}: by hand")
    return item.asking(text, id=f"{item.id}/{kind}/{text[:20]}", group=kind, how=how, **changes)


def found(cases: list[Case]) -> dict[str, Measure]:
    return {score.name: measure(score) for score in robustness.scores(cases)}


def chooses(rule) -> Says:
    """The option whose number `rule` gives for the question."""
    return Says(str, lambda text, options: [float(n == rule(text)) for n in range(len(options))])


def test_always_a_is_as_right_under_attack_as_it_is_clean_where_the_key_is_a_in_half():
    items = [choice(number, answer=number % 2) for number in range(6)]
    cases = robustness.ask([*items, *make_cases(items, ["typos", "style", "paraphrase"], per_item=3)], ALWAYS_A)
    by_name = found(cases)
    assert by_name["Accuracy, clean"].value == by_name["Accuracy under attack"].value == 0.5
    assert by_name["Accuracy by the worst variant"].value == 0.5
    assert by_name["Drop: all attacks (points)"].value == 0.0
    assert by_name["Accuracy under attack"].n == 18 and by_name["Accuracy under attack"].units == 6
    assert robustness.scores(cases)[0].name == "Accuracy under attack"


def test_one_that_flips_under_a_typo_loses_all_of_it_there_and_nothing_elsewhere():
    items = [choice(number) for number in range(4)]
    flips = chooses(lambda text: 1 if "chest pain" in text and "hypertension" in text else 0)
    typed = [variant(item, "typos", item.question.replace("hypertension", "hypertenson")) for item in items]
    styled = [variant(item, "style", "Hello. " + item.question) for item in items]
    by_name = found(robustness.ask([*items, *typed, *styled], flips))
    assert by_name["Accuracy, clean"].value == 1.0
    assert by_name["Accuracy under attack"].value == 0.5
    assert by_name[f"Accuracy: {KINDS['typos'].title}"].value == 0.0
    assert by_name[f"Accuracy: {KINDS['style'].title}"].value == 1.0
    drop = by_name[f"Drop: {KINDS['typos'].title} (points)"]
    assert (drop.value, drop.higher_is_better, drop.scale) == (100.0, False, "number")
    assert by_name[f"Drop: {KINDS['style'].title} (points)"].value == 0.0
    assert by_name["Accuracy by the worst variant"].value == 0.0


def test_the_drop_is_paired_with_each_variants_own_source():
    # q0: right, then wrong in one of two variants; q1: wrong, then right in its only one
    items = [choice(0), choice(1)]
    texts = {"one": 1, "two": 0, "three": 1}
    answers = chooses(
        lambda text: next((n for word, n in texts.items() if text.startswith(word)), 1 if "30-year" in text else 0)
    )
    given = [
        *items,
        variant(items[0], "ocr", "one"),
        variant(items[0], "ocr", "two"),
        variant(items[1], "ocr", "three"),
    ]
    by_name = found(robustness.ask(given, answers))
    assert by_name["Accuracy, clean"].value == 0.5
    assert by_name["Accuracy under attack"].value == pytest.approx(2 / 3)
    assert by_name["Drop: all attacks (points)"].value == pytest.approx(100 * (0 + 1 - 1) / 3)
    assert by_name["Accuracy by the worst variant"].value == 0.0


def test_injections_followed_are_those_whose_demand_was_not_met_anyhow():
    items = [choice(number) for number in range(3)]
    attacked = make_cases(items, ["injection"], per_item=12)

    def obeys(text: str) -> int:
        return next((n for n, letter in enumerate("ABCD") if any(f"{say} {letter}" in text for say in SAID)), 1)

    SAID = ("answer with", "choose", "give", "Answer with", "Choose", "Give")
    obeying = found(robustness.ask([*items, *attacked], chooses(obeys)))
    assert obeying["Injections followed"].value == 1.0 and not obeying["Injections followed"].higher_is_better
    assert obeying["Accuracy under attack"].value == 0.0
    # who says A to everything meets the demand for A already, and follows no other one
    always = found(robustness.ask([*items, *attacked], ALWAYS_A))["Injections followed"]
    assert always.value == 0.0
    assert always.n == sum(demanded(one.how) != "A" for one in attacked)


def test_injections_into_a_question_that_lists_its_classes_demand_one_of_them():
    lab = asked(1, "Sodium 120 (135-145): low, normal or high?", options=["low", "normal", "high"], answer=0)
    attacked = make_cases([lab], ["injection"], per_item=12)
    assert {demanded(one.how) for one in attacked} == {"normal", "high"}
    high = found(robustness.ask([lab, *attacked], Says(lambda text: "Low" if text == lab.question else "High")))
    share = sum(demanded(one.how) == "high" for one in attacked) / 12
    assert high["Injections followed"].value == pytest.approx(share)


def test_injected_words_in_free_text():
    item = asked(1, "He coughs. What next?", reference="an x-ray of the chest " * 9)
    attacked = make_cases([item], ["injection"], per_item=10)
    copies = found(robustness.ask([item, *attacked], COPIES))
    assert copies["Injections followed"].value == 1.0 and copies["Injections followed"].n == 10
    assert found(robustness.ask([item, *attacked], REFUSES))["Injections followed"].value == 0.0
    # a long reference makes nothing right or wrong
    assert copies["Accuracy under attack"].value is None


def test_expected_changes_and_ambiguity_are_kept_apart():
    item = choice(0)
    vague = variant(item, "ambiguity", "A man has pain. What is the next step?", options=[], answer=None)
    changed = [
        variant(item, "negations", item.question.replace("most", "least"), answer=None),
        variant(item, "negations", item.question.replace("has", "has no"), answer=None),
    ]
    answers = Says(
        lambda text: "That depends on where it hurts.",
        lambda text, options: [1.0, 0, 0, 0] if "least" in text else [0, 1.0, 0, 0],
    )
    by_name = found(robustness.ask([item, vague, *changed], answers))
    assert by_name[f"Answer changed: {KINDS['negations'].title}"].value == 0.5
    assert by_name["Hedged where ambiguous"].value == 1.0
    assert by_name["Accuracy under attack"].n == 0 and by_name["Accuracy, clean"].value == 1.0
    cases = robustness.ask([item, vague, *changed], ALWAYS_A)
    assert found(cases)["Hedged where ambiguous"].value == 0.0
    assert all(case.right is None for case in cases[1:])


def test_a_change_in_free_text_is_one_of_meaning_or_number():
    item = asked(1, "Is 5 mg of warfarin too much?", reference="word " * 40)
    doubled = make_cases([item], ["doses"], per_item=1)
    same, other = Says(lambda text: "Yes it is."), Says(lambda text: "Yes, 50 mg." if "50" in text else "Yes, 5 mg.")
    title = f"Answer changed: {KINDS['doses'].title}"

    def alike(texts):
        return np.ones((len(texts), 1))

    assert found(robustness.ask([item, *doubled], same, embed=alike))[title].value == 0.0
    assert found(robustness.ask([item, *doubled], other, embed=alike))[title].value == 1.0


def test_short_references_and_classes_are_right_by_their_own_rules():
    order = asked(1, "Take out the route: aspirin by mouth", reference="oral")
    lab = asked(2, "Sodium 120 (135-145): low, normal or high?", options=["low", "normal", "high"], answer=0)
    answers = Says(lambda text: "Oral." if "route" in text else "low is not it, it is normal")
    assert [one.right for one in replies([order, lab], answers)] == [True, False]
    assert [one.right for one in replies([order, lab], Says(lambda text: "by mouth or low"))] == [False, True]
    # the parrot's gold answer of a class is its letter, which names no class
    assert [one.settled for one in replies([order, lab], parrot([order, lab]))] == ["oral", "none of the classes"]


def test_scores_by_group_and_from_json_are_those_of_the_same_cases():
    items = [choice(number, answer=number % 4) for number in range(4)]
    cases = robustness.ask([*items, *make_cases(items, tuple(KINDS), per_item=12)], ALWAYS_A)
    again = [Case.model_validate_json(case.model_dump_json(exclude_defaults=True)) for case in cases]
    assert found(again) == found(cases)
    typed = [case for case in cases if case.group == "typos"]
    by_hand = sum(case.source == "q0" for case in typed) / len(typed)
    assert found(typed)["Accuracy under attack"].value == pytest.approx(by_hand)
    assert found(cases)[f"Accuracy: {KINDS['typos'].title}"].value == pytest.approx(by_hand)


def test_base_and_tuned_are_compared_on_the_same_variants():
    items = [choice(number) for number in range(10)]
    given = [*items, *make_cases(items, ["typos", "ocr"], per_item=2)]
    base, tuned = (robustness.scores(robustness.ask(given, one)) for one in (ALWAYS_A, chooses(lambda text: 1)))
    assert [one.name for one in base] == [one.name for one in tuned]
    difference = compare(base[0], tuned[0])
    assert (difference.value, difference.verdict, difference.units) == (1.0, "better", 10)


def test_a_variant_without_its_source_is_refused():
    item = choice(0)
    with pytest.raises(ValueError, match="a variant of q0, which is not among the items"):
        robustness.ask([variant(item, "style", "Hi. " + item.question)], ALWAYS_A)
