"""A screen for hallucination: numbers, drugs and conditions that an answer has and its context lacks."""

from __future__ import annotations

import re

from evaluators.screens.conditions import find_conditions, told_of, beginnings_of
from evaluators.screens.drugs import classes_of, find_drugs
from evaluators.screens.findings import Finding
from evaluators.screens.quantities import find_quantities, known

_SPELT = re.compile(r"\b(?:[A-Z] )+[A-Z]\b(?!['’])")  # "M R I", as transcripts of speech have it


def unsupported(answer: str, context: str) -> list[Finding]:
    """Numbers, drugs and conditions in `answer` that `context` does not have, each once, in the order of the answer.

    A number counts as there in words or figures and in any unit of the same amount (0.5 g, 500 mg), a drug under its
    brand or generic name or, for a class, as one of its members, a condition under any of its names.
    """
    context = _SPELT.sub(lambda letters: letters[0].replace(" ", ""), context)
    found: list[tuple[int, Finding]] = []
    numbers = known(context)
    for one in find_quantities(answer):
        if not numbers.holds(one):
            found.append((one.start, Finding(kind="number", text=one.text)))
    drugs = {drug.name for drug in find_drugs(context)}
    classes = {kind for name in drugs for kind in classes_of(name)}
    named = find_drugs(answer)
    for drug in named:
        if drug.name not in drugs | classes and not _word_there(drug.text, context):
            found.append((drug.start, Finding(kind="drug", text=drug.text)))
    conditions = told_of(context)
    words = {word[:end] for word in re.findall(r"[a-z]{4,}", context.lower()) for end in range(4, len(word) + 1)}
    for condition in find_conditions(answer):
        if condition.name in conditions or any(
            drug.start < condition.end and condition.start < drug.end for drug in named
        ):
            continue
        if not any(beginnings <= words for beginnings in beginnings_of(condition.name)):
            found.append((condition.start, Finding(kind="condition", text=condition.text)))
    each = {(finding.kind, finding.text.lower()): finding for _, finding in sorted(found, key=lambda pair: -pair[0])}
    return list(reversed(each.values()))


def _word_there(text: str, context: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(text)}", context, re.IGNORECASE) is not None
