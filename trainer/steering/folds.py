"""Validation by training again and again, each time without some rows, for data that is small (lecture L3.3).

With 5 to 100 rows a single validation side is a handful of rows, and its loss says more about which ones they are than
about the model. Here every row is held back once, and the spread is told beside the mean.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trainer.atomic import write_atomically
from trainer.data import prepare, splits
from trainer.data.near_duplicates import Signatures
from trainer.data.records import DataError
from trainer.data.rows import Row, question_and_answer
from trainer.data.tokenised import Prepared
from trainer.sections import RunConfig

if TYPE_CHECKING:
    import numpy as np

MOST_LEFT_OUT = 100
"""Rows up to which leave-one-out is worth its time (lecture L3.3: 5-100 examples); it trains once for each."""
FILE = "folds.json"


@dataclass
class Fold:
    """Which rows are trained on and which are measured on: numbers in the training rows followed by the validation
    rows of a `Prepared`."""

    train: list[int]
    validation: list[int]


class FoldSummary(BaseModel):
    """Losses of `n` folds (nats a token): mean, standard deviation, the mean's 95 % interval, and the worst fold's."""

    mean: float
    sd: float
    low: float
    high: float
    n: int
    worst: float


def divide(run: RunConfig, prepared: Prepared) -> list[Fold]:
    """The folds of a run, by `evaluation.validation` (k_fold or leave_one_out), `evaluation.folds` and the seed.

    Over the run's own rows, those for training and those for validation together; general rows are always trained on.
    Rows of one patient or document, near-duplicates, repeats of a row and what was rewritten from it are never on two
    sides, and only a row as it was read is measured on, once. k_fold: each task is spread evenly over the folds.

    Raises `DataError` where the rows are too few, or too many for leave_one_out.
    """
    data = prepare.prepare(run)
    own: list[Row] = []
    places: list[int] = []
    tasks: list[int] = []
    for side, tokens, before in (
        ("train", prepared.train, 0),
        ("validation", prepared.validation, len(prepared.train)),
    ):
        numbers, general, task = (tokens[column][:] for column in ("row", "general", "task"))
        wanted = {number: place for place, number in enumerate(numbers) if not general[place]}
        for number, row in enumerate(data.rows(side)):
            if (place := wanted.get(number)) is not None:
                own.append(row)
                places.append(before + place)
                tasks.append(task[place])
    as_read = _as_read(own)
    groups = groups_of(own)
    evaluation = run.evaluation
    if evaluation.validation == "leave_one_out":
        if (rows := sum(as_read)) > MOST_LEFT_OUT:
            raise DataError(
                f"evaluation.validation: leave_one_out trains once for each of {rows:,} rows, and above "
                f"{MOST_LEFT_OUT} that tells little more than a few folds; set it to k_fold, or to split."
            )
        fold_of = groups
    else:
        fold_of = spread(groups, tasks, evaluation.folds, run.schedule.seed)
    always = [place for place, general in enumerate(prepared.train["general"][:]) if general]
    folds = []
    for number in range(int(fold_of.max()) + 1):
        inside = (fold_of == number).tolist()
        trained = [place for place, held_back in zip(places, inside, strict=True) if not held_back]
        measured = [
            place for place, held_back, whole in zip(places, inside, as_read, strict=True) if held_back and whole
        ]
        # Nothing but rewritten rows: the row that they came from could not be used.
        if measured:
            folds.append(Fold(sorted(trained + always), measured))
    if len(folds) < 2:
        raise DataError(
            f"evaluation.validation: the {len(own):,} rows belong together (one patient or document, or "
            "near-duplicates) and cannot be divided; add rows of another, or set it to split."
        )
    return folds


def in_fold(prepared: Prepared, fold: Fold) -> Prepared:
    """The same rows with a fold's sides; the manifest stays that of them all."""
    from datasets import concatenate_datasets

    together = concatenate_datasets([prepared.train, prepared.validation])
    return dataclasses.replace(prepared, train=together.select(fold.train), validation=together.select(fold.validation))


def groups_of(rows: Sequence[Row]) -> np.ndarray:
    """Which rows belong together, (rows,) of int64: by patient or document, near-duplicates (as
    `trainer.data.near_duplicates` estimates them), and the row that they repeat or were rewritten from."""
    signatures = Signatures()
    patients: list[str | None] = []
    sources: list[str | None] = []
    for row in rows:
        about = row.get("about", {})
        patients.append(about.get("patient"))
        origin = about.get("origin")
        sources.append(origin["row"] if origin else about.get("id"))
        signatures.add(question_and_answer(row))
    return splits.merge_groups(sources, splits.merge_groups(patients, signatures.groups()))


def spread(groups: np.ndarray, tasks: Sequence[int], k: int, seed: int) -> np.ndarray:
    """The fold of each row, (rows,) of int64: whole groups, large ones first, each to the fold that has least of its
    task (the one that most of its rows have), and of those the smallest.

    Raises `DataError` where there are fewer groups than folds.
    """
    import numpy as np

    sizes = np.bincount(groups)
    if len(sizes) < k:
        what = "rows" if len(sizes) == len(groups) else "groups of rows that belong together"
        raise DataError(
            f"evaluation.folds: {k} folds were asked for, and the data is {len(sizes)} {what}; set it to "
            f"{max(2, len(sizes))} or less, or add rows."
        )
    task_of = [statistics.mode(np.asarray(tasks)[groups == group].tolist()) for group in range(len(sizes))]
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    fold_of = np.zeros(len(sizes), np.int64)
    filled = np.zeros(k, np.int64)
    by_task = {task: np.zeros(k, np.int64) for task in set(task_of)}
    for group in sorted(range(len(sizes)), key=lambda group: (-sizes[group], drawn[group])):
        mine = by_task[task_of[group]]
        fold = min(range(k), key=lambda fold: (mine[fold], filled[fold], fold))
        fold_of[group] = fold
        mine[fold] += sizes[group]
        filled[fold] += sizes[group]
    return fold_of[groups]


def measure_all(
    folder: Path, folds: Sequence[Fold], measure: Callable[[int, Fold], float], tell: Callable[[int, float], None]
) -> FoldSummary:
    """Measure each fold by `measure(number, fold)`, its loss in nats, tell it, and sum them up.

    `folder` is the run's: losses that stand in its `folds.json` are not measured again, nor told.
    """
    path = folder / FILE
    losses: list[float] = json.loads(path.read_text()) if path.exists() else []
    for number in range(len(losses), len(folds)):
        losses.append(measure(number, folds[number]))
        write_atomically(path, json.dumps(losses))
        tell(number, losses[-1])
    return summary(losses)


def summary(losses: Sequence[float]) -> FoldSummary:
    """Mean and spread of the folds' losses, each fold counting the same, with Student's t interval of the mean.

    The folds share most of their training rows, so that the interval is a rough guide and tends to be too narrow: no
    unbiased estimate of this variance exists (Bengio & Grandvalet 2004). Raises `ValueError` for fewer than two.
    """
    from scipy import stats

    n = len(losses)
    if n < 2:
        raise ValueError(f"{n} folds have no spread")
    mean, sd = statistics.fmean(losses), statistics.stdev(losses)
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return FoldSummary(mean=mean, sd=sd, low=mean - half, high=mean + half, n=n, worst=max(losses))


def _as_read(rows: Sequence[Row]) -> list[bool]:
    """Whether a row is one that was read, for the first time: neither rewritten from another nor a repeat."""
    seen: set[str] = set()
    whole = []
    for row in rows:
        about = row.get("about", {})
        identity = about.get("id", "")
        whole.append("origin" not in about and identity not in seen)
        seen.add(identity)
    return whole
