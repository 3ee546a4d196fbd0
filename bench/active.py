"""What active learning saves: labels that are needed for equal quality, against choosing by chance (lecture L3.8).

    python bench/active.py [--seeds 17 18 19 20 21] [--tasks rare even] [--only STRATEGIES] [--out FILE]

The embedded model learns how often a drug is to be given, as one of nine words, from written orders. It begins with
`LABELS[0]` labelled orders, drawn by chance and the same for every strategy of a seed; each strategy then chooses from
a pool of `POOL` which orders are labelled next, by the model that it has tuned on its labels so far, and the adapter is
tuned anew on all of them. Quality is the share of right answers to 180 other orders with other drugs, as many of each
class.

- rare: most orders of the pool are of one class, and 2 % are of each other one;
- even: as many of each class.

It is LoRA on the last `LAYERS` layers, so that what lies below them has to be read once for all trainings; the bench
checks that this changes no logit. The scores and the choice are those of `trainer.review.selection`. A committee is
`MEMBERS` adapters that begin with other weights. Every curve that is finished stands in `--out` (bench/active.jsonl in
the home) and is not made again.

The first table is quality by number of labels, the mean over the seeds. The second gives how many labels each strategy
needs to be as good as chance is with 35, 55 and 80 labels, read from the mean curves; the last of them as a share of
what chance needs, with a 95 % interval by resampling the seeds (narrow where they are few); and the quality over the
whole curve (mean of its points) less that of chance with the same seed, with its 95 % interval by Student's t.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from active_learner import POOL, Learner, Read, orders
from active_tables import Curve, Task, print_tables
from methods import begin, finished, keep

from trainer import config
from trainer.review import selection
from trainer.review.selection import Chosen, Strategy

if TYPE_CHECKING:
    import numpy as np

STRATEGIES: list[Strategy] = ["random", "uncertainty", "margin", "diversity", "committee", "mixed"]
"""Likelihood orders the answers of one word nearly as margin does; it can be asked for by --only."""
LABELS = [10, 20, 35, 55, 80]
MEMBERS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="Labels that active learning saves, against choosing by chance.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19, 20, 21])
    parser.add_argument("--tasks", nargs="+", choices=get_args(Task), default=list(get_args(Task)))
    parser.add_argument("--only", nargs="+", choices=get_args(Strategy), default=STRATEGIES)
    parser.add_argument("--out", type=Path, default=config.home() / "bench" / "active.jsonl")
    arguments = parser.parse_args()
    out = begin(arguments.out)
    wanted = [
        (task, strategy, seed) for seed in arguments.seeds for task in arguments.tasks for strategy in arguments.only
    ]
    missing = set(wanted) - {(row.task, row.strategy, row.seed) for row in finished(out, Curve)}
    learner = Learner() if missing else None
    for task, strategy, seed in wanted:
        if learner is None or (task, strategy, seed) not in missing:
            continue
        row = learn(learner, task, strategy, seed)
        keep(out, row)
        last = f"{100 * row.right[-1]:.0f} % with {row.labels[-1]} labels"
        print(f"{task}, {strategy}, seed {seed}: {last}, {row.minutes:.1f} min", file=sys.stderr, flush=True)
    rows = [row for row in finished(out, Curve) if (row.task, row.strategy, row.seed) in wanted]
    for task in arguments.tasks:
        print_tables(task, [row for row in rows if row.task == task])
    return 0


def learn(learner: Learner, task: Task, strategy: Strategy, seed: int) -> Curve:
    """Choose, label, tune and measure until there are as many labels as `LABELS` ends with."""
    import torch

    from evaluators.overlap import embed

    began = time.monotonic()
    pool, test = orders(task, seed)
    read = _read_once(learner, task, seed)
    labels = [one.label for one in (*pool, *test)]
    tested = list(range(POOL, len(labels)))
    points = embed([one.text for one in pool]) if strategy in ("diversity", "mixed") else None
    labelled = random.Random(seed).sample(range(POOL), LABELS[0])
    right: list[float] = []
    classes: list[int] = []
    for number, count in enumerate(LABELS):
        left = sorted(set(range(POOL)) - set(labelled))
        if number:
            wanted = count - len(labelled)
            chosen = _chosen(learner, strategy, read, labels, labelled, left, wanted, points, seed)
            labelled += [left[one.place] for one in chosen]
        learner.train(read, labels, labelled, seed)
        found = learner.scores(read, tested).argmax(-1)
        right.append(float((found == torch.tensor([labels[one] for one in tested])).float().mean()))
        classes.append(len({labels[one] for one in labelled}))
    minutes = (time.monotonic() - began) / 60
    return Curve(task=task, strategy=strategy, seed=seed, labels=LABELS, right=right, classes=classes, minutes=minutes)


@lru_cache(maxsize=1)
def _read_once(learner: Learner, task: Task, seed: int) -> Read:
    pool, test = orders(task, seed)
    return learner.read([one.text for one in (*pool, *test)])


def _chosen(
    learner: Learner,
    strategy: Strategy,
    read: Read,
    labels: Sequence[int],
    labelled: Sequence[int],
    left: Sequence[int],
    count: int,
    points: np.ndarray | None,
    seed: int,
) -> list[Chosen]:
    """Places in `left` of the orders to label next, as `trainer.review.selection` chooses them."""
    import numpy as np

    from evaluators.committee import disagreement
    from evaluators.uncertainty import Uncertainty, of_logits

    if strategy == "random":
        return [Chosen(one, "by chance") for one in random.Random(seed + len(labelled)).sample(range(len(left)), count)]
    if strategy == "diversity":
        assert points is not None
        return selection.least_alike(points[left], count, points[labelled])
    found = learner.scores(read, left)
    if strategy == "committee":
        members = [found]
        for member in range(1, MEMBERS):
            learner.train(read, labels, labelled, seed + 1000 * member)
            members.append(learner.scores(read, left))
        shares = np.stack([one.double().softmax(-1).numpy() for one in members])
        votes = shares.argmax(-1)
        disputes = [disagreement(shares[:, [one]], votes[:, [one]]) for one in range(len(left))]
        return selection.most_disputed(disputes, count)
    unsure = [Uncertainty(entropy, margin, best, 1) for entropy, margin, best in of_logits(found).tolist()]
    if strategy == "mixed":
        assert points is not None
        return selection.least_sure_and_alike(unsure, points[left], count, points[labelled])
    return selection.least_sure(unsure, count, strategy)


if __name__ == "__main__":
    sys.exit(main())
