"""What a suite asks and what came of it: items, the one who answers, and cases, the same shape in every suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, Field

Messages = list[dict[str, str]]
Progress = Callable[[int, int], None]
"""Hears how many of how many are done."""


class Entity(BaseModel):
    """A term in a text and what it is, as a data set calls it (Chemical, Disease)."""

    text: str
    kind: str


class Item(BaseModel):
    """One question to a model, and what is known of its answer. Variants of a question share its `source`."""

    id: str
    source: str = ""
    """The source question; intervals resample these, never variants. Empty: the item is its own source."""
    group: str = ""
    """Category, specialty or kind: what results are told apart by."""
    prompt: Messages
    """The conversation up to the last user message, without a system prompt: the respondent puts its own before it."""
    reference: str = ""
    """The answer that a person gave, where there is one."""
    options: list[str] = Field(default_factory=list)
    """Of a multiple choice, in order; `answer` is the index of the right one."""
    answer: int | None = None
    entities: list[Entity] = Field(default_factory=list)
    """What an extraction should find."""
    context: str = ""
    """The note, dialogue or abstract that the answer has to rest on, where the question brings one."""
    how: str = ""
    """Of a variant: how it was made from its source."""

    @property
    def unit(self) -> str:
        """What is independent of other items: the source question."""
        return self.source or self.id

    @property
    def question(self) -> str:
        return self.prompt[-1]["content"]

    def asking(self, question: str, **changes: Any) -> Item:
        """A copy whose last message is `question`."""
        prompt = [*self.prompt[:-1], {"role": "user", "content": question}]
        return self.model_copy(update={"prompt": prompt, "source": self.unit} | changes)


@dataclass(frozen=True)
class Likelihood:
    """How likely a text is as the reply: the sum of its tokens' log-probabilities (nats), and their number."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        return self.total / self.tokens


class Respondent(Protocol):
    """Who answers: a model with its adapter on or off, or a stand-in whose score one can compute by hand."""

    def answer(self, conversations: Sequence[Messages], max_new_tokens: int, progress: Progress = ...) -> list[str]:
        """Greedy answers, in order."""
        ...

    def likelihoods(
        self, conversations: Sequence[Messages], replies: Sequence[Sequence[str]], progress: Progress = ...
    ) -> list[list[Likelihood]]:
        """For each conversation, how likely each of its `replies` is as the next message."""
        ...


class Case(BaseModel):
    """An item as one respondent answered it; what the report keeps, so that every number can be looked into."""

    id: str
    source: str
    group: str = ""
    question: str
    reference: str = ""
    answer: str
    right: bool | None = None
    """Whether it counts as good, where the suite's first metric is a share."""
    values: dict[str, float | list[float]] = Field(default_factory=dict)
    """What the case adds to each of the suite's metrics (`evaluators.scores.Score.rows`)."""
    remarks: list[str] = Field(default_factory=list)
    """What was found in it, in words: a number that the input lacks, a dose out of range."""
    how: str = ""

    @classmethod
    def of(cls, item: Item, answer: str, **known: Any) -> Case:
        """The item as it was answered; `known` are further fields."""
        fields: dict[str, Any] = {
            "id": item.id,
            "source": item.unit,
            "group": item.group,
            "question": item.question,
            "answer": answer,
            "how": item.how,
        }
        fields |= known
        return cls(**fields)

    def number(self, name: str) -> float | None:
        """The value of this name that is one number; None where the case adds nothing to it."""
        value = self.values.get(name)
        if isinstance(value, list):
            raise TypeError(f"{name} of the case {self.id} is a list of numbers")
        return value


def silent(done: int, total: int) -> None:
    """Progress that nobody hears."""
