"""The screen for critical errors: its tables, errors planted by hand, and answers in which there is nothing to find."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from evaluators.screens import critical_errors
from evaluators.screens.conditions import find_conditions
from evaluators.screens.critical_errors import screen
from evaluators.screens.dose_limits import screen_doses
from evaluators.screens.doses import recommended_doses
from evaluators.screens.drugs import classes_of, find_drugs, tables
from evaluators.screens.negation import polarities
from evaluators.screens.pairs import screen_pairs
from evaluators.screens.red_flags import missed_red_flags, presentations_in

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")
STARTER = Path(__file__).parents[2] / "examples" / "data"
FOLDER = Path(critical_errors.__file__).parent


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


LIMITS = read(FOLDER / "dose_limits.yaml")
PAIRS = read(FOLDER / "contraindicated_pairs.yaml")
FLAGS = read(FOLDER / "red_flags.yaml")["presentations"]
PLANTED = read(Path(__file__).with_name("planted_errors.yaml"))
ROUTES = {"oral": "by mouth", "iv": "intravenously", "im": "intramuscularly", "sc": "subcutaneously"} | {
    "nasal": "into the nose", "rectal": "rectally", "inhaled": "by nebulizer", "sublingual": "under the tongue"
}  # fmt: skip


def kinds(case: dict) -> set[str]:
    return {found.kind for found in screen(case["question"], case["answer"], case.get("context", "")).findings}


def test_the_tables_are_large_enough_name_their_sources_and_use_names_that_are_found():
    assert len(LIMITS) >= 60 and len(PAIRS["drugs"]) >= 60 and len(PAIRS["conditions"]) >= 60 and len(FLAGS) >= 25
    for drug, limits in LIMITS.items():
        assert limits["source"] and any(route in ROUTES for route in limits), drug
        assert [found.name for found in find_drugs(drug)] == [drug]
    classes = tables()["classes"]
    for pair in (*PAIRS["drugs"], *PAIRS["conditions"]):
        assert pair["source"] and pair["why"] and pair["severity"] in ("contraindicated", "serious")
        for name in (pair["drug"], pair.get("with")):
            assert name is None or name in classes or [found.name for found in find_drugs(name)] == [name]
        condition = pair.get("condition", "asthma")
        assert [found.name.lower() for found in find_conditions(condition)] == [condition.lower()]
    assert all(flag["source"] and flag["all"] and flag["answer"] for flag in FLAGS)


@pytest.mark.parametrize("drug", LIMITS)
def test_a_dose_at_the_limit_passes_and_ten_times_as_much_does_not(drug: str):
    limits = LIMITS[drug]
    unit = limits.get("unit", "mg")
    for route, words in ROUTES.items():
        if route in limits:
            most = limits[route][0]
            usual = screen_doses(f"Give {drug} {most} {unit} {words}.")
            assert (usual.findings, usual.screened) == ([], [f"dose of {drug}"])
            assert len(screen_doses(f"Give {drug} {10 * most:g} {unit} {words}.").findings) == 1


@pytest.mark.parametrize("pair", PAIRS["drugs"], ids=lambda pair: f"{pair['drug']} + {pair['with']}")
def test_each_pair_is_found_where_it_is_recommended_and_not_where_it_is_warned_of(pair: dict):
    def member(name: str, other: str) -> str:
        drugs = tables()["classes"].get(name, {"drugs": [name]})["drugs"]
        return next((drug for drug in drugs if drug != other), name)

    taken = member(pair["drug"], "")
    added = member(pair["with"], taken)
    for first, second in ((taken, added), (added, taken)):
        found = screen_pairs(f"I take {first} every day.", f"I would start {second} today.").findings
        assert pair["why"] in " ".join(error.why for error in found)
        assert screen_pairs(f"I take {first} every day.", f"Avoid {second} with {first}.").findings == []
        assert screen_pairs(f"I stopped {first} last year.", f"I would start {second} today.").findings == []


@pytest.mark.parametrize("pair", PAIRS["conditions"], ids=lambda pair: f"{pair['drug']} in {pair['condition']}")
def test_each_drug_is_found_for_a_patient_who_must_not_have_it(pair: dict):
    drugs = tables()["classes"].get(pair["drug"], {"drugs": []})["drugs"] or [pair["drug"]]
    has = pair["condition"]
    answer = f"I would start {drugs[0]} today."
    assert [found.kind for found in screen_pairs(f"The patient has {has}.", answer).findings] == ["pair"]
    assert screen_pairs(f"The patient has no {has}.", answer).findings == []
    assert screen_pairs(f"The patient has {has}.", f"Do not give {drugs[0]}.").findings == []


@pytest.mark.parametrize("case", PLANTED["made_with"], ids=lambda case: case["answer"][:40])
def test_errors_the_rules_were_made_with_are_found(case: dict):
    assert case["kind"] in kinds(case)


def test_errors_written_before_the_rules_saw_them_are_found():
    missed = [case["answer"] for case in PLANTED["unseen"] if case["kind"] not in kinds(case)]
    assert len(PLANTED["made_with"]) + len(PLANTED["unseen"]) >= 60
    assert missed == []  # at the first run one, "Aleve ... should do"


@pytest.mark.parametrize("case", PLANTED["harmless"], ids=lambda case: case["answer"][:40])
def test_nothing_is_found_where_there_is_nothing(case: dict):
    assert kinds(case) == set()


def test_reference_answers_of_the_starter_data_are_not_flagged():
    rows = [json.loads(line) for path in STARTER.glob("clinical.*.jsonl") for line in path.read_text().splitlines()]
    assert len(rows) > 200
    flagged = {row["id"]: found for row in rows if (found := screen(row["prompt"], row["answer"]).findings)}
    assert flagged == {}


def test_answers_for_patients_of_a_public_set_are_seldom_flagged():
    path = CORPUS / "medquad" / "medquad_sample.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[::10]]
    assert sum(bool(screen(row["question"], row["answer"]).findings) for row in rows) <= 1


def test_what_no_table_covers_is_said():
    found = screen(
        "Joint pain in an adult.", "Start tofacitinib 5 mg twice daily and amoxicillin 10 mL, or naproxen 500 mg."
    )
    assert found.findings == []
    assert "dose of naproxen" in found.screened and "pairs of naproxen" in found.screened
    assert "dose of tofacitinib: not in the table" in found.not_screened
    assert "dose of amoxicillin (10 mL): its limit is in mg" in found.not_screened
    assert "pairs of tofacitinib: not in the table" in found.not_screened
    assert "red flags: no presentation of the table" in found.not_screened


@pytest.mark.parametrize(
    ("text", "single", "daily"),
    [
        ("Give ibuprofen 400 to 600 mg every 6 hours.", 600, 2400),
        ("Take two 500 mg tablets of acetaminophen up to four times a day.", 1000, 4000),
        ("ciprofloxacin 500 mg BID", 500, 1000),
        ("Amoxicillin 3 g daily in divided doses", None, 3000),
        ("levothyroxine 75 mcg each morning", None, 0.075),
        ("1 g of ceftriaxone intravenously", 1000, None),
        ("prednisone 1 mg/kg per day", None, 1),
        ("methotrexate 15 mg once weekly", 15, None),
    ],
)
def test_how_much_and_how_often(text: str, single: float | None, daily: float | None):
    (dose,) = recommended_doses(text)
    assert dose.single == (None if single is None else pytest.approx(single))
    assert dose.daily == (None if daily is None else pytest.approx(daily))


@pytest.mark.parametrize(
    "text",
    [
        "Heparin 18 units/kg/hour by infusion.",
        "A dose of acetaminophen above 150 mg/kg is toxic.",
        "He took 40 tablets of 500 mg acetaminophen.",
        "Aim for a digoxin level of 1 ng/mL.",
        "Cisplatin 75 mg/m2 on day one.",
        "Instead of morphine 100 mg, call the pain team.",
        "Limit sodium to 1500 mg with your lisinopril.",
    ],
)
def test_what_is_no_recommended_dose(text: str):
    assert recommended_doses(text) == []


def test_a_question_in_a_dialogue_has_the_polarity_of_its_reply():
    dialogue = (
        "Doctor: Any fever?\nPatient: Um, no.\nDoctor: And a cough?\nPatient: Yes, at night.\n"
        "Doctor: No vomiting?\nPatient: Correct."
    )
    assert polarities(dialogue) == {"fever": {"denied"}, "cough": {"affirmed"}, "vomiting": {"denied"}}
    assert polarities("Her mother had asthma. Rule out pneumonia.") == {"pneumonia": {"open"}}


def test_an_emergency_played_down_is_missed_and_a_question_on_the_subject_is_none():
    question = "I have crushing chest pain going into my left arm and I am sweating."
    assert [flag.name for flag in presentations_in(question)] == ["chest pain that may be a heart attack"]
    assert missed_red_flags(question, "Call 911 now.") == []
    assert len(missed_red_flags(question, "There is no need for an ambulance or the hospital.")) == 1
    assert presentations_in("Which arm does the pain of a heart attack go to, with chest pain and sweating?") == []
    assert presentations_in("I have no chest pain, but my arm aches and I sweat.") == []


def test_a_class_has_its_members():
    assert "nsaid" in classes_of("naproxen") and "nsaid" in classes_of("nsaid")
    assert not re.search("nsaid", " ".join(classes_of("acetaminophen")))
