"""Names of conditions, symptoms and procedures in a text, with other words for the same thing taken as one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evaluators.rewording import substitution, wording

_TABLE = Path(__file__).resolve().parent / "conditions.yaml"


class Condition(NamedTuple):
    """A condition as it stands in a text; `name` is the same for all words of one thing."""

    name: str
    text: str
    start: int
    end: int


def find_conditions(text: str) -> list[Condition]:
    """Conditions, symptoms, procedures and parts of the body in a text, left to right, the longest name at each place.

    Known are those of conditions.yaml and of the synonyms and abbreviations in `evaluators.rewording`. "Chest pain" and
    "pain in my chest" have one name; a narrower one ("unstable angina") is found as the wider if at all.
    """
    names = _names()
    return [
        Condition(names[key], text[found.start : found.end], found.start, found.end)
        for found in wording.find(text, _lookup())
        if (key := found.term.text if found.term.exact else found.term.text.lower()) in names
    ]


def told_of(text: str) -> frozenset[str]:
    """Names of the conditions that a text speaks of, also without their name ("we drink wine": alcohol use)."""
    lower = f" {re.sub(r'[^a-z]+', ' ', text.lower())} "
    hinted: set[str] = {
        _names().get(name) or name
        for name, words in table()["told_by"].items()
        if any(f" {word.lower()} " in lower for word in words)
    }
    return frozenset(hinted | {condition.name for condition in find_conditions(text)})


@cache
def table() -> dict[str, Any]:
    """conditions.yaml."""
    return yaml.safe_load(_TABLE.read_text(encoding="utf-8"))


@cache
def beginnings_of(name: str) -> tuple[frozenset[str], ...]:
    """For each way of saying a condition, how its longer words begin: {"diabe"}, {"hypertens"}, {"heart", "attac"}."""
    return tuple(
        frozenset(word[: max(5, math.ceil(0.6 * len(word)))] for word in re.findall(r"[a-z]{4,}", form.lower()))
        for form, one in _names().items()
        if one == name and re.search(r"[a-z]{4}", form)
    )


@cache
def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    for group in _groups():
        same = (form for one in group for form in (one, one.removesuffix("s")))
        known = next((names[form] for form in same if form in names), group[0])
        for form in group:
            names.setdefault(form, known)
    others = table()["others"]
    return {form: name for form, name in names.items() if form not in others and name not in others}


@cache
def _lookup() -> wording.Lookup:
    fixed = [
        term for way in ("synonyms", "abbreviations") for terms in substitution.table(way).values() for term in terms
    ]
    terms = {form: wording.Term(form, (), exact=_spelt_exactly(form)) for form in _names()}
    # names of other things in which these words stand, left alone
    terms = {term.text: term for term in fixed if not term.others} | terms
    return wording.lookup(terms.values())


def _groups() -> Iterator[list[str]]:
    for name, others in table()["names"].items():
        yield [form if _spelt_exactly(form) else form.lower() for form in (name, *others)]
    terms = [
        term for way in ("synonyms", "abbreviations") for same in substitution.table(way).values() for term in same
    ]
    for term in sorted(terms, key=lambda term: len(term.text)):  # one kidney stone before several
        if term.others:
            yield [form if _spelt_exactly(form) else form.lower() for form in (term.text, *term.others)]


def _spelt_exactly(form: str) -> bool:
    """An abbreviation: MS is not ms."""
    return len(re.findall("[A-Z]", form)) > 1 and " " not in form
