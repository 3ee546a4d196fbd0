"""How likely given replies are: what multiple choice by likelihood, exposure and search attacks go by."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any

from evaluators.cases import Likelihood, Messages
from evaluators.generation import Model, Tokenizer
from evaluators.prefix import Prefix, read_shared
from evaluators.sides import side

CALL_TOKENS = 1024
"""Tokens of a call, after what all share: enough to keep a processor's multipliers busy."""


def reply_likelihoods(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    replies: Sequence[Sequence[str]],
    tuned: bool,
    most_tokens: int = CALL_TOKENS,
) -> list[list[Likelihood]]:
    """For each conversation, the likelihood of each of its `replies` as the assistant's next words.

    What all conversations begin with is read once, each conversation's own part once, and its replies after it as
    branches (`evaluators.branches`), as many conversations a call as have `most_tokens`, and one at least. `tuned`
    False answers with the adapter off. The end mark after a reply is not counted.
    """
    import torch

    from evaluators.branches import can_branch

    if not conversations:
        return []
    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    ends = [tokenizer(list(own), add_special_tokens=False)["input_ids"] if own else [] for own in replies]
    found: list[list[Likelihood]] = []
    with torch.inference_mode(), side(model, tuned) as answering:
        prefix, own = read_shared(answering, asked)
        core = answering.core
        for chosen in _calls(own, ends, most_tokens):
            prompts, wanted = own[chosen], ends[chosen]
            if can_branch(core):
                said = _read(core, prefix, prompts, wanted)
            else:  # one reply after one prompt is what every model reads, whatever its attention
                pairs = [(prompt, reply) for prompt, replied in zip(prompts, wanted, strict=True) for reply in replied]
                said = [token for prompt, reply in pairs for token in _read(core, prefix, [prompt], [[reply]])]
            rest = iter(said)
            for replied in wanted:
                found.append([Likelihood(sum(islice(rest, len(reply))), len(reply)) for reply in replied])
    return found


def _calls(prompts: list[list[int]], replies: list[list[list[int]]], most: int) -> Iterator[slice]:
    """Which conversations are read together: neighbours, up to a number of tokens."""
    start = tokens = 0
    for place, (prompt, own) in enumerate(zip(prompts, replies, strict=True)):
        more = len(prompt) + sum(map(len, own))
        if place > start and tokens + more > most:
            yield slice(start, place)
            start, tokens = place, 0
        tokens += more
    yield slice(start, len(prompts))


def _read(core: Any, prefix: Prefix, prompts: list[list[int]], replies: list[list[list[int]]]) -> list[float]:
    """The log-probability of each token of each reply, one after the other, in one call of the model."""
    from evaluators.branches import branching, can_branch, lay_out

    call = lay_out(prompts, replies, len(prefix.tokens), prefix.device)
    kept, which = call.read.unique(return_inverse=True)
    with branching(core, call) if can_branch(core) else nullcontext():
        logits = core(
            input_ids=call.ids,
            position_ids=call.places,
            past_key_values=copy.deepcopy(prefix.cache),
            logits_to_keep=kept,
        ).logits[0]
    return logits.float().log_softmax(-1)[which, call.said].tolist()
