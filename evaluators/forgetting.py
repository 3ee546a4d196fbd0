"""What a model still knows of the general world: multiple choice by likelihood, and perplexity of plain text.

The forgetting monitor compares both with the adapter off and on: Δ = accuracy before - accuracy after (lecture L2.9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext

from pydantic import BaseModel

from evaluators.generation import Model, Tokenizer
from evaluators.metrics import Proportion, proportion


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

    The mean, so that a long option is not at a disadvantage. Each question's prompt is read once and shared by its
    options. All questions of a call need the same number of options.
    """
    import torch

    device = model.device
    choices: list[int] = []
    for start in range(0, len(questions), batch_size):
        batch = questions[start : start + batch_size]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "system", "content": system_prompt}, {"role": "user", "content": question.question}],
                tokenize=False,
                add_generation_prompt=True,
            )
            for question in batch
        ]
        asked = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False).to(
            device
        )
        count = len(batch[0].options)
        options = tokenizer(
            [option for question in batch for option in question.options],
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,
        ).to(device)
        with torch.inference_mode(), _adapter(model, tuned):
            positions = (asked["attention_mask"].cumsum(-1) - 1).clamp(min=0)
            read = model(**asked, position_ids=positions, use_cache=True, logits_to_keep=1)
            cache = read.past_key_values
            cache.batch_repeat_interleave(count)
            lengths = asked["attention_mask"].sum(-1).repeat_interleave(count)
            reply = model(
                input_ids=options["input_ids"],
                attention_mask=torch.cat(
                    [asked["attention_mask"].repeat_interleave(count, 0), options["attention_mask"]], -1
                ),
                position_ids=lengths[:, None] + torch.arange(options["input_ids"].shape[1], device=device),
                past_key_values=cache,
            )
        first = read.logits[:, -1].repeat_interleave(count, 0)[:, None]
        logits = torch.cat([first, reply.logits[:, :-1]], 1).float()
        chosen = logits.log_softmax(-1).gather(-1, options["input_ids"][..., None])[..., 0]
        kept = options["attention_mask"].to(chosen.dtype)
        means = (chosen * kept).sum(-1) / kept.sum(-1)
        choices += means.view(len(batch), count).argmax(-1).tolist()
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
        with torch.inference_mode(), _adapter(model, tuned):
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    return math.exp(total / count)


def _adapter(model: Model, tuned: bool):
    return nullcontext() if tuned else getattr(model, "disable_adapter", nullcontext)()
