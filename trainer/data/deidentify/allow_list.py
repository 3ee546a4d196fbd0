"""What looks like a name or a place in a clinical text and is none: drugs, eponyms, abbreviations, tests, organisms."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# Endings of drugs and of the words of disease and anatomy that no list holds all of (WHO's stems for drugs' names).
_ENDINGS = re.compile(
    r"(?:itis|emia|aemia|oma|omas|osis|oses|opathy|ectomy|otomy|ostomy|oscopy|plasty|algia|uria|pnea|plegia|paresis|trophy|genic|"
    r"cillin|mycin|micin|cycline|floxacin|azole|statin|sartan|pril|prazole|olol|dipine|azepam|zolam|triptyline|oxetine|"
    r"ipramine|tidine|setron|triptan|gliptin|gliflozin|glutide|mab|nib|vir|vudine|parin|xaban|grel|thiazide|semide|lukast|"
    r"terol|sone|solone|dronate|caine|barbital|profen|coxib|phylline|platin|rubicin|taxel|tinib|zumab|ximab)s?$",
    re.IGNORECASE,
)


@cache
def _table() -> dict[str, frozenset[str]]:
    import yaml

    listed = yaml.safe_load(Path(__file__).with_name("clinical_terms.yaml").read_text(encoding="utf-8"))
    return {name: frozenset(word.lower() for word in text.split()) for name, text in listed.items()}


@cache
def _drugs() -> frozenset[str]:
    """Names of drugs, generic and brand, and the single words of longer ones."""
    from evaluators.rewording.drug_index import every_name

    names = every_name()
    return frozenset(names | {word for name in names for word in name.split() if len(word) > 4})


def is_clinical(word: str) -> bool:
    """Is this word a clinical one: listed, a drug, or with the ending of one? A possessive 's does not matter."""
    plain = re.sub(r"['’]s?$", "", word.lower()).strip(".,")
    table = _table()
    if any(plain in table[name] for name in ("abbreviations", "terms", "words", "eponyms")):
        return True
    return is_drug(plain) or (len(plain) > 5 and _ENDINGS.search(plain) is not None)


def is_eponym(word: str) -> bool:
    """Is it a name in the name of a disease, a sign or a tool? Those are people's names too."""
    return re.sub(r"['’]s?$", "", word.lower()) in _table()["eponyms"]


def is_drug(word: str) -> bool:
    """Is it a drug's name? Names of people that some drug list holds as well ("Christina") do not count."""
    from trainer.data.deidentify import lexicon

    plain = word.lower()
    return plain in _drugs() and plain not in lexicon.first_names() and plain not in lexicon.last_names()


def is_listed(word: str) -> bool:
    """Is it an abbreviation, a test, an organism, a product: a word that is never a part of a person's full name?"""
    plain = re.sub(r"['’]s?$", "", word.lower()).strip(".,")
    return any(plain in _table()[name] for name in ("abbreviations", "terms", "words"))


def heads_eponym(word: str) -> bool:
    """Does this word, standing after a name, make a disease, a sign or a tool of it: "Hodgkin lymphoma"?"""
    return word.lower().strip(".,;") in _table()["eponym_heads"]
