"""Augmentation: what may be changed in a row, what may not, and how many rows come of it."""

from __future__ import annotations

import csv
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluators.rewording import faithful
from trainer.data.augmentation import Counts, augment, augment_rows
from trainer.data.records import DataError
from trainer.data.rows import About, Row, question, row_id

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "data")
TABLES = ["synonyms", "abbreviations", "brand_generic"]
LONG = "Rest, fluids and time are what helps most people with it get well again. " * 5


def row(ask: str, answer: str = LONG, **about: Any) -> Row:
    made = Row(prompt=[{"role": "user", "content": ask}], completion=[{"role": "assistant", "content": answer}])
    return made | Row(about=About(**about))


def about(made: Row) -> dict[str, Any]:
    return dict(made.get("about", {}))


def how_of(made: Row) -> str:
    return about(made)["origin"]["how"]


def changed(source: Row, way: str, translate=None) -> str | None:
    made = augment(source, [way], random.Random(0), {way: translate} if translate else None)
    return None if made is None else question(made)


def test_a_new_row_says_where_it_came_from_and_keeps_what_is_known():
    source = row(
        "What is the dose of Lipitor?",
        "B",
        id="abc",
        patient="p1",
        specialty="cardiology",
        task="question_answering",
        label="B",
        expert_validated=True,
    )
    before = json.dumps(source)
    made = augment(source, ["brand_generic"], random.Random(0))
    assert made is not None and json.dumps(source) == before
    assert question(made) == "What is the dose of atorvastatin?"
    assert made.get("completion") == source.get("completion")
    assert about(made) == {
        "id": row_id(made),
        "patient": "p1",
        "specialty": "cardiology",
        "task": "question_answering",
        "label": "B",
        "origin": {"row": "abc", "how": "brand_generic: Lipitor → atorvastatin"},
    }
    assert augment(made, ["brand_generic"], random.Random(0)) is None


def test_only_the_last_message_of_the_user_is_rewritten_and_pairs_keep_both_answers():
    said = [
        {"role": "system", "content": "Advise on hypertension."},
        {"role": "user", "content": "I have hypertension."},
        {"role": "assistant", "content": "Hypertension it is."},
    ]
    asked = {"role": "user", "content": "How is hypertension treated?"}
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in (LONG, LONG + "Or not."))
    made = augment(Row(prompt=[*said, asked], chosen=chosen, rejected=rejected), ["synonyms"], random.Random(0))
    assert made is not None
    last = {"role": "user", "content": "How is high blood pressure treated?"}
    expected = {"prompt": [*said, last], "chosen": chosen, "rejected": rejected}
    assert {name: value for name, value in made.items() if name != "about"} == expected
    assert augment(Row(text="Hypertension is common in the old."), TABLES, random.Random(0)) is None


@pytest.mark.parametrize(
    "asked",
    [
        "What is the generic of Lasix?",
        "Which generic drug is sold as Lipitor?",
        "Name a brand of atorvastatin.",
        "What does HTN stand for?",
        "What is another name for a heart attack?",
        "Define hypertension.",
        "What does hypertension mean?",
        "What is the medical term for high blood pressure?",
    ],
)
def test_a_question_about_words_is_left_alone(asked: str):
    assert [changed(row(asked), way) for way in TABLES] == [None, None, None]


def test_words_that_a_short_answer_cites_stay():
    ask = "Take out the disease: he had a heart attack and hypertension last year."
    assert changed(row(ask, "disease: heart attack"), "synonyms") == ask.replace("hypertension", "high blood pressure")
    assert changed(row(ask, "heart B-DIS\nattack I-DIS\nhypertension B-DIS"), "synonyms") is None
    # no word of the answer may come in either
    assert changed(row("How does one treat hypertension?", "as high blood pressure"), "synonyms") is None


def test_a_long_answer_may_use_either_word_but_not_where_the_task_is_to_cite():
    answer = "Hypertension is raised pressure. " + LONG
    assert changed(row("How is hypertension treated?", answer), "synonyms") == "How is high blood pressure treated?"
    for task in ("ner", "classification", "summarization", "report_generation"):
        assert changed(row("How is hypertension treated?", answer, task=task), "synonyms") is None


def test_a_drug_that_the_answer_names_stays_however_long_the_answer():
    assert changed(row("Can I take Lipitor at night?", "Lipitor may be taken. " + LONG), "brand_generic") is None
    assert changed(row("Can I take Lipitor at night?", "Yes, at any time. " + LONG), "brand_generic") is not None


@pytest.mark.parametrize(
    ("ask", "language"),
    [
        ("¿Qué es la hypertension y cómo se trata con Lipitor?", "es"),
        ("¿Qué es la hypertension y cómo se trata con Lipitor?", ""),
        ("HTN 患者可以服用 Lipitor 吗？", ""),
        ("HTN 患者可以服用 Lipitor 吗？", "zh"),
    ],
)
def test_other_languages_are_left_alone_but_for_back_translation(ask: str, language: str):
    source = row(ask, **({"language": language} if language else {}))
    assert augment(source, TABLES, random.Random(0)) is None
    assert changed(
        source, "back_translation", lambda texts: [text.replace("Lipitor", "Lipitor ahora") for text in texts]
    )


def test_ways_that_cannot_be_used_are_refused():
    with pytest.raises(DataError, match="no way of augmenting called 'mixup'; there are synonyms, abb"):
        augment(row("x"), ["mixup"], random.Random(0))
    with pytest.raises(
        DataError, match=r"back_translation needs a model on this machine; name it in data\.translation_models"
    ):
        next(augment_rows([row("x")], ["back_translation"], 0.2, 0))


def many(count: int) -> list[Row]:
    wordings = ["How is hypertension treated in case {}?", "Is Lipitor right in case {}?", "Does HTN harm in case {}?"]
    return [row(wordings[number % 3].format(number), "yes", label="yes") for number in range(count)]


def test_added_rows_are_the_share_asked_for_spread_evenly_and_the_same_each_time():
    rows, counts = many(600), Counts()
    added = list(augment_rows(rows, TABLES, 0.2, 7, counts=counts))
    assert added == list(augment_rows(iter(rows), TABLES, 0.2, 7))
    assert added != list(augment_rows(rows, TABLES, 0.2, 8))
    assert counts.rows == 600 and counts.wanted == 120 and abs(len(added) - 120) <= 20
    assert sum(counts.by_way.values()) == len(added) and counts.notes() == []
    assert Counter(how_of(made).split(":")[0] for made in added) == counts.by_way
    assert min(counts.by_way.values()) >= len(added) // 4
    sources = [about(made)["origin"]["row"] for made in added]
    assert len(set(sources)) == len(sources)
    place = {row_id(one): number for number, one in enumerate(rows)}
    halves = Counter(place[source] < 300 for source in sources)
    assert abs(halves[True] - halves[False]) < 30
    assert all(about(made)["label"] == "yes" for made in added)


def test_a_share_above_one_makes_several_different_rows_of_one():
    rows = [row(f"What of case {number} with hypertension, COPD, a stroke and Lipitor?", "yes") for number in range(50)]
    added = list(augment_rows(rows, TABLES, 2.0, 0))
    assert len(added) == 100
    assert len({row_id(made) for made in added}) == 100


def test_ways_are_used_evenly_where_rows_allow_each_and_one_way_makes_different_rows():
    rows = [row(f"What of case {number} with shingles, an MRI and Lipitor?", "yes") for number in range(90)]
    counts = Counts()
    list(augment_rows(rows, TABLES, 1.0, 0, counts=counts))
    assert counts.by_way == {"synonyms": 30, "abbreviations": 30, "brand_generic": 30}
    rows = [row(f"What of case {number} with hypertension and chickenpox?", "yes") for number in range(50)]
    assert len({row_id(made) for made in augment_rows(rows, ["synonyms"], 2.0, 0)}) == 100


def test_rows_that_cannot_be_changed_are_made_up_for_and_a_shortfall_is_said():
    barren = [row(f"What is {number} plus 1?", "a number") for number in range(80)]
    counts = Counts()
    added = list(augment_rows([*barren, *many(80)], ["synonyms", "abbreviations"], 0.2, 0, counts=counts))
    assert 26 <= len(added) <= 40 and counts.notes() == []
    counts = Counts()
    assert list(augment_rows(barren, ["synonyms"], 0.5, 0, counts=counts)) == []
    assert counts.notes() == [
        "Augmentation added 0 rows of the 40 asked for: the other rows have nothing that can be reworded without "
        "touching what their answer rests on.",
        "The way synonyms added no row.",
    ]


def real_rows() -> list[Row]:
    if not CORPUS.is_dir():
        pytest.skip(f"needs the real data sets, looked for in {CORPUS} (BEDSIDE_CORPUS)")
    lines = (CORPUS / "medqa_us" / "medqa_us_4opt_test.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    rows = [row(record["question"], record["answer_idx"]) for record in records[:600]]
    with (CORPUS / "mts_dialog" / "MTS-Dialog-ValidationSet.csv").open(encoding="utf-8") as file:
        rows += [row(one["section_text"], one["section_header"]) for one in csv.DictReader(file)]
    return rows


def test_on_real_rows_nothing_changes_but_the_term_that_is_named():
    rows = real_rows()
    made = [(one, augment(one, [way], random.Random(0))) for one in rows for way in TABLES]
    pairs = [(one, new) for one, new in made if new is not None]
    assert len(pairs) > 500
    for one, new in pairs:
        how = how_of(new)
        old_term, new_term = how.split(": ", 1)[1].split(" → ")
        way = how.split(":")[0]
        assert question(new) != question(one) and new_term.lower() in question(new).lower(), how
        losses = [
            loss
            for loss in faithful.lost(question(one), question(new))
            if not (way == "brand_generic" and loss.startswith("drug")) and loss.split()[-1] not in how.lower()
        ]
        assert losses == [], (how, losses)
        rest = [word for word in question(one).split() if word.lower() not in old_term.lower() and word not in "aAnN"]
        missing = Counter(rest) - Counter(question(new).split())
        assert sum(missing.values()) <= 2 * question(one).lower().count(old_term.lower()), how
