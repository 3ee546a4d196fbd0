"""The search attack against a stand-in whose weak words are known: what it finds, and with how many questions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evaluators.attacks.search import attack
from evaluators.cases import Item, Likelihood, Messages, silent

QUESTION = "A woman with no fever takes 500 mg of aspirin for her sudden headache. Which test is best?"
ITEM = Item(id="q", prompt=[{"role": "user", "content": QUESTION}], options=["CT", "MRI"], answer=1)


class Reader:
    """Option B leads by what the words that it leans on give; every question put to it is kept."""

    def __init__(self, **leans: float) -> None:
        self.leans = leans
        self.asked: list[str] = []

    def answer(self, conversations, max_new_tokens, progress=silent) -> list[str]:
        raise AssertionError("the search goes by likelihoods alone")

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress=silent
    ) -> list[list[Likelihood]]:
        texts = [chat[-1]["content"].split("\n\n")[0] for chat in conversations]
        self.asked += texts
        leads = [sum(value for word, value in self.leans.items() if word in text) - 1.0 for text in texts]
        return [[Likelihood(-2.0, 1), Likelihood(-2.0 + lead, 1)] for lead in leads]


def two_typos(word: str) -> list[str]:
    return [word + "x", word[:1] + "y" + word[1:]]


def open_words() -> list[str]:
    closed = {"no", "500", "mg", "aspirin"}  # a negation, a number, a unit, a drug
    return [word for word in QUESTION.replace(".", " ").replace("?", " ").split() if word not in closed]


def test_the_weak_word_is_found_with_a_question_for_each_word_and_each_edit() -> None:
    reader = Reader(headache=1.5)
    found = attack(ITEM, reader, lambda word: ["hedache"] if word == "headache" else [word + "x"])
    assert found.flipped and found.edits == ["headache → hedache"]
    assert found.queries == len(reader.asked) == 1 + len(open_words()) + 1
    assert (found.margin_before, found.margin_after) == (0.5, -1.0)
    assert found.item.question == QUESTION.replace("headache", "hedache")
    assert (found.item.source, found.item.how) == ("q", "search: headache → hedache")
    assert found.item.options == ITEM.options and found.item.id != ITEM.id


def test_two_weak_words_are_edited_where_one_does_not_do_the_stronger_first() -> None:
    found = attack(ITEM, Reader(woman=0.9, headache=1.6), lambda word: [word[:1] + "x" + word[1:]])
    assert found.flipped and found.edits == ["headache → hxeadache"]
    slow = attack(ITEM, Reader(woman=0.9, headache=0.9, test=0.7), lambda word: [word[:1] + "x" + word[1:]])
    assert slow.flipped and [edit.split()[0] for edit in slow.edits] == ["woman", "headache"]
    assert slow.margin_after == pytest.approx(-0.3)


def test_the_edit_that_hurts_most_is_kept_and_one_that_helps_never() -> None:
    reader = Reader(headache=1.5, headachex=2.0)  # "headachex" still holds the word, and helps
    found = attack(ITEM, reader, two_typos)
    assert found.edits == ["headache → hyeadache"] and found.margin_after == -1.0


@pytest.mark.parametrize("budget", [1, 2, 5, 12, 40])
def test_the_budget_is_never_passed(budget: int) -> None:
    reader = Reader(A=5.0)
    found = attack(ITEM, reader, two_typos, budget)
    assert found.queries == len(reader.asked) <= budget
    assert not found.flipped


def test_one_that_no_word_moves_is_never_flipped() -> None:
    found = attack(ITEM, Reader(**{"?": 2.0}), two_typos, budget=500)
    assert not found.flipped and found.edits == [] and found.margin_after == found.margin_before == 1.0
    assert found.item == ITEM
    assert found.queries == 1 + 3 * len(open_words()), "each word once for its rank, and twice for its edits"


def test_one_that_was_wrong_is_no_success_and_costs_one_question() -> None:
    reader = Reader()
    found = attack(ITEM, reader, two_typos)
    assert not found.flipped and found.queries == 1 == len(reader.asked) and found.margin_before == -1.0


def test_what_carries_the_meaning_is_left_alone() -> None:
    question = 'She said "sharp pain" to [NAME] and denies nausea after 2 warfarin in the left arm for a week. Why?'
    item = ITEM.asking(question)
    reader = Reader(**{"Why": 2.0})
    attack(item, reader, two_typos, budget=500)
    changed = set(reader.asked) - {question}
    assert changed
    for text in changed:
        for kept in ('"sharp pain"', "[NAME]", "denies", "2", "warfarin", "left", "week"):
            assert kept in text.split() or kept in text
            assert f"{kept}x" not in text
    # An edit that makes another number or a negation of a plain word is not tried either.
    sly = attack(ITEM, Reader(headache=1.5), lambda word: ["not", "two", "left"])
    assert not sly.flipped and sly.edits == []


def test_what_cannot_be_attacked_says_why() -> None:
    with pytest.raises(ValueError, match="q: a search attack needs two options"):
        attack(ITEM.model_copy(update={"answer": None}), Reader(), two_typos)
    with pytest.raises(ValueError, match="at least 1 question"):
        attack(ITEM, Reader(), two_typos, budget=0)
