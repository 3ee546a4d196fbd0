"""A screen for hallucination: numbers, drugs and conditions that an answer has and its context lacks.

What it cannot see: a number, drug or condition that the context has in another place (the wrong drug's dose, the
mother's illness), an affirmation of what was denied (that is `negation`), anything that no table names, whether a sum
was rightly made, codes such as L4 or B12, drugs misspelt. A narrower name than the context's ("aspirin" for a blood
thinner) it reports; a wider one ("an NSAID") it does not.

Measured on MTS-Dialog (Ben Abacha et al. 2023), whose notes were written before their dialogues. The rules were made
with the training and validation sets, where they flag 184 of 1,201 and 19 of 100 notes; of the 200 test notes
they flagged 23 at first sight, and 13 after what was learnt from those. Of 40 flagged notes read by hand (those 23, and
17 of the training set) 15 did say something that their dialogue does not; the other 25 were false alarms, mostly a
symptom that the dialogue tells in words of no table. With one change planted into each test note, 60 of 65 numbers
changed were found (the others stand elsewhere in the dialogue), 29 of 29 drugs swapped, and 197 of 198 conditions
added that the tables name. Of the mentions of diseases and chemicals in BC5CDR's test set (Li et al. 2016) the tables
name 41 % and 45 %: abstracts of research, with many chemicals that are no medicines. What lies beyond is not screened.

spaCy's small model adds nothing here: its entities are people, places and dates, and not one of medicine.
"""

from __future__ import annotations

import re

from evaluators.screens.conditions import beginnings_of, find_conditions, told_of
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
