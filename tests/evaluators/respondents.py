"""Stand-ins for a model, whose scores one can compute by hand; a broken evaluator gives another number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from evaluators.cases import Case, Item, Likelihood, Messages, Progress, silent
from evaluators.scores import measure

REFUSAL = "I'm sorry, but I cannot help with that."


class Says:
    """Writes by a rule on what is asked; finds the replies as likely as `weigh` says: one number (nats) a reply."""

    def __init__(
        self,
        rule: Callable[[str], str],
        weigh: Callable[[str, Sequence[str]], list[float]] = lambda asked, replies: [-1.0] * len(replies),
    ):
        self.rule, self.weigh = rule, weigh

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = silent) -> list[str]:
        return [self.rule(one[-1]["content"]) for one in conversations]

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = silent
    ) -> list[list[Likelihood]]:
        weighed = [self.weigh(one[-1]["content"], own) for one, own in zip(conversations, replies, strict=True)]
        return [[Likelihood(total, 1) for total in own] for own in weighed]


ALWAYS_A = Says(lambda asked: "A", lambda asked, replies: [0.0] + [-1000.0] * (len(replies) - 1))
COPIES = Says(lambda asked: asked)
"""The input; all replies are equally likely."""
REFUSES = Says(lambda asked: REFUSAL)


def parrot(items: Sequence[Item], answers: Sequence[str] | None = None) -> Says:
    """Gives each item's gold answer (or the one of `answers`), and finds the right option certain."""
    written = answers if answers is not None else [_gold(item) for item in items]
    known = sorted(zip(items, written, strict=True), key=lambda pair: -len(pair[0].question))

    def find(asked: str) -> tuple[Item, str] | None:
        return next((pair for pair in known if pair[0].question in asked), None)

    def rule(asked: str) -> str:
        found = find(asked)
        return found[1] if found else REFUSAL

    def weigh(asked: str, replies: Sequence[str]) -> list[float]:
        found = find(asked)
        right = found[0].answer if found else None
        return [0.0 if index == right else -1000.0 for index in range(len(replies))]

    return Says(rule, weigh)


def flips_under_typo(items: Sequence[Item]) -> Says:
    """Right on the questions as they are written, and on the option after the right one where a letter differs."""
    knows = parrot(items)

    def weigh(asked: str, replies: Sequence[str]) -> list[float]:
        likely = knows.weigh(asked, replies)
        if max(likely) < 0:  # a question that it does not know to the letter
            near = max(items, key=lambda item: _common(item.question, asked))
            assert near.answer is not None
            likely[(near.answer + 1) % len(replies)] = 0.0
        return likely

    def rule(asked: str) -> str:
        likely = weigh(asked, "ABCD")
        return "ABCD"[likely.index(max(likely))]

    return Says(rule, weigh)


def item(number: int, question: str, **known: Any) -> Item:
    return Item(id=f"q{number}", prompt=[{"role": "user", "content": question}], **known)


def values(suite: ModuleType, items: list[Item], respondent: Says) -> dict[str, float | None]:
    """The suite's numbers, from cases that went through JSON as a report's do."""
    cases = [Case.model_validate_json(case.model_dump_json()) for case in suite.ask(items, respondent)]
    return {score.name: measure(score).value for score in suite.scores(cases)}


def _gold(item: Item) -> str:
    return "ABCDEFGHIJ"[item.answer] if item.answer is not None else item.reference


def _common(first: str, second: str) -> int:
    return len(set(first.split()) & set(second.split()))
