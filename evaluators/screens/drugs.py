"""Names of drugs in a text, brand and generic, with the generic name that they stand for."""

from __future__ import annotations

import bz2
import pickle
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evaluators.rewording.substitution import table

_FOLDER = Path(__file__).resolve().parent
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'’]*(?:-[A-Za-z0-9]+)*")


class Drug(NamedTuple):
    """A drug as it stands in a text; `name` is generic and in lower case, or that of a class ("nsaid")."""

    name: str
    text: str
    start: int
    end: int


def find_drugs(text: str) -> list[Drug]:
    """Drugs and classes of drugs in a text, from left to right; the longer name where two begin alike.

    Names come from the public index of drug-named-entity-recognition (those that it marks as medicines patients are
    told about), the brands of `evaluators.rewording` and drugs.yaml. Misspelt names are not found, nor combinations by
    their brand but for those in drugs.yaml.
    """
    names, longest = _names(), _longest()
    found: list[Drug] = []
    words = list(_WORD.finditer(text))
    end = 0
    for number, word in enumerate(words):
        if word.start() < end or (first := _plain(word[0])) not in longest:
            continue
        for last in reversed(words[number : number + longest[first]]):
            shown = text[word.start() : last.end()]
            name = names.get(_plain(shown))
            if name and "\n" not in shown:
                found.append(Drug(name, shown, word.start(), last.end()))
                end = last.end()
                break
    return found


@cache
def classes_of(name: str) -> frozenset[str]:
    """The classes of drugs.yaml that a generic name belongs to; a class belongs to itself."""
    classes = tables()["classes"]
    return frozenset(kind for kind, one in classes.items() if name == kind or name in one["drugs"])


@cache
def tables() -> dict[str, Any]:
    """drugs.yaml."""
    return yaml.safe_load((_FOLDER / "drugs.yaml").read_text(encoding="utf-8"))


def _plain(text: str) -> str:
    return text.lower().replace("’", "'").removesuffix("'s")


@cache
def _longest() -> dict[str, int]:
    """The first words of names, and how many words the longest name has that begins so."""
    longest: dict[str, int] = {}
    for name in _names():
        words = _WORD.findall(name)
        if words:
            longest[_plain(words[0])] = max(len(words), longest.get(_plain(words[0]), 0))
    return longest


@cache
def _names() -> dict[str, str]:
    """Every name in lower case, and the generic name that it stands for."""
    own = tables()
    index = _index()
    data = index["drug_canonical_to_data"]

    def told_to_patients(generic: str) -> bool:
        known = data.get(generic, {})
        return "drugbank_id" in known and ("medline_plus_id" in known or "nhs_url" in known)

    names: dict[str, str] = {}
    for variant, generics in index["drug_variant_to_canonical"].items():
        generic = next((one for one in generics if told_to_patients(one) or one in own["also_drugs"]), None)
        if generic and len(variant) >= 5 and re.fullmatch(r"[a-z][a-z0-9'-]*(?: [a-z0-9'-]+)?", variant):
            names[variant] = generic
    for name, generic in list(names.items()):
        first, _, second = name.partition(" ")
        if second and first in names:  # "metoprolol succinate"
            names[name] = names[first]
        elif generic in own["also_called"]:
            names[name] = own["also_called"][generic]
    for brand, generic in _brands():
        names.setdefault(brand, names.get(generic, generic))
    names |= {name: name for name in own["also_drugs"]} | own["also_called"]
    for kind, one in own["classes"].items():
        names |= {drug: names.get(drug, drug) for drug in one["drugs"]}
        for called in one["called"]:
            names.setdefault(called, kind)
    return {name: generic for name, generic in names.items() if name not in own["not_drugs"]}


def _brands() -> Iterator[tuple[str, str]]:
    """Brands of one ingredient in the brand table, in lower case."""
    for terms in table("brand_generic").values():
        for term in terms:
            if term.text[0].isupper() and "/" not in term.others[0]:
                yield term.text.lower(), term.others[0].removesuffix(" sodium")


def _index() -> dict[str, Any]:
    # The package's file alone: importing the package builds indexes for misspelt names, 600 MB that nothing here needs.
    package = find_spec("drug_named_entity_recognition")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("drug-named-entity-recognition is not installed; run `make install`")
    packed = Path(package.submodule_search_locations[0], "drug_ner_dictionary.pkl.bz2").read_bytes()
    return pickle.loads(bz2.decompress(packed))
