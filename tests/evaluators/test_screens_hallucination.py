"""What an answer says and its context does not: by hand, and with changes planted into real notes."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path

import pytest

from evaluators.screens.drugs import find_drugs
from evaluators.screens.hallucination import unsupported
from evaluators.screens.quantities import find_quantities

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")
DRUGS = ("amlodipine", "azathioprine", "bumetanide", "carbamazepine", "cefuroxime", "colchicine", "felodipine")
CONDITIONS = (
    *(
        "asthma",
        "gout",
        "epilepsy",
        "psoriasis",
        "atrial fibrillation",
        "hypothyroidism",
        "pulmonary embolism",
        "stroke",
    ),
    *(
        "hepatitis",
        "anemia",
        "glaucoma",
        "kidney stones",
        "pancreatitis",
        "osteoporosis",
        "bipolar disorder",
        "migraine",
    ),
)


def found(answer: str, context: str) -> list[str]:
    return [finding.text for finding in unsupported(answer, context)]


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        (
            "49-year-old man, twice daily, 0.5 g",
            "He is forty nine and takes five hundred milligrams, 500 mg, two times a day.",
        ),
        ("BP 120/80, weight 215 lb", "one twenty over eighty; I weigh two hundred and fifteen pounds"),
        ("Seen on 06/19/07.", "It was the nineteenth of June, two thousand seven."),
        ("Colectomy in 1961, symptoms for 14 days", "in nineteen sixty one; for two weeks now"),
        ("Half a tablet, 2-1/2 months, 98.6", "1/2 tablet; about two and a half months; ninety eight point six"),
        ("Half a tablet", "1/2 tablet"),
        ("1/2 tablet; 0.75", "half a tablet; 3/4"),
        ("Takes Coumadin and Tylenol.", "warfarin and paracetamol"),
        ("Continue the ACE inhibitor; an NSAID helped.", "lisinopril daily, ibuprofen helped"),
        (
            "Hypertension, MI, DVT, pyrexia.",
            "I have high blood pressure, a heart attack in the past, a clot in the leg, fever",
        ),
        ("MRI of the back; UTI", "We made an M R I. It was a U T I."),
        ("1. Rest.\n2. Fluids.\n3. Ice.", "rest, fluids and ice"),
        ("Alcohol use: none. Cholecystectomy.", "I never drink. They took my gallbladder out."),
    ],
)
def test_the_same_in_other_words_is_no_finding(answer: str, context: str):
    assert found(answer, context) == []


@pytest.mark.parametrize(
    ("answer", "context", "expected"),
    [
        ("Metformin 850 mg twice daily", "metformin 500 mg, two times a day", ["850 mg"]),
        ("Take 5 mg", "take 5 mcg", ["5 mg"]),
        ("pain for 3 weeks", "for three days", ["3 weeks"]),
        ("between 2 and 9 tablets, three times daily", "2 tablets daily", ["9", "three"]),
        ("He takes apixaban.", "He takes rivaroxaban.", ["apixaban"]),
        ("Hypotension and hyperkalemia", "hypertension, low potassium", ["Hypotension", "hyperkalemia"]),
        ("Asthma, on albuterol.", "She is well.", ["Asthma", "albuterol"]),
        ("Seen in 1999.", "Seen in 2003.", ["1999"]),
    ],
)
def test_what_the_context_lacks_is_found_in_the_order_of_the_answer(answer: str, context: str, expected: list[str]):
    assert found(answer, context) == expected


def notes(name: str) -> list[tuple[str, str]]:
    path = CORPUS / "mts_dialog" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    with path.open(encoding="utf-8", newline="") as lines:
        return [(row["section_text"], row["dialogue"]) for row in csv.DictReader(lines)]


def test_changes_planted_into_real_notes_are_found_and_few_notes_are_flagged_without():
    rows = notes("MTS-Dialog-TestSet-1-MEDIQA-Chat-2023")
    draw = random.Random(0)
    flagged = sum(bool(unsupported(note, dialogue)) for note, dialogue in rows)
    hits: dict[str, list[bool]] = {"number": [], "drug": [], "condition": []}
    for note, dialogue in rows:
        numbers = [one for one in find_quantities(note) if note[one.start : one.end].isdigit()]
        if numbers:
            one = draw.choice(numbers)
            new = draw.choice([value for value in range(2, 2 * int(one.value) + 10) if value != one.value])
            changed = f"{note[: one.start]}{new}{note[one.end :]}"
            hits["number"].append(any(str(new) in text for text in found(changed, dialogue)))
        drugs = find_drugs(note)
        if drugs:
            drug, new = draw.choice(drugs), draw.choice(DRUGS)
            hits["drug"].append(new in found(note[: drug.start] + new + note[drug.end :], dialogue))
        new = draw.choice(CONDITIONS)
        if new.lower() not in dialogue.lower():
            hits["condition"].append(new in found(f"{note} History of {new}.", dialogue))
    assert len(rows) == 200 and flagged <= 15
    shares = {kind: sum(one) / len(one) for kind, one in hits.items()}
    assert shares["number"] > 0.85 and shares["drug"] > 0.95 and shares["condition"] > 0.95, shares
