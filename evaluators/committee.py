"""Where several models disagree (query by committee, Seung et al. 1992; lecture L3.8).

One member answers; all members read that answer, and at each of its tokens each has a distribution over what comes
next. Disagreement is of these distributions, as a mean over the tokens, so that it also speaks of free text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from evaluators.cases import Messages
from evaluators.generation import Model, Tokenizer
from evaluators.prefix import read_shared
from evaluators.sides import side

if TYPE_CHECKING:
    import numpy as np
    import torch

OUTCOMES = 32
"""Tokens that are told apart at each place, the likeliest of the member that answered; all others count as one."""


@dataclass(frozen=True)
class Disagreement:
    """Of a committee over one answer; 0 where all are of one mind."""

    vote_entropy: float
    """Of the members' likeliest tokens, in nats (Dagan and Engelson 1995): log(members) where each has its own."""
    kl: float
    """Mean Kullback-Leibler divergence of the members from their mean, in nats (McCallum and Nigam 1998)."""


class Reading(NamedTuple):
    """What one member thinks at each token of an answer."""

    outcomes: np.ndarray
    """(tokens, `OUTCOMES`) ids of the tokens that are told apart."""
    shares: np.ndarray
    """(tokens, `OUTCOMES` + 1) their probabilities, and that of all others together."""
    votes: np.ndarray
    """(tokens,) ids of the likeliest tokens, whether they are told apart or not."""


def disagreement(shares: np.ndarray, votes: np.ndarray) -> Disagreement:
    """Of the members' distributions (members, tokens, outcomes) and votes (members, tokens), as means over the tokens.

    Raises `ValueError` for fewer than two members.
    """
    import numpy as np

    if len(shares) < 2:
        raise ValueError("a committee has two members or more")
    divided = [np.unique(column, return_counts=True)[1] / len(votes) for column in votes.T]
    return Disagreement(
        vote_entropy=float(np.mean([entropy(one) for one in divided])),
        # The mean of KL(member | mean) is the entropy of the mean less the mean entropy.
        kl=max(0.0, float((entropy(shares.mean(axis=0)) - entropy(shares).mean(axis=0)).mean())),
    )


def read_answers(
    model: Model,
    tokenizer: Tokenizer,
    conversations: Sequence[Messages],
    answers: Sequence[Sequence[int]],
    tuned: bool,
    outcomes: Sequence[np.ndarray] | None = None,
    batch_size: int = 8,
) -> list[Reading]:
    """How a member reads answers (token ids, one or more each) to conversations, each answer in one reading.

    Which tokens are told apart the first member decides, by its own likeliest; the others are given its `outcomes`. To
    put all others together can only make members look more alike: their divergence is at least what is found.
    """
    import torch

    if not conversations:
        return []
    asked = [tokenizer.apply_chat_template(one, add_generation_prompt=True)["input_ids"] for one in conversations]
    order = sorted(range(len(asked)), key=lambda index: len(asked[index]) + len(answers[index]))
    found: dict[int, Reading] = {}
    with torch.inference_mode(), side(model, tuned) as answering:
        core = answering.core
        prefix, own = read_shared(answering, asked)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            # The last token of an answer is predicted, and need not be read.
            batch = prefix.to_read([own[one] + list(answers[one][:-1]) for one in chosen], tokenizer.pad_token_id)
            longest = max(len(answers[one]) for one in chosen)
            logits = core(**batch, logits_to_keep=torch.arange(-longest, 0, device=core.device)).logits
            for row, one in enumerate(chosen):
                given = None if outcomes is None else torch.from_numpy(outcomes[one]).to(core.device)
                found[one] = _reading(logits[row, -len(answers[one]) :], given)
    return [found[index] for index in range(len(asked))]


@contextmanager
def dropout_on(model: Model, seed: int) -> Iterator[None]:
    """For the length of a `with`, dropout acts as in training, drawn from `seed`: Monte Carlo dropout (Gal and
    Ghahramani 2016), by which one model is a committee.

    Raises `ValueError` where the model has no dropout: every pass would say the same.
    """
    import torch

    layers = [one for one in model.modules() if isinstance(one, torch.nn.Dropout) and one.p > 0]
    if not layers:
        raise ValueError("the model was trained without dropout")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            for layer in layers:
                layer.train()
            yield
        finally:
            for layer in layers:
                layer.eval()


def _reading(logits: torch.Tensor, given: torch.Tensor | None) -> Reading:
    import torch

    shares = logits.double().softmax(-1)
    ids = shares.topk(min(OUTCOMES, shares.shape[-1]), dim=-1).indices if given is None else given
    own = shares.gather(-1, ids)
    others = (1 - own.sum(-1, keepdim=True)).clamp(min=0.0)
    votes = shares.argmax(-1)
    return Reading(ids.cpu().numpy(), torch.cat([own, others], -1).cpu().numpy(), votes.cpu().numpy())


def entropy(shares: np.ndarray) -> np.ndarray:
    """Of distributions (..., outcomes), in nats."""
    import numpy as np

    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=-1)
