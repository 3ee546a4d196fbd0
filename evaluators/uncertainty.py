"""How sure a model is of its own answer: what active learning asks people about (lecture L3.8).

Three measures of the model's next-token distributions (Settles 2009, Active Learning Literature Survey, section 3.1):
their entropy, the margin between the two likeliest tokens, and the likelihood of the likeliest one. Of an answer of
several tokens each is the mean over its tokens, as Settles and Craven (2008) do for sequences, so that a long answer is
not uncertain for being long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluators.cases import Likelihood, Messages
from evaluators.generation import Model, Tokenizer, answer_all, end_tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Uncertainty:
    """How sure a model is of an answer, as means over the answer's tokens."""

    entropy: float
    """Nats: 0 where one token holds everything, log(n) where n share it evenly."""
    margin: float
    """Probability of the likeliest token less that of the second; small is unsure."""
    likelihood: float
    """Log-probability (nats) of the likeliest token; low is unsure."""
    tokens: int
    """1 where one of several options was chosen."""


@dataclass(frozen=True)
class Read:
    """A model's greedy answer, its token ids, and how sure the model was of it. The end mark is one of the tokens."""

    answer: str
    ids: tuple[int, ...]
    uncertainty: Uncertainty


def of_logits(logits: torch.Tensor) -> torch.Tensor:
    """Entropy, margin and log-likelihood (shape: ..., 3) of each distribution (`logits`, shape: ..., outcomes).

    Raises `ValueError` for a distribution over fewer than two outcomes.
    """
    import torch

    if logits.shape[-1] < 2:
        raise ValueError("a margin takes two outcomes or more")
    logs = logits.double().log_softmax(-1)
    shares = logs.exp()
    # An outcome that cannot be (-inf) adds nothing: x log x goes to 0.
    entropy = -torch.where(shares > 0, shares * logs, 0.0).sum(-1)
    best = logs.topk(2, dim=-1).values
    return torch.stack([entropy, best[..., 0].exp() - best[..., 1].exp(), best[..., 0]], -1)


def of_options(likelihoods: Sequence[Likelihood]) -> Uncertainty:
    """Of a choice between given replies, each with its likelihood (`evaluators.likelihood.reply_likelihoods`).

    They are taken for all that can be answered: their probabilities are made to add up to 1.
    """
    import torch

    entropy, margin, best = of_logits(torch.tensor([one.total for one in likelihoods], dtype=torch.float64)).tolist()
    return Uncertainty(entropy, margin, best, 1)


def read_answers(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    max_new_tokens: int,
    tuned: bool,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Read]:
    """Each conversation's greedy answer and how sure the model was, from the one reading in which it is written.

    Every token counts that the model chose, also the end mark: whether to stop is a decision too.
    """
    ends = end_tokens(model, tokenizer)
    ids: list[list[int]] = [[] for _ in conversations]
    values: list[list[list[float]]] = [[] for _ in conversations]

    def observe(rows: list[int], logits: torch.Tensor) -> None:
        found = of_logits(logits).tolist()
        for row, token, three in zip(rows, logits.argmax(-1).tolist(), found, strict=True):
            if not ids[row] or ids[row][-1] not in ends:
                ids[row].append(token)
                values[row].append(three)

    answers = answer_all(model, tokenizer, conversations, max_new_tokens, tuned, progress, observe=observe)
    return [Read(answer, tuple(own), _mean(three)) for answer, own, three in zip(answers, ids, values, strict=True)]


def _mean(values: Sequence[Sequence[float]]) -> Uncertainty:
    n = len(values)
    entropy, margin, likelihood = (math.fsum(column) / n for column in zip(*values, strict=True))
    return Uncertainty(entropy, margin, likelihood, n)
