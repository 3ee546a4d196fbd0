"""What is asked of the conversation itself: undo, start over, choose what was offered; and what is not for Bedside."""

from __future__ import annotations

import re

_UNDO = re.compile(
    r"^\W*(?:please )?(?:undo(?: that| it| this)?|take (?:that|it) back|go back(?: one step)?|revert(?: that)?)\W*$",
    re.IGNORECASE,
)
_START_OVER = re.compile(
    r"^\W*(?:please |let's |can we )?(?:start (?:over|again|anew|from scratch)|begin again|reset(?: everything| all)?"
    r"|forget (?:everything|all of (?:it|that))|clear (?:everything|all))\W*$",
    re.IGNORECASE,
)
_ORDINALS = {"first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3, "last": -1}
_CHOICE = re.compile(
    rf"^\W*(?:i(?:'d| would)? (?:take|like|choose) |let's (?:take|use) |use )?(?:the )?({'|'.join(_ORDINALS)})"
    r"(?: (?:one|option|suggestion))?(?: please)?\W*$",
    re.IGNORECASE,
)
_IN_DANGER = re.compile(
    r"\b(?:kill|hurt|harm) myself\b|\bsuicid\w* (?:tonight|now|today|myself)|\bi (?:want|am going) to die\b",
    re.IGNORECASE,
)
_UNSAFE = re.compile(
    r"\b(?:poison|kill|murder|sedate|overdose|hurt|harm)\w*\s+(?:\w+\s+){0,2}(?:patients?|someone|somebody|people"
    r"|person|wife|husband|partner|child(?:ren)?|neighbou?r|boss|him|her|them)\b"
    r"|\b(?:lethal|deadly|fatal|untraceable) (?:dose|drug|poison|mix)\w*\b"
    r"|\bre-?identif\w+\s+(?:\w+\s+){0,3}(?:patients?|people|persons?|records?)\b"
    r"|\b(?:gives?|giving|write|writes|answers? with|produce|produces) (?:harmful|dangerous|deadly|unsafe) "
    r"(?:advice|answers|instructions)\b"
    r"|\b(?:remove|disable|turn off|bypass|strip)\w*\s+(?:\w+\s+){0,2}(?:safety|guard-?rails?|refusals?|disclaimers?)\b"
    r"|\b(?:forge|fake)\w*\s+(?:\w+\s+){0,2}(?:prescriptions?|records?|certificates?)\b"
    r"|\bnever (?:refuses?|says? no)\b|\bmake (?:a )?(?:bomb|weapon|nerve agent)\w*",
    re.IGNORECASE,
)
# Rows that teach a model to refuse such things are what the tool is for.
_AGAINST = re.compile(
    r"\b(?:refus\w+|detect\w*|flag\w*|prevent\w*|recogni[sz]\w+|screen\w*|decline\w*)\b"
    r"|\b(?:stop|warn)(?: me| it| the run| training)? (?:if|when|once) it\b",
    re.IGNORECASE,
)

DANGER = (
    "I am a planner for tuning models and cannot help with that, but people can: please call your local emergency "
    "number or a crisis line now, or tell somebody who is near you."
)
UNSAFE = (
    "I will not help with that. I plan how a clinical language model is tuned to help patients and their clinicians; "
    "nothing was changed."
)


def undoes(text: str) -> bool:
    """Whether a message takes back the last change."""
    return _UNDO.match(text) is not None


def starts_over(text: str) -> bool:
    """Whether a message asks for a new beginning."""
    return _START_OVER.match(text) is not None


def chosen(text: str, offered: list[str]) -> str | None:
    """What "the second one" means among what was offered; None where it is no choice, or there is no such one."""
    match = _CHOICE.match(text)
    if match is None or not offered:
        return None
    place = _ORDINALS[match[1].lower()]
    return offered[place] if place < len(offered) else None


def refusal(text: str) -> str:
    """What is said to a request that Bedside does not serve; empty where there is none."""
    if _IN_DANGER.search(text):
        return DANGER
    if (match := _UNSAFE.search(text)) and not _AGAINST.search(text[: match.start()]):
        return UNSAFE
    return ""
