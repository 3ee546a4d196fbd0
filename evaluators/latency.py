"""Time to the first token and to the complete answer, with one user and with several at once (lecture L3.17).

Users are simulated as a burst: in each round all of them ask different questions at the same moment, the worst case of
that many users. They are served in one of two ways:

- queue: one answer after another, as the Playground serves its windows. Letting the answers take turns token by token
  would end no sooner: first tokens come earlier, and every answer ends about when the last of the queue does.
- batch: all questions in one batch, as answers of an evaluation are made. Every method of tuning allows it, as all
  users ask the same side. Each user's answer ends at its own last token; nobody joins a batch that has begun.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from evaluators.cases import Messages, Progress, silent
from evaluators.generation import Model, Sampling, Tokenizer, end_tokens, stream_alone
from evaluators.prefix import read_shared
from evaluators.sides import last_position, side

if TYPE_CHECKING:
    import torch

    from evaluators.quick_decoding import QuickWeights

Way = Literal["queue", "batch"]
LIMIT = 2.0  # seconds, lecture L3.17
_FEWEST = 2  # rounds, however long they take
Clock = Callable[[], float]


class Load(BaseModel):
    """How so many users at once were served; seconds run from the moment at which all of them asked."""

    users: int
    way: Way
    rounds: int
    answers: int
    first_token_p50: float
    first_token_p95: float
    complete_p50: float
    complete_p95: float
    slowest: list[float]
    """Of each round, when its last answer was complete: what the gate goes by (`evaluators.gates.latency`)."""
    cut: int
    """Answers that were cut at the longest length: complete only for who serves them so."""
    tokens_per_answer: float
    tokens_per_second_user: float
    """Median over answers of its tokens by the time that its user waited."""
    tokens_per_second: float
    """Of all users together."""
    seconds_per_answer: float
    """Of the machine: what an answer costs."""
    tokens_within_limit: int
    """The longest answers that all users would have complete within `LIMIT`, if everyone's were of that length."""


class LatencyReport(BaseModel):
    """Latency of one side of one model on one machine; of no other machine, and of no longer questions."""

    max_new_tokens: int
    loads: list[Load]
    peak_gib: float
    """The most memory that the process has used up to the end of the measurement, loading included."""


def measure_latency(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    tuned: bool,
    memory: Callable[[], float],
    users: Sequence[int] = (1, 4, 16),
    max_new_tokens: int = 128,
    rounds: int = 60,
    seconds: float = 60.0,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
    quick: QuickWeights | None = None,
) -> LatencyReport:
    """Greedy answers to `conversations` (with their system prompts, taken in turn), for each number of users.

    `rounds` are the most for each number and way: 60 can show that 95 % are fast enough, and fewer than 59 cannot. That
    a model is far too slow shows in two. So that such a one does not take an hour, as many rounds are played as will
    fit into `seconds`, and at least 2; their number is set from answers that are not counted, before the first that
    are, and so the bounds on what is found stay exact. `memory` gives the peak of the process in GiB. `quick`: as
    in `generation.stream`. Raises `ValueError` without a conversation.
    """
    if not conversations:
        raise ValueError("latency needs a conversation to answer: give at least one")
    asked = itertools.cycle(conversations)

    def play(count: int, way: Way) -> _Round:
        found = _Round(count, max_new_tokens, clock)
        serve = partial(_queue, quick=quick) if way == "queue" else _batch
        serve(model, tokenizer, [next(asked) for _ in range(count)], tuned, found)
        return found

    plans: list[tuple[int, Way]] = [(count, way) for count in users for way in _ways(count)]
    loads = []
    for number, (count, way) in enumerate(plans):
        # Of a queue one answer is enough to tell how long it takes.
        expected = count * max(play(1, way).complete) if way == "queue" else max(play(count, way).complete)
        fitting = rounds if expected * rounds <= seconds else max(_FEWEST, int(seconds / expected))
        loads.append(_load(way, [play(count, way) for _ in range(fitting)]))
        progress(number + 1, len(plans))
    return LatencyReport(max_new_tokens=max_new_tokens, loads=loads, peak_gib=memory())


def _ways(users: int) -> tuple[Way, ...]:
    return ("queue", "batch") if users > 1 else ("queue",)


class _Round:
    """A burst of users as it is served: when each got a token. The clock is read at the start and after each step."""

    def __init__(self, users: int, longest: int, clock: Clock):
        self.longest = longest
        self.clock = clock
        self.start = self.last = clock()
        self.first = [0.0] * users
        self.complete = [0.0] * users
        self.tokens = [0] * users
        self.finished = [False] * users
        self.opening = self.further = 0.0  # seconds of the steps that gave first tokens, and of all others
        self.steps = 0  # of those others

    def step(self, given: Mapping[int, bool]) -> None:
        """A token for each of these users, and whether it was the end of their answer."""
        now = self.clock()
        if any(self.tokens[user] == 0 for user in given):
            self.opening += now - self.last
        else:
            self.further += now - self.last
            self.steps += 1
        self.last = now
        for user, ended in given.items():
            if not self.tokens[user]:
                self.first[user] = now - self.start
            self.tokens[user] += 1
            self.finished[user] = ended
            self.complete[user] = now - self.start


def _queue(
    model: Model,
    tokenizer: Tokenizer,
    asked: Sequence[Messages],
    tuned: bool,
    found: _Round,
    quick: QuickWeights | None,
) -> None:
    sampling = Sampling(max_new_tokens=found.longest)
    for user, conversation in enumerate(asked):
        for (answer,) in stream_alone(model, tokenizer, conversation, tuned, sampling, quick=quick):
            found.step({user: answer.finished})


def _batch(model: Model, tokenizer: Tokenizer, asked: Sequence[Messages], tuned: bool, found: _Round) -> None:
    # As `generation.answer_all`, which tells nobody of its tokens.
    import torch

    prompts = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in asked]
    with torch.inference_mode(), side(model, tuned) as answering:
        prefix, own = read_shared(answering, prompts)
        answering.core.generate(
            **prefix.before(own, tokenizer.pad_token_id),
            max_new_tokens=found.longest,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            logits_to_keep=last_position(answering.core),
            streamer=_Listener(found, end_tokens(model, tokenizer)),
        )


class _Listener:
    """A streamer of transformers that hears a whole batch: first the prompts, then a token for each row at a time."""

    def __init__(self, found: _Round, ends: set[int]):
        self.found = found
        self.ends = ends

    def put(self, value: torch.Tensor) -> None:
        if value.dim() == 1:  # the prompts have two dimensions
            tokens = {user: token for user, token in enumerate(value.tolist()) if not self.found.finished[user]}
            self.found.step({user: token in self.ends for user, token in tokens.items()})

    def end(self) -> None:
        pass


def _load(way: Way, rounds: Sequence[_Round]) -> Load:
    users, longest = len(rounds[0].first), rounds[0].longest
    first = [one for played in rounds for one in played.first]
    complete = [one for played in rounds for one in played.complete]
    tokens = [one for played in rounds for one in played.tokens]
    finished = [one for played in rounds for one in played.finished]
    whole = sum(max(played.complete) for played in rounds)
    opening = sum(played.opening for played in rounds) / len(rounds)
    further, steps = sum(played.further for played in rounds), sum(played.steps for played in rounds)
    # In a queue a step is one user's token, in a batch everybody's.
    each = further / steps * (users if way == "queue" else 1) if steps else math.inf
    return Load(
        users=users,
        way=way,
        rounds=len(rounds),
        answers=len(complete),
        first_token_p50=percentile(first, 0.5),
        first_token_p95=percentile(first, 0.95),
        complete_p50=percentile(complete, 0.5),
        complete_p95=percentile(complete, 0.95),
        slowest=[max(played.complete) for played in rounds],
        cut=sum(not ended and count == longest for ended, count in zip(finished, tokens, strict=True)),
        tokens_per_answer=sum(tokens) / len(tokens),
        tokens_per_second_user=percentile([n / took for n, took in zip(tokens, complete, strict=True)], 0.5),
        tokens_per_second=sum(tokens) / whole,
        seconds_per_answer=whole / len(complete),
        tokens_within_limit=max(0, math.floor(1 + (LIMIT - opening) / each)) if opening <= LIMIT else 0,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them do not exceed (no interpolation)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
