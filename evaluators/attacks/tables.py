"""A term said otherwise by the rewording tables: synonyms, abbreviations, brand and generic names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

from evaluators.attacks.terms import cited_texts
from evaluators.cases import Item
from evaluators.rewording import eligibility
from evaluators.rewording.substitution import TableWay, rewritings

WHY_SYNONYMS = "Both words of a pair mean the same in either direction, by a table that was read through."
WHY_ABBREVIATIONS = "The abbreviations have one meaning in clinical English; those that need a context are left out."
WHY_BRAND_GENERIC = "The brand holds this one ingredient, or the generic name is written for the brand."


def _by_table(item: Item, draw: Random, way: TableWay) -> Iterator[Item]:
    """Variants with one term replaced; none that takes away a word that a short answer or option has."""
    text = item.question
    if eligibility.about_words(text) or (way == "brand_generic" and eligibility.about_drug_names(text)):
        return
    answers = " ".join(cited_texts(item))
    made = list(rewritings(text, way))
    for rewriting in draw.sample(made, len(made)):
        if not eligibility.touches(text, rewriting.text, answers):
            yield item.asking(rewriting.text, how=f"{way}: {rewriting.how}")


synonyms = partial(_by_table, way="synonyms")
abbreviations = partial(_by_table, way="abbreviations")
brand_generic = partial(_by_table, way="brand_generic")
