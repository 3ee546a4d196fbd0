"""The search suite on stand-ins whose numbers one can compute by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from respondents import item

from evaluators.cases import Item, Likelihood, Messages, Progress, silent
from evaluators.scores import measure
from evaluators.suites import search


class Weak:
    """Right (A) as long as the prompt spells its one word as given, and wrong (B) elsewhere."""

    def __init__(self, word: str):
        self.word = word

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = silent) -> list[str]:
        raise AssertionError("the search goes by likelihoods alone")

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[list[Likelihood]]:
        known = [self.word in one[-1]["content"] for one in conversations]
        return [
            [Likelihood(-1.0 if (letter == "A") == right else -3.0, 1) for letter in letters]
            for right, letters in zip(known, replies, strict=True)
        ]


@pytest.fixture
def asked() -> list[Item]:
    texts = ("Which drug treats pneumonia at home?", "Which organ does hepatitis inflame most?")
    return [item(number, text, options=["one", "two"], answer=0) for number, text in enumerate(texts)]


def value(cases: list, name: str) -> float | None:
    return next(measure(score).value for score in search.scores(cases) if score.name == name)


def test_a_model_that_hangs_on_one_word_is_flipped_and_the_edit_is_told(asked: list[Item]):
    cases = search.ask(asked[:1], Weak("pneumonia"))
    assert cases[0].right is False and cases[0].remarks[0].startswith("pneumonia → ")
    assert (value(cases, "Accuracy under search"), value(cases, "Accuracy, clean")) == (0, 1)
    assert value(cases, "Right answers flipped") == 1


def test_a_model_that_hangs_on_no_word_holds_and_a_wrong_one_is_not_flipped(asked: list[Item]):
    steady = search.ask(asked, Weak("Answer with"))
    assert [case.right for case in steady] == [True, True] and value(steady, "Right answers flipped") == 0
    wrong = search.ask(asked, Weak("pneumonia"))
    assert [case.right for case in wrong] == [False, False]
    assert value(wrong, "Right answers flipped") == 1, "of the one that was right"
    assert all((case.number("queries") or 0) <= search.BUDGET for case in [*steady, *wrong])
