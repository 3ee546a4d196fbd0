"""Medical words of a question that may be misspelt, and what a misspelling must not turn them into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from random import Random

from evaluators.attacks.passages import Span
from evaluators.cases import Item
from evaluators.rewording import drug_index, faithful, substitution, wording

LONG = 9
"""Letters: a word this long is taken for a term; shorter ones only where a table or the drug index has them."""
_SHORT = 5
_WORD = re.compile(r"(?<![\w'’/@#.-])[A-Za-z]{5,}(?![\w@/])(?!['’]\w)(?!-\d)")
# What decides between two opposite or related terms is left as it is: hypo- and hyper-, -ectomy and -ostomy.
_PREFIX = re.compile(
    r"hyper|hypo|brady|tachy|anti|ante|inter|intra|infra|supra|super|sub|oligo|poly|macro|micro|leuko|lympho|thrombo|"
    r"erythro|endo|ecto|exo|peri|para|post|pre|pro|iso|hemi|mono|dys|dis|non|un|in|im|ab|ad|af|ef|a(?=rrhyth|febr|sympt)",
    re.IGNORECASE,
)
_SUFFIX = re.compile(
    r"(?:ectomy|ostomy|otomy|plasty|scopy|graphy|gram|emia|aemia|uria|osis|itis|asia|agia|asis|oma|pathy|penia|philia|"
    r"lysis|genic|tonic|thesia|algia|ation|ible|able|ating|ated|ous|ine|ide|one|ole|ate|ite)s?$",
    re.IGNORECASE,
)
# Words that one slip turns into another clinical word (irritation, irrigation); both are left alone. Found by
# misspelling every word of the question sets and of ICD-10-CM's terms (20,000 words), and read through.
_LOOKALIKES = set(
    re.findall(
        r"\w+",
        """perineal peroneal infarction infraction fascial facial ureteral urethral ileum ilium colostomy colotomy
        cheek check confusion contusion stones stories retraction refraction addiction adduction abduction
        ascariasis acariasis branchial brachial carbuncle caruncle caries carries clonic clinic complaint
        compliant constrict construct constricted constructed constricting constructing constriction
        construction constrictive constructive defect defects detect detects depletion deletion endogenous
        endovenous esophoria exophoria esotropia exotropia glands glans hemothorax hemithorax irrigation
        irritation liability lability macrostomia macrosomia nephritic nephrotic stricture strictures
        structure structures straining staining stimulation simulation stimulated simulated stimulator
        simulator stromal stomal patent parent medicated mediated medication mediation secretion secretin
        preoperatively peroperatively shingles singles stage state decreased deceased contracted contacted
        regaining retaining stranding standing dystrophica dystrophia erythematosus erythematosis
        erythematous hearing heating""",
    )
)


def editable(item: Item) -> list[Span]:
    """Words of the question that may be misspelt, in order: terms outside protected text and options.

    A term is a word of the drug index (common names) or of the rewording tables with at least five letters, or any word
    with at least nine. Left alone are words that the item's short answer, options or entities hold, since the answer
    may have to give them back, words that count or deny, and words that one slip turns into another term.
    """
    text = item.question
    stem = wording.stem(text)
    untouched = wording.protected(text)
    cited = _words(" ".join(cited_texts(item)))
    found = []
    for match in _WORD.finditer(stem):
        word, lower = match[0], match[0].lower()
        if word.isupper() or lower in cited:
            continue
        if not (lower in table_words() or lower in faithful.known_drugs() or len(word) >= LONG):
            continue
        if any(first < match.end() and match.start() < last for first, last in untouched):
            continue
        if [loss for loss in faithful.lost(word, "") if not loss.startswith("drug")]:
            continue
        found.append(Span(*match.span()))
    return found


def cited_texts(item: Item) -> list[str]:
    """What an answer may have to repeat to the letter: options, entities, and a reference of a few words."""
    from evaluators.rewording.eligibility import SHORT_ANSWER

    short = len(item.reference.split()) < SHORT_ANSWER
    return [*item.options, *(entity.text for entity in item.entities), item.reference if short else ""]


def middle(word: str) -> range:
    """Places of a word that a slip may change: between its first and last letter, its prefix and its suffix.

    A reader tells a word by its first and last letters more than by the order within (Rayner et al. 2006). None of a
    word with fewer than five letters or with other signs, nor of one that a slip turns into another term.
    """
    if len(word) < _SHORT or not word.isalpha() or word.lower() in _LOOKALIKES:
        return range(0)
    prefix, suffix = _PREFIX.match(word), _SUFFIX.search(word)
    start = prefix.end() if prefix and len(word) - prefix.end() >= _SHORT else 1
    end = suffix.start() if suffix and suffix.start() - start >= 2 else len(word) - 1
    return range(start, end)


def is_another_word(misspelt: str) -> bool:
    """Is the misspelling a drug's name, or a word of the tables?"""
    lower = misspelt.lower()
    return (
        lower in drug_index.every_name()
        or lower in table_words()
        or lower in faithful.known_drugs()
        or lower in _LOOKALIKES
    )


def misspelt(item: Item, draw: Random, slips: Callable[[str], list[str]], kind: str, most: int = 3) -> Iterator[Item]:
    """Variants with one to `most` terms misspelt, each time other slips, until every term had its turn twice."""
    text = item.question
    words = editable(item)
    options = {span: slips(text[span.start : span.end]) for span in words}
    words = [span for span in words if options[span]]
    for number, first in enumerate(draw.sample(words, len(words)) * 2):
        others = [span for span in words if span != first]
        chosen = sorted([first, *draw.sample(others, min(number % most, len(others)))])
        parts, end, how = [], 0, []
        for span in chosen:
            old, new = text[span.start : span.end], draw.choice(options[span])
            parts += [text[end : span.start], new]
            end = span.end
            how.append(f"{old} → {new}")
        yield item.asking("".join(parts) + text[end:], how=f"{kind}: {', '.join(how)}")


@cache
def table_words() -> frozenset[str]:
    """Words of the rewording tables' terms, from five letters on, without the small words between them."""
    terms = (term.text for way in substitution.TABLE_WAYS for same in substitution.table(way).values() for term in same)
    return frozenset(word for term in terms for word in re.findall(r"[a-z]{5,}", term.lower()))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
