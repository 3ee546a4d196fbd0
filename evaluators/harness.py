"""Multiple choice by EleutherAI's lm-evaluation-harness, on a model in memory and items of one's own.

It reads the same conversations through its own tokenising, batching and scoring, so that its number is a check on ours
(`evaluators.suites.multiple_choice`, accuracy by likelihood). Nothing is downloaded. The harness is an extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from string import ascii_uppercase
from typing import Any

from evaluators.cases import Item
from evaluators.generation import Model, Tokenizer
from evaluators.suites.multiple_choice import lettered

_TASK = "bedside_multiple_choice"


class HarnessMissing(Exception):
    """lm-evaluation-harness is not installed; the text says how to get it."""


def harness_accuracy(
    model: Model, tokenizer: Tokenizer, items: Sequence[Item], system_prompt: str, tuned: bool, batch_size: int = 16
) -> float:
    """Share of the items whose right letter is the likeliest reply, as lm-evaluation-harness finds it.

    `tuned` False: with the adapter off. Raises `HarnessMissing`, and `ValueError` without items, for an item without a
    key, and where a fully tuned model would be passed off as its own base.
    """
    try:
        from datasets import Dataset
        from lm_eval.api.task import ConfigurableTask
        from lm_eval.evaluator import evaluate
        from lm_eval.models import huggingface
    except ImportError as error:
        raise HarnessMissing(
            "lm-evaluation-harness is not installed; install it with Bedside's extra: pip install 'bedside[harness]'"
        ) from error
    if not items or any(item.answer is None for item in items):
        raise ValueError("the harness needs items, each with options and the index of the right one")
    if not tuned and getattr(model, "is_fully_tuned", False):
        raise ValueError("this model was tuned as a whole: its base has to be loaded by itself")
    documents = [
        {
            "asked": _rendered(tokenizer, item, system_prompt),
            "letters": list(ascii_uppercase[: len(item.options)]),
            "key": item.answer,
        }
        for item in items
    ]
    task = ConfigurableTask(
        config={
            "task": _TASK,
            "custom_dataset": lambda **_: {"test": Dataset.from_list(documents)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": lambda document: document["asked"],
            "doc_to_choice": lambda document: document["letters"],
            "doc_to_target": lambda document: document["key"],
            "target_delimiter": "",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    off = nullcontext() if tuned else getattr(model, "disable_adapter", nullcontext)()
    with off:
        # The text brings the chat template's own marks, so that no other is to be set before it.
        wrap: Any = huggingface.HFLM
        wrapped = wrap(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, add_bos_token=False)
        found: Any = evaluate(lm=wrapped, task_dict={_TASK: task}, bootstrap_iters=0, log_samples=False)
    return float(found["results"][_TASK]["acc,none"])


def _rendered(tokenizer: Tokenizer, item: Item, system_prompt: str) -> str:
    messages = lettered(item)
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system_prompt}, *messages]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
