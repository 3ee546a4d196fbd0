"""Do tasks pull the weights in different directions? Measured, and taken out of the gradient (lecture L2.6).

Two tasks conflict where the cosine of their gradients is negative (Yu et al. 2020). PCGrad takes from each task's
gradient what points against another's; UPGrad (Quinton & Rey 2024) takes the nearest direction that goes against none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import nnls
from scipy.spatial.distance import squareform
from torchjd.aggregation import PCGradWeighting, UPGradWeighting
from torchjd.linalg import DualConeProjector, PSDMatrix

GENERAL = -2
"""Stands for general rows where a task's index does; -1 for rows without a task."""
CONFLICT = -0.05
"""Mean cosine below which tasks are said to conflict. Ours: in many dimensions unrelated gradients give about 0."""
LEAST_MEASUREMENTS = 5
"""Steps in which both tasks must have been measured before anything is said of them."""

Cosines = dict[str, dict[str, float]]


class TaskGradients:
    """Each task's gradient in one step of the optimiser, and the mean of their cosines over all measured steps.

    Memory: one fp32 copy of the trained weights for each task, so 4 bytes x tasks x trained numbers. Time: one backward
    pass for each task that a batch holds.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], tasks: list[str], surgery: Literal["off", "pcgrad", "upgrad"]
    ):
        self.parameters = list(parameters)
        self.tasks = tasks
        self.names = [*tasks, "general", "no task"]  # so that GENERAL and -1 find theirs
        self.surgery = surgery
        self._gradients: dict[str, dict[int, torch.Tensor]] = {}  # by index of the parameter
        self._sums: Cosines = {}
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, task_losses: dict[int, torch.Tensor]) -> None:
        """Add the gradients of a batch's losses, each a scalar, by index of the task, `GENERAL` or -1.

        The graph is kept, since further terms of the loss may still need it.
        """
        trained = {index: one for index, one in enumerate(self.parameters) if one.requires_grad}
        for task, loss in task_losses.items():
            parts = torch.autograd.grad(loss, list(trained.values()), retain_graph=True, allow_unused=True)
            gradient = self._gradients.setdefault(self.names[task], {})
            for index, part in zip(trained, parts, strict=True):
                if part is not None:
                    gradient[index] = gradient[index] + part if index in gradient else part.float()

    def write(self) -> Cosines:
        """Add the step's gradient to `.grad`: the sum over the tasks, with the conflicts taken out by `surgery`.

        Where nothing conflicts, that is the plain sum. Ends the step: returns its cosines between tasks (1 on the
        diagonal), those of tasks without a gradient left out, and counts them into the means.
        """
        gradients = {name: one for name, one in self._gradients.items() if any(part.any() for part in one.values())}
        self._gradients = {}
        names, rows = list(gradients), list(gradients.values())
        if not rows:
            return {}
        products = torch.tensor([[_product(one, other) for other in rows] for one in rows], dtype=torch.float64)
        lengths = products.diagonal().sqrt()
        cosines = (products / lengths[:, None] / lengths[None, :]).tolist()
        found = {one: dict(zip(names, row, strict=True)) for one, row in zip(names, cosines, strict=True)}
        self._count(found)
        for weight, row in zip(_weights(products, self.surgery).tolist(), rows, strict=True):
            for index, part in row.items():
                one, scaled = self.parameters[index], weight * part
                one.grad = scaled.to(one) if one.grad is None else one.grad + scaled.to(one)
        return found

    def means(self) -> Cosines:
        """Mean cosine of each pair over the steps in which both had a gradient."""
        return {
            one: {other: total / self._counts[one][other] for other, total in row.items()}
            for one, row in self._sums.items()
        }

    def suggestion(self) -> str:
        """What to train apart, by all that was measured so far; see `suggestion`."""
        return suggestion(self.means(), self._counts, self.tasks)

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "counts": self._counts}

    def restore(self, state: dict[str, Any]) -> None:
        self._sums, self._counts = state["sums"], state["counts"]

    def _count(self, cosines: Cosines) -> None:
        for one, row in cosines.items():
            sums, counts = self._sums.setdefault(one, {}), self._counts.setdefault(one, {})
            for other, cosine in row.items():
                sums[other] = sums.get(other, 0.0) + cosine
                counts[other] = counts.get(other, 0) + 1


def suggestion(cosines: Cosines, measurements: dict[str, dict[str, int]], tasks: list[str]) -> str:
    """What to train apart, from mean cosines and in how many steps each pair was measured.

    Tasks are put in groups by their mean cosine (average linkage on 1 - cosine); groups that are left apart conflict by
    more than `CONFLICT`. Pairs with fewer than `LEAST_MEASUREMENTS` count as neither.
    """

    def times(one: str, other: str) -> int:
        return measurements.get(one, {}).get(other, 0)

    def enough(one: str, other: str) -> bool:
        return times(one, other) >= LEAST_MEASUREMENTS

    known = [task for task in tasks if any(enough(task, other) for other in tasks if other != task)]
    if len(known) < 2:
        most = max((times(one, other) for one in tasks for other in tasks if one != other), default=0)
        return (
            f"Too little is measured to tell whether tasks conflict: at most {most} steps with two tasks, "
            f"{LEAST_MEASUREMENTS} are needed."
        )
    matrix = np.array(
        [[1.0 if a == b else cosines[a][b] if enough(a, b) else 0.0 for b in known] for a in known], dtype=float
    )
    tree = linkage(squareform(1 - matrix, checks=False), "average")
    labels = fcluster(tree, 1 - CONFLICT, criterion="distance")
    groups = sorted(([known[i] for i in np.flatnonzero(labels == label)] for label in set(labels)), key=len)
    sentences = []
    for index, group in enumerate(groups[:-1]):
        others = [task for later in groups[index + 1 :] for task in later]
        pairs = [(one, other) for one in group for other in others if enough(one, other)]
        mean = sum(cosines[one][other] for one, other in pairs) / len(pairs)
        least = min(times(one, other) for one, other in pairs)
        sentences.append(
            f"Train {', '.join(group)} apart from {', '.join(others)}: their gradients point apart "
            f"(mean cosine {mean:.2f} over {least} measurements)."
        )
    if not sentences:
        pairs = [(a, b) for i, a in enumerate(known) for b in known[i + 1 :] if enough(a, b)]
        one, other = min(pairs, key=lambda pair: cosines[pair[0]][pair[1]])
        sentences.append(
            f"No groups of tasks conflict: train them together (lowest mean cosine {cosines[one][other]:.2f}, {one} "
            f"and {other}, over {times(one, other)} measurements)."
        )
    against = [task for task in known if enough(task, "general") and cosines[task]["general"] < CONFLICT]
    if against:
        worst = min(cosines[task]["general"] for task in against)
        sentences.append(
            f"What is learnt on {', '.join(against)} goes against the general rows (mean cosine down to {worst:.2f}): "
            "watch what is forgotten."
        )
    return " ".join(sentences)


def _product(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> float:
    parts = [torch.dot(part.flatten(), other[index].flatten()) for index, part in one.items() if index in other]
    return float(torch.stack(parts).double().sum()) if parts else 0.0


class _NearestInCone(DualConeProjector):
    """UPGrad's quadratic programme, min v'Gv with v >= u, as non-negative least squares; torchjd's own solver needs
    two packages more."""

    def __call__(self, U: torch.Tensor, G: PSDMatrix) -> torch.Tensor:
        values, vectors = np.linalg.eigh(G.numpy())
        root = np.sqrt(values.clip(min=0))[:, None] * vectors.T  # root' root = G
        rows = [u + nnls(root, -root @ u)[0] for u in U.numpy()]
        return torch.as_tensor(np.array(rows), dtype=U.dtype)


def _weights(products: torch.Tensor, surgery: str) -> torch.Tensor:
    """(tasks,) by what each task's gradient is multiplied before they are summed, from their inner products."""
    ones = torch.ones(len(products), dtype=products.dtype)
    if surgery == "off" or len(products) == 1:
        return ones
    if surgery == "pcgrad":
        return PCGradWeighting()(products)
    # With a preference of 1 for each task the result is a sum, as PCGrad's; torchjd's default is the mean.
    return UPGradWeighting(ones, _NearestInCone())(products)
