"""Attacks on the input embeddings of a multiple-choice question, by the gradient (lecture L3.6), with noise as control.

Only the question's own tokens are changed: not the template, not the options or their letters. What is raised is the
loss of the right option: the cross-entropy over the options' likelihoods as the reply. Options are asked for by their
letters, each a single token, so that one reading gives the likelihoods of all (`evaluators.suites.multiple_choice`).

ε is relative to the mean norm of the questions' token embeddings. Everything that is compared at one ε has, in each
question of T tokens, the same L2 norm ε x mean norm x sqrt(T): FGSM's sign step (Goodfellow et al. 2015), the ball
that several steps stay in (projected gradient steps in L2, Madry et al. 2018), and Gaussian noise. The ball holds
FGSM's point, and lets the attack lay all of it on a single word. No text has these embeddings: what is measured is how
steady the model is around a question, not what somebody could type.

captum.robust has both attacks, but with one radius for a whole batch, and without the numbers whose gradient is below
1e-6: norms would not be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from pydantic import BaseModel

from evaluators.cases import Item, Progress, silent
from evaluators.generation import Model, Tokenizer
from evaluators.metrics import Proportion, proportion
from evaluators.suites.multiple_choice import lettered

if TYPE_CHECKING:
    import torch

    from evaluators.prefix import Prefix
    from evaluators.sides import Side

EPSILONS = (0.02, 0.05, 0.1, 0.2)
_REACH = 2.5  # all steps together, in radii of the ball (Madry et al. 2018): enough to walk along its surface


class GradientPoint(BaseModel):
    """Share of the questions that are right as they are and still right with a change of norm `epsilon`.

    A question that is wrong as it is counts as wrong, whatever a change would make of it, and is not read again.
    """

    epsilon: float
    fgsm: Proportion
    multi_step: Proportion
    """Right at every point on the way."""
    noise: Proportion
    """Mean over the draws; the interval is that of the questions' number, since draws of one are not independent."""


class GradientCurve(BaseModel):
    """Accuracy against ε, on the same questions at every ε."""

    clean: Proportion
    points: list[GradientPoint]
    embedding_norm: float
    """The mean norm that ε is relative to."""
    steps: int
    draws: int


def attack(
    model: Model,
    tokenizer: Tokenizer,
    items: Sequence[Item],
    system_prompt: str,
    tuned: bool,
    epsilons: Sequence[float] = EPSILONS,
    steps: int = 5,
    draws: int = 3,
    seed: int = 0,
    progress: Progress = silent,
    batch_size: int = 8,
) -> GradientCurve:
    """Accuracy on multiple-choice items under FGSM, several gradient steps and noise, for each ε.

    `tuned` False attacks the base (adapter off). Works with every method, those with virtual tokens included, whose
    tokens are left alone. No parameter gets a gradient. In bf16 a change of less than about 0.4 % of a number is lost
    to rounding, so that ε below 0.01 says little there. `progress` hears of items x ε.

    Raises `ValueError` without items, for an item without options or right answer, for a negative ε, and where the
    tokenizer splits a letter.
    """
    import torch

    from evaluators.input_embeddings import locate, read_before
    from evaluators.sides import side

    _check(items, epsilons, steps, draws)
    system = {"role": "system", "content": system_prompt}
    prompts = [locate(tokenizer, [system, *lettered(item)], item.question) for item in items]
    letters = _letter_tokens(tokenizer, max(len(item.options) for item in items))
    order = sorted(range(len(items)), key=lambda index: len(prompts[index].ids))
    clean = 0
    fgsm, multi_step, noise = ([0] * len(epsilons) for _ in range(3))
    with side(model, tuned) as answering:
        prefix, read = read_before(answering, prompts)
        norm = _mean_norm(
            answering, [prompt.ids[i] for prompt in prompts for i, own in enumerate(prompt.places) if own]
        )
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = _Batch.of(
                answering,
                prefix,
                [prompts[index].ids[read:] for index in chosen],
                [[place is not None for place in prompts[index].places[read:]] for index in chosen],
                letters,
                [items[index] for index in chosen],
            )
            nothing = torch.zeros_like(batch.embeds)
            right = [at for at, kept in enumerate(batch.right(list(range(len(chosen))), nothing)) if kept]
            clean += len(right)
            if right:
                gradient = batch.gradient(right, nothing[right])[1]
                seeds = [[seed + draw * len(items) + index for index in chosen] for draw in range(draws)]
                randoms = [batch.noise(one)[right] for one in seeds]
                lengths = batch.words.sum(1).sqrt()[right]
                for at, epsilon in enumerate(epsilons):
                    radius = epsilon * norm * lengths
                    fgsm[at] += sum(batch.right(right, of_norm(gradient.sign(), radius)))
                    multi_step[at] += _several_steps(batch, right, gradient, radius, steps)
                    noise[at] += sum(sum(batch.right(right, of_norm(one, radius))) for one in randoms)
                    progress(start * len(epsilons) + (at + 1) * len(chosen), len(items) * len(epsilons))
            progress((start + len(chosen)) * len(epsilons), len(items) * len(epsilons))
    count = len(items)
    points = [
        GradientPoint(
            epsilon=epsilon,
            fgsm=proportion(fgsm[at], count),
            multi_step=proportion(multi_step[at], count),
            noise=proportion(noise[at] / draws, count),
        )
        for at, epsilon in enumerate(epsilons)
    ]
    return GradientCurve(clean=proportion(clean, count), points=points, embedding_norm=norm, steps=steps, draws=draws)


def of_norm(direction: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Directions (n, t, d) scaled to the L2 norms `radius` (n, 1), item by item; one that is all zero stays so."""
    norms = direction.flatten(1).norm(dim=-1).clamp_min(1e-30)
    return direction * (radius[:, 0] / norms)[:, None, None]


def _several_steps(batch: _Batch, right: list[int], gradient: torch.Tensor, radius: torch.Tensor, steps: int) -> int:
    """How many of these questions are right at every point of the way; those that fell are not walked further."""
    import torch

    left, change = list(right), torch.zeros_like(gradient)
    for _ in range(steps - 1):
        change = _step(change, gradient, radius, steps)
        kept, gradient = batch.gradient(left, change)
        left = [index for index, still in zip(left, kept, strict=True) if still]
        if not left:
            return 0
        change, gradient, radius = change[kept], gradient[kept], radius[kept]
    return sum(batch.right(left, _step(change, gradient, radius, steps)))


def _step(change: torch.Tensor, gradient: torch.Tensor, radius: torch.Tensor, steps: int) -> torch.Tensor:
    """One step along the gradient (n, t, d), and back into the ball where it leaves it."""
    import torch

    change = change + of_norm(gradient, _REACH * radius / steps)
    norms = change.flatten(1).norm(dim=-1, keepdim=True)
    return of_norm(change, torch.minimum(norms, radius))


@dataclass
class _Batch:
    """Questions as embeddings; what is read of them is the likelihood of each option's letter."""

    side: Side
    prefix: Prefix
    rows: list[list[int]]
    """Tokens of each after the prefix."""
    embeds: torch.Tensor
    """(n, t, d) in fp32, left-padded."""
    words: torch.Tensor
    """(n, t, 1): 1 where a token is the question's own."""
    letters: torch.Tensor
    offered: torch.Tensor
    """(n, letters): whether the item has this option."""
    answers: torch.Tensor
    dtype: torch.dtype

    @classmethod
    def of(
        cls,
        side: Side,
        prefix: Prefix,
        rows: list[list[int]],
        words: list[list[bool]],
        letters: list[int],
        items: list[Item],
    ) -> _Batch:
        import torch

        device, width = prefix.device, max(len(row) for row in rows)
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)
        own = torch.tensor([[False] * (width - len(row)) + row for row in words], device=device)
        with torch.no_grad():
            embeds = side.core.get_input_embeddings()(ids)
        offered = [[at < len(item.options) for at in range(len(letters))] for item in items]
        return cls(
            side=side,
            prefix=prefix,
            rows=rows,
            embeds=embeds.float(),
            words=own[..., None].float(),
            letters=torch.tensor(letters, device=device),
            offered=torch.tensor(offered, device=device),
            answers=torch.tensor([item.answer for item in items], device=device),
            dtype=embeds.dtype,
        )

    def scores(self, which: list[int], change: torch.Tensor) -> torch.Tensor:
        """(m, letters): the options' log-likelihoods, but for a constant of each item; change: (m, t, d)."""
        import torch

        from evaluators.input_embeddings import logits

        last = torch.tensor([-1], device=self.letters.device)
        embeds = (self.embeds[which] + change).to(self.dtype)
        found = logits(self.side, self.prefix, [self.rows[one] for one in which], embeds, last)[:, 0, self.letters]
        return found.masked_fill(~self.offered[which], -torch.inf)

    def right(self, which: list[int], change: torch.Tensor) -> list[bool]:
        import torch

        with torch.no_grad():
            return (self.scores(which, change).argmax(-1) == self.answers[which]).tolist()

    def gradient(self, which: list[int], change: torch.Tensor) -> tuple[list[bool], torch.Tensor]:
        """Which are right, and the gradient (m, t, d) of the right option's loss, 0 outside the question's tokens."""
        import torch

        with torch.enable_grad():
            change = change.detach().requires_grad_()
            scores = self.scores(which, change)
            loss = torch.nn.functional.cross_entropy(scores, self.answers[which], reduction="sum")
            (found,) = torch.autograd.grad(loss, change)
        return (scores.argmax(-1) == self.answers[which]).tolist(), found * self.words[which]

    def noise(self, seeds: Sequence[int]) -> torch.Tensor:
        """(n, t, d) of Gaussian noise on the question's tokens; an item's own seed, so that batches do not matter."""
        import torch

        drawn = torch.zeros_like(self.embeds)
        for row, (own, one) in enumerate(zip(self.words[..., 0].bool(), seeds, strict=True)):
            generator = torch.Generator().manual_seed(one)
            shape = int(own.sum()), drawn.shape[-1]
            drawn[row, own] = torch.randn(shape, generator=generator).to(drawn.device)
        return drawn


def _mean_norm(answering: Side, tokens: list[int]) -> float:
    import torch

    with torch.no_grad():
        ids = torch.tensor(tokens, device=answering.core.device)
        return float(answering.core.get_input_embeddings()(ids).float().norm(dim=-1).mean())


def _letter_tokens(tokenizer: Tokenizer, count: int) -> list[int]:
    tokens = [tokenizer(letter, add_special_tokens=False)["input_ids"] for letter in ascii_uppercase[:count]]
    if any(len(one) != 1 for one in tokens):
        raise ValueError("this tokenizer splits an option's letter into several tokens; the attack needs one for each")
    return [one[0] for one in tokens]


def _check(items: Sequence[Item], epsilons: Sequence[float], steps: int, draws: int) -> None:
    if not items:
        raise ValueError("a gradient attack needs at least one multiple-choice item")
    for item in items:
        if len(item.options) < 2 or item.answer is None or not 0 <= item.answer < len(item.options):
            raise ValueError(f"{item.id}: a gradient attack needs two options or more and the index of the right one")
    if any(epsilon < 0 for epsilon in epsilons) or steps < 1 or draws < 1:
        raise ValueError("ε is 0 or more, and there is at least one step and one draw of noise")
