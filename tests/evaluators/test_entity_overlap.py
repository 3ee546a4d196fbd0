"""Entities found in their sentence and compared, against nervaluate and by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator

from evaluators.cases import Entity
from evaluators.entity_overlap import Span, counts, entity_scores, locate, partially_right
from evaluators.scores import Score, compare, measure

KINDS = ["Chemical", "Disease"]
WIDTH = 14


def named(*pairs: str) -> list[Entity]:
    """Entities from "text/kind"."""
    return [Entity(text=pair.rpartition("/")[0], kind=pair.rpartition("/")[2]) for pair in pairs]


def value(score: Score) -> float:
    return float(score.of(score.rows.sum(axis=0)))


def by_name(rows: list[list[float]]) -> dict[str, Score]:
    units = [str(number) for number in range(len(rows))]
    return {score.name: score for score in entity_scores(rows, KINDS, units)}


# A side of a sentence of `WIDTH` words: which words begin, continue or are outside of an entity, as annotations do it.
side = st.lists(st.sampled_from(["O", "O", "I", "B-Chemical", "B-Disease"]), min_size=WIDTH, max_size=WIDTH)


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """(first word, last word, kind), in order."""
    found: list[tuple[int, int, str]] = []
    inside = False
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((place, place, tag[2:]))
        elif tag == "I" and inside:
            found[-1] = (found[-1][0], place, found[-1][2])
        inside = tag.startswith("B-") or (tag == "I" and inside)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(side, side), min_size=1, max_size=5))
def test_scores_are_nervaluates_on_random_spans(sentences: list[tuple[list[str], list[str]]]):
    words = [f"word{number}" for number in range(WIDTH)]
    sides = [[spans(tags) for tags in pair] for pair in sentences]
    entities = [
        [[Entity(text=" ".join(words[a : b + 1]), kind=kind) for a, b, kind in one] for one in pair] for pair in sides
    ]
    ours = by_name([counts(" ".join(words), gold, predicted, KINDS) for gold, predicted in entities])
    gold, predicted = (
        [[{"label": kind, "start": a, "end": b} for a, b, kind in pair[which]] for pair in sides] for which in (0, 1)
    )
    theirs = Evaluator(gold, predicted, tags=KINDS, loader="dict").evaluate()
    for match in ("strict", "partial"):
        for kind, results in [("", theirs["overall"]), *theirs["entities"].items()]:
            for what, attribute in (("F1", "f1"), ("precision", "precision"), ("recall", "recall")):
                found = value(ours[f"Entity {what}{f' of {kind}' if kind else ''}, {match}"])
                # Where there is nothing to count, nervaluate says 0.
                expected = getattr(results[match], attribute)
                assert (0 if math.isnan(found) else found) == pytest.approx(expected, abs=1e-9), (match, kind, what)


def test_by_hand():
    sentence = "Lithium caused acute renal failure and nausea."
    gold = named("Lithium/Chemical", "acute renal failure/Disease", "nausea/Disease")
    predicted = named("lithium/Disease", "renal failure/Disease", "nausea/Disease", "ibuprofen/Chemical")
    scores = by_name([counts(sentence, gold, predicted, KINDS)])
    found = {name: measure(score).value for name, score in scores.items()}
    assert found["Entity precision, strict"] == 1 / 4 and found["Entity recall, strict"] == 1 / 3
    assert found["Entity F1, strict"] == pytest.approx(2 / 7)
    # Whatever the kind: lithium and nausea 1 each, renal failure a half.
    assert found["Entity F1, partial"] == pytest.approx(5 / 7)
    assert found["Entity recall of Disease, partial"] == 0.75
    assert found["Entity F1 of Chemical, strict"] == 0
    assert next(iter(scores)) == "Entity F1, strict"


def test_entities_are_found_as_whole_words_whatever_their_case_and_spacing():
    sentence = "MS symptoms: N - acetylcysteine  5 and ms."
    [found] = locate(sentence, named("ms/D", "MS/D", "n-acetylcysteine/C", "N-acetylcysteine 5/C", "symptom/D"))
    texts = [sentence[start:end] for start, end, _ in found]
    assert texts == ["MS", "ms", "N - acetylcysteine", "N - acetylcysteine  5", ""]
    assert found[0].start == 0 and found[4].start >= len(sentence)
    assert locate("a (+)- b", named("(+)-/C")) == [[Span(2, 6, "C")]]


def test_a_mention_too_many_is_false_and_one_too_few_is_missed():
    sentence = "Aspirin, then aspirin again."
    once, twice, thrice = (named(*["aspirin/Chemical"] * times) for times in (1, 2, 3))
    assert counts(sentence, twice, thrice, [])[:4] == [2, 2, 3, 2]
    assert counts(sentence, twice, once, [])[:4] == [1, 1, 1, 2]


def test_what_the_sentence_lacks_is_compared_by_its_text():
    gold, predicted = named("ileus/Disease", "pain/Disease"), named("pain/Disease", "ascites/Disease")
    assert counts("", gold, predicted, [])[:4] == [1, 1, 2, 2]


def test_a_wrong_guess_does_not_take_the_gold_of_a_right_one():
    sentence, gold = "Acute renal failure.", named("renal failure/Disease")
    guesses = named("acute renal failure/Disease", "renal failure/Disease")
    assert counts(sentence, gold, guesses, [])[:4] == [1, 1, 2, 1]
    assert counts(sentence, gold, named("renal failure/Chemical", "renal failure/Disease"), [])[0] == 1


def test_each_gold_span_is_used_once():
    gold = [Span(0, 10, "D")]
    assert partially_right(gold, [Span(0, 4, "D"), Span(5, 9, "D")]) == 0.5
    assert partially_right(gold, [Span(10, 12, "D")]) == partially_right([Span(10, 12, "D")], gold) == 0


def test_a_parrot_gets_1_and_one_that_finds_nothing_0():
    sentences = [
        ("Lithium toxicity.", named("Lithium/Chemical")),
        ("No finding.", []),
        ("Rash.", named("rash/Disease")),
    ]
    parrot = by_name([counts(text, gold, gold, KINDS) for text, gold in sentences])
    silent = by_name([counts(text, gold, [], KINDS) for text, gold in sentences])
    assert all(measure(score).value == 1 for score in parrot.values())
    assert measure(silent["Entity F1, strict"]).value == 0 and measure(silent["Entity recall, strict"]).value == 0
    assert measure(silent["Entity precision, strict"]).value is None
    # The sentence in which there is nothing to find counts too.
    assert measure(parrot["Entity F1, strict"]).n == 3
    assert compare(silent["Entity F1, strict"], parrot["Entity F1, strict"]).value == 1


def test_rows_of_other_kinds_are_told():
    with pytest.raises(ValueError, match=r"need 13 numbers for the kinds"):
        entity_scores([counts("Rash.", [], [], [])], KINDS, ["1"])
