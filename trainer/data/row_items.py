"""A run's own rows as questions to its model: does it give long runs of what it was trained on back?"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal

from evaluators.cases import Item
from evaluators.memorisation import HELD_OUT, LONG_COPY, TRAINED
from trainer.data.canaries import SOURCE
from trainer.data.rows import Row, answer


def row_items(trained: Iterable[Row], held_out: Iterable[Row], count: int, seed: int) -> list[Item]:
    """At most `count` rows that were trained on and as many that were held back, drawn with `seed`.

    Rows that ask and whose answer has `LONG_COPY` words or more, each once; the others cannot show a long copy. The
    held-back ones are the control: what follows from the form of the answers alone. Planted canaries are left out.
    """
    return _drawn(trained, TRAINED, count, seed) + _drawn(held_out, HELD_OUT, count, seed)


def _drawn(rows: Iterable[Row], group: Literal["trained", "held out"], count: int, seed: int) -> list[Item]:
    fit: dict[str, Row] = {}
    for row in rows:
        about = row.get("about", {})
        if row.get("prompt") and about.get("source") != SOURCE and len(answer(row).split()) >= LONG_COPY:
            fit.setdefault(about.get("id", ""), row)
    chosen = random.Random(f"{seed}/{group} rows").sample(sorted(fit), min(count, len(fit)))
    return [
        Item(id=f"{group}-{one}", source=one, group=group, prompt=fit[one]["prompt"], reference=answer(fit[one]))
        for one in chosen
    ]
