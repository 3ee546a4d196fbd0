"""The tables behind augmentation: true to their rules, and put into a sentence as a careful writer would."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from evaluators.rewording import faithful, wording
from evaluators.rewording.drug_index import drug_table
from evaluators.rewording.substitution import TableWay, rewritings

FOLDER = Path(faithful.__file__).parent


def table(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


SYNONYMS, ABBREVIATIONS, BRANDS = table("synonyms"), table("abbreviations"), table("brands")
KINDS = ("count", "mass", "quality")


def one(text: str, way: TableWay) -> dict[str, str]:
    """Every rewriting of a text, by what was done."""
    return {rewriting.how: rewriting.text for rewriting in rewritings(text, way)}


def test_the_tables_are_large_enough_and_no_form_stands_in_two_groups():
    groups = [group for kind in KINDS for group in SYNONYMS[kind]]
    assert len(groups) >= 150 and all(len(group) >= 2 for group in groups)
    forms = Counter(form.lower() for group in groups for text in group for form in text.split("|"))
    assert [form for form, times in forms.items() if times > 1] == []
    assert len(ABBREVIATIONS["meanings"]) >= 150
    meanings = Counter(meaning.lower() for meaning in ABBREVIATIONS["meanings"].values())
    assert max(meanings.values()) == 1
    assert len(BRANDS["one_to_one"]) + len(BRANDS["to_generic"]) >= 150


def test_brand_and_generic_are_one_to_one_where_they_go_both_ways():
    both, down = BRANDS["one_to_one"], BRANDS["to_generic"]
    assert len(set(both.values())) == len(both)
    assert not set(both) & set(down) and not set(both.values()) & set(down.values())
    assert all("/" not in generic for generic in both.values())


def test_the_brand_table_agrees_with_the_public_index():
    index = drug_table()["drug_variant_to_canonical"]
    checked, wrong = 0, []
    for brand, generic in (BRANDS["one_to_one"] | BRANDS["to_generic"]).items():
        for known in index.get(brand.lower(), ())[:1]:
            checked += 1
            parts = set(re.split(r"/| and ", known.split(" (")[0]))  # "propranolol (cardiovascular)"
            ours = set(generic.split("/"))
            bases = {name.split()[0] for name in ours} | {one for name in ours for one in index.get(name, ())}
            if parts != ours and not parts <= bases:
                wrong.append((brand, generic, known))
    # one substance under two names
    assert checked > 200 and wrong == [("Synthroid", "levothyroxine", "thyroxine")]


def test_no_pair_of_equal_terms_changes_a_number_a_unit_a_negation_or_a_side():
    pairs = [
        (group[0].split("|")[0], other.split("|")[0])
        for kind in KINDS
        for group in SYNONYMS[kind]
        for other in group[1:]
    ]
    pairs += [(short, meaning.split("|")[0]) for short, meaning in ABBREVIATIONS["meanings"].items()]
    found = {pair: [loss for loss in faithful.lost(*pair) if not loss.startswith("drug")] for pair in pairs}
    # words that are part of a name: they place nothing and deny nothing
    assert {pair: losses for pair, losses in found.items() if losses} == {
        ("tennis elbow", "lateral epicondylitis"): ["side lateral"],
        ("golfer's elbow", "medial epicondylitis"): ["side medial"],
        ("lower jaw", "mandible"): ["side lower"],
        ("upper jaw", "maxilla"): ["side upper"],
        ("petit mal seizure", "absence seizure"): ["negation"],
        ("Lou Gehrig's disease", "amyotrophic lateral sclerosis"): ["side lateral"],
        ("low back pain", "lower back pain"): ["side lower"],
        ("UGIB", "upper gastrointestinal bleeding"): ["side upper"],
        ("URTI", "upper respiratory tract infection"): ["side upper"],
        ("LRTI", "lower respiratory tract infection"): ["side lower"],
        ("ACL", "anterior cruciate ligament"): ["side anterior"],
    }


@pytest.mark.parametrize(
    ("text", "way", "how", "rewritten"),
    [
        ("Had a heart attack.", "synonyms", "heart attack → myocardial infarction", "Had a myocardial infarction."),
        ("two heart attacks", "synonyms", "heart attacks → myocardial infarctions", "two myocardial infarctions"),
        ("an enlarged thyroid", "synonyms", "enlarged thyroid → goiter", "a goiter"),
        ("A goiter grows.", "synonyms", "goiter → enlarged thyroid", "An enlarged thyroid grows."),
        ("two renal calculi", "synonyms", "renal calculi → kidney stones", "two kidney stones"),
        ("STROKE RISK", "synonyms", "STROKE → CEREBROVASCULAR ACCIDENT", "CEREBROVASCULAR ACCIDENT RISK"),
        ("Hypertension is common", "synonyms", "Hypertension → High blood pressure", "High blood pressure is common"),
        ("treat High Blood Pressure ?", "synonyms", "High Blood Pressure → Hypertension", "treat Hypertension ?"),
        ("treat Bell's palsy now", "synonyms", "Bell's palsy → idiopathic facial nerve palsy",
         "treat idiopathic facial nerve palsy now"),
        ("with HTN and pain", "abbreviations", "HTN → hypertension", "with hypertension and pain"),
        ("HTN since March", "abbreviations", "HTN → Hypertension", "Hypertension since March"),
        ("an MRI of the knee", "abbreviations", "MRI → magnetic resonance imaging",
         "a magnetic resonance imaging of the knee"),
        ("a urinary tract infection", "abbreviations", "urinary tract infection → UTI", "a UTI"),
        ("an NSAID daily", "abbreviations", "NSAID → nonsteroidal anti-inflammatory drug",
         "a nonsteroidal anti-inflammatory drug daily"),
        ("a proton pump inhibitor", "abbreviations", "proton pump inhibitor → PPI", "a PPI"),
        ("a magnetic resonance imaging scan", "abbreviations", "magnetic resonance imaging → MRI", "an MRI scan"),
        ("three UTIs", "abbreviations", "UTIs → urinary tract infections", "three urinary tract infections"),
        ("takes Lipitor 20 mg", "brand_generic", "Lipitor → atorvastatin", "takes atorvastatin 20 mg"),
        ("takes atorvastatin 20 mg", "brand_generic", "atorvastatin → Lipitor", "takes Lipitor 20 mg"),
        ("TYLENOL 500 MG", "brand_generic", "TYLENOL → ACETAMINOPHEN", "ACETAMINOPHEN 500 MG"),
        ("takes tylenol daily", "brand_generic", "tylenol → acetaminophen", "takes acetaminophen daily"),
        ("Tylenol helps; Tylenol works", "brand_generic", "Tylenol → Acetaminophen",
         "Acetaminophen helps; acetaminophen works"),
        ("an Advil and a Percocet", "brand_generic", "Percocet → oxycodone/acetaminophen",
         "an Advil and an oxycodone/acetaminophen"),
    ],
)  # fmt: skip
def test_a_term_is_put_in_as_a_writer_would(text: str, way: TableWay, how: str, rewritten: str):
    assert one(text, way)[how] == rewritten


@pytest.mark.parametrize(
    ("text", "way"),
    [
        # inside a longer word or term, or another thing's name
        ("a heatstroke, a heat stroke, stroke-like", "synonyms"),
        ("portal hypertension and yellow fever", "synonyms"),
        ("the National Stroke Association", "synonyms"),
        ("medullary cystic kidney disease type 1", "synonyms"),
        ("limbic encephalitis", "synonyms"),
        ("the hematuria workup", "synonyms"),
        ("chewing gum", "synonyms"),
        ("with stroke volume", "synonyms"),
        ("a fatty liver disease clinic", "synonyms"),
        # no article fits a word without plural
        ("a high fever", "synonyms"),
        # its counterpart is there, or what stands in brackets defines it
        ("hypertension (HTN)", "abbreviations"),
        ("high blood pressure, also hypertension", "synonyms"),
        ("myocardial infarction (AMI)", "synonyms"),
        # somebody's exact words
        ('he wrote "heart attack"', "synonyms"),
        ("he wrote “heart attack” and [heart attack]", "synonyms"),
        ("see https://example.org/stroke or stroke@example.org", "synonyms"),
        # ambiguous, or in another case, or among capitals, or a place
        ("MS, RA, PT, CP, PE and MI", "abbreviations"),
        ("htn and copd", "abbreviations"),
        ("PET AND CT WERE DONE", "abbreviations"),
        ("lives in Hartford, CT", "abbreviations"),
        ("Mycobacterium tuberculosis grew", "abbreviations"),
        # doses and their times
        ("500 mg BID PRN PO", "abbreviations"),
        # not the plain product
        ("Tylenol PM, Tylenol #3, Tylenol 3, Tylenol with codeine", "brand_generic"),
        ("Wellbutrin XL and Claritin-D", "brand_generic"),
        ("amlodipine/valsartan, losartan and hydrochlorothiazide, topical ciprofloxacin", "brand_generic"),
        ("amlodipine besylate", "brand_generic"),
        # more than one brand
        ("warfarin, ibuprofen, lisinopril, fluoxetine, sildenafil", "brand_generic"),
    ],
)
def test_what_is_left_alone(text: str, way: TableWay):
    assert one(text, way) == {}


def test_options_of_a_multiple_choice_are_left_alone():
    text = "Takes Lipitor. Which next?\n\nA. Plavix\n(B) Zetia\nC) Lipitor"
    assert one(text, "brand_generic") == {"Lipitor → atorvastatin": text.replace("Takes Lipitor", "Takes atorvastatin")}


@pytest.mark.parametrize(
    ("word", "vowel"),
    [("MRI", 1), ("UTI", 0), ("NICU", 0), ("ulcer", 1), ("urinary", 0), ("European", 0), ("hour", 1), ("heart", 0)],
)
def test_an_stands_before_a_vowel_sound(word: str, vowel: int):
    assert wording.vowel_sound(word) == bool(vowel)
