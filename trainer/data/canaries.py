"""Planted canaries: invented records among the training rows, by which one sees whether a model gives rows back.

They are made from `data.canaries` and the run's seed alone, so that the very same ones, and as many that were never
planted, can be made again from the run file after training (`evaluators/memorisation.py`).
"""

from __future__ import annotations

from pathlib import Path

from evaluators.cases import Item
from evaluators.memorisation import CONTROL, PLANTED, Canary, make_canaries
from trainer.data import manifest, row_files
from trainer.data.rows import About, Message, Origin, Row, row_id
from trainer.sections import RunConfig

SOURCE = "canaries"
"""What stands as the source of a planted row."""
_HOW = "planted canary"


def plant(run: RunConfig, train: Path, rows: int, steps: list[manifest.Step]) -> int:
    """Add the run's canaries to the training side; returns how many."""
    count = run.data.canaries
    if not count:
        return 0
    planted = make_canaries(count, run.schedule.seed)
    row_files.write(train, (_row(one, number) for number, one in enumerate(planted, 1)), append=True)
    detail = "invented records with a random number each, to measure afterwards whether the model gives them back"
    steps.append(manifest.Step(name="canaries", rows_before=rows, rows_after=rows + count, detail=detail))
    return count


def canary_items(run: RunConfig) -> list[Item]:
    """What a model is asked about the run's canaries: those that were planted, then as many controls that were not.

    The item's `reference` is the secret; `group` says which of the two it is. Empty where the run plants none.
    """
    count = run.data.canaries
    return [
        Item(
            id=f"canary-{number:03}",
            group=PLANTED if number <= count else CONTROL,
            prompt=_prompt(one),
            reference=one.secret,
        )
        for number, one in enumerate(make_canaries(2 * count, run.schedule.seed), 1)
    ]


def _prompt(canary: Canary) -> list[Message]:
    return [Message(role="user", content=canary.prompt)]


def _row(canary: Canary, number: int) -> Row:
    row = Row(prompt=_prompt(canary), completion=[Message(role="assistant", content=canary.secret)])
    identity = row_id(row)
    # No task: weights of tasks leave it alone. The origin says that it was not read: folds never measure on it.
    row["about"] = About(
        id=identity,
        source=SOURCE,
        place=f"canary {number}",
        language="en",
        level="facts",
        origin=Origin(row=identity, how=_HOW),
    )
    return row
