"""Near-duplicates: what is grouped, what is kept apart, and that the estimate is what MinHash promises."""

from __future__ import annotations

import csv
import json
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from trainer.data.near_duplicates import ALIKE, SEED, SLOTS, Signatures, decisive, join, renumbered, shingles, words

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).parents[3] / "shared" / "data")

VIGNETTE = (
    "A 64 year old woman with type 2 diabetes and stage 3 kidney disease comes with two days of burning when she "
    "passes urine. Temperature 37.9, pulse 92, pressure 128 over 76. The abdomen is soft, the flank is not tender on "
    "either side. A dipstick shows leucocytes and nitrite. Creatinine is 1.6, potassium 4.8 and glucose 182. She takes "
    "metformin 500, lisinopril 10 and atorvastatin 40 once a day. Which antibiotic suits her, and for how long?"
)
INSTRUCTION = (
    "Say whether the value that follows lies below, within or above the range that the laboratory prints beside it, "
    "name the most frequent cause where it lies outside, and close with what a doctor would check before acting on it"
)


def groups_of(texts: list[str]) -> list[int]:
    signatures = Signatures()
    for text in texts:
        signatures.add(text)
    return signatures.groups().tolist()


def exact_similarity(one: str, other: str) -> float:
    mine, theirs = shingles(one, words(one)), shingles(other, words(other))
    return len(mine & theirs) / len(mine | theirs)


def test_copies_and_small_edits_are_one_group_and_other_texts_are_not():
    edited = VIGNETTE.replace("burning when she passes urine", "burning on passing urine")
    assert exact_similarity(VIGNETTE, edited) > ALIKE
    written_otherwise = VIGNETTE.upper().replace(",", " -")
    assert groups_of([VIGNETTE, "Asthma narrows the airways.", edited, written_otherwise]) == [0, 1, 0, 0]


def test_half_a_text_in_common_is_not_enough():
    half = VIGNETTE[: len(VIGNETTE) // 2]
    assert exact_similarity(VIGNETTE, half) < 0.6
    assert groups_of([VIGNETTE, half]) == [0, 1]


def test_another_number_makes_another_item_of_one_template():
    low, high = (f"{INSTRUCTION}: sodium {value} mmol/L." for value in (129, 131))
    assert exact_similarity(low, high) > 0.85
    assert groups_of([low, high, low.replace("mmol/L", "mmol / l")]) == [0, 1, 0]


def test_a_negation_makes_another_item():
    assert groups_of([f"{INSTRUCTION}. It is critical.", f"{INSTRUCTION}. It is not critical."]) == [0, 1]
    assert groups_of([f"{INSTRUCTION}. It is critical.", f"{INSTRUCTION}. It isn’t critical."]) == [0, 1]


def test_negations_are_counted():
    """Three times "no" and twice "without", and the reverse: 4 of 6 are in both, though the words are the same."""
    findings = "no fever, no cough, {} rash, without itch, without vertigo"
    one, other = (f"{INSTRUCTION} {INSTRUCTION[::-1]}: {findings.format(word)}" for word in ("no", "without"))
    assert exact_similarity(one, other) > 0.85
    assert groups_of([one, other]) == [0, 1]


def test_one_number_of_many_is_still_the_same_vignette():
    assert groups_of([VIGNETTE, VIGNETTE.replace("pulse 92", "pulse 96")]) == [0, 0]


def test_where_many_rows_are_alike_all_numbers_have_to_agree():
    many = [VIGNETTE.replace("pulse 92", f"pulse {value}") for value in range(60, 100)]
    assert groups_of(many) == list(range(40))
    assert groups_of([*many, many[7]])[-1] == 7


def test_chinese_is_compared_by_character():
    text = (
        "患者男性，六十二岁，因反复胸闷气短三天入院，既往有高血压病史，"
        "长期口服氨氯地平治疗，血压控制尚可，请问下一步应当做什么检查？"
    )
    assert words("患者 ICU 住院3天") == ["患", "者", "icu", "住", "院", "3", "天"]
    other_day, denied = text.replace("三天", "四天"), text.replace("有高血压", "无高血压")
    assert groups_of([text, other_day, denied, text[:20]]) == [0, 0, 1, 2]


def test_texts_under_three_words_are_only_equal_to_themselves():
    texts = ["Yes", "yes.", "Maybe", "Yes", "???", "!!", "Atorvastatin daily", "daily atorvastatin", ""]
    assert groups_of(texts) == [0, 0, 1, 0, 2, 3, 4, 5, 6]


def test_words_split_units_and_keep_decimals():
    assert words("Na 129mmol/L, HbA1c 6,8 %") == ["na", "129", "mmol", "l", "hba", "1", "c", "6,8"]
    assert decisive(words("No fever, no rash; doesn't cough: 2 of 12.5")) == {"no": 2, "doesn't": 1, "2": 1, "12.5": 1}


def test_no_rows_give_no_groups():
    assert groups_of([]) == []


def test_the_library_estimates_jaccard_similarity_without_bias():
    """rensa against exact sets: its R-MinHash is a scheme of its own, so that its error is measured, not assumed."""
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]

    draw = random.Random(4)
    errors = []
    for _ in range(400):
        union = draw.choice([10, 60, 300])
        common = draw.randint(0, union)
        tokens = [f"t{draw.randrange(10**9)}" for _ in range(union)]
        cut = draw.randint(common, union)
        sketches = []
        for one in (tokens[:common] + tokens[common:cut], tokens[:common] + tokens[cut:]):
            sketch = RMinHash(SLOTS, SEED)
            sketch.update(one)
            sketches.append(np.array(sketch.digest(), np.uint32).astype(np.uint16))
        errors.append((sketches[0] == sketches[1]).mean() - common / union)
    assert abs(np.mean(errors)) < 0.005
    # Of a share of 128 slots: sqrt(J (1 - J) / 128) is at most 0.044, and 0.035 at 0.8.
    assert np.std(errors) < 0.035


def test_nearly_all_pairs_of_the_threshold_are_found():
    """200 pairs of exactly 0.8: of 81 shingles each, 72 are in both."""
    draw = random.Random(5)
    found = 0
    for _ in range(200):
        spoken = ["".join(draw.choices("abcdefghij", k=8)) for _ in range(83)]
        other = [*spoken]
        for at in (20, 40, 60):
            other[at] = "another"
        one, two = " ".join(spoken), " ".join(other)
        assert exact_similarity(one, two) == 72 / 90 == ALIKE
        found += len(set(groups_of([one, two]))) == 1
    assert found >= 196


def test_groups_are_the_same_bytes_and_rows_can_be_added_after():
    signatures = Signatures()
    for text in (VIGNETTE, "Asthma narrows the airways."):
        signatures.add(text)
    assert signatures.groups().tolist() == [0, 1]
    signatures.add(VIGNETTE)
    assert signatures.groups().tobytes() == signatures.groups().tobytes() == np.array([0, 1, 0]).tobytes()


def test_join_follows_chains_in_any_order():
    draw = random.Random(6)
    edges = list(pairwise(range(0, 2000, 2)))
    draw.shuffle(edges)
    labels = np.arange(2000)
    join(labels, np.array([a for a, _ in edges]), np.array([b for _, b in edges]))
    assert (labels[::2] == 0).all()
    assert labels[1::2].tolist() == list(range(1, 2000, 2))
    assert renumbered(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 2, 1]


def test_real_dialogues_against_all_pairs():
    """What exact comparison of 1,201 dialogues calls near-duplicates is grouped, and nothing that is far from it."""
    path = CORPUS / "mts_dialog" / "MTS-Dialog-TrainingSet.csv"
    if not path.is_file():
        pytest.skip(f"the real data is not here ({path})")
    with path.open(encoding="utf-8-sig", newline="") as file:
        texts = [f"{row['dialogue']}\n{row['section_text']}" for row in csv.DictReader(file)]
    groups = groups_of(texts)
    sets = [shingles(text, words(text)) for text in texts]
    grouped = 0
    for row, mine in enumerate(sets):
        for other, theirs in enumerate(sets[:row]):
            same_group = groups[row] == groups[other]
            grouped += same_group
            if min(len(mine), len(theirs)) > 0.65 * max(len(mine), len(theirs)):
                similarity = len(mine & theirs) / len(mine | theirs)
                assert same_group if similarity >= ALIKE else not (same_group and similarity < 0.65)
            else:
                assert not same_group
    assert grouped > 0


def test_the_generated_starter_tasks_are_not_one_group():
    path = Path(__file__).parents[2] / "examples" / "data" / "lab.train.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert max(np.bincount(groups_of([f"{row['prompt']}\n{row['answer']}" for row in rows]))) == 1
