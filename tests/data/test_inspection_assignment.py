"""Specialty, task, language and level are told from the text, with evidence, and never over what was given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trainer.catalogue.question_wording import question_wording
from trainer.catalogue.specialties import specialties, specialty_name
from trainer.data.inspection.assignment import METHOD, assign, language_of, level_of, specialty_of, task_of
from trainer.data.inspection.phrases import Phrases, wording
from trainer.data.rows import About, Row
from trainer.section import Task

STARTER = Path(__file__).resolve().parents[2] / "examples" / "data"
CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "data")


def row(question: str, answer: str = "Yes.", **about: str) -> Row:
    return Row(
        prompt=[{"role": "user", "content": question}],
        completion=[{"role": "assistant", "content": answer}],
        about=About(**about),  # pyright: ignore[reportArgumentType]
    )


def test_the_table_covers_the_lectures_specialties_and_languages():
    names = [one.name for one in specialties()]
    assert len(names) == len(set(names)) == 65
    assert all(one.terms and one.hints and one.es and one.zh for one in specialties())
    aliases = [alias for one in specialties() for alias in one.aliases]
    assert len(aliases) == len(set(aliases)) and not set(aliases) & set(names)
    assert set(question_wording().tasks) <= set(Task.__args__)


def test_other_names_of_a_specialty_are_the_same_one():
    assert specialty_name("Pediatrics") == specialty_name("child health") == "paediatrics"
    assert specialty_name("OB/GYN") == "obstetrics_gynaecology"
    assert specialty_name("Space Medicine") == "space_medicine"


def test_specialty_comes_with_the_words_that_speak_for_it():
    assert specialty_of("New atrial fibrillation with palpitations; start bisoprolol.") == (
        "cardiology",
        ["atrial fibrillation", "bisoprolol", "palpitation"],
    )
    assert specialty_of("She has oedema of the eyelid.") == (None, [])  # one hint alone says too little
    assert specialty_of("Blurred vision and floaters.")[0] == "ophthalmology"
    assert specialty_of("The meeting is on Tuesday.") == (None, [])


@pytest.mark.parametrize("text", ["Anaemia after haemolysis", "anemia after hemolysis", "ANAEMIA AFTER HÆMOLYSIS"])
def test_british_and_american_spelling_are_the_same(text: str):
    assert specialty_of(text)[0] == "haematology"


def test_between_equals_the_one_named_first_is_taken():
    assert specialty_of("Glaucoma or tonsillitis?")[0] == "ophthalmology"
    assert specialty_of("Tonsillitis or glaucoma?")[0] == "otolaryngology"
    assert specialty_of("Vasectomies or glaucoma?")[0] == "urology"
    assert specialty_of("青光眼还是扁桃体炎?")[0] == "ophthalmology"
    assert specialty_of("扁桃体炎还是青光眼?")[0] == "otolaryngology"


def test_the_questions_words_count_more_than_the_answers():
    told = assign(row("What is psoriasis?", "A skin disease; it may come with arthritis and gout may look similar."))
    assert told["specialty"] == ("dermatology", "2 terms: psoriasis, skin")


def test_evidence_names_a_few_of_many_words():
    asked = "Heart failure, angina, heart block, atrial flutter, mitral stenosis, pericarditis; ECG, palpitations?"
    assert assign(row(asked))["specialty"].evidence == (
        "9 terms: angina, atrial flutter, heart, heart block, heart failure, mitral stenosis, pericarditis, ecg …"
    )


def test_a_question_of_millions_of_characters_is_read_at_its_ends():
    note = "Pneumonia and cough.\n" * 300_000 + "What is the most likely diagnosis?\n\nA. treatment\nB. cold"
    told = assign(row(note, "B. cold"))
    assert (told["task"].value, told["specialty"].value) == ("diagnosis", "pulmonology")


def test_phrases_are_whole_words_and_plurals():
    phrases = Phrases({"a": [("ear", 1), ("allergy", 2)], "b": [("inner ear", 1), ("耳", 3)]})
    assert phrases.found(wording("pearl hearing")) == {}
    assert phrases.found(wording("the inner ear, allergies")) == {
        "a": {"allergy": 2, "ear": 1},
        "b": {"inner ear": 1},
    }
    assert phrases.found(wording("患者的耳朵")) == {"b": {"耳": 3}}


@pytest.mark.parametrize(
    ("question", "task", "evidence"),
    [
        (
            "A 40-year-old man has fever. ECG shows nothing new. What is the most likely diagnosis?",
            "diagnosis",
            "diagnosis",
        ),
        ("Potassium came back at 6.9 mmol/L. What is the best treatment?", "treatment", "treatment"),
        ("TSH 9 mIU/L, free T4 low. How would you interpret this?", "test_interpretation", "interpret"),
        ("Explain gout in plain words, and how it is treated.", "patient_education", "plain words"),
        ("Does clarithromycin interact with simvastatin?", "drug_information", "interact"),
        (
            "Summarise this admission: treated with antibiotics for three days. Discharged.",
            "summarization",
            "summarise",
        ),
        ("List the entities in this text.\n\nAspirin was stopped.", "ner", "list the entities"),
        ("Sodium 129 mmol/L: low, normal or high?", "classification", "low normal or high"),
        ("How often is apixaban taken?", "drug_information", "apixaban"),
        ("What is the capital of France?", "question_answering", "no narrower task"),
        ("Which nerve is it?\n\nA. The treatment\nB. The diagnosis", "question_answering", "no narrower task"),
        ("¿Cuál es el diagnóstico más probable?", "diagnosis", "diagnóstico"),
        ("请用通俗的语言解释高血压。", "patient_education", "通俗"),
    ],
)
def test_task_by_wording(question: str, task: str, evidence: str):
    told = task_of(row(question))
    assert told is not None
    assert told.value == task
    assert evidence in told.evidence


def test_a_conversation_of_several_turns_is_a_dialogue():
    talk = Row(
        prompt=[
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello, how are you?"},
            {"role": "user", "content": "Not so well."},
        ],
        completion=[{"role": "assistant", "content": "Tell me more."}],
    )
    assert task_of(talk) == ("dialogue", "a conversation of several turns")
    assert task_of(Row(text="A note.")) is None and level_of(Row(text="A note.")) is None


@pytest.mark.parametrize(
    ("question", "level"),
    [
        ("Which vitamin is missing in scurvy?", "facts"),
        ("Why does spironolactone raise potassium?", "concepts"),
        ("A 62-year-old woman has jaundice and weight loss. Name the cause.", "reasoning"),
        ("Fever on day 9 of chemotherapy. Is it safe to wait until Monday?", "judgement"),
    ],
)
def test_level_by_wording(question: str, level: str):
    told = level_of(row(question))
    assert told is not None and told.value == level


def test_tasks_without_knowledge_have_no_level():
    assert "level" not in assign(row("List the entities in this text.\n\nWhy not aspirin?"))


SPANISH = row(
    "Mujer de 62 años con dolor torácico opresivo de una hora y sudoración. El electrocardiograma muestra elevación "
    "del segmento ST en cara inferior. ¿Cuál es el diagnóstico más probable?",
    "Infarto agudo de miocardio de cara inferior. Hay que activar el código infarto sin esperar a las troponinas.",
)
CHINESE = row(
    "一名55岁男性, 2型糖尿病十年, 服用二甲双胍, 糖化血红蛋白9.1%, eGFR 48。下一步治疗应如何调整?",
    "在生活方式干预的基础上, 可考虑加用SGLT2抑制剂, 并监测肾功能。具体用药须由医生决定。",
)


def test_spanish_and_chinese_rows_pass_through():
    spanish = assign(Row(**SPANISH))
    assert {name: told.value for name, told in spanish.items()} == {
        "specialty": "cardiology",
        "language": "es",
        "task": "diagnosis",
        "level": "reasoning",
    }
    assert "infarto agudo de miocardio" in spanish["specialty"].evidence
    chinese = assign(Row(**CHINESE))
    assert {name: told.value for name, told in chinese.items()} == {
        "specialty": "endocrinology",
        "language": "zh",
        "task": "treatment",
        "level": "judgement",
    }
    assert "糖尿病" in chinese["specialty"].evidence


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The patient was discharged home yesterday.", "en"),
        ("El paciente fue dado de alta ayer por la tarde.", "es"),
        ("Der Patient wurde gestern nach Hause entlassen.", "de"),
        ("INR 2.4, ALT 38 U/L, 继续华法林治疗并复查", "zh"),
        ("患者さんは昨日退院しました。", "ja"),
        ("환자는 어제 퇴원했습니다.", "ko"),
    ],
)
def test_language(text: str, code: str):
    found, confidence = language_of(text)
    assert found == code and 0.7 <= confidence <= 1


def test_a_fifth_of_chinese_characters_makes_a_text_chinese():
    # 6 of 28 letters; then 4 of 26.
    assert language_of("Hb 82 g/L, MCV 71 fL, CRP 4 mg/L, TSH 2.1 mIU/L 贫血待查补铁") == ("zh", 0.5 + 6 / 28)
    assert language_of("Hb 82 g/L, MCV 71 fL, CRP 4 mg/L, TSH 2.1 mIU/L 贫血待查") != ("zh", 0.5 + 4 / 26)


def test_a_text_without_letters_has_no_language():
    assert language_of("120/80 98 37.2") == ("", 0.0)
    assert "language" not in assign(row("12 / 4", "3"))


def test_an_instruction_in_english_does_not_hide_the_notes_language():
    note = "Paciente de 70 años que acude por disnea progresiva y edemas en ambas piernas desde hace dos semanas. " * 3
    asked = f"List the entities in this text, each with its kind, one on a line.\n\n{note}"
    assert assign(row(asked, "disnea"))["language"].value == "es"


def test_what_was_given_is_kept():
    given = row("New atrial fibrillation?", specialty="sleep", task="ner", language="fr", level="facts")
    assert assign(given) == {}
    assert given.get("about") == {"specialty": "sleep", "task": "ner", "language": "fr", "level": "facts"}
    part = row("Why does atrial fibrillation cause stroke?", level="facts")
    assert set(assign(part)) == {"specialty", "task", "language"}
    assert part["about"]["level"] == "facts" and part["about"]["specialty"] == "cardiology"  # pyright: ignore


def _right(file: str) -> dict[str, int]:
    """How many rows of a starter file are told right."""
    right = {"specialty": 0, "task": 0, "level": 0}
    for line in (STARTER / file).read_text(encoding="utf-8").splitlines():
        wanted = json.loads(line)
        told = assign(row(wanted["prompt"], wanted["answer"]))
        for name in right:
            right[name] += name in told and told[name].value == wanted[name]
    return right


def test_what_is_said_about_the_method_is_what_is_measured():
    known, unseen = _right("clinical.train.jsonl"), _right("clinical.heldout.jsonl")
    for name in ("specialty", "task", "level"):
        assert f"{name} {known[name] / 180:.0%} and {unseen[name] / 36:.0%}" in METHOD


INSTITUTES = {
    "1_CancerGov_QA": "oncology haematology radiation_oncology breast_surgery",
    "5_NIDDK_QA": "gastroenterology nephrology endocrinology urology nutrition general_surgery",
    "6_NINDS_QA": "neurology neurosurgery rehabilitation_medicine child_psychiatry sleep_medicine pain_medicine",
    "8_NHLBI_QA_XML": "cardiology pulmonology haematology vascular_surgery cardiothoracic_surgery sleep_medicine",
    "9_CDC_QA": "infectious_disease tropical_medicine public_health",
}


def test_real_questions_of_an_institute_are_of_its_specialties():
    path = CORPUS / "medquad" / "medquad_sample.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    asked = right = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["coll"] in INSTITUTES:
            asked += 1
            told = assign(row(record["question"], record["answer"])).get("specialty")
            right += told is not None and told.value in INSTITUTES[record["coll"]].split()
    assert f"Of {asked} questions" in METHOD and f"{right / asked:.0%} are told" in METHOD
