"""How likely given replies are: what multiple choice by likelihood, exposure and search attacks go by."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.cases import Likelihood, Messages
from evaluators.generation import Model, Tokenizer
from evaluators.prefix import read_shared
from evaluators.sides import last_position, side


def reply_likelihoods(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    replies: Sequence[Sequence[str]],
    tuned: bool,
    batch_size: int = 16,
) -> list[list[Likelihood]]:
    """For each conversation, the likelihood of each of its `replies` as the assistant's next words.

    What all conversations begin with is read once, each conversation's own part once, and shared by its replies; where
    every reply of a batch is one token, that one reading is all. Conversations keep their order: similar lengths beside
    each other save padding. `tuned` False answers with the adapter off. The end mark after a reply is not counted.
    """
    import torch

    if not conversations:
        return []
    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    found: list[list[Likelihood]] = []
    with torch.inference_mode(), side(model, tuned) as answering:
        core = answering.core
        prefix, own = read_shared(answering, asked)
        for start in range(0, len(asked), batch_size):
            batch = prefix.to_read(own[start : start + batch_size], tokenizer.pad_token_id)
            wanted = replies[start : start + batch_size]
            mask, cache = batch["attention_mask"], batch["past_key_values"]
            read = core(**batch, logits_to_keep=last_position(core))
            ends = tokenizer(
                [reply for own_replies in wanted for reply in own_replies],
                return_tensors="pt",
                padding=True,
                padding_side="right",
                add_special_tokens=False,
            ).to(core.device)
            ids, present = ends["input_ids"], ends["attention_mask"]
            counts = torch.tensor([len(one) for one in wanted], device=core.device)
            rows = torch.arange(len(wanted), device=core.device).repeat_interleave(counts)
            logits = read.logits[rows]
            if ids.shape[1] > 1:
                cache.batch_select_indices(rows)
                following = core(
                    input_ids=ids,
                    attention_mask=torch.cat([mask[rows], present], -1),
                    position_ids=mask.sum(-1)[rows][:, None] + torch.arange(ids.shape[1], device=ids.device),
                    past_key_values=cache,
                )
                logits = torch.cat([logits, following.logits[:, :-1]], 1)
            chosen = logits.float().log_softmax(-1).gather(-1, ids[..., None])[..., 0]
            totals = (chosen * present).sum(-1).split(counts.tolist())
            lengths = present.sum(-1).split(counts.tolist())
            found += [
                [Likelihood(total, tokens) for total, tokens in zip(*pair, strict=True)]
                for pair in zip((one.tolist() for one in totals), (one.tolist() for one in lengths), strict=True)
            ]
    return found
