"""What a model still knows of the general world: multiple choice by likelihood, and perplexity of plain text.

The forgetting monitor compares both with the adapter off and on: Δ = accuracy before - accuracy after (lecture L2.9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel

from evaluators.generation import Model, Tokenizer
from evaluators.metrics import Proportion, proportion
from evaluators.prefix import read_shared
from evaluators.sides import last_position, side


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

    The mean, so that a long option is not at a disadvantage. What all prompts begin with is read once, each question's
    own part once, shared by its options. All questions of a call need the same number of options.
    """
    import torch

    asked = [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": system_prompt}, {"role": "user", "content": question.question}],
            add_generation_prompt=True,
        )["input_ids"]
        for question in questions
    ]
    count = len(questions[0].options)
    choices: list[int] = []
    with torch.inference_mode(), side(model, tuned) as answering:
        core = answering.core
        prefix, own = read_shared(answering, asked)
        seen = len(prefix.tokens)
        for start in range(0, len(questions), batch_size):
            batch = prefix.before(own[start : start + batch_size], tokenizer.pad_token_id)
            mask, cache = batch["attention_mask"], batch["past_key_values"]
            read = core(
                input_ids=batch["input_ids"][:, seen:],
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1)[:, seen:],
                past_key_values=cache,
                logits_to_keep=last_position(core),
            )
            options = tokenizer(
                [option for question in questions[start : start + batch_size] for option in question.options],
                return_tensors="pt",
                padding=True,
                padding_side="right",
                add_special_tokens=False,
            ).to(core.device)
            ids, present = options["input_ids"], options["attention_mask"]
            cache.batch_repeat_interleave(count)
            lengths = mask.sum(-1).repeat_interleave(count)
            reply = core(
                input_ids=ids,
                attention_mask=torch.cat([mask.repeat_interleave(count, 0), present], -1),
                position_ids=lengths[:, None] + torch.arange(ids.shape[1], device=ids.device),
                past_key_values=cache,
            )
            first = read.logits.repeat_interleave(count, 0)
            logits = torch.cat([first, reply.logits[:, :-1]], 1).float()
            chosen = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
            means = (chosen * present).sum(-1) / present.sum(-1)
            choices += means.view(-1, count).argmax(-1).tolist()
    return choices


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
