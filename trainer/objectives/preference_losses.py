"""The losses of preferences, from log-likelihoods of whole answers (nats): all tensors are (pairs,) or (answers,).

A gain is how much likelier the model finds an answer than the reference does, log p(answer) - log p_reference(answer):
the implicit reward over beta (Rafailov et al. 2023, eq. 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import logsigmoid

from trainer.objective_sections import CpoObjective, DpoObjective, KtoObjective, OrpoObjective

Paired = DpoObjective | OrpoObjective | CpoObjective
PAIR = ("chosen", "rejected")


@dataclass
class Judged:
    """What the objective makes of pairs or of single answers. Tensors are (pairs,) or (answers,).

    `reward` of a good answer or bad one: beta times how much likelier it is than to the reference, or its likelihood
    where there is no reference.
    """

    losses: torch.Tensor
    won: torch.Tensor
    """1 where the pair, or the answer, stands on the right side; 0.5 where it stands between."""
    chosen_rewards: torch.Tensor
    rejected_rewards: torch.Tensor
    chosen: torch.Tensor
    """Log-likelihoods (nats) of chosen or good answers."""
    rejected: torch.Tensor


def judge_pairs(
    objective: Paired,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    chosen_tokens: torch.Tensor,
    rejected_tokens: torch.Tensor,
    reference_chosen: torch.Tensor | None = None,
    reference_rejected: torch.Tensor | None = None,
) -> Judged:
    """Pairs by the log-likelihoods (nats) of their answers and the answers' lengths in tokens, all (pairs,).

    Those of the reference are for DPO alone.
    """
    chosen_mean, rejected_mean = chosen / chosen_tokens, rejected / rejected_tokens
    match objective:
        case DpoObjective():
            assert reference_chosen is not None and reference_rejected is not None
            good, bad = chosen - reference_chosen, rejected - reference_rejected
            losses = dpo(good, bad, objective.loss, objective.beta, objective.wrong_votes)
            losses = losses - objective.sft_weight * chosen_mean
        case OrpoObjective():
            good, bad = chosen_mean, rejected_mean
            losses = orpo(chosen_mean, rejected_mean, objective.beta)
        case CpoObjective(loss="simpo"):
            good, bad = chosen_mean, rejected_mean
            losses = simpo(good, bad, objective.beta, objective.margin)
            losses = losses - objective.sft_weight * chosen_mean
        case CpoObjective():
            good, bad = chosen, rejected
            losses = cpo(chosen, rejected, objective.beta) - objective.sft_weight * chosen_mean
    better, worse = objective.beta * good.detach(), objective.beta * bad.detach()
    won = 0.5 + 0.5 * torch.sign(better - worse)
    return Judged(losses, won, better, worse, chosen.detach(), rejected.detach())


def judge_answers(
    objective: KtoObjective,
    said: torch.Tensor,
    tokens: torch.Tensor,
    good: torch.Tensor,
    reference_said: torch.Tensor,
    drift: torch.Tensor,
    weights: tuple[float, float],
) -> Judged:
    """Single answers by their log-likelihoods (nats) and lengths in tokens, (answers,); see `kto` for the rest."""
    gain = said - reference_said
    losses = kto(gain, good, drift, objective.beta, *weights)
    losses = losses - objective.sft_weight * good * (said / tokens)
    rewards, likely = objective.beta * gain.detach(), said.detach()
    won = 0.5 + 0.5 * torch.sign((rewards - objective.beta * drift) * torch.where(good, 1.0, -1.0))
    return Judged(losses, won, rewards[good], rewards[~good], likely[good], likely[~good])


def dpo(
    chosen_gain: torch.Tensor,
    rejected_gain: torch.Tensor,
    kind: Literal["sigmoid", "ipo", "robust"],
    beta: float,
    wrong_votes: float,
) -> torch.Tensor:
    """The loss of each pair.

    sigmoid: -log sigmoid(beta x lead), where lead is the chosen answer's gain less the rejected one's (Rafailov et al.
    2023, eq. 7). ipo: (lead - 1 / (2 beta))^2 (Azar et al. 2023, eq. 17), which is settled at a lead of 1 / (2 beta)
    nats of the whole answer; TRL divides by its tokens. robust: what the loss without wrong votes would be on average,
    where the share `wrong_votes` of the pairs is the wrong way round (Chowdhury et al. 2024, eq. 12).
    """
    lead = chosen_gain - rejected_gain
    if kind == "ipo":
        return (lead - 1 / (2 * beta)) ** 2
    if kind == "robust":
        right, wrong = -logsigmoid(beta * lead), -logsigmoid(-beta * lead)
        return ((1 - wrong_votes) * right - wrong_votes * wrong) / (1 - 2 * wrong_votes)
    return -logsigmoid(beta * lead)


def kto(
    gain: torch.Tensor, good: torch.Tensor, drift: torch.Tensor, beta: float, good_weight: float, bad_weight: float
) -> torch.Tensor:
    """The loss of each answer: weight x (1 - sigmoid(beta x (gain - drift))), of a bad one with the sign turned.

    Ethayarajh et al. 2024, eq. 8. `good` (answers,) bool; `drift` () is how far the model has moved from the reference
    on answers to other questions, at least 0, without gradient.
    """
    sign, weight = torch.where(good, 1.0, -1.0), torch.where(good, good_weight, bad_weight)
    return weight * (1 - torch.sigmoid(beta * sign * (gain - drift)))


def orpo(chosen_mean: torch.Tensor, rejected_mean: torch.Tensor, beta: float) -> torch.Tensor:
    """The loss of each pair: the chosen answer's cross-entropy, and beta x -log sigmoid(log of the odds ratio).

    Hong et al. 2024, eq. 6 and 7. Both inputs are log-likelihoods by the token, whose odds are p / (1 - p).
    """
    odds = (chosen_mean - rejected_mean) - (_log_rest(chosen_mean) - _log_rest(rejected_mean))
    return -chosen_mean - beta * logsigmoid(odds)


def cpo(chosen: torch.Tensor, rejected: torch.Tensor, beta: float) -> torch.Tensor:
    """The loss of each pair without a reference: -log sigmoid(beta x (chosen - rejected)) (Xu et al. 2024, eq. 4)."""
    return -logsigmoid(beta * (chosen - rejected))


def simpo(chosen_mean: torch.Tensor, rejected_mean: torch.Tensor, beta: float, margin: float) -> torch.Tensor:
    """The same by the token, and with a margin to win by (Meng et al. 2024, eq. 6)."""
    return -logsigmoid(beta * (chosen_mean - rejected_mean) - margin)


def _log_rest(log_share: torch.Tensor) -> torch.Tensor:
    """log(1 - p) from log p < 0, without losing what is near 0 or 1 (Mächler 2012)."""
    least = torch.finfo(log_share.dtype).eps
    value = log_share.clamp(max=-least)
    near_one = value > -0.6931
    # Each branch gets a harmless value where the other is taken, or its gradient would be no number there.
    close, far = torch.where(near_one, value, -1.0), torch.where(near_one, -1.0, value)
    return torch.where(near_one, torch.log(-torch.expm1(close)), torch.log1p(-torch.exp(far)))
