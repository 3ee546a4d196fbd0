"""What a GGUF file loses: each type opened by llama.cpp and asked the same as the merged model in transformers.

The likelihood of the reference answers is by llama.cpp's own logits, so that it holds what its arithmetic rounds too.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evaluators import generation, held_out
from evaluators.held_out import Item
from evaluators.likelihood import reply_likelihoods
from evaluators.metrics import Proportion, proportion
from trainer import scoring
from trainer.export import ExportError
from trainer.export.gguf import Type
from trainer.export.llama_cpp import NOT_HERE, LlamaCpp, is_installed, opened
from trainer.export.prompts import compare_prompts, stranger_tokenizer
from trainer.export.questions import questions
from trainer.models import Progress
from trainer.sections import HeldOutSet, RunConfig

REFERENCE = "merged"
MOST_LOST: dict[Type, float] = {"f16": 0.02, "q8_0": 0.05}
"""Nats a token of the reference answers that these may lose; more is no rounding but a fault of the conversion."""
STARTER = HeldOutSet(name="starter/lab", metric="label", items=40)


class Loss(BaseModel):
    """One type of file, measured on held-out questions; the first row is the merged model in transformers, fp32."""

    kind: str
    bytes: int
    log_likelihood: float
    """Mean log-probability (nats) of a token of the reference answers."""
    perplexity: float
    equal_answers: Proportion | None = None
    """Greedy answers equal to the merged model's; None in its own row."""
    right: Proportion
    """Held-out answers that pass the set's metric."""
    set: str
    metric: str


def quantisation_loss(
    config: RunConfig,
    merged: Path,
    files: Mapping[Type, Path],
    items: int,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[list[Loss], list[str]]:
    """Open each file, compare how it reads prompts, and measure it on `items` held-out questions (none for 0).

    They are of the run's first held-out set with classes, else of its first, else of starter/lab. Returns the rows and
    remarks. Raises `ExportError` where llama.cpp cannot open a file, renders or reads a prompt otherwise than the run,
    or where f16 or q8_0 lose more than rounding explains.
    """
    if not is_installed():
        return [], [NOT_HERE]
    tokenizer = stranger_tokenizer(merged)
    asked = questions(config)
    chosen, measured = _items(config, items) if items else (STARTER, [])
    rows: list[Loss] = []
    answers: list[str] = []
    if measured:
        progress("the merged model answers", 0, len(measured))
        row, answers = _of_merged(config, merged, chosen, measured, progress)
        rows.append(row)
    for kind, file in files.items():
        progress(f"llama.cpp opens {kind}", 0, 1)
        with opened(file) as model:
            compare_prompts(model.render, model.tokens, tokenizer, asked, file.name)
            if not measured:
                model.chat(asked[0], 8)
                continue
            row = _of_file(kind, file, model, config, tokenizer, chosen, measured, answers, progress)
        lost = rows[0].log_likelihood - row.log_likelihood
        if not lost <= MOST_LOST.get(kind, math.inf):
            raise ExportError(
                f"{file.name} is not the merged model: its answers' log-likelihood is {lost:.3f} a token below, and "
                f"rounding to {kind} explains {MOST_LOST[kind]}. Nothing was put in place."
            )
        rows.append(row)
    return rows, []


def _of_merged(
    config: RunConfig, folder: Path, chosen: HeldOutSet, items: list[Item], progress: Progress
) -> tuple[Loss, list[str]]:
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer: Any = stranger_tokenizer(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    prompts = [item.prompt for item in items]
    answers = generation.answer_all(
        model, tokenizer, prompts, _limit(config, items, tokenizer), True,
        lambda done: progress("the merged model answers", done, len(items)),
    )  # fmt: skip
    likely = [
        one for (one,) in reply_likelihoods(model, tokenizer, prompts, [[item.reference] for item in items], True)
    ]
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    total, tokens = sum(one.total for one in likely), sum(one.tokens for one in likely)
    del model
    gc.collect()
    return _row(REFERENCE, size, total, tokens, answers, None, chosen, items), answers


def _of_file(
    kind: Type,
    file: Path,
    model: LlamaCpp,
    config: RunConfig,
    tokenizer: Any,
    chosen: HeldOutSet,
    items: list[Item],
    expected: list[str],
    progress: Progress,
) -> Loss:
    limit, answers, total, tokens = _limit(config, items, tokenizer), [], 0.0, 0
    for number, item in enumerate(items, 1):
        answers.append(model.chat(item.prompt, limit).strip())
        ids = tokenizer.apply_chat_template(item.prompt, add_generation_prompt=True)["input_ids"]
        reference = tokenizer(item.reference, add_special_tokens=False)["input_ids"]
        total += model.log_likelihood(ids, reference)
        tokens += len(reference)
        progress(f"llama.cpp answers from {kind}", number, len(items))
    return _row(kind, file.stat().st_size, total, tokens, answers, expected, chosen, items)


def _row(
    kind: str,
    size: int,
    total: float,
    tokens: int,
    answers: list[str],
    expected: list[str] | None,
    chosen: HeldOutSet,
    items: list[Item],
) -> Loss:
    equal = [one == two for one, two in zip(answers, expected or answers, strict=True)]
    return Loss(
        kind=kind,
        bytes=size,
        log_likelihood=total / tokens,
        perplexity=math.exp(-total / tokens),
        equal_answers=None if expected is None else proportion(sum(equal), len(equal)),
        right=held_out.score(items, answers, chosen.metric),
        set=chosen.name,
        metric=chosen.metric,
    )


def _items(config: RunConfig, count: int) -> tuple[HeldOutSet, list[Item]]:
    sets = sorted(config.evaluation.held_out, key=lambda one: one.metric != "label")
    chosen = next(iter(sets), STARTER)
    found = scoring.read_items(chosen.name, "heldout", config.task.system_prompt)
    if count < len(found):
        found = random.Random(f"{config.schedule.seed}/{chosen.name}").sample(found, count)
    return chosen, found


def _limit(config: RunConfig, items: list[Item], tokenizer: Any) -> int:
    longest = max(len(tokenizer(item.reference)["input_ids"]) for item in items)
    return min(config.evaluation.max_new_tokens, longest + longest // 4 + 4)
