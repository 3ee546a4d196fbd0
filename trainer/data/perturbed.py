"""Training rows with a disturbed question and the same answer, as training data against attacks (lecture L3.5, L3.9).

The question is disturbed by the generators that attack a model when it is evaluated (`evaluators.attacks`), those alone
that keep its meaning; so the answer stays right, and is kept to the letter. Each disturbed row joins its clean one and
does not replace it: nothing that was given is lost, and what an equal number of other rows would have done can be
measured (`bench/robustness.py`). A row is left alone where the disturbance could make its answer wrong:

- the question is about words ("What does HTN stand for?"), or not in English;
- the disturbance exchanges words (synonyms, abbreviations, brand_generic, paraphrase), and the answer takes words from
  the question: then none that it has may go or come, as in augmentation.

A misspelt drug whose answer spells it right is what is wanted: the model is to read over the mistake.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, Field

from evaluators.attacks.cases import KINDS, variants
from evaluators.cases import Item
from evaluators.rewording import eligibility
from trainer.data.augmentation import cites, new_row, touches_answer
from trainer.data.rows import Origin, Row, answer, question, row_id

_EXCHANGING = ("synonyms", "abbreviations", "brand_generic", "paraphrase")


class Counts(BaseModel):
    """What `perturbed_rows` did, filled while its rows are taken."""

    wanted: float = 0.0
    by_kind: dict[str, int] = Field(default_factory=dict)
    """Disturbed rows."""

    @property
    def added(self) -> int:
        return sum(self.by_kind.values())

    def notes(self) -> list[str]:
        """What a reader should be told: too few rows, a kind that did nothing."""
        said = []
        if self.added < 0.9 * self.wanted:
            said.append(
                f"{self.added:,} rows were disturbed where {self.wanted:,.0f} were asked for: the others have nothing "
                "that these kinds can disturb without touching what their answer rests on."
            )
        return said + [f"The kind {kind} disturbed no row." for kind, count in self.by_kind.items() if not count]


def perturbed_rows(rows: Iterable[Row], kinds: Sequence[str], share: float, seed: int, counts: Counts) -> Iterator[Row]:
    """The rows to be added to `rows`, so that they are about `share` of all, spread evenly over rows and kinds.

    Rows are taken one at a time. Where a row cannot be disturbed, the next ones make up for it, each with at most twice
    its share. A row that stands twice is disturbed twice, in different ways. `about.origin` names the row that was
    read, the kind with the change, and the clean question. Raises `ValueError` for a kind that does not keep the
    meaning.
    """
    if changing := [kind for kind in kinds if not KINDS[kind].preserves]:
        raise ValueError(f"{', '.join(changing)}: the answer to such a question is another one, or not known")
    each = share / (1 - share)
    most = math.ceil(2 * each)
    counts.by_kind |= {kind: counts.by_kind.get(kind, 0) for kind in kinds}
    owed = 0
    for number, row in enumerate(rows):
        draw = random.Random(f"{seed}/perturb/{number}/{row_id(row)}")
        counts.wanted += each
        owed += int(each) + (draw.random() < each % 1)
        used = {question(row)}
        for _ in range(min(owed, most)):
            for kind in sorted(kinds, key=lambda kind: counts.by_kind[kind]):
                made = _disturbed(row, kind, draw, used)
                if made is not None:
                    used.add(question(made))
                    counts.by_kind[kind] += 1
                    owed -= 1
                    yield made
                    break
            else:
                break


def clean_twin(row: Row) -> Row | None:
    """A disturbed row with its question as it was; None for every other row."""
    about = row.get("about", {})
    clean = about["origin"].get("clean") if "origin" in about else None
    return None if clean is None else new_row(row, clean, "clean")


def _disturbed(row: Row, kind: str, draw: random.Random, used: set[str]) -> Row | None:
    about = row.get("about", {})
    prompt = row.get("prompt") or []
    if not prompt or prompt[-1]["role"] != "user":
        return None
    text = question(row)
    if eligibility.about_words(text) or not eligibility.is_english(text, about.get("language", "")):
        return None
    item = Item(id=about.get("id", ""), prompt=prompt, reference=answer(row))
    strict = kind in _EXCHANGING and cites(row)
    for variant in variants(item, kind, draw):
        if variant.question in used or (strict and touches_answer(row, text, variant.question)):
            continue
        made = new_row(row, variant.question, variant.how)
        # Of a rewritten row that is disturbed, the row that was read: what belongs together is told by it.
        read = about["origin"]["row"] if "origin" in about else made["about"]["origin"]["row"]  # pyright: ignore
        made["about"]["origin"] = Origin(row=read, how=variant.how, clean=text)  # pyright: ignore
        return made
    return None
