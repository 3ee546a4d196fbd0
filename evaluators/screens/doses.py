"""Doses of drugs as an answer recommends them: how much, how often, by which route, for each kilogram or not."""

from __future__ import annotations

import re
from typing import NamedTuple

from evaluators.screens.clauses import Span, clauses, sentences
from evaluators.screens.drugs import Drug, find_drugs, tables

_AMOUNTS = {"mcg": 0.001, "mg": 1.0, "g": 1000.0, "units": 1.0, "meq": 1.0, "ml": 1.0}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_DOSE = re.compile(
    rf"(?<![\w.,/])(?:(?P<low>{_NUMBER})\s*(?:mg|mcg|g|units)?\s*(?:to|-|–|or|and)\s*)?(?P<high>{_NUMBER})[\s-]*"
    r"(?P<unit>mcg|micrograms?|µg|μg|ug|mg|milligrams?|grams?|gm|g|international units?|units?|iu|meq|mmol|ml|"
    r"millilit(?:er|re)s?)\b"
    r"(?P<per>\s*(?:/|per\s|for every )\s*(?:kg|kilogram|kilo)(?: body ?weight)?\b)?+"
    r"(?!\s*/\s*(?:d?l|ml|g|m2|m²|h|hr|hour|min)\b|\s*per\s*(?:d?l|d?ecilit|lit|ml|millilit|hour|minute|min\b|"
    r"square|m2)|\s*(?:an|every) hour\b)"
    r"(?P<rate>\s*(?:/|per\s)\s*(?:day|24 h(?:ours)?|dose)\b)?",
    re.IGNORECASE,
)
_TIMES = r"(?P<word>once|twice|thrice|one|two|three|four|five|six|\d)"
_FREQUENCY = re.compile(
    rf"\bevery\s+(?P<hours>\d+|two|three|four|six|eight|twelve)(?:\s*(?:to|-|–)\s*\d+)?[\s-]*h(?:ou)?rs?\b|"
    rf"\bq\s?(?P<q>\d+)\s?h\b|"
    rf"\b{_TIMES}(?:\s*(?:to|or|-|–)\s*(?P<more>three|four|five|six|\d))?(?:\s*times)?\s*(?:a|per|each|every|"
    rf"/)?\s*(?:day|daily|24 h(?:ours)?)\b|"
    r"\b(?P<latin>bid|b\.i\.d|bd|tid|t\.i\.d|tds|qid|q\.i\.d|qds)\b|"
    r"(?P<daily>\b(?:daily|a day|per day|each day|every day|/day|each morning|every morning|each night|"
    r"every night|at night|at bedtime|nightly|in 24 hours|qd|od)\b)",
    re.IGNORECASE,
)
_WEEKLY = re.compile(r"\b(?:weekly|(?:once )?(?:a|per|each|every) week|once weekly)\b", re.IGNORECASE)
_DIVIDED = re.compile(
    r"\b(?:divided|split|total(?:ling)?|altogether|in 24 hours|over 24 hours|/day|per day|a day)\b", re.IGNORECASE
)
_WORDS = {"once": 1, "twice": 2, "thrice": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6} | {
    "eight": 8, "ten": 10, "twelve": 12
}  # fmt: skip
_LATIN = {"b": 2, "t": 3, "q": 4}
_PIECES = re.compile(
    r"(?P<number>\b\d{1,2}|\b(?:two|three|four|five|six|eight|ten))\s*(?:x|×|(?:tablets|pills|"
    r"capsules)(?: of)?(?: the)?)?\s*(?:of )?$",
    re.I,
)
_PIECE_AFTER = re.compile(r"[\s-]*(?:tablets|pills|capsules|caplets|patches|vials)\b", re.I)
_UPPER = re.compile(
    r"\b(?:exceed\w*|more than|maxim\w+|max|above|over|beyond|up to|at most|limit\w*|no greater than)\b", re.I
)
_QUOTED = re.compile(
    r"\b(?:overdos\w*|poison\w*|toxic\w*|lethal|fatal|suicid\w*|ingest\w*|swallowed|took|has taken|had taken|"
    r"have taken|were given|was given|"
    r"was on|were on|has been (?:taking|on)|have been (?:taking|on)|you are (?:taking|on)|currently (?:taking|"
    r"on)|intake of|too much|dangerous\w*|harmful|"
    r"seizures? (?:at|with|above)|studied|trials?|study|error|mistake\w*|instead of|rather than|avoid\w*|never|"
    r"reported)\b",
    re.IGNORECASE,
)
_NOT_BEFORE = re.compile(
    r"\b(?:not|never|avoid|without|don['’]t|instead of|rather than|than)\b[^,;]{0,30}$", re.IGNORECASE
)
_NOT_MORE = re.compile(
    r"\b(?:not?|never|n['’]t|nor)\b[^,;.]{0,25}\b(?:more than|exceed\w*|above|over|beyond|greater than)\b|"
    r"\b(?:maxim\w+|max|limit\w*|at most|up to)\b",
    re.I,
)
_NO_DRUG = (
    r"sodium|salt|sugar|carbohydrates?|fat|protein|fib(?:er|re)|blood|fluids?|water|saline|urine|albumin|caffeine"
)
_OTHER_THING = re.compile(rf"\s*(?:of )?(?:\w+ ){{0,2}}(?:{_NO_DRUG})\b", re.IGNORECASE)
_OTHER_THING_BEFORE = re.compile(rf"\b(?:{_NO_DRUG})(?: intake)?(?: \w+){{0,2}}\s*$", re.IGNORECASE)
ROUTES = {
    "iv": r"\b(?:iv|intravenous(?:ly)?|into (?:a|the) vein|infusion|bolus|drip)\b",
    "im": r"\b(?:im|intramuscular(?:ly)?|into the (?:outer )?thigh|into (?:a|the) muscle)\b",
    "sc": r"\b(?:sc|sq|subcut\w*|under the skin)\b",
    "nasal": r"\b(?:nasal\w*|intranasal\w*|nostril|nose|buccal\w*)\b",
    "rectal": r"\b(?:rectal\w*|suppositor\w+|pr)\b",
    "sublingual": r"\b(?:sublingual\w*|under the tongue)\b",
    "inhaled": r"\b(?:inhal\w+|nebuli[sz]\w+|puffs?)\b",
    "oral": r"\b(?:oral(?:ly)?|by mouth|po|tablets?|pills?|capsules?|swallow\w*)\b",
    "topical": r"\b(?:topical\w*|cream|gel|ointment|patch|eye drops?|lotion)\b",
    "intrathecal": r"\b(?:intrathecal\w*|epidural\w*)\b",
}


class Dose(NamedTuple):
    """A dose as an answer names it: `single` and `daily` in mg (units, mEq), as far as it says."""

    drug: str
    text: str
    single: float | None
    daily: float | None
    per_kg: bool
    route: str
    unit: str
    """mg, units, meq or ml."""
    daily_by_time: bool
    """Said to be given every day (methotrexate is not)."""


def recommended_doses(answer: str) -> list[Dose]:
    """The doses of drugs that an answer recommends, in its order.

    A dose belongs to the drug named before it in the sentence, else to the next one. Of a range the upper end counts;
    so many times a day makes a daily dose; a limit that the answer itself states ("no more than 8 g") is a dose too.
    Doses told of and not recommended (an overdose, what somebody took, "not 500 mg") are left out, as are rates (mg per
    hour), concentrations and doses by body surface.
    """
    doses: list[Dose] = []
    for sentence in sentences(answer):
        drugs = [drug for drug in find_drugs(sentence.text) if drug.name not in tables()["classes"]]
        if not drugs:
            continue
        for match in _DOSE.finditer(sentence.text):
            drug = _whose(match, drugs, sentence.text)
            clause = next(one for one in clauses(sentence) if one.end > sentence.start + match.start())
            if drug is None or _only_told(clause, match.start() + sentence.start - clause.start):
                continue
            doses.append(_dose(match, drug, drugs, sentence.text))
    return doses


def _whose(match: re.Match[str], drugs: list[Drug], sentence: str) -> Drug | None:
    if _OTHER_THING.match(sentence, match.end()) or _OTHER_THING_BEFORE.search(sentence[: match.start()]):
        return None
    before = [drug for drug in drugs if drug.end <= match.start()]
    after = [drug for drug in drugs if drug.start >= match.end()]
    # "10 mg of morphine", "500 mg amoxicillin": the drug that follows at once has it
    if after and re.fullmatch(
        r"\s*(?:tablets?|capsules?)?\s*(?:of |oral |intravenous |intramuscular |iv |im )*",
        sentence[match.end() : after[0].start],
        re.I,
    ):
        return after[0]
    if before and match.start() - before[-1].end <= 120:
        return before[-1]
    return after[0] if after and after[0].start - match.end() <= 40 else None


def _only_told(clause: Span, place: int) -> bool:
    before = clause.text[max(0, place - 60) : place]
    if _NOT_MORE.search(before):
        return False
    return (
        _QUOTED.search(clause.text) is not None
        or _UPPER.search(before[-30:]) is not None
        or _NOT_BEFORE.search(before) is not None
    )


def _dose(match: re.Match[str], drug: Drug, drugs: list[Drug], sentence: str) -> Dose:
    unit = _unit(match["unit"])
    dimension = "mg" if unit in ("mcg", "mg", "g") else unit
    amount = float(match["high"].replace(",", "")) * _AMOUNTS[unit]
    since = drug.end if drug.end <= match.start() else 0
    before = sentence[max(since, match.start() - 30) : match.start()]
    pieces = _PIECES.search(before)
    if pieces and (
        _PIECE_AFTER.match(sentence, match.end()) or re.search(r"x|×|tablets|pills|capsules", pieces[0], re.I)
    ):
        amount *= _WORDS.get(pieces["number"].lower()) or int(pieces["number"])
    following = _following(sentence, match, drugs)
    text = re.sub(r"\s+", " ", match[0]).strip()
    frequency = _FREQUENCY.search(following) or (_FREQUENCY.search(before) if not _DOSE.search(before) else None)
    times = _times(frequency)
    weekly = _WEEKLY.search(following) is not None
    single: float | None = amount
    daily: float | None = None
    if match["rate"] and "dose" not in match["rate"].lower():
        single, daily, times = None, amount, 1.0
    elif frequency and not weekly:
        text = f"{text} {frequency[0]}"
        if times == 1 and (frequency["daily"] or _DIVIDED.search(following)):
            single, daily = None, amount
        elif times > 1 and re.search(r"\b(?:divided|split)\b", following, re.I):
            single, daily = amount / times, amount
        else:
            daily = amount * times
    return Dose(
        drug.name,
        text,
        single,
        daily,
        bool(match["per"]),
        _route(match, drug, following, sentence),
        dimension,
        (frequency is not None or match["rate"] is not None) and not weekly,
    )


def _following(sentence: str, match: re.Match[str], drugs: list[Drug]) -> str:
    """What belongs to a dose after it: 60 characters, to the next dose or drug."""
    end = min([match.end() + 60, *(drug.start for drug in drugs if drug.start > match.end() + 12)])
    # without the word before the next drug, which is that one's ("..., then intravenous magnesium")
    rest = re.sub(r"[\w-]+\s$", "", sentence[match.end() : end])
    other = _DOSE.search(rest)
    return rest[: other.start()] if other else rest


def _times(frequency: re.Match[str] | None) -> float:
    if frequency is None or frequency["daily"]:
        return 1.0
    if frequency["latin"]:
        return float(_LATIN.get(frequency["latin"][0].lower(), 2) if frequency["latin"].lower() != "qds" else 4)
    hours = frequency["hours"] or frequency["q"]
    if hours:
        return 24 / max(1, _WORDS.get(hours.lower()) or int(hours))
    word = (frequency["more"] or frequency["word"]).lower()
    return float(_WORDS.get(word) or int(word) or 1)


def _route(match: re.Match[str], drug: Drug, following: str, sentence: str) -> str:
    """The route named after the dose, else close before it or before its drug, else none."""
    before = sentence[max(0, min(drug.start, match.start()) - 14) : match.start()]
    for part in (following, before):
        places = {name: found.start() for name, route in ROUTES.items() if (found := re.search(route, part, re.I))}
        if places:
            return min(places, key=lambda name: places[name])
    return ""


def _unit(written: str) -> str:
    plain = written.lower()
    if plain[0] in "µμ" or plain in ("ug", "mcg") or plain.startswith("microg"):
        return "mcg"
    if plain == "mg" or plain.startswith("milligram"):
        return "mg"
    if plain in ("meq", "mmol"):
        return "meq"
    if plain.startswith(("ml", "millil")):
        return "ml"
    return "units" if plain.startswith(("unit", "iu", "international")) else "g"
