"""Ways of rewriting a question by tables: synonyms, abbreviations, brand and generic names (lecture L3.9).

One term is replaced at a time, wherever it stands in the text. The tables beside this file hold no number, unit, dose,
negation or side, so that none of these can change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import yaml

from evaluators.rewording import wording
from evaluators.rewording.wording import Found, Lookup, Term

_FOLDER = Path(__file__).resolve().parent

TableWay = Literal["synonyms", "abbreviations", "brand_generic"]
TABLE_WAYS = get_args(TableWay)

# A generic name followed by its salt or form, or joined to another ingredient, is another product than the brand.
_SALT_OR_FORM = re.compile(
    r"[\s-]+(?:hydrochloride|hcl|sodium|potassium|calcium|magnesium|besylate|mesylate|maleate|tartrate|succinate|sul(?:f|ph)ate|"
    r"citrate|acetate|fumarate|bromide|phosphate|xr|er|sr|xl|cr|la|ir|dr|odt|hct|extended|sustained|controlled|delayed|"
    r"eye|ear|ophthalmic|otic|topical|nasal|inhal\w+|patch\w*|cream|gel|ointment|drops|spray|solution|suspension|injection|"
    r"intravenous|iv|depot|lozenge\w*)\b|\s*(?:[/+&-]|and\b|plus\b|with\b|combin\w+)",
    re.IGNORECASE,
)
_FORM_OR_JOINED_BEFORE = re.compile(
    r"(?:[/+&-]|\b(?:and|plus|with|topical|ophthalmic|otic|nasal|intranasal|inhaled|transdermal|liposomal|release))\s*$",
    re.IGNORECASE,
)
# "Tylenol PM", "Tylenol #3", "Tylenol 3", "Wellbutrin XL", "Tylenol with codeine": not the plain product
_ANOTHER_PRODUCT = re.compile(
    r"[\s-]*#|[\s-]+(?:No\.|with\b|plus\b|[A-Z]|[1-9]\b(?!\s*(?:mg|mcg|g|ml|tab|cap|x|times|\.)))"
)
# "medullary cystic kidney disease type 1", "small patella syndrome", "hypomagnesemia 6": names of their own
_LONGER_NAME = re.compile(
    r"\s+(?:syndrome|type|sign|score|scale|index|virus|vaccine|antigen|deficiency|\d{1,2}\s*(?:[?.,;)]|$))", re.I
)
_PLACE = re.compile(r"[A-Z][a-z]+, $")  # "Hartford, CT"


class Rewriting(NamedTuple):
    """A rewritten text, and what was done: "Tylenol → acetaminophen"."""

    text: str
    how: str


def rewritings(text: str, way: TableWay) -> Iterator[Rewriting]:
    """Every text that this way can make of `text` by replacing one term with one other, in the order of the terms.

    A term stays as it is where its counterpart stands in the text already ("hypertension (HTN)").
    """
    places: dict[Term, list[Found]] = {}
    for found in wording.find(text, table(way)):
        places.setdefault(found.term, []).append(found)
    for term, occurrences in places.items():
        if any(wording.has_term(text, other) for other in term.others):
            continue
        for new in term.others:
            fitting = [one for one in occurrences if wording.fits(text, one, new) and _fits_way(text, one, way)]
            if fitting:
                first = fitting[0]
                shown = wording.cased(text, first, new)
                yield Rewriting(wording.put(text, fitting, new), f"{text[first.start : first.end]} → {shown}")


@cache
def table(way: TableWay) -> Lookup:
    """The terms of a way, by first word."""
    terms = {"synonyms": _synonyms, "abbreviations": _abbreviations, "brand_generic": _brands}[way]
    return wording.lookup(terms())


def _synonyms() -> Iterator[Term]:
    content = _read("synonyms.yaml")
    for kind in ("count", "mass", "quality"):
        for group in content[kind]:
            ones = [form.split("|")[0] for form in group]
            forms = [ones] if kind != "count" else [ones, [_plural(form) for form in group]]
            for same in forms:
                for text in same:
                    yield Term(text, tuple(other for other in same if other != text), mass=kind == "mass")
    yield from (Term(phrase, ()) for phrase in content["fixed"])


def _abbreviations() -> Iterator[Term]:
    content = _read("abbreviations.yaml")
    for short, meaning in content["meanings"].items():
        one, _, many = meaning.partition("|")
        yield Term(short, (one,), exact=True)
        yield Term(one, (short,))
        if many:
            yield Term(f"{short}s", (many,), exact=True)
            yield Term(many, (f"{short}s",))
    yield from (Term(phrase, ()) for phrase in content["fixed"])


def _brands() -> Iterator[Term]:
    content = _read("brands.yaml")
    for brand, generic in content["one_to_one"].items():
        yield Term(brand, (generic,))
        yield Term(generic, (brand,))
    for brand, generic in content["to_generic"].items():
        yield Term(brand, (generic,))


@cache
def drug_names() -> frozenset[str]:
    """Names of single drugs in the brand table, in lower case: brands, and ingredients one by one."""
    content = _read("brands.yaml")
    pairs = [*content["one_to_one"].items(), *content["to_generic"].items()]
    ingredients = {name for _, generic in pairs for name in generic.split("/")}
    return frozenset(name.lower() for name in {brand for brand, _ in pairs} | ingredients)


def _fits_way(text: str, found: Found, way: TableWay) -> bool:
    before, after = wording.before_it(text, found), text[found.end :]
    if way == "brand_generic":
        if found.term.text[0].isupper():
            return _ANOTHER_PRODUCT.match(after) is None
        return not _SALT_OR_FORM.match(after) and not _FORM_OR_JOINED_BEFORE.search(before)
    if way == "synonyms":
        return _LONGER_NAME.match(after) is None
    if way == "abbreviations" and found.term.exact:
        line = text[: found.start].rpartition("\n")[2] + after.partition("\n")[0]
        # in a line of capitals an abbreviation cannot be told from a word
        return any(letter.islower() for letter in line) and not _PLACE.search(before)
    return True


def _plural(form: str) -> str:
    """The plural written after the bar, or by rule."""
    one, _, many = form.partition("|")
    if many:
        return many
    if re.search(r"[^aeiou]y$", one):
        return f"{one[:-1]}ies"
    return f"{one[:-2]}es" if one.endswith("sis") else f"{one}es" if re.search(r"(?:s|x|ch|sh)$", one) else f"{one}s"


def _read(name: str) -> dict:
    return yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
