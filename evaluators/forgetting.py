"""What a model still knows of the general world: multiple choice by likelihood, and perplexity of plain text.

The forgetting monitor compares both with the adapter off and on: Δ = accuracy before - accuracy after (lecture L2.9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel

from evaluators.generation import Model, Tokenizer
from evaluators.likelihood import reply_likelihoods
from evaluators.metrics import Proportion, proportion
from evaluators.sides import side


class Question(BaseModel):
    """A multiple-choice question; `answer` is the index of the right option."""

    id: str
    kind: str
    question: str
    options: list[str]
    answer: int


def choose_options(
    model: Model,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    system_prompt: str,
    tuned: bool,
    batch_size: int = 16,
) -> list[int]:
    """For each question the option that is likeliest as the reply: mean log-probability of its tokens.

    The mean, so that a long option is not at a disadvantage.
    """
    asked = [
        [{"role": "system", "content": system_prompt}, {"role": "user", "content": question.question}]
        for question in questions
    ]
    replies = [question.options for question in questions]
    found = reply_likelihoods(model, tokenizer, asked, replies, tuned, batch_size)
    return [max(range(len(options)), key=lambda option: options[option].mean) for options in found]


def accuracy(questions: Sequence[Question], choices: Sequence[int]) -> Proportion:
    """Share of the questions whose right option was chosen, with its 95 % interval."""
    right = sum(question.answer == choice for question, choice in zip(questions, choices, strict=True))
    return proportion(right, len(questions))


def perplexity(model: Model, tokenizer: Tokenizer, texts: Sequence[str], tuned: bool) -> float:
    """exp of the mean cross-entropy (nats) of the texts' tokens, each text read by itself without a chat template."""
    import torch

    total, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=True)["input_ids"].to(model.device)
        with torch.inference_mode(), side(model, tuned) as answering:
            logits = answering.core(input_ids=ids, past_key_values=answering.cache).logits[0, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    return math.exp(total / count)
