"""The inspector's counts, shares, contradictions and warnings, on rows small enough to count by hand."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path

import pytest

from trainer.data.inspection import same_questions
from trainer.data.inspection.balance import balance_effect, class_mix
from trainer.data.inspection.findings import Inspection
from trainer.data.inspection.inspect import Inspector
from trainer.data.inspection.lengths import Bin, lengths, words_in
from trainer.data.inspection.summary import summary_lines
from trainer.data.rows import About, Row

CORPUS = Path(os.environ.get("BEDSIDE_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "data")
LONG = (
    "Start an inhaled corticosteroid, teach the technique with a spacer, and see her again in six weeks; escalate only "
    "after adherence and triggers were reviewed."
)


def row(question: str, answer: str, **about: object) -> Row:
    return Row(
        prompt=[{"role": "user", "content": question}],
        completion=[{"role": "assistant", "content": answer}],
        about=About(**about),  # pyright: ignore[reportArgumentType]
    )


def inspected(*rows: Row, max_length: int | None = None) -> Inspection:
    inspector = Inspector(max_length)
    for number, one in enumerate(rows, start=1):
        one.setdefault("about", {}).setdefault("place", f"row {number}")
        inspector.add(one, None, None)
    return inspector.report()


# Lengths


def test_percentiles_are_lengths_that_occur():
    found = lengths(Counter({10: 90, 20: 6, 300: 4}))
    assert found is not None
    assert (found.rows, found.total, found.mean) == (100, 2220, 22.2)
    assert (found.p50, found.p95, found.p98, found.longest) == (10, 20, 300, 300)
    assert found.histogram[0] == Bin(low=0, high=20, rows=90)
    assert found.histogram[1] == Bin(low=20, high=40, rows=6)
    assert found.histogram[-1] == Bin(low=300, high=320, rows=4)
    assert sum(one.rows for one in found.histogram) == 100 and len(found.histogram) <= 20
    even = lengths(Counter({10: 50, 20: 50}))
    assert even is not None and even.p50 == 10
    assert lengths(Counter()) is None


def test_chinese_characters_count_as_words():
    assert words_in("two words") == 2
    assert words_in("继续 warfarin 治疗") == 5
    assert words_in("Añadir 5 mg") == 3


def test_lengths_are_held_against_the_models_limit():
    inspector = Inspector(100)
    for trained, tokens in [(40, 100), (200, 250), (10, 110), (0, 20), (10, 109)]:
        inspector.add(row(f"Question {tokens}?", LONG), trained, tokens)
    found = inspector.report()
    assert found.too_long == 3
    # 110 tokens, ten of them trained: the question alone has a hundred. The one of 109 keeps a single token.
    assert found.nothing_trained == 2
    assert found.answer_range is not None
    assert (found.answer_range.below, found.answer_range.within, found.answer_range.above) == (4, 1, 0)
    assert found.warnings[0] == (
        "2 rows without a trained token within 100 tokens: the question alone is so long, or the answer is empty. "
        "Shorten the question, raise schedule.max_length, or remove the row."
    )
    assert found.warnings[1] == (
        "3 rows (60.0%) longer than 100 tokens: the end is cut off. 98 % of the rows have at most 250 tokens, the "
        "longest 250: raise schedule.max_length if memory allows, or shorten them."
    )


@pytest.mark.parametrize(
    ("tokens", "below", "within", "above"), [(149, 1, 0, 0), (150, 0, 1, 0), (300, 0, 1, 0), (301, 0, 0, 1)]
)
def test_the_lectures_range_includes_its_ends(tokens: int, below: int, within: int, above: int):
    inspector = Inspector()
    inspector.add(row("Why?", LONG), tokens, 400)
    found = inspector.report().answer_range
    assert found is not None and (found.below, found.within, found.above) == (below, within, above)


def test_without_token_counts_there_is_no_statement_on_tokens():
    found = inspected(row("Why?", LONG), max_length=10)
    assert found.tokens is None and found.answer_range is None and found.too_long == 0
    assert found.answer_words is not None and found.answer_words.longest == 25


def test_plain_text_is_no_answer():
    inspector = Inspector(100)
    inspector.add(Row(text=LONG), 200, 200)
    found = inspector.report()
    assert found.kinds == {"text": 1} and found.too_long == 1
    assert found.answer_tokens is None and found.answer_words is None


# Classes and balance


def test_class_mix_by_hand():
    mix = class_mix({"a": 6, "b": 2, "none": 0}, unknown=2)
    assert (mix.known, mix.unknown, mix.classes, mix.ratio) == (8, 2, 2, 3.0)
    assert [(one.name, one.rows, one.share) for one in mix.listed] == [("a", 6, 0.75), ("b", 2, 0.25)]
    assert mix.effective_classes == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    assert class_mix({"a": 5, "b": 5}).effective_classes == pytest.approx(2.0)
    assert class_mix({}).ratio == 1.0 and class_mix({}).effective_classes == 0.0


def test_repeating_up_to_four_times_by_hand():
    effect = balance_effect({"common": 80, "some": 30, "rare": 10})
    assert (effect.rows_before, effect.rows_after) == (120, 80 + 80 + 40)
    assert effect.shares_after == {"common": 0.4, "rare": 0.2, "some": 0.4}
    # The rarest: 120 rows, over three classes times ten rows.
    assert effect.weights == {"common": 0.5, "rare": 4.0, "some": pytest.approx(120 / 90)}
    assert effect.sentence == (
        "Repeating rare rows up to 4 times makes 120 rows 200; the rarest class (rare) goes from 8.3% to 20.0%. Too "
        "rare to become equal: rare. New rows help these more than repeated ones."
    )
    assert balance_effect({"a": 3, "b": 3}).sentence == "The classes are equally large: nothing would be repeated."
    assert balance_effect({"a": 4, "b": 1}, most=2).shares_after == {"a": 4 / 6, "b": 2 / 6}
    with pytest.raises(ValueError, match="no row to balance"):
        balance_effect({})


def test_the_effect_is_what_balancing_then_does():
    mixing = pytest.importorskip("trainer.data.mixing")
    labels = ["common"] * 80 + ["some"] * 30 + ["rare"] * 10
    indices = mixing.balance(labels, 0)
    after = Counter(labels[index] for index in indices)
    shares = balance_effect(Counter(labels)).shares_after
    assert {name: rows / len(indices) for name, rows in after.items()} == shares


def test_uneven_labels_are_pointed_out_with_the_remedy():
    rows = [row(f"Case {number}?", "Yes.", label="yes", task="classification") for number in range(20)]
    found = inspected(*rows, row("Case x?", "No.", label="no", task="classification"))
    said = next(one for one in found.warnings if one.startswith("Label is uneven"))
    assert said == (
        "Label is uneven: yes has 20 rows, no 1 (20 to 1). Repeating rare rows up to 4 times makes 21 rows 24; the "
        "rarest class (no) goes from 4.8% to 16.7%. Too rare to become equal: no. New rows help these more than "
        "repeated ones. To do so, set data.balance to label (lecture L3.20)."
    )
    assert set(found.balance) == {"label"}


def test_balancing_by_what_was_told_from_the_text_is_doubted():
    rows = [row(f"Is gout, case {number}, painful?", LONG) for number in range(10)]
    found = inspected(*rows, row("Is glaucoma painful?", LONG))
    said = next(one for one in found.warnings if one.startswith("Specialty is uneven"))
    assert said.endswith("(lecture L3.20). It was told from the text in 11 rows: look at it first.")
    given = [row(f"Case {number}?", LONG, specialty="rheumatology" if number else "urology") for number in range(11)]
    said = next(one for one in inspected(*given).warnings if one.startswith("Specialty is uneven"))
    assert said.endswith("(lecture L3.20).")


# The mix


def test_mix_counts_what_is_given_and_tells_the_rest():
    given = row("What is it?", LONG, specialty="Pediatrics", task="diagnosis", language="en", level="facts")
    told = row("Why does atrial fibrillation cause stroke? Atrial flutter too?", LONG)
    found = inspected(given, told)
    assert {one.name: one.rows for one in found.specialty.listed} == {"cardiology": 1, "paediatrics": 1}
    assert found.assigned == {"specialty": 1, "task": 1, "language": 1, "level": 1}
    assert told.get("about") == {"place": "row 2"}  # the row itself stays as it is
    assert "specialty 75%" in found.method


def test_unknown_is_counted_as_unknown():
    found = inspected(row("When is the meeting?", "It is on Tuesday afternoon at four."))
    assert (found.specialty.known, found.specialty.unknown) == (0, 1)


def test_the_lectures_mix_is_compared():
    tasks = ["diagnosis"] * 12 + ["treatment"] * 9 + ["patient_education"] * 9 + ["ner"] * 50
    found = inspected(*(row(f"Case {number}?", LONG, task=task) for number, task in enumerate(tasks)))
    assert [(one.task, one.rows, one.share) for one in found.lecture_mix] == [
        ("diagnosis", 12, 0.4),
        ("treatment", 9, 0.3),
        ("patient_education", 9, 0.3),
    ]
    assert not any("lecture's mix" in one for one in found.warnings)
    found = inspected(*(row(f"Case {number}?", LONG, task="treatment") for number in range(30)))
    assert any(
        one.startswith("Of 30 rows on diagnosis, treatment and patient education: diagnosis 0%, treatment 100%")
        for one in found.warnings
    )


def test_expert_validation_beside_the_lectures_rate():
    rows = [row(f"Case {number}?", LONG, expert_validated=number < 8) for number in range(10)]
    found = inspected(*rows)
    assert (found.validated, found.validated_rate) == (8, 0.8)
    assert (
        "8 of 10 rows (80%) are marked as checked by an expert; the lecture's sets have 85% to 95% (L2.2). Have "
        "experts check them, and mark what they checked." in found.warnings
    )
    assert not any("expert" in one for one in inspected(*rows[:8]).warnings)
    assert any(one.startswith("No row is marked") for one in inspected(rows[9]).warnings)


def test_structured_answers_are_counted():
    structured = "Assessment: viral.\nReasoning: no exudate.\nRed flags: drooling.\nNext step: rest.\nConfidence: high"
    assert inspected(row("One?", structured), row("Two?", LONG)).structured == 1


# Rows that stand twice, and contradictions


def test_rows_that_repeat_another_word_for_word():
    first = row("Why?", LONG, source="/data/visits.csv")
    found = inspected(first, row("How?", LONG), row("Why?", LONG, source="/data/visits.csv"), row("Why? ", LONG + " x"))
    assert found.doubled == 1
    assert found.doubled_listed[0].model_dump() == {"first": "visits.csv, row 1", "again": "visits.csv, row 3"}
    assert any("1 row (25.0%) repeat another row word for word" in one for one in found.warnings)


def kinds(*rows: Row) -> list[str]:
    return [one.how for one in inspected(*rows).contradictions]


def test_another_decision_for_one_question_is_a_contradiction():
    assert kinds(row("Is it safe?", "Yes."), row("is it  SAFE", "No.")) == ["class"]
    assert kinds(row("Is it safe?", "Yes, it is."), row("Is it safe?", "Yes: few harms are known.")) == []
    asked = "Which one?\n\nA. insulin\nB. metformin"
    assert kinds(row(asked, "A. insulin"), row(asked, "B. metformin")) == ["class"]
    assert kinds(row(asked, "B. metformin"), row(asked, "B. Metformin.")) == []
    vitamin = "Which vitamin is low?"
    # Without options a letter is no choice, and one other word no other decision.
    assert kinds(row(vitamin, f"B. {LONG}"), row(vitamin, f"B. {LONG} Always.")) == []
    context = "Text.\n\nQuestion: Does it help?"
    assert kinds(row(context, "It did so.\n\nAnswer: yes"), row(context, "It did so.\n\nAnswer: maybe")) == ["class"]
    labelled = inspected(row("Class?", LONG, label="high"), row("Class?", LONG, label="low"))
    assert labelled.contradicting["class"] == 1 and labelled.doubled == 0
    assert kinds(row("Generic of Coumadin?", "Warfarin"), row("Generic of Coumadin?", "warfarin sodium")) == ["class"]


def test_a_place_and_the_question_are_given():
    found = inspected(row("Is it safe?", "Yes."), row("Is it safe?", "No."))
    assert found.contradicting == {"class": 1, "numbers": 0, "text": 0}
    one = found.contradictions[0]
    assert (one.question, one.first, one.again) == ("Is it safe?", "row 1", "row 2")
    assert found.warnings[0] == (
        "1 row with another decision for a question asked before (first: row 1 against row 2). A model learns to guess "
        "there: decide which is right, and remove the other."
    )


def test_free_answers_that_differ_in_numbers_or_altogether():
    other = "Refer to a dermatologist for biopsy of every pigmented lesion that changes colour or shape within weeks."
    assert kinds(row("What next?", LONG), row("What next?", other)) == ["text"]
    assert kinds(row("What next?", LONG), row("What next?", LONG.replace("six", "eight"))) == []
    dose = "Give amoxicillin 500 mg three times a day for five days and see the child again if the fever lasts longer."
    assert kinds(row("Dose?", dose), row("Dose?", dose.replace("500", "5000"))) == ["numbers"]
    # Chinese is written without spaces: pairs of characters are compared.
    chinese = "建议每日一次口服阿司匹林并定期复查血常规, 如有出血请立即就医。"
    assert kinds(row("怎么用药?", chinese), row("怎么用药?", chinese.replace("定期", "按时"))) == []
    assert kinds(
        row("怎么用药?", chinese), row("怎么用药?", "多休息, 多喝水, 不需要任何药物治疗, 一周后门诊随访。")
    ) == ["text"]


def test_the_same_last_words_in_another_conversation_are_another_question():
    def talk(before: str, answer: str) -> Row:
        prompt = [
            {"role": "system", "content": f"System {answer}"},
            {"role": "user", "content": before},
            {"role": "assistant", "content": "Anything else?"},
            {"role": "user", "content": "No."},
        ]
        return Row(prompt=prompt, completion=[{"role": "assistant", "content": answer}])

    assert kinds(talk("I cough.", "Yes."), talk("I itch.", "No.")) == []
    assert kinds(talk("I cough.", "Yes."), talk("I cough.", "No.")) == ["class"]  # whatever the system prompts say


def test_judged_answers_contradict_where_the_judgement_turns():
    ask = [{"role": "user", "content": "Is it safe?"}]
    good, bad = [{"role": "assistant", "content": "Yes."}], [{"role": "assistant", "content": "No."}]
    assert kinds(Row(prompt=ask, chosen=good, rejected=bad), Row(prompt=ask, chosen=bad, rejected=good)) == ["class"]
    third = [{"role": "assistant", "content": "Maybe."}]
    assert kinds(Row(prompt=ask, chosen=good, rejected=bad), Row(prompt=ask, chosen=third, rejected=good)) == []
    assert kinds(Row(prompt=ask, completion=good, label=True), Row(prompt=ask, completion=good, label=False)) == [
        "class"
    ]
    assert kinds(Row(prompt=ask, completion=good, label=True), Row(prompt=ask, completion=bad, label=False)) == []
    assert kinds(Row(text="A note."), Row(text="Another note.")) == []


def test_many_contradictions_are_counted_and_few_listed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(same_questions, "LISTED", 2)
    rows = [row(f"Case {number}?", answer) for number in range(5) for answer in ("Yes.", "No.")]
    found = inspected(*rows)
    assert found.contradicting["class"] == 5 and len(found.contradictions) == 2


# Empty and short answers


def test_empty_and_very_short_answers():
    long_rows = [row(f"Case {number}?", LONG) for number in range(4)]
    found = inspected(
        row("Why so?", " "),
        row("Why not?", "Because"),
        row("Is it so?", "Yes."),
        row("Class?", "low", label="low"),
        *long_rows,
    )
    assert (found.empty, found.empty_listed) == (1, ["row 1"])
    assert (found.short, found.short_listed) == (1, ["row 2"])
    assert found.warnings[0] == "1 row with an empty answer (row 1). Fill them in or remove them."
    assert (
        "1 row with an answer under three words that is no class (row 2). See whether they were cut off."
        in found.warnings
    )
    # Where most answers are that short, they are meant so.
    few = inspected(row("Generic of Coumadin?", "warfarin"), row("Generic of Lasix?", "furosemide"))
    assert few.short == 2 and not any("cut off" in one for one in few.warnings)


# The whole


def test_no_row_at_all():
    found = Inspector().report()
    assert found.rows == 0 and found.warnings == ["There is no row."]
    assert summary_lines(found)[0] == "  rows         0"


def test_spanish_and_chinese_rows_are_counted():
    found = inspected(
        row(
            "¿Por qué la insuficiencia cardíaca causa edema?",
            "Porque aumenta la presión venosa y se retiene sodio y agua.",
        ),
        row("糖尿病患者为什么会口渴?", "血糖升高引起渗透性利尿, 体内水分丢失, 因此患者感到口渴。"),
    )
    assert {one.name: one.rows for one in found.language.listed} == {"es": 1, "zh": 1}
    assert {one.name: one.rows for one in found.specialty.listed} == {"cardiology": 1, "endocrinology": 1}
    assert {one.name: one.rows for one in found.level.listed} == {"concepts": 2}
    assert found.short == 0


def test_summary_and_json():
    inspector = Inspector(1024)
    for number in range(3):
        inspector.add(row(f"Why does gout hurt, case {number}?", LONG, place=f"row {number}"), 160 + number, 300)
    found = inspector.report()
    lines = summary_lines(found)
    assert lines[:4] == [
        "  rows         3 (3 prompt_completion)",
        "  tokens       mean 300, median 300, 95 % 300, 98 % 300, longest 300; 0 over 1024",
        "  answers      mean 161 tokens; under 150: 0%, 150 to 300: 100%, over 300: 0% (lecture: 150 to 300)",
        "               mean 25 words, longest 25",
    ]
    assert "  specialty    rheumatology 100%" in lines and "  language     en 100%" in lines
    assert any(line.startswith("  ! No row is marked as checked by an expert") for line in lines)
    assert all(len(line) <= 120 for line in lines)
    assert Inspection.model_validate(json.loads(found.model_dump_json())) == found


def test_long_lines_are_wrapped():
    names = [
        "cardiology",
        "obstetrics and gynaecology",
        "infectious disease",
        "emergency medicine",
        "neurosurgery",
        "urology",
    ]
    found = inspected(*(row(f"Case {number}?", LONG, specialty=name) for number, name in enumerate(names * 2)))
    lines = summary_lines(found)
    assert all(len(line) <= 120 for line in lines)
    place = next(place for place, line in enumerate(lines) if line.startswith("  specialty    "))
    assert lines[place + 1].startswith(" " * 15)


def test_real_questions_with_two_answers_are_found():
    path = CORPUS / "medquad" / "medquad_sample.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine (BEDSIDE_CORPUS names the folder)")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = inspected(*(row(record["question"], record["answer"]) for record in records))
    asked = Counter(" ".join(record["question"].lower().split()).rstrip(" ?.!") for record in records)
    again = sum(number - 1 for number in asked.values())
    assert found.rows == 2008
    assert 0.5 * again <= sum(found.contradicting.values()) <= again
