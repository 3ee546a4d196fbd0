"""Adversarial cases from questions: the kinds there are, what each leaves as it is, and how cases are spread over them.

Lecture L3.5 (adversarial text) and L3.7 (protocol). No model is called, and the same seed gives the same cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from evaluators.attacks import ambiguity, demographics, insertions, ocr, paraphrase, reversals, style, tables, typos
from evaluators.cases import Item
from evaluators.rewording import eligibility, faithful

Generator = Callable[[Item, Random], Iterator[Item]]
"""Variants of an item (`Item.asking`), each with its `how`; none where the kind cannot apply."""


@dataclass(frozen=True)
class Kind:
    """A way of changing a question."""

    title: str
    why: str
    """Why the meaning stays, or why the answer has to change."""
    generate: Generator
    preserves: bool = True
    may_differ: tuple[str, ...] | None = ()
    """What `faithful.lost` may say of a variant of a kind that preserves; None: not compared, since the kind adds text
    that is not the asker's, or has compared word by word."""


KINDS: dict[str, Kind] = {
    "typos": Kind("Typos in medical terms", typos.WHY, typos.typos, may_differ=("drug",)),
    "ocr": Kind("Scanner's errors in medical terms", ocr.WHY, ocr.ocr, may_differ=None),
    "synonyms": Kind("Medical synonyms", tables.WHY_SYNONYMS, tables.synonyms),
    "abbreviations": Kind("Abbreviations", tables.WHY_ABBREVIATIONS, tables.abbreviations),
    "brand_generic": Kind(
        "Brand and generic names", tables.WHY_BRAND_GENERIC, tables.brand_generic, may_differ=("drug",)
    ),
    "paraphrase": Kind("Paraphrase", paraphrase.WHY, paraphrase.paraphrase),
    "style": Kind("Style: unsure, colloquial, capitals", style.WHY, style.style),
    "demographics": Kind("Demographics that must not matter", demographics.WHY, demographics.demographics),
    "irrelevant_context": Kind("Irrelevant context", insertions.WHY_IRRELEVANT, insertions.irrelevant_context),
    "injection": Kind("Prompt injection in the note", insertions.WHY_INJECTION, insertions.injection, may_differ=None),
    "clinical_demographics": Kind(
        "Demographics that must matter",
        demographics.WHY_CHANGES,
        demographics.clinical_demographics,
        preserves=False,
    ),
    "doses": Kind("Doses ten times as large", reversals.WHY_DOSES, reversals.doses, preserves=False),
    "negations": Kind("Negations flipped", reversals.WHY_NEGATIONS, reversals.negations, preserves=False),
    "ambiguity": Kind("Without the decisive detail", ambiguity.WHY, ambiguity.ambiguity, preserves=False),
}
PRESERVING = tuple(name for name, kind in KINDS.items() if kind.preserves)
"""The answer has to stay."""
EXPECTED_CHANGE = ("clinical_demographics", "doses", "negations")
"""The answer has to become another one."""


def variants(item: Item, kind: str, draw: Random, rewrite: paraphrase.Rewrite | None = None) -> Iterator[Item]:
    """Variants of one item by one kind; `group` is the kind, `id` the item's with kind and number.

    None for questions in other languages than English. With `rewrite`, `paraphrase` asks that model too. A variant of a
    kind that preserves is dropped where a number, unit, time, side, negation, drug or placeholder did not survive.
    """
    if not eligibility.is_english(item.question):
        return
    chosen = KINDS[kind]
    generate = partial(paraphrase.paraphrase, rewrite=rewrite) if kind == "paraphrase" else chosen.generate
    number = 0
    for variant in generate(item, draw):
        if variant.question == item.question:
            continue
        if chosen.preserves and chosen.may_differ is not None:
            lost = faithful.lost(item.question, variant.question)
            if any(not loss.startswith(chosen.may_differ) for loss in lost):
                continue
        number += 1
        yield variant.model_copy(update={"id": f"{item.id}/{kind}-{number}", "group": kind})


def make_cases(
    items: Sequence[Item],
    kinds: Sequence[str] = PRESERVING,
    per_item: int = 10,
    seed: int = 0,
    rewrite: paraphrase.Rewrite | None = None,
) -> list[Item]:
    """Up to `per_item` variants of each item, spread over `kinds` as evenly as the items allow.

    No two are the same text, and none is the text of an item. Where a kind cannot apply, the others make up for it; an
    item that nothing applies to gives none. Raises `ValueError` for a kind that is not known, and for an item that is
    a variant itself.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"there is no kind of attack called {kind!r}; there are {', '.join(KINDS)}")
    for item in items:
        if item.how:
            raise ValueError(f"item {item.id} is a variant already ({item.how}); make cases from source questions")
    made: list[Item] = []
    counts = dict.fromkeys(kinds, 0)
    texts = {item.question for item in items}
    for item in items:
        left = {kind: variants(item, kind, Random(f"{seed}/{item.id}/{kind}"), rewrite) for kind in kinds}
        wanted = per_item
        while wanted and left:
            # each kind once before any has a second turn for this item, the one with fewest cases first
            for kind in sorted(left, key=lambda kind: counts[kind])[:wanted]:
                variant = next((one for one in left[kind] if one.question not in texts), None)
                if variant is None:
                    del left[kind]
                    continue
                texts.add(variant.question)
                made.append(variant)
                counts[kind] += 1
                wanted -= 1
    return made
