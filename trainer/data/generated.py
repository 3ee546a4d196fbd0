"""Write the starter tasks that can be checked exactly: lab values, written orders, brand names.

`python -m trainer.data.generated` writes them to `examples/data/`, always the same bytes. Drug names come from the
table of the package `drug-named-entity-recognition`; values, doses and orders are made up. What is held out is unseen:
other analytes, other drugs; for brand names, which cannot be guessed, another wording of the same question.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from evaluators.rewording.drug_index import common_drugs, drug_table
from trainer.data.sources import STARTER_FOLDER

SEED = 2026
Record = dict[str, Any]

# analyte, lower and upper limit, unit, decimals. Adult ranges as printed on common reports; they differ between
# laboratories, which is why each question carries its own.
TRAIN_ANALYTES = [
    ("Sodium", 135, 145, "mmol/L", 0),
    ("Potassium", 3.5, 5.0, "mmol/L", 1),
    ("Chloride", 98, 106, "mmol/L", 0),
    ("Bicarbonate", 22, 29, "mmol/L", 0),
    ("Calcium", 8.6, 10.2, "mg/dL", 1),
    ("Magnesium", 1.7, 2.2, "mg/dL", 1),
    ("Creatinine", 0.6, 1.2, "mg/dL", 1),
    ("Fasting glucose", 70, 99, "mg/dL", 0),
    ("Haemoglobin", 12.0, 16.0, "g/dL", 1),
    ("Platelets", 150, 400, "x10^9/L", 0),
    ("ALT", 7, 56, "U/L", 0),
    ("Albumin", 3.5, 5.0, "g/dL", 1),
    ("TSH", 0.4, 4.0, "mIU/L", 1),
    ("Ferritin", 30, 300, "ng/mL", 0),
    ("Bilirubin", 0.3, 1.2, "mg/dL", 1),
    ("Lipase", 10, 140, "U/L", 0),
    ("Uric acid", 3.5, 7.2, "mg/dL", 1),
    ("25-OH vitamin D", 30, 100, "ng/mL", 0),
    ("Leukocytes", 4.0, 11.0, "x10^9/L", 1),
    ("Iron", 60, 170, "ug/dL", 0),
    ("Urea nitrogen", 7, 20, "mg/dL", 0),
    ("Lactate", 0.5, 2.0, "mmol/L", 1),
    ("Alkaline phosphatase", 44, 147, "U/L", 0),
    ("Prothrombin time", 11.0, 13.5, "s", 1),
]
HELDOUT_ANALYTES = [
    ("Phosphate", 2.5, 4.5, "mg/dL", 1),
    ("AST", 10, 40, "U/L", 0),
    ("Haematocrit", 36, 46, "%", 0),
    ("Free T4", 0.8, 1.8, "ng/dL", 1),
    ("Vitamin B12", 200, 900, "pg/mL", 0),
    ("GGT", 9, 48, "U/L", 0),
    ("Total protein", 6.0, 8.3, "g/dL", 1),
    ("MCV", 80, 100, "fL", 0),
    ("Ammonia", 15, 45, "umol/L", 0),
    ("Amylase", 30, 110, "U/L", 0),
    ("Zinc", 60, 120, "ug/dL", 0),
    ("LDH", 140, 280, "U/L", 0),
]
LAB_LABELS = ["low", "normal", "high"]

ROUTES = {
    "PO": "oral",
    "by mouth": "oral",
    "IV": "intravenous",
    "SC": "subcutaneous",
    "IM": "intramuscular",
    "SL": "sublingual",
    "PR": "rectal",
    "inhaled": "inhaled",
    "topically": "topical",
}
FREQUENCIES = {
    "daily": "once daily",
    "once a day": "once daily",
    "BID": "twice daily",
    "twice a day": "twice daily",
    "TID": "three times daily",
    "three times a day": "three times daily",
    "QID": "four times daily",
    "q4h": "every 4 hours",
    "q6h": "every 6 hours",
    "q8h": "every 8 hours",
    "q12h": "every 12 hours",
    "at bedtime": "at bedtime",
    "weekly": "once weekly",
}
DOSES = ["0.5 mg", "1 mg", "2 mg", "2.5 mg", "4 mg", "5 mg", "10 mg", "15 mg", "20 mg", "25 mg", "30 mg", "40 mg"]
DOSES += ["50 mg", "75 mg", "80 mg", "100 mg", "125 mg", "150 mg", "200 mg", "250 mg", "300 mg", "500 mg", "1 g"]
ORDERS = [
    "Start {drug} {dose} {route} {frequency}.",
    "{drug} {dose} {route} {frequency}, recheck in one week",
    "Please give {drug} {dose} {route} {frequency}.",
    "Continue {drug}, {dose} {route} {frequency}.",
    "Rx: {drug} {dose}, {route}, {frequency}",
    "Plan: increase {drug} to {dose} {route} {frequency}",
    "Patient to take {drug} {dose} {route} {frequency} until review.",
    "Begin {dose} of {drug} {route} {frequency}.",
    "Discharge on {drug} {dose} {route} {frequency}.",
    "{dose} {drug} {route} {frequency} was ordered on the ward.",
]
BRANDS = [
    "lipitor",
    "zocor",
    "crestor",
    "coumadin",
    "zoloft",
    "prozac",
    "paxil",
    "glucophage",
    "lasix",
    "ventolin",
    "nexium",
    "prilosec",
    "plavix",
    "xarelto",
    "eliquis",
    "januvia",
    "tylenol",
    "advil",
    "aleve",
    "zithromax",
    "cipro",
    "norvasc",
    "cozaar",
    "diovan",
    "coreg",
    "singulair",
    "zyrtec",
    "claritin",
    "benadryl",
    "ambien",
    "xanax",
    "valium",
    "ativan",
    "lexapro",
    "celexa",
    "cymbalta",
    "effexor",
    "lyrica",
    "neurontin",
    "keppra",
    "lamictal",
    "topamax",
    "seroquel",
    "zyprexa",
    "risperdal",
    "abilify",
    "imitrex",
    "flomax",
    "viagra",
    "cialis",
    "pepcid",
    "zofran",
    "tenormin",
    "lanoxin",
    "farxiga",
    "jardiance",
]


def write_all(folder: Path = STARTER_FOLDER) -> None:
    """Write the train and held-out file of every generated task into `folder`."""
    table = drug_table()
    drugs = list(common_drugs(table))
    random.Random(f"{SEED}/drugs").shuffle(drugs)
    held_out = len(drugs) // 4
    rows = {
        "lab.train": lab_rows(1200, TRAIN_ANALYTES, "train"),
        "lab.heldout": lab_rows(300, HELDOUT_ANALYTES, "heldout"),
        "orders.train": order_rows(400, drugs[held_out:], "train"),
        "orders.heldout": order_rows(150, drugs[:held_out], "heldout"),
        "brands.train": brand_rows(table, "Which generic drug is sold as {brand}?"),
        "brands.heldout": brand_rows(table, "A patient takes {brand}. What is its generic name?"),
    }
    for name, records in rows.items():
        text = "".join(json.dumps({"id": f"{name}-{index:04}"} | record) + "\n" for index, record in enumerate(records))
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def lab_rows(count: int, analytes: list[tuple[str, float, float, str, int]], split: str) -> list[Record]:
    """Lab values against the range in the question; a third each low, normal and high, no value on a limit.

    The answer compares before it names the class: a small model cannot compare and conclude in one token.
    """
    draw = random.Random(f"{SEED}/lab/{split}")
    rows: dict[str, Record] = {}
    while len(rows) < count:
        label = LAB_LABELS[len(rows) % 3]
        name, low, high, unit, decimals = draw.choice(analytes)
        value = _value(draw, label, low, high, decimals)
        if value is None:
            continue
        shown, bottom, top = (f"{number:.{decimals}f}" for number in (value, low, high))
        question = f"{name} {shown} {unit} (reference {bottom}-{top}): low, normal or high?"
        answer = f"{shown} vs {bottom}: below. Low"
        if value > low:
            answer = f"{shown} vs {bottom}: above. {shown} vs {top}: "
            answer += "above. High" if value > high else "below. Normal"
        rows[question] = {"prompt": question, "answer": answer, "label": label, "options": LAB_LABELS}
    shuffled = list(rows.values())
    draw.shuffle(shuffled)
    return shuffled


def order_rows(count: int, drugs: list[str], split: str) -> list[Record]:
    """Written orders and what they say: drug, dose, route, frequency. The doses are drawn by chance: not to be used."""
    draw = random.Random(f"{SEED}/orders/{split}")
    rows: dict[str, Record] = {}
    while len(rows) < count:
        drug, dose = draw.choice(drugs), draw.choice(DOSES)
        route, frequency = draw.choice(list(ROUTES)), draw.choice(list(FREQUENCIES))
        order = draw.choice(ORDERS).format(drug=drug, dose=dose, route=route, frequency=frequency)
        order = order[0].upper() + order[1:]
        question = f"Take out drug, dose, route and frequency: {order}"
        answer = f"drug: {drug}; dose: {dose}; route: {ROUTES[route]}; frequency: {FREQUENCIES[frequency]}"
        rows[question] = {"prompt": question, "answer": answer}
    return list(rows.values())


def brand_rows(table: dict[str, Any], wording: str) -> list[Record]:
    """Brand to generic name, as the table has it."""
    generics = table["drug_variant_to_canonical"]
    return [
        {"prompt": wording.format(brand=brand.capitalize()), "answer": generics[brand][0].capitalize()}
        for brand in BRANDS
    ]


def _value(draw: random.Random, label: str, low: float, high: float, decimals: int) -> float | None:
    value = {
        "low": low * draw.uniform(0.4, 0.97),
        "normal": draw.uniform(low, high),
        "high": high * draw.uniform(1.03, 2.2),
    }[label]
    value = round(value, decimals)
    fits = {"low": 0 < value < low, "normal": low < value < high, "high": value > high}
    return value if fits[label] else None


if __name__ == "__main__":
    write_all()
