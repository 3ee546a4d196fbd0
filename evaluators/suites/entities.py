"""Entity extraction: the entities of a sentence listed with their kinds, strict and partial F1 (lecture L3.12)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evaluators.cases import Case, Entity, Item, Progress, Respondent, silent
from evaluators.entity_overlap import counts, entity_scores
from evaluators.scores import Score

TITLE = "Entities"
ANSWER_TOKENS = 96
_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s*")
_IN_BRACKETS = re.compile(r"^(.+?)\s*[(\[]([^()\[\]]+)[)\]]$")
_ALL = "all"


def ask(items: Sequence[Item], respondent: Respondent, progress: Progress = silent) -> list[Case]:
    """Ask for the entities of each item's `context`; the kinds are those of all items together.

    A case keeps the counts of strictly right, partially right, listed and wanted entities, of all and of each kind.
    """
    kinds = sorted({entity.kind for item in items for entity in item.entities})
    form = (
        f"The kinds are {' and '.join([', '.join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds)}. Write each entity "
        "as “kind: words of the text”, or write none."
    )
    asked = [item.asking(f"{item.question}\n\n{form}").prompt for item in items]
    cases = []
    for item, answer in zip(items, respondent.answer(asked, ANSWER_TOKENS, progress), strict=True):
        found = listed(answer, kinds, item.context)
        row = counts(item.context, item.entities, found, kinds)
        values = {name: row[4 * number : 4 * number + 4] for number, name in enumerate((_ALL, *kinds))}
        reference = "\n".join(f"{entity.kind}: {entity.text}" for entity in item.entities) or "none"
        remark = f"{row[0]:.0f} of {len(item.entities)} found, {len(found)} listed"
        cases.append(Case.of(item, answer, reference=reference, values=values, remarks=[remark]))
    return cases


def scores(cases: Sequence[Case]) -> list[Score]:
    """Strict F1 of all entities (main), precision and recall, the same partially, and each by kind."""
    kinds = sorted({name for case in cases for name in case.values} - {_ALL})
    rows = []
    for case in cases:
        row: list[float] = []
        for name in (_ALL, *kinds):
            value = case.values[name]
            assert isinstance(value, list)
            row += value
        rows.append([*row, 1.0])
    return entity_scores(rows, kinds, [case.source for case in cases])


def listed(answer: str, kinds: Sequence[str], sentence: str) -> list[Entity]:
    """The entities that an answer lists, read leniently: what names no kind is no entity.

    "Chemical: aspirin", "aspirin (Chemical)", "aspirin: Chemical", "Chemicals: aspirin; ibuprofen", a heading with the
    kind above a list, bullets, numbers and bold marks. Several terms behind one kind are parted at semicolons, and at
    commas where the sentence does not have the whole (a comma may belong to a chemical's name).
    """
    heading: str | None = None
    found: list[Entity] = []
    for line in answer.splitlines():
        bare = _MARK.sub("", line).replace("**", "").strip().strip("“”\"'`").rstrip(".").strip()
        if not bare:
            continue
        before, parted, after = (part.strip() for part in bare.partition(":"))
        brackets = _IN_BRACKETS.match(bare)
        kind, words = _kind(before, kinds), after
        if kind and not words:
            heading = kind
            continue
        if kind is None and parted:
            kind, words = _kind(after, kinds), before
        if kind is None and brackets:
            kind, words = _kind(brackets[2], kinds), brackets[1]
        if kind is None and _MARK.match(line):
            kind, words = heading, bare
        if kind is not None:
            found += [Entity(text=one, kind=kind) for one in _terms(words, sentence)]
    return found


def _kind(text: str, kinds: Sequence[str]) -> str | None:
    """The kind that a text is, whatever its letter case, in the plural or with "entity" behind it."""
    plain = text.lower().strip("*_ ").removesuffix(" entities").removesuffix(" entity")
    return next((kind for kind in kinds if plain in (kind.lower(), f"{kind.lower()}s")), None)


def _terms(words: str, sentence: str) -> list[str]:
    terms = []
    for part in words.split(";"):
        whole = part.strip().lower() in sentence.lower()
        terms += [part] if whole else part.split(", ")
    plain = [term.strip().strip("“”\"'`") for term in terms]
    return [term for term in plain if term and term.lower() != "none"]
