"""Names of drugs: the public index that the package `drug-named-entity-recognition` carries."""

from __future__ import annotations

import bz2
import importlib.util
import pickle
import re
from functools import cache
from pathlib import Path
from typing import Any


def drug_table() -> dict[str, Any]:
    """The package's table: variants to generic names, and data on each generic name.

    Raises `ModuleNotFoundError` where the package is not installed.
    """
    spec = importlib.util.find_spec("drug_named_entity_recognition")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "Install drug-named-entity-recognition first (`make install`); it holds the drug names."
        )
    # The file alone: importing the package would open caches in the user's home folder.
    with bz2.open(Path(spec.submodule_search_locations[0]) / "drug_ner_dictionary.pkl.bz2") as content:
        return pickle.load(content)


def common_drugs(table: dict[str, Any]) -> list[str]:
    """Generic names of one word that two public drug indexes list, in alphabetical order."""
    return sorted(
        name
        for name, data in table["drug_canonical_to_data"].items()
        if "medline_plus_id" in data and "drugbank_id" in data and re.fullmatch("[a-z]{5,14}", name)
    )


def every_name() -> frozenset[str]:
    """Every name of the index in lower case: generic, brand, chemical and code names, about 107,000."""
    return _names()[0]


def common_names() -> frozenset[str]:
    """The names of `common_drugs`."""
    return _names()[1]


@cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """All names and the common ones, from one reading of the table, which takes half a second."""
    table = drug_table()
    return frozenset(str(name).lower() for name in table["drug_variant_to_canonical"]), frozenset(common_drugs(table))
