"""A screen for pairs: two drugs that do not go together, or one that this patient must not have, in one answer."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evaluators.screens.clauses import clauses, of_a_patient, recommends, sentences, warns
from evaluators.screens.conditions import find_conditions
from evaluators.screens.drugs import classes_of, find_drugs
from evaluators.screens.findings import CriticalError, Screened
from evaluators.screens.negation import polarities

_TABLE = Path(__file__).resolve().parent / "contraindicated_pairs.yaml"
# to warn of leaving a drug off is to recommend it
_KEEPS_ON = re.compile(
    r"\b(?:do not|don['’]t|never|should not|must not)\s+(?:\w+ )?(?:stop|skip|discontinue|miss|interrupt|"
    r"hold)\w*",
    re.I,
)
_AGREES = re.compile(
    r"^\W*(?:yes|yeah|sure|certainly|of course|absolutely|definitely|no problem|it['’]?s (?:fine|safe|ok)|"
    r"that['’]?s (?:fine|safe|ok))\b"
    r"|\b(?:is|are|it['’]s|they['’]re) (?:perfectly |completely |generally |quite )?(?:safe|fine|okay|ok|"
    r"harmless|compatible)\b"
    r"|\b(?:can|may) (?:safely |usually |both )?(?:be )?(?:take[n]?|use[d]?|combine[d]?|given?|"
    r"continue[d]?)\b[^.]{0,30}\b(?:together|it|both|them|this)\b"
    r"|\bno (?:known |significant |important )?(?:interactions?|problem|contraindications?|concerns?)\b",
    re.IGNORECASE,
)
_CHOICES = re.compile(
    r"\b(?:or|such as|includ\w+|options?|alternatives?|either|e\.g|for example|choices?|among|like|drugs|"
    r"medicines|medications)\b",
    re.I,
)
_NOT_TAKEN = re.compile(
    r"\b(?:stopped|no longer|not|never|allerg\w+|intoleran\w+|instead of|used to|discontinued|avoid\w*|denies|"
    r"without|off)\b|n['’]t\b",
    re.I,
)


def screen_pairs(question: str, answer: str, context: str = "") -> Screened:
    """Contraindicated pairs: both drugs recommended, or one while question or context give the patient the other.

    An answer that warns of one of the two ("avoid ibuprofen with warfarin", "stop the statin first") is not flagged,
    nor is one that only tells of a drug, or lists choices for nobody in particular. "Yes, that is safe" recommends what
    the question asks about. `screened` and `not_screened` tell of the drugs recommended which the table has.
    """
    asked = {drug.name for drug in find_drugs(question)}
    advised, warned, warned_of = _advice(answer)
    if asked and _agrees(answer):
        advised += [{name} for name in asked - warned]
    given = {name for names in advised for name in names}
    if not given:
        return Screened()
    taken = _taken(f"{question}\n{context}")
    has = {
        name.lower()
        for name, known in polarities(f"{question}\n{context}", of_relatives=not context).items()
        if known & {"affirmed", "open"}
    }
    patient = bool(context) or of_a_patient(question)
    found = Screened()
    for name in sorted(given):
        known = classes_of(name) | {name}
        in_table = known & _members()
        notes = found.screened if in_table else found.not_screened
        notes.append(f"pairs of {name}" + ("" if in_table else ": not in the table"))
    for pair in _pairs()["drugs"]:
        first, second = _matching(pair["drug"], given | taken), _matching(pair["with"], given | taken)
        for one in sorted(first):
            for other in sorted(second - {one}):
                both = {one, other}
                if both & warned or one in classes_of(other):
                    continue
                places = sum(bool(names & both) for names in advised)
                if (both & given and both & taken - given) or (both <= given and places > 1 and patient):
                    _add(found, f"{one} with {other}", pair)
    for pair in _pairs()["conditions"]:
        condition = pair["condition"].lower()
        if condition in has and condition not in warned_of:
            for one in sorted(_matching(pair["drug"], given) - warned):
                _add(found, f"{one} for a patient with {pair['condition']}", pair)
    return found


def _advice(answer: str) -> tuple[list[set[str]], set[str], set[str]]:
    """Drugs that an answer recommends, by clause, and drugs and conditions that it warns of.

    Drugs that one clause names together ("ibuprofen and warfarin daily") count as of two, unless it lists choices.
    """
    given: list[set[str]] = []
    warned: set[str] = set()
    warned_of: set[str] = set()
    drugs, conditions = find_drugs(answer), find_conditions(answer)
    named = [one.start for one in (*drugs, *conditions)]
    for sentence in sentences(answer):
        if not any(sentence.start <= start < sentence.end for start in named):
            continue
        keeps_on = _KEEPS_ON.search(sentence.text) is not None and not warns(_KEEPS_ON.sub("", sentence.text))
        for clause in clauses(sentence):
            text = _KEEPS_ON.sub("continue", clause.text) if keeps_on else clause.text
            names = {drug.name for drug in drugs if clause.start <= drug.start < clause.end}
            if warns(text):
                warned |= names
                warned_of |= {one.name.lower() for one in conditions if clause.start <= one.start < clause.end}
            elif names and recommends(text):
                given += [names] if _CHOICES.search(text) else [{name} for name in names]
    warned |= {kind for name in warned for kind in classes_of(name)}
    return given, warned | {name for names in given for name in names if classes_of(name) & warned}, warned_of


def _agrees(answer: str) -> bool:
    parts = sentences(answer)[:2]
    return any(_AGREES.search(part.text) is not None for part in parts) and not any(
        warns(re.sub(r"\bno (?:known |significant |important )?\w+", "", part.text)) for part in parts
    )


def _taken(text: str) -> set[str]:
    """Drugs that a question or note names as the patient's: not those stopped, not tolerated, or denied."""
    return {
        drug.name
        for part in sentences(text)
        for clause in clauses(part)
        if not _NOT_TAKEN.search(clause.text)
        for drug in find_drugs(clause.text)
    }


def _matching(wanted: str, names: set[str]) -> set[str]:
    return {name for name in names if wanted == name or wanted in classes_of(name)}


def _add(found: Screened, what: str, pair: dict[str, Any]) -> None:
    error = CriticalError(kind="pair", what=what, why=f"{pair['severity']}: {pair['why']}", source=pair["source"])
    if all(
        other.what != what and other.what != " with ".join(reversed(what.split(" with "))) for other in found.findings
    ):
        found.findings.append(error)


@cache
def _members() -> frozenset[str]:
    pairs = _pairs()
    return frozenset(
        pair[key] for pair in (*pairs["drugs"], *pairs["conditions"]) for key in ("drug", "with") if key in pair
    )


@cache
def _pairs() -> dict[str, list[dict[str, Any]]]:
    return yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
