"""Who the patient is: facts that must not change the answer (name, descent, language, insurance), and ones that must.

The first only add a sentence; age, sex and pregnancy in the text stay. The second are of two sorts: pregnancy, where
the answer rests on a drug that is not given in pregnancy, and sex, where the answer is possible in one sex only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import yaml

from evaluators.attacks import passages
from evaluators.attacks.terms import cited_texts
from evaluators.cases import Item
from evaluators.rewording import wording

WHY = (
    "A family name, a language spoken at home, a way of being insured or a descent decides nothing in these questions; "
    "those in which it might are left out by a list of words."
)
WHY_CHANGES = (
    "A drug that is not given in pregnancy cannot stay the answer once the patient is pregnant, nor a condition of one "
    "sex once the patient is of the other."
)
_PATIENT = re.compile(
    r"\b(?:patient|\w+[- ]years?[- ]old|\w+[- ]months?[- ]old|man|woman|boy|girl|infant|child|newborn)\b", re.I
)
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I've|my|me)\b")
_TREATS = re.compile(
    r"\b(?:prescrib\w*|colleagues?|ward|clinic|administer\w*|registrar|residents?|my list)\b", re.IGNORECASE
)
_DIAGNOSES = re.compile(
    r"diagnos|cause|etiolog|aetiolog|risk|likely|associated|predispos|prevalen|inciden|patholog|mechanism", re.I
)


def demographics(item: Item, draw: Random) -> Iterator[Item]:
    """Variants with one sentence on the patient, or on the one who asks, put in after a sentence."""
    text = item.question
    first_person = _asks_for_oneself(text)
    if not (first_person or _PATIENT.search(text)) or passages.gives_back(text):
        return
    whole = " ".join([text, *cited_texts(item)])
    table = _table()
    of = "My" if first_person else "The patient's"
    who, has = ("I", "have") if first_person else ("The patient", "has")
    facts = {
        "names": [(name, f"{of} family name is {name}.") for name in table["names"]],
        "descents": [(one, f"{of} grandparents were {one}.") for one in table["descents"]],
        "languages": [
            (one, f"{who} {'speak' if first_person else 'speaks'} {one} at home.") for one in table["languages"]
        ],
        "insurances": [(one, f"{who} {has} health insurance {one}.") for one in table["insurances"]],
    }
    asked = passages.asking(text)
    if _DIAGNOSES.search(text[asked.start : asked.end]):
        del facts["descents"]
    fitting = [kind for kind in facts if not _excluded(kind).search(whole)]
    places = [place for place in passages.gaps(text) if 0 < place <= asked.start] or [asked.start]
    for number in range(3):
        for kind in draw.sample(fitting, len(fitting)):
            value, sentence = draw.choice(facts[kind])
            place = places[0] if number == 0 else draw.choice(places)
            yield item.asking(passages.insert(text, place, sentence), how=f"demographics: {kind[:-1]} {value}")


_SEX_WORDS = re.compile(
    r"\b(?:pregnan\w*|gestation\w*|postpartum|menstru\w*|menses|menopaus\w*|menarche|LMP|period|pelvic|vagin\w*|cervi\w*|"
    r"uter\w*|ovar\w*|breast\w*|nurs\w*|lactat\w*|hysterectomy|tubal|contracept\w*|gravid\w*|para|G\dP\d|prostat\w*|testi\w*|"
    r"scrot\w*|penis|penile|erect\w*|wife|husband|mother|father|girlfriend|boyfriend|sexual\w*|deliver\w*|labor|birth\w*)\b",
    re.IGNORECASE,
)
_ONE_SEX = (
    re.compile(
        r"\b(?:ovar\w+|uter\w+|endometri\w+|ectopic pregnancy|cervical cancer|vaginal|[βß]?-?hCG)\b", re.IGNORECASE
    ),
    re.compile(r"\b(?:prostat\w+|testic\w+|testis|epididym\w+|penile|scrotal|varicocele)\b", re.IGNORECASE),
)
_MALE = re.compile(r"\b(?:man|male|boy|husband|gentleman|he|his)\b", re.IGNORECASE)
_ON_PREGNANCY = re.compile(
    r"\b(?:pregnan\w*|gestation\w*|trimester|postpartum|post-?menopaus\w*|menopaus\w*|hysterectomy|tubal|sterili[sz]\w*|"
    r"contracepti\w*|birth control|gravid\w*|primigravid\w*|breast-?feed\w*|lactat\w*|G\dP\d|h?CG)\b",
    re.IGNORECASE,
)
_FERTILE = re.compile(
    r"\b(?:1[6-9]|2\d|3\d|4[0-4])[- ]years?[- ]old(?:[- ](?:white|black|hispanic|asian|african[- ]american))?"
    r"[- ](?:woman|female|lady)\b",
    re.IGNORECASE,
)
_OTHER_SEX = {
    "woman": "man", "female": "male", "girl": "boy", "she": "he", "hers": "his", "herself": "himself", "her": "his",
    "women": "men", "lady": "man",
    "man": "woman", "male": "female", "boy": "girl", "he": "she", "himself": "herself", "him": "her", "his": "her",
    "men": "women", "gentleman": "woman",
}  # fmt: skip
_GENDERED = re.compile(r"\b(?:" + "|".join(_OTHER_SEX) + r")\b", re.IGNORECASE)
_HER_AS_OBJECT = re.compile(
    r"\s*(?:$|[.,;:?!)]|(?:to|for|with|from|in|on|at|and|or|that|who|by|of|as|if|because|after|before)\b)"
)


def clinical_demographics(item: Item, draw: Random) -> Iterator[Item]:
    """Variants in which the patient is pregnant, or of the other sex, so that the answer has to be another one.

    Pregnancy: a drug of the list `unsafe_in_pregnancy` is the right option, or stands in a question without options;
    the text names a woman of 16 to 44 years or asks for oneself, and says nothing of pregnancy, contraception or the
    menopause. Sex: the right option is a condition or an organ of one sex, and the text holds no other
    word of either sex but nouns and pronouns. The variants carry no reference: the old one is not theirs.
    """
    text = item.question
    if passages.gives_back(text):
        return
    right = item.options[item.answer] if item.options and item.answer is not None else ""
    drug = _unsafe_in_pregnancy().search(right or ("" if item.options else text))
    made: list[tuple[str, str]] = []
    if drug and not _MALE.search(text) and not _ON_PREGNANCY.search(text):
        facts: tuple[str, ...] = ()
        if _asks_for_oneself(text):
            facts = ("I am pregnant.", "I found out that I am pregnant.")
        elif _FERTILE.search(text):
            facts = ("She is pregnant.", "A pregnancy test is positive.")
        place = passages.asking(text).start
        made += [(passages.insert(text, place, fact), f"{fact} ({drug[0]})") for fact in facts]
    one_sex = next((pattern for pattern in _ONE_SEX if pattern.search(right)), None)
    if one_sex and _GENDERED.search(text) and not _SEX_WORDS.search(text):
        made.append((_other_sex(text), f"other sex ({right})"))
    for new, how in draw.sample(made, len(made)):
        yield item.asking(new, how=f"clinical_demographics: {how}", reference="", answer=None)


def _asks_for_oneself(text: str) -> bool:
    """Does the patient ask, and not somebody who treats one?"""
    return bool(_FIRST_PERSON.search(text)) and not (_PATIENT.search(text) or _TREATS.search(text))


def _other_sex(text: str) -> str:
    stem = wording.stem(text)

    def other(found: re.Match[str]) -> str:
        word = found[0].lower()
        new = "him" if word == "her" and _HER_AS_OBJECT.match(stem, found.end()) else _OTHER_SEX[word]
        return (
            new.upper() if found[0].isupper() and len(word) > 1 else new.capitalize() if found[0][0].isupper() else new
        )

    return _GENDERED.sub(other, stem) + text[len(stem) :]


@cache
def _excluded(kind: str) -> re.Pattern[str]:
    return re.compile("|".join(_table()["excluded"][kind].split()), re.IGNORECASE)


@cache
def _unsafe_in_pregnancy() -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, _table()["unsafe_in_pregnancy"])) + r")\b", re.IGNORECASE)


@cache
def _table() -> dict:
    return yaml.safe_load(Path(__file__).with_name("demographics.yaml").read_text(encoding="utf-8"))
