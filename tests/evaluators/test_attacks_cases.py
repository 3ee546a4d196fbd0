"""Adversarial cases from many questions: enough of them, all different, reproducible, and true to what they keep."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from evaluators.attacks.cases import EXPECTED_CHANGE, KINDS, PRESERVING, Kind, make_cases, variants
from evaluators.cases import Item
from evaluators.rewording import faithful

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")
COMPLAINTS = ["chest pain", "shortness of breath", "abdominal pain", "a persistent cough", "recurrent headaches"]
DRUGS = ["Lipitor", "Norvasc", "Celebrex", "atorvastatin", "Plavix"]
ASKED = [
    "Which of the following is the most likely diagnosis?",
    "Which of the following is the most appropriate next step in management?",
]


def asked(question: str, number: int = 0, **known) -> Item:
    return Item(id=f"q{number}", prompt=[{"role": "user", "content": question}], **known)


def generated(count: int) -> list[Item]:
    """Vignettes put together from parts, no two alike."""
    draw = random.Random(5)
    return [
        asked(
            f"A {20 + number % 60}-year-old {draw.choice(['man', 'woman'])} comes to the physician because of "
            f"{draw.choice(COMPLAINTS)} for the past {2 + number // 60} days. There is no history of hypertension. "
            f"Current medications include {draw.choice(DRUGS)}. Pulse is {60 + number}/min. An ECG is shown. "
            f"{draw.choice(ASKED)}",
            number,
            options=["Pericarditis", "Observation", "Pulmonary embolism", "Echocardiography"],
            answer=number % 4,
        )
        for number in range(count)
    ]


def test_a_hundred_questions_give_a_thousand_cases_all_different_from_each_other_and_their_sources():
    items = generated(100)
    cases = make_cases(items, PRESERVING, per_item=10, seed=3)
    assert len(cases) >= 1000
    texts = [case.question for case in cases]
    assert len(set(texts)) == len(texts) and not set(texts) & {item.question for item in items}
    assert len({case.id for case in cases}) == len(cases)
    counts = Counter(case.group for case in cases)
    assert set(counts) == set(PRESERVING) and max(counts.values()) <= 1.2 * min(counts.values())
    assert {case.source for case in cases} == {item.id for item in items}
    by_id = {item.id: item for item in items}
    for case in cases:
        source = by_id[case.source]
        assert case.how.startswith(f"{case.group}: ")
        assert (case.options, case.answer, case.reference) == (source.options, source.answer, source.reference)


def test_the_same_seed_gives_the_same_cases_and_another_one_others():
    items = generated(8)
    first, again, other = (make_cases(items, tuple(KINDS), per_item=14, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert {case.question for case in first} != {case.question for case in other}


def test_numbers_negations_and_sides_survive_every_kind_that_keeps_the_meaning():
    text = (
        "A 47-year-old man has no fever but severe left-sided abdominal pain after 2 weeks of ibuprofen 400 mg. "
        "Hypertension is treated with Norvasc. Which medication should not be continued in this patient?"
    )
    for kind in PRESERVING:
        made = list(variants(asked(text), kind, random.Random(0)))
        assert made, kind
        for variant in made:
            if kind == "injection":
                continue
            losses = faithful.lost(text, variant.question)
            if kind == "ocr":  # a 1 for an l inside a word is no number; those of the text are all there
                losses = [loss for loss in losses if not loss.startswith(("number", "drug"))]
                assert all(number in variant.question for number in ("47-year", "2 weeks", "400 mg"))
            if kind in ("typos", "brand_generic"):
                losses = [loss for loss in losses if not loss.startswith("drug")]
            assert losses == [], variant.how


def test_quotations_placeholders_and_options_within_the_text_stay_to_the_letter():
    kept = ['"I have terrible abdominal discomfort"', "[PATIENT NAME]", "A. Cholecystectomy\nB. Hypertension"]
    text = (
        f"{kept[1]} was admitted to the emergency department with cholelithiasis and hypertension and said {kept[0]}. "
        f"Which of the following is the most appropriate treatment?\n{kept[2]}"
    )
    for kind in KINDS:
        made = list(variants(asked(text), kind, random.Random(1)))
        assert made or not KINDS[kind].preserves or kind == "brand_generic", kind
        for variant in made:
            if KINDS[kind].preserves:
                assert all(part in variant.question for part in kept), (kind, variant.question)


def test_no_word_is_misspelt_that_the_answer_has_to_give_back():
    item = asked(
        "Take out the drug: Continue zafirlukast and hydrochlorothiazide in the morning.", reference="zafirlukast"
    )
    for kind in ("typos", "ocr"):
        made = list(variants(item, kind, random.Random(0)))
        assert made and all("zafirlukast" in one.question for one in made)
        assert any("hydrochlorothiazide" not in one.question for one in made)


def test_no_term_is_exchanged_that_an_option_or_a_short_answer_has():
    text = "A man with hypertension takes atorvastatin. Which diagnosis fits?"
    for kind in ("synonyms", "abbreviations", "brand_generic"):
        assert list(variants(asked(text, options=["Gout", "Asthma"]), kind, random.Random(0)))
        cited = asked(text, options=["Hypertension due to atorvastatin", "Asthma"])
        assert not list(variants(cited, kind, random.Random(0)))


def test_a_variant_that_loses_a_number_or_a_negation_is_dropped(monkeypatch: pytest.MonkeyPatch):
    said = ["Is 5 mg too much?", "Is 50 mg not too much?", "So is 5 mg not too much?"]
    kind = Kind("T", "W.", lambda item, draw: (item.asking(text, how=text) for text in said))
    monkeypatch.setitem(KINDS, "style", kind)
    assert [one.question for one in variants(asked("Is 5 mg not too much?"), "style", random.Random(0))] == said[2:]


def test_two_items_with_the_same_question_have_no_case_in_common():
    first, second = asked("Does a cough need an X-ray?", 1), asked("Does a cough need an X-ray?", 2)
    texts = [case.question for case in make_cases([first, second], ["style", "paraphrase"], per_item=6)]
    assert len(set(texts)) == len(texts) == 12


def test_kinds_say_why_and_those_that_change_the_answer_are_kept_apart():
    assert all(kind.title and kind.why.endswith(".") for kind in KINDS.values())
    assert not set(EXPECTED_CHANGE) & set(PRESERVING)
    assert set(KINDS) == {*PRESERVING, *EXPECTED_CHANGE, "ambiguity"}
    item = asked(
        "Which of the following is the most likely cause?", options=["Angina", "Gout"], answer=0, reference="Angina"
    )
    changed = list(variants(item, "negations", random.Random(0)))
    assert changed and all(one.answer is None and one.reference == "" and one.options for one in changed)


@pytest.mark.parametrize("text", ["¿Cuál es el tratamiento de la hipertensión arterial?", "高血压的首选药物是什么？"])
def test_other_languages_are_left_alone(text: str):
    assert make_cases([asked(text)], tuple(KINDS), per_item=5) == []


def test_what_cannot_be_made_is_said():
    with pytest.raises(ValueError, match="no kind of attack called 'typo'; there are typos"):
        make_cases(generated(1), ["typo"])
    variant = make_cases(generated(1), ["typos"], per_item=1)[0]
    with pytest.raises(ValueError, match="is a variant already"):
        make_cases([variant], ["typos"])


def test_a_hundred_real_questions_give_a_thousand_cases():
    file = CORPUS / "medqa_us" / "medqa_us_4opt_test.jsonl"
    if not file.exists():
        pytest.skip(f"{file} is not on this machine (BEDSIDE_CORPUS names the folder)")
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(next(lines)) for _ in range(100)]
    items = [
        asked(row["question"], number, options=list(row["options"].values()), answer="ABCD".index(row["answer_idx"]))
        for number, row in enumerate(rows)
    ]
    cases = make_cases(items, PRESERVING, per_item=10)
    assert len(cases) == 1000
    assert len({case.question for case in cases} | {item.question for item in items}) == 1100
