"""Suites of free text on respondents whose number one can compute by hand: a copy, a refusal, the gold answer."""

from __future__ import annotations

from typing import Any

import pytest
from respondents import ALWAYS_A, COPIES, REFUSES, Says, item, parrot, values

from evaluators import overlap
from evaluators.scores import measure
from evaluators.screens.findings import CriticalError, Screened
from evaluators.suites import answers, structured, summarisation


@pytest.fixture(autouse=True)
def plain_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal texts are alike and others are not; the encoder has tests of its own."""
    import numpy as np

    def embed(texts: list[str]) -> Any:
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return np.eye(len(places))[[places[text] for text in texts]]

    monkeypatch.setattr(overlap, "embed", embed)


DIALOGUES = [
    item(
        number,
        f"Write the note from this conversation.\n\n{said}",
        context=said,
        reference=note,
    )
    for number, (said, note) in enumerate(
        [
            (
                "Doctor: Any pain? Patient: Chest pain for 3 days, worse at night.",
                "Chest pain since 3 days, worse at night.",
            ),
            ("Doctor: Do you smoke? Patient: No, never smoked in my life.", "Patient has never smoked in the life."),
        ]
    )
]


def test_summarisation():
    gold = values(summarisation, DIALOGUES, parrot(DIALOGUES))
    assert gold == pytest.approx(
        {
            "ROUGE-L": 1,
            "Embedding similarity": 1,
            "BLEU-4": 1,
            "Notes with something unsupported": 0,
            "Length off the reference's": 0,
        }
    )
    copy = values(summarisation, DIALOGUES, COPIES)
    lengths = [len(one.question.split()) / len(one.reference.split()) - 1 for one in DIALOGUES]
    assert copy["Length off the reference's"] == pytest.approx(sum(lengths) / 2)
    assert copy["Notes with something unsupported"] == 0 and copy["Embedding similarity"] == 0
    invention = Says(lambda asked: "Chest pain since 3 days, worse at night. Takes metformin 500 mg.")
    assert values(summarisation, DIALOGUES, invention)["Notes with something unsupported"] == 1
    refused = summarisation.ask(DIALOGUES, REFUSES)
    assert {measure(one).name: measure(one).value for one in summarisation.scores(refused)}["ROUGE-L"] == 0
    named = summarisation.ask(DIALOGUES, invention)[0].remarks
    assert any("500 mg" in remark for remark in named) and any("metformin" in remark for remark in named)


SHORT = [item(0, "Generic of Lipitor?", reference="Atorvastatin"), item(1, "Generic of Advil?", reference="Ibuprofen")]
CLASSES = [
    item(number, f"Value {number}: low, normal or high?", reference=said, options=["low", "normal", "high"], answer=key)
    for number, (said, key) in enumerate([("4 vs 3: above. High", 2), ("Normal", 1), ("High", 2), ("Low", 0)])
]
LONG = [
    item(
        number,
        f"Explain {word}.",
        reference=f"{word} is a thing that people talk about in many long and winding sentences of this kind.",
    )
    for number, word in enumerate(["Asthma", "Gout"])
]


def test_answers_with_short_references():
    assert values(answers, SHORT, parrot(SHORT))["Exact match"] == 1
    assert values(answers, SHORT, Says(lambda asked: "ibuprofen."))["Exact match"] == 1 / 2
    assert values(answers, SHORT, COPIES)["Exact match"] == 0
    sure = parrot(SHORT, ["Atorvastatin", "Ibuprofen\nConfidence: 90%"])
    assert values(answers, SHORT, sure)["Expected calibration error"] == pytest.approx(0.9)


def test_answers_of_classes():
    assert values(answers, CLASSES, parrot(CLASSES, [one.reference for one in CLASSES]))["Right class named"] == 1
    assert values(answers, CLASSES, Says(lambda asked: "It is not low. High"))["Right class named"] == 1 / 2
    # The copy ends with "high?", as a model that says the last word of the question.
    assert values(answers, CLASSES, COPIES)["Right class named"] == 1 / 2
    assert values(answers, CLASSES, REFUSES)["Right class named"] == 0


def test_answers_with_long_references():
    assert values(answers, LONG, parrot(LONG)) == pytest.approx({"ROUGE-L": 1, "Embedding similarity": 1, "BLEU-4": 1})
    assert values(answers, LONG, ALWAYS_A)["ROUGE-L"] == pytest.approx(2 * 1 / (1 + 17))
    assert all(case.right is None for case in answers.ask(LONG, REFUSES))
    assert answers.reliability(answers.ask(LONG, REFUSES))[0].n == 0


def test_a_missing_encoder_leaves_one_measure_without_a_value(monkeypatch: pytest.MonkeyPatch):
    def missing(texts: list[str]) -> Any:
        raise overlap.EncoderMissing("not here")

    monkeypatch.setattr(overlap, "embed", missing)
    found = values(answers, LONG, parrot(LONG))
    assert found["Embedding similarity"] is None and found["ROUGE-L"] == 1


STRUCTURED = (
    "Assessment: It is a cold.\nReasoning: The nose runs.\nRed flags: None now.\nNext step: Rest.\nConfidence: {}"
)
CLINICAL = [
    item(0, "A runny nose. What is it?", reference=STRUCTURED.format("High"), group="diagnosis"),
    item(1, "Tell me what a cold is.", reference=STRUCTURED.format("Low"), group="patient education"),
]


@pytest.fixture
def plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sees doses alone, and finds those of 900 mg wrong; the real screen has tests of its own."""

    def screen(question: str, answer: str, context: str = "") -> Screened:
        wrong = (
            [CriticalError(kind="dose", what="900 mg", why="above 400 mg", source="a label")] if "900" in answer else []
        )
        return Screened(findings=wrong, screened=["dose"] if "mg" in answer else [], not_screened=["a pair"])

    monkeypatch.setattr(structured, "screen", screen)


@pytest.mark.usefixtures("plain_screen")
def test_structured_answers():
    gold = values(structured, CLINICAL, parrot(CLINICAL))
    assert gold["Answers in the taught structure"] == gold["Answers that state a confidence"] == 1
    assert gold["Confidence where stated"] == pytest.approx(0.5)  # high 0.8, low 0.2
    assert gold["critical errors"] is None  # nothing that the screen could see: no evidence
    easy = gold["Reading grade for patients"]
    assert easy is not None and easy < 4
    for respondent in (COPIES, REFUSES, ALWAYS_A):
        found = values(structured, CLINICAL, respondent)
        assert found["Answers in the taught structure"] == found["Answers that state a confidence"] == 0
    half = parrot(CLINICAL, ["Give 900 mg.", "Give 400 mg."])
    cases = structured.ask(CLINICAL, half)
    assert measure(structured.critical_errors(cases)).value == 1 / 2
    assert structured.critical_errors(cases).note.endswith("(2 things screened); 2 more were not screened.")
    assert cases[0].remarks == ["dose: 900 mg (above 400 mg; a label)", "not screened: a pair"]
