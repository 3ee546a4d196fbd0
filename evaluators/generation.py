"""Answers from one copy of a model: base and tuned in one batch, token by token, or many questions at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from evaluators.prefix import read_shared
from evaluators.sides import has_virtual_tokens, last_position, side

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

    from evaluators.quick_decoding import QuickDecoding, QuickWeights

# A transformers model, bare or wrapped by PEFT, and its tokenizer. Their annotations are unions (a text or a list of
# them, ...) that say less than the library does.
Model = Any
Tokenizer = Any
Messages = list[dict[str, str]]
BASE = "__base__"  # PEFT's name, in a mixed batch, for a row without an adapter
_NUCLEUS = 1024  # tokens that are looked at first for a nucleus
PROMPTED = "prompted base"  # the side of a base that sees worked examples in its prompt


class Sampling(BaseModel):
    """How the next token is chosen; temperature 0 takes the likeliest."""

    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0)
    max_new_tokens: int = Field(default=220, ge=1, le=4096)


class Answer(BaseModel):
    """One side's answer so far; `seconds` runs from the question to its last token."""

    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    finished: bool = False
    confidence: float = 0.0
    """Mean probability, 0 to 1, that the model gave the tokens it said, whatever the sampling made of it."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


def stream(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    adapters: Sequence[str],
    sampling: Sampling,
    seeds: Sequence[int] = (),
    quick: QuickWeights | None = None,
) -> Iterator[list[Answer]]:
    """Answer with several adapters of one PEFT model in one batch, yielding after every token.

    `conversations` and `adapters` name a side each (`BASE`: the adapter off). Sides that see the same prompt are not
    padded; different ones are, on the left, and masked: a side's answer does not depend on the others but for rounding.
    Each side draws from a generator of its own, with its own of `seeds` or all with that of `sampling`: sides whose
    logits agree sample the same text. `quick`: the model's weights as `quick_decoding.prepare` gave them, where it did.
    Close the iterator to stop.
    """
    from transformers import DynamicCache

    def read(ids: torch.Tensor, cache: DynamicCache, running: list[int], places: dict[str, Any]) -> torch.Tensor:
        return model(
            input_ids=ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last_position(model),
            adapter_names=[adapters[row] for row in running],
            **places,
        ).logits

    seeds = seeds or [sampling.seed] * len(adapters)
    after = partial(quick.after, adapters=adapters) if quick else None
    yield from _stream(model, tokenizer, conversations, DynamicCache(), read, sampling, seeds, after)


def stream_alone(
    model: Model,
    tokenizer: Tokenizer,
    messages: Messages,
    tuned: bool,
    sampling: Sampling,
    seeds: Sequence[int] = (),
    quick: QuickWeights | None = None,
) -> Iterator[list[Answer]]:
    """As `stream`, with one side, base or tuned, for methods whose sides cannot share a batch; an answer for each seed.

    The adapter is switched for the length of a token only, so that two such streams can take turns.
    """
    seeds = seeds or [sampling.seed]
    with side(model, tuned) as answering:
        start = answering.cache
    if len(seeds) > 1 and start.get_seq_length():
        start.batch_repeat_interleave(len(seeds))

    def read(ids: torch.Tensor, cache: DynamicCache, running: list[int], places: dict[str, Any]) -> torch.Tensor:
        with _switched(model, tuned) as core:
            return core(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=last_position(core)).logits

    after = partial(quick.after, adapters=[_active(model) if tuned else BASE] * len(seeds)) if quick else None
    yield from _stream(model, tokenizer, [messages] * len(seeds), start, read, sampling, seeds, after)


def _stream(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    cache: DynamicCache,
    read: Callable[[torch.Tensor, DynamicCache, list[int], dict[str, Any]], torch.Tensor],
    sampling: Sampling,
    seeds: Sequence[int],
    after: Callable[..., QuickDecoding] | None,
) -> Iterator[list[Answer]]:
    """The answers of several sides after each token; `read` gives the next logits of those that are still running.

    With `after`, it gives the first alone, and what that makes of the cache gives all others.
    """
    import torch

    device = model.device
    ends = end_tokens(model, tokenizer)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    answers = [Answer() for _ in seeds]
    tokens: list[list[int]] = [[] for _ in seeds]
    likely = [0.0 for _ in seeds]
    running = list(range(len(seeds)))
    step, mask = _prompts(tokenizer, conversations)
    step = step.to(device)
    quick = None
    start = time.perf_counter()
    for number in range(sampling.max_new_tokens):
        with torch.inference_mode():
            logits = quick.read(step) if quick else read(step, cache, running, _places(mask, step))
            if after and number == 0:
                quick = after(cache, mask=mask, longest=sampling.max_new_tokens)
        rows = logits[:, -1].float().cpu()
        chosen = [choose(row, sampling, generators[one]) for one, row in zip(running, rows, strict=True)]
        elapsed = time.perf_counter() - start
        for one, token, row in zip(running, chosen, rows, strict=True):
            answer = answers[one]
            answer.seconds = elapsed
            answer.tokens += 1
            likely[one] += float(row.softmax(-1)[token])
            answer.confidence = likely[one] / answer.tokens
            if token in ends:
                answer.finished = True
            else:
                tokens[one].append(token)
                answer.text = tokenizer.decode(tokens[one], skip_special_tokens=True)
        yield [answer.model_copy() for answer in answers]
        kept = [row for row, one in enumerate(running) if not answers[one].finished]
        if not kept:
            return
        if len(kept) < len(running):
            (quick or cache).batch_select_indices(torch.tensor(kept, device=device))
        running = [running[row] for row in kept]
        step = torch.tensor([[chosen[row]] for row in kept], device=device)
        if mask is not None:
            mask = torch.nn.functional.pad(mask[kept], (0, 1), value=1)


def _prompts(tokenizer: Tokenizer, conversations: Sequence[Messages]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(sides, width) prompts, left-padded, and their mask; no mask where all are the same."""
    import torch

    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    if all(one == asked[0] for one in asked):
        return torch.tensor(asked), None
    width = max(len(one) for one in asked)
    padding = tokenizer.pad_token_id
    ids = torch.tensor([[padding] * (width - len(one)) + one for one in asked])
    return ids, torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in asked])


def _places(mask: torch.Tensor | None, step: torch.Tensor) -> dict[str, Any]:
    """What a padded batch needs beside its tokens: which of them count, and where each stands."""
    if mask is None:
        return {}
    places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -step.shape[1] :]
    return {"attention_mask": mask.to(step.device), "position_ids": places.to(step.device)}


def _active(model: Model) -> str:
    """The adapter that answers; a bare model has none, and virtual tokens are none for what reads them from a cache."""
    return BASE if has_virtual_tokens(model) or not hasattr(model, "peft_config") else model.active_adapters[0]


@contextmanager
def _switched(model: Model, tuned: bool) -> Iterator[Any]:
    # What `side` does, without reading the virtual tokens anew: those are in the cache already.
    if has_virtual_tokens(model):
        yield model.get_base_model()
    else:
        with side(model, tuned) as answering:
            yield answering.core


def choose(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The next token from one side's logits (shape: vocabulary), by temperature and nucleus (top-p) sampling."""
    import torch

    if sampling.temperature == 0:
        return int(logits.argmax())
    shares = torch.softmax(logits / sampling.temperature, -1)
    if sampling.top_p == 1:
        return int(torch.multinomial(shares, 1, generator=generator))
    # Sorting a whole vocabulary takes a sixth of a small model's time for a token; the nucleus is rarely so large.
    likeliest, order = shares.topk(min(_NUCLEUS, len(shares)))
    if likeliest.sum() < sampling.top_p:
        likeliest, order = shares.sort(descending=True)
    # A token stays while the tokens before it hold less than top_p, so that one always stays.
    likeliest[likeliest.cumsum(-1) - likeliest >= sampling.top_p] = 0
    return int(order[torch.multinomial(likeliest, 1, generator=generator)])


def answer_all(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    max_new_tokens: int,
    tuned: bool,
    progress: Callable[[int], None] = lambda done: None,
    batch_size: int = 40,
    observe: Callable[[list[int], torch.Tensor], None] | None = None,
    temperature: float = 0.0,
) -> list[str]:
    """Answers to many conversations, in their order; `tuned` False answers with the adapter off.

    They are greedy, or with a `temperature` drawn, by the same chances at every call. What all conversations begin
    with is read once, then left-padded batches of similar length. `progress` hears how many are done after each batch.
    `observe` hears before every token which conversations a batch is of (their places
    in the list) and the logits of their next tokens (shape: batch, vocabulary); those of an answer that has ended are
    among them and say nothing.
    """
    import torch
    from transformers import LogitsProcessorList

    if not conversations:
        return []
    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    order = sorted(range(len(asked)), key=lambda index: len(asked[index]))
    answers = [""] * len(asked)
    drawn: dict[str, Any] = {"do_sample": False}
    if temperature:
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.inference_mode(), side(model, tuned) as answering, torch.random.fork_rng(enabled=temperature > 0):
        if temperature:
            torch.manual_seed(0)
        core = answering.core
        prefix, own = read_shared(answering, asked)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = prefix.before([own[index] for index in chosen], tokenizer.pad_token_id)
            width = batch["input_ids"].shape[1]

            def observed(ids: torch.Tensor, logits: torch.Tensor, chosen: list[int] = chosen) -> torch.Tensor:
                if observe:
                    observe(chosen, logits)
                return logits

            output = core.generate(
                **batch,
                logits_processor=LogitsProcessorList([observed]),
                max_new_tokens=max_new_tokens,
                **drawn,
                pad_token_id=tokenizer.pad_token_id,
                logits_to_keep=last_position(core),
            )
            for index, row in zip(chosen, output[:, width:], strict=True):
                answers[index] = tokenizer.decode(row, skip_special_tokens=True).strip()
            progress(start + len(chosen))
    return answers


def end_tokens(model: Model, tokenizer: Tokenizer) -> set[int]:
    """Token ids that end an answer, from the model's generation settings and its tokenizer."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    return {token for token in ends if token is not None}
