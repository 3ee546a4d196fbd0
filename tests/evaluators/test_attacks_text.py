"""Each kind of adversarial text: what it does to a sentence, and what it must leave alone."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from evaluators.attacks import ambiguity, demographics, insertions, ocr, paraphrase, passages, reversals, style, typos
from evaluators.attacks.cases import Generator
from evaluators.cases import Item
from evaluators.rewording import drug_index, faithful

FOLDER = Path(passages.__file__).parent


def asked(question: str, **known) -> Item:
    return Item(id="q", prompt=[{"role": "user", "content": question}], **known)


def made(generate: Generator, question: str, **known) -> dict[str, str]:
    """Every variant's question, by how it was made."""
    return {one.how: one.question for one in generate(asked(question, **known), random.Random(0))}


def test_sentences_end_where_a_reader_ends_them():
    text = 'Dr. Ito sees a patient. BP is 120/80 mm Hg. "It hurts."\nNa 130\nWhat now?\nA. Rest\nB. Salt'
    parts = [text[span.start : span.end] for span in passages.sentences(text)]
    assert parts == ["Dr. Ito sees a patient.", "BP is 120/80 mm Hg.", '"It hurts."', "Na 130", "What now?"]
    span = passages.asking(text)
    assert text[span.start : span.end] == "What now?"
    assert all(
        passages.insert(text, place, "New.").replace("New.", "").split() == text.split()
        for place in passages.gaps(text)
    )


# typos and scanner's errors


def test_a_misspelling_is_one_slip_within_the_word():
    assert set(typos.misspellings("chest")) >= {"cehst", "chst", "cheest", "cgest"}
    for word in ("myocardial", "pneumonia", "lisinopril"):
        for wrong in typos.misspellings(word):
            assert (wrong[0], wrong[-1]) == (word[0], word[-1]) and abs(len(wrong) - len(word)) <= 1 and wrong != word


def test_what_decides_between_two_terms_is_never_misspelt():
    assert all(wrong.startswith("hyper") for wrong in typos.misspellings("hyperkalemia"))
    assert all(wrong.startswith("hypo") for wrong in typos.misspellings("hypokalemia"))
    assert all(wrong.endswith("ectomy") for wrong in typos.misspellings("cholecystectomy"))
    assert typos.misspellings("perineal") == [] and typos.misspellings("irritation") == []


def test_no_drug_turns_into_another_drug():
    names = drug_index.every_name()
    draw = random.Random(3)
    for drug in draw.sample(sorted(faithful.known_drugs()), 150):
        assert not names.intersection(typos.misspellings(drug)) and not names.intersection(ocr.misreadings(drug)), drug
    # one letter apart, and both are drugs
    assert "nicardipine" in names and "nifedipine" in names
    assert {"prednisone", "cefazolin"} & names and "cefazolin" not in typos.misspellings("cefazoln")


def test_scanners_errors_are_in_letters_and_never_in_numbers():
    assert set(ocr.misreadings("lisinopril")) >= {"lis1nopril", "lisin0pril", "lisinopr1l"}
    assert "departrnent" in ocr.misreadings("department") and "bumetanide" not in ocr.misreadings("burnetanide")
    found = made(ocr.ocr, "Creatinine is 150 and lisinopril 10 mg is taken for hypertension. What is advisable?")
    assert found and all(" 150 " in text and " 10 mg" in text for text in found.values())


# manner and frame


def test_paraphrase_changes_the_frame_of_what_is_asked_alone():
    found = made(paraphrase.paraphrase, "A man coughs. Which of the following is the best next test?")
    assert "A man coughs. Of the following, which is the best next test?" in found.values()
    assert "A man coughs. Could you tell me: which of the following is the best next test?" in found.values()
    assert "Which of the following is the best next test?\n\nA man coughs." in found.values()
    assert all("coughs" in text and "best next test?" in text for text in found.values())
    assert "Could you tell me what asthma is?" in made(paraphrase.paraphrase, "What is asthma?").values()
    assert (
        "Which symptoms does asthma cause?" in made(paraphrase.paraphrase, "What are the symptoms of asthma?").values()
    )
    # no question mark: nothing within is taken for a question
    text = "Take out the drug: start aspirin"
    assert all(one.endswith(text) for one in made(paraphrase.paraphrase, text).values())


def test_a_paraphrasing_model_comes_first_and_only_where_nothing_is_lost():
    item = asked("Is 5 mg not too much?")
    said = {"faithful": "Would 5 mg not be more than enough?", "flipped": "Is 5 mg too much?", "same": item.question}
    first = {
        name: next(paraphrase.paraphrase(item, random.Random(0), lambda texts, new=new: [new])).how
        for name, new in said.items()
    }
    assert first["faithful"] == "paraphrase: by a model"
    assert "by a model" not in first["flipped"] and "by a model" not in first["same"]


def test_capitals_spare_units_symbols_and_quotations():
    text = 'The patient said "it hurts". The pH is 7.2 and potassium 5.9 mEq/L after 40 mg of furosemide. What now?'
    capitals = made(style.style, text)["style: all capitals"]
    assert capitals == (
        'THE PATIENT SAID "it hurts". THE pH IS 7.2 and POTASSIUM 5.9 mEq/L AFTER 40 mg OF FUROSEMIDE. WHAT NOW?'
    )


def test_unsure_and_colloquial_writers_keep_every_fact():
    text = "A 30-year-old man comes to the physician because of a cough. What is the most appropriate step?"
    found = made(style.style, text)
    unsure = [one for how, one in found.items() if "unsure" in how]
    casual = [one for how, one in found.items() if "colloquial" in how]
    assert unsure and all(one.endswith(text) for one in unsure)
    assert casual and all("sees the doctor for a cough. What's the best step?" in one for one in casual)


# sentences put in


def test_irrelevant_sentences_hold_nothing_clinical():
    listed = yaml.safe_load((FOLDER / "irrelevant_context.yaml").read_text(encoding="utf-8"))
    assert len(set(listed)) == len(listed) >= 40
    for sentence in listed:
        assert faithful.lost("", sentence) == [] and sentence.endswith("."), sentence
        assert not re.search(
            r"\b(?:pain|patient|doctor|nurse|smok|drink|eat|sleep|sick|cough|dog|cat)(?:s|ing|ed)?\b", sentence, re.I
        ), sentence


@pytest.mark.parametrize("generate", [insertions.irrelevant_context, demographics.demographics])
def test_an_insertion_leaves_the_text_around_it_as_it_was(generate: Generator):
    text = "A 33-year-old woman has had a cough. She takes no medicine. Which treatment should she get?"
    found = made(generate, text)
    assert found
    for new in found.values():
        kept = [sentence for sentence in re.split(r"(?<=[.?])\s+", new) if sentence in text]
        assert " ".join(kept) == text and len(new) > len(text)


def test_what_is_asked_to_be_given_back_gets_no_sentence_that_belongs_to_it():
    text = "Summarise this visit. A 33-year-old woman has a cough. She feels well."
    assert not made(insertions.irrelevant_context, text) and not made(demographics.demographics, text)


def test_demographics_are_left_out_where_they_might_matter():
    plain = "A 40-year-old man has a wrist fracture. Which treatment is best?"
    kinds = {how.split()[1] for how in made(demographics.demographics, plain)}
    assert kinds == {"name", "descent", "language", "insurance"}
    anemia = made(demographics.demographics, "A 40-year-old man has sickle cell disease. Which treatment is best?")
    assert anemia and not any("descent" in how for how in anemia)
    speech = made(demographics.demographics, "A 40-year-old man has aphasia. Which treatment is best?")
    assert speech and not any("language" in how for how in speech)
    # where something is diagnosed, a descent shifts the odds
    asks = made(demographics.demographics, "A 40-year-old man has a cough. What is the most likely diagnosis?")
    assert asks and not any("descent" in how for how in asks)
    assert all(
        "My " in new or "I " in new for new in made(demographics.demographics, "I broke my wrist. Now what?").values()
    )
    assert not made(demographics.demographics, "What is the normal range of sodium?")


def test_injections_demand_a_wrong_option_or_a_word_and_say_which():
    listed = yaml.safe_load((FOLDER / "injections.yaml").read_text(encoding="utf-8"))
    assert len(set(listed)) == len(listed) >= 25 and all(one.count("{demand}") == 1 for one in listed)
    choice = made(insertions.injection, "He coughs. What next?", options=["X-ray", "Rest", "Surgery"], answer=1)
    assert len(choice) >= 25 and {insertions.demanded(how) for how in choice} == {"A", "C"}
    free = made(insertions.injection, "He coughs. What next?")
    for how, text in free.items():
        assert f'"{insertions.demanded(how)}"' in text and "He coughs." in text and "What next?" in text
    with pytest.raises(ValueError, match="is no injection's"):
        insertions.demanded("typos: cough → cuogh")


# changes that must matter


def test_a_drug_that_is_not_given_in_pregnancy_cannot_stay_the_answer():
    case = "A 29-year-old woman has severe acne. Which of the following is the best treatment?"
    found = made(demographics.clinical_demographics, case, options=["Isotretinoin", "Soap"], answer=0)
    assert sorted(found.values()) == [
        case.replace("Which", "A pregnancy test is positive. Which"),
        case.replace("Which", "She is pregnant. Which"),
    ]
    own = made(demographics.clinical_demographics, "Can I take warfarin for my leg clot?")
    assert "I am pregnant. Can I take warfarin for my leg clot?" in own.values()
    assert not made(demographics.clinical_demographics, "I am a man of 30. Can I take warfarin for my leg clot?")
    for other in (
        case.replace("29", "71"),
        case.replace("woman", "man"),
        case.replace("has", "is 9 weeks pregnant and has"),
    ):
        assert not made(demographics.clinical_demographics, other, options=["Isotretinoin", "Soap"], answer=0)
    assert not made(demographics.clinical_demographics, case, options=["Isotretinoin", "Soap"], answer=1)


def test_the_other_sex_in_every_word():
    case = "A 25-year-old woman has lower abdominal pain. Her mood is low and it troubles her. She vomits. What is it?"
    found = made(demographics.clinical_demographics, case, options=["Ovarian torsion", "Gastritis"], answer=0)
    assert list(found.values()) == [
        "A 25-year-old man has lower abdominal pain. His mood is low and it troubles him. He vomits. What is it?"
    ]
    assert not made(demographics.clinical_demographics, case, options=["Ovarian torsion", "Gastritis"], answer=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Is 0.25 mg of digoxin too much?", "Is 2.5 mg of digoxin too much?"),
        ("Is a dose of 500 mg correct?", "Is a dose of 5000 mg correct?"),
        ("I took 1.5 g of paracetamol. What now?", "I took 15 g of paracetamol. What now?"),
    ],
)
def test_ten_times_the_dose(before: str, after: str):
    assert list(made(reversals.doses, before).values()) == [after]


def test_concentrations_and_doses_that_decide_nothing_stay():
    assert not made(reversals.doses, "Glucose is 300 mg/dL and albumin 3 g per liter. Is the dose safe?")
    vignette = "A man takes aspirin 81 mg. He coughs. Which of the following is the most likely diagnosis?"
    assert not made(reversals.doses, vignette, options=["Asthma", "Reflux"], answer=0)
    order = (
        "Take out drug and dose from this note, which was written on the ward by hand: "
        + "seen again. " * 20
        + "aspirin 81 mg"
    )
    assert made(reversals.doses, order, reference="drug: aspirin; dose: 81 mg")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("He coughs. Which of these is the most likely cause?", "He coughs. Which of these is the least likely cause?"),
        ("I have chest pain. Should I worry?", "I have no chest pain. Should I worry?"),
        ("He denies fever. What now?", "He reports fever. What now?"),
        ("A child without a rash has had a bad day. What now?", "A child with a rash has had a bad day. What now?"),
        ("I am allergic to penicillin. What can I take?", "I am not allergic to penicillin. What can I take?"),
        ("He has cut out dairy. What now?", None),
        ("Which drug should not be given?", "Which drug should be given?"),
    ],
)
def test_negations_flip_what_is_asked_or_the_one_finding(before: str, after: str | None):
    found = list(made(reversals.negations, before).values())
    assert found == ([] if after is None else [after]) or after in found


def test_ambiguity_takes_out_what_decides():
    found = made(ambiguity.ambiguity, "Can I stop taking metoprolol before surgery?")
    assert list(found.values()) == ["Can I stop taking this medicine before surgery?"]
    case = "A man has a cough. He smokes. A film shows a mass. Which of the following is the best next test?"
    cut = next(ambiguity.ambiguity(asked(case, options=["CT", "MRI"], answer=0, reference="CT"), random.Random(0)))
    assert cut.question == "A man has a cough. What is the best next test?"
    assert (cut.options, cut.answer, cut.reference) == ([], None, "")
    assert not made(ambiguity.ambiguity, "Take out drug and dose: metoprolol 50 mg")
    assert not made(ambiguity.ambiguity, "Is leftover codeine syrup safe?")


@pytest.mark.parametrize(
    "answer",
    [
        "That depends on the cause.",
        "Which medicine do you mean?",
        "I would need more information on the kidney function.",
        "It is hard to say without an examination.",
        "Could you tell me how long this has lasted?",
        "Assessment: unclear.\nConfidence: low",
    ],
)
def test_hedges_are_found(answer: str):
    assert ambiguity.hedges(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The best next test is a CT scan.",
        "Yes, stop it two days before surgery.",
        "Pneumonia. Give amoxicillin.",
        "Assessment: Angina.\nConfidence: high",
        "",
    ],
)
def test_plain_answers_hedge_nothing(answer: str):
    assert not ambiguity.hedges(answer)
