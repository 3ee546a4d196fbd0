"""A screen for negations turned round: a finding that the context denies and the answer affirms, or the other way."""

from __future__ import annotations

import re
from typing import Literal

from evaluators.screens.clauses import Span, sentences
from evaluators.screens.conditions import Condition, find_conditions, table
from evaluators.screens.findings import CriticalError

Polarity = Literal["affirmed", "denied", "open"]

# After NegEx (Chapman et al. 2001): words before a finding deny it, up to where the sentence turns; a few behind it.
_DENIES = re.compile(
    r"\b(?:no(?! recurrence| complication| relief| improvement)|not|without|den(?:y|ies|ied|ying)|negative|"
    r"never|neither|nor|"
    r"absence of|absent|free of|none of|rule[sd] out|excludes?|unremarkable for)\b|n['’]t\b",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\b(?:but|however|except|although|though|yet|because|just|apart from|other than|aside from|presents?|reports?|"
    r"complains?|has had|developed|admits?|positive for|is on|takes|(?<!s )(?<!y )with|(?<!not )appear(?:s|ed)|"
    r"(?<!not )fe(?:els?|lt)|i (?:have|am|had|get|was|do)|i['’]m|it['’]s)\b|[;:]",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"^[^.;,]{0,25}\b(?:(?:is|are|was|were) (?:absent|denied|negative|not present|ruled out)|unlikely|(?:has|"
    r"have) (?:resolved|gone)|resolved)\b"
    r"|[^.;]{0,80}\bdenie[sd] (?:everything|all|any of)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:if|risk of|rule out|to exclude|exclude|possible|possibly|suspected|suspect|concern for|evaluate for|"
    r"assess for|monitor|"
    r"watch for|in case|should|could|may|might|would|can|cause[sd]?|causing|prevent\w*|history|screen\w*|likely|"
    r"consider\w*|whether|"
    r"red flags?|seek|return|warning|look for|check for|ask about|previous(?:ly)?|in the past|no longer|no more|"
    r"differential|"
    r"increase[sd]?|decrease[sd]?|changes? in|worsen\w*|improv\w+|stopped|quit|resolved|used to|former|ex-|ago|"
    r"last (?:week|month|year))\b",
    re.IGNORECASE,
)
_OTHERS_BODY = re.compile(
    r"\b(?:mother|father|mom|dad|parents?|brothers?|sisters?|siblings?|son|daughter|aunts?|uncles?|grand\w+|"
    r"cousin|wife|"
    r"husband|family|relatives|maternal|paternal)\b",
    re.IGNORECASE,
)
_REPLY = r"^\W*(?:\w+:\s*)?(?:(?:um|uh|oh|well|ah|hm+|luckily|fortunately|thankfully)\W+)*"
_NO = re.compile(
    rf"{_REPLY}(?:no|nope|nah|never|none|neither|nothing|not|negative|that['’]s a negative|i don['’]t|i haven['’]t|"
    r"i have none|i['’]?a?m (?:fine|good|okay|all right))\b",
    re.IGNORECASE,
)
_YES = re.compile(
    rf"{_REPLY}(?:(?:yes|yeah|yep|yup|sure|correct|right|a little)\b|(?:i do|i have|i am|he does|she does)[.,!])",
    re.IGNORECASE,
)
# Behaviours and groups of findings: one may be denied and another affirmed under the same word.
_TOO_WIDE = frozenset(
    (
        "alcohol use",
        "smoking",
        "surgery",
        "allergies",
        "infection",
        "cancer",
        "fracture",
        "weakness",
        "numbness",
        "bleeding",
    )
)


def screen_negations(answer: str, context: str) -> list[CriticalError]:
    """Findings that `answer` only affirms and `context` only denies, or the other way round, each once.

    Compared are conditions by name. A finding that is asked about, possible, of the past, of a relative's, or both
    affirmed and denied, is left out. In a dialogue a question has the polarity of the reply ("Any fever?" "No.").
    """
    compared = {name.lower() for name in table()["names"]} - _TOO_WIDE
    known = {
        name: polarity
        for name, polarity in polarities(context).items()
        if name.lower() in compared and polarity in ({"affirmed"}, {"denied"})
    }
    said = polarities(answer) if known else {}
    found: list[CriticalError] = []
    for name, polarity in said.items():
        before = known.get(name)
        if before is None or polarity == before or polarity not in ({"affirmed"}, {"denied"}):
            continue
        says, told = ("affirms", "denied") if polarity == {"affirmed"} else ("denies", "affirmed")
        found.append(
            CriticalError(
                kind="negation",
                what=f"the answer {says} {name}",
                why=f"the context has it {told}",
                source="the context",
            )
        )
    return found


def polarities(text: str, of_relatives: bool = False) -> dict[str, set[Polarity]]:
    """For each condition that a text names, whether it is affirmed, denied or left open there.

    Sentences on relatives are left out unless `of_relatives`: in a question the father may be the patient.
    """
    found: dict[str, set[Polarity]] = {}
    for sentence in sentences(text):
        if not of_relatives and _OTHERS_BODY.search(sentence.text):
            continue
        following = text[sentence.end : sentence.end + 60]
        for condition in find_conditions(sentence.text):
            found.setdefault(condition.name, set()).add(_polarity(condition, sentence, following))
    return found


def _polarity(condition: Condition, sentence: Span, following: str) -> Polarity:
    before, after = sentence.text[: condition.start], sentence.text[condition.end :]
    if sentence.text.rstrip().endswith("?"):
        if _NO.match(following):
            return "denied"
        # "No fever?" "Correct."
        return ("denied" if re.search(r"\bno\b", before, re.I) else "affirmed") if _YES.match(following) else "open"
    turns = [match.end() for match in _TURNS.finditer(before)]
    scope = before[turns[-1] :] if turns else before
    if _DENIES.search(scope) or _DENIED_BEHIND.match(after):
        return (
            "open"
            if re.search(
                r"\b(?:no longer|no more|not only|no change|no increase|no new|no further|not limited|(?:not|"
                r"n['’]t) (?:know|sure|think))\b",
                scope,
                re.I,
            )
            else "denied"
        )
    return "open" if _OPEN.search(sentence.text) else "affirmed"
