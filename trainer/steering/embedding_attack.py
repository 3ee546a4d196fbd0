"""Training under attack on the embeddings of the question: FGM (Miyato et al. 2017) and FreeLB (Zhu et al. 2020).

The answer is to be learnt not for one question but for all whose embeddings lie near it (lecture L3.6). Each row's
disturbance is a direction in its question's embeddings, of a norm of at most epsilon times the norm of these embeddings
themselves, so that an epsilon means the same for every model and length. Disturbed are the row's tokens before the
answer, template and system prompt included: what a user can change. The answer's own tokens stay, since the model is to
write them and not to read them; so do padding, virtual tokens, and general rows, which are there to keep what the base
says. A row that is an answer throughout (plain text) has nothing to disturb.

- fgm: a clean pass, whose gradient g gives the disturbance epsilon x g / |g|, and a pass under it. The gradients of
  both are averaged (Goodfellow et al. 2015, alpha = 0.5; Miyato et al. add them, which AdamW cannot tell apart).
- freelb: begins with uniform noise in the ball, climbs along g / |g| with steps of 2.5 x epsilon / passes (Madry et al.
  2018), back into the ball where it leaves it; the gradients of all passes are averaged.

The usual epsilon of 0.02 (about that of Miyato et al.: a norm of 5 on 400 embeddings of 128 numbers, scaled to a
variance of 1) raises the untouched embedded model's loss on 16 starter rows from 2.65 to 3.40 nats in one step and to
3.62 in FreeLB's second; noise of such a norm leaves it where it was. 0.1 makes it 4.1 and 4.7.

Both take as many forward and backward passes as they have, each with the same dropout (Zhu et al., section 3.3).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch

STEP = 2.5
"""Steps of this share of epsilon / passes can reach every place in the ball (Madry et al. 2018, appendix)."""


class EmbeddingAttack:
    """Makes a step's passes, each under another disturbance of the same batch."""

    def __init__(self, model: Any, kind: Literal["fgm", "freelb"], epsilon: float, steps: int, seed: int):
        """`steps` are FreeLB's passes; FGM has two. `epsilon` is a share of the norm of the question's embeddings."""
        self.model = model
        self.kind = kind
        self.epsilon = epsilon
        self.passes = 2 if kind == "fgm" else steps
        self.seed = seed
        self.batches = 0

    def __call__(self, disturbed: torch.Tensor, learn: Callable[[float], torch.Tensor]) -> torch.Tensor:
        """Let `learn` read the batch once for each pass and return the sum of what it returns.

        `disturbed` (n, t) says which tokens are (see `places`). `learn(share)` has to read the whole batch in training
        mode, take share x its loss backward, and return that, detached. A batch without such a token has one pass.
        """
        if not disturbed.any():
            return learn(1.0)
        disturbance = self._first(disturbed)
        total = torch.zeros((), device=disturbed.device)
        for number in range(1, self.passes + 1):
            last = number == self.passes
            devices = [disturbed.device] if disturbed.is_cuda else []
            # All but the last give their random numbers back: the same dropout in all, and later steps as without.
            with nullcontext() if last else torch.random.fork_rng(devices), self._added(disturbance, disturbed):
                total = total + learn(1 / self.passes)
            if not last:
                disturbance = self._climbed(disturbance)
        return total

    def _first(self, disturbed: torch.Tensor) -> torch.Tensor:
        """(n, t, d) as shares of the norm of each row's embeddings, with a gradient to come."""
        shape = (*disturbed.shape, self.model.get_input_embeddings().weight.shape[1])
        noise = torch.zeros(shape)
        if self.kind == "freelb":
            draw = random.Random(f"freelb/{self.seed}/{self.batches}")
            generator = torch.Generator().manual_seed(draw.getrandbits(62))
            noise = torch.rand(shape, generator=generator) * 2 - 1
        self.batches += 1
        noise = noise.to(disturbed.device) * disturbed[..., None]
        numbers = disturbed.sum(1)[:, None, None] * shape[-1]
        return (self.epsilon * noise / numbers.clamp(min=1).sqrt()).requires_grad_()

    def _climbed(self, disturbance: torch.Tensor) -> torch.Tensor:
        assert disturbance.grad is not None
        # fp16's rescaled gradients can overflow; the optimiser leaves such a step out by itself.
        gradient = torch.nan_to_num(disturbance.grad, nan=0.0, posinf=0.0, neginf=0.0)
        direction = gradient / _norms(gradient)
        if self.kind == "fgm":
            return (self.epsilon * direction).requires_grad_()
        moved = disturbance.detach() + STEP * self.epsilon / self.passes * direction
        return (moved * (self.epsilon / _norms(moved)).clamp(max=1)).requires_grad_()

    @contextmanager
    def _added(self, disturbance: torch.Tensor, disturbed: torch.Tensor) -> Iterator[None]:
        """Within it, what a model in training reads is disturbed; one that is asked meanwhile, in eval mode, is not."""

        def disturb(module: Any, arguments: Any, embedded: torch.Tensor) -> torch.Tensor:
            if not self.model.training:
                return embedded
            where = disturbed[..., None]
            scale = _norms(embedded.detach().float() * where)
            # By the product with `where`, the gradient of all other tokens is 0 too.
            return embedded + (scale * where * disturbance).to(embedded)

        hook = self.model.get_input_embeddings().register_forward_hook(disturb)
        try:
            yield
        finally:
            hook.remove()

    def state(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def restore(self, state: dict[str, Any]) -> None:
        self.batches = state["batches"]


def places(mask: torch.Tensor, labels: torch.Tensor, general: torch.Tensor) -> torch.Tensor:
    """Which tokens are disturbed: those of own rows before the answer. Shapes: mask, labels (n, t), general (n,)."""
    before = (labels != -100).cumsum(1) == 0
    return before & mask.bool() & ~general[:, None]


def _norms(values: torch.Tensor) -> torch.Tensor:
    """(n, 1, 1) the norm of each row; never 0, so that one may divide by it."""
    return values.norm(dim=(1, 2), keepdim=True).clamp(min=1e-30)
