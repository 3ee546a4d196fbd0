"""Specialty, task, language and level of a row, by a stated method that can be checked and corrected by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from trainer.catalogue import table
from trainer.catalogue.specialties import specialties
from trainer.data.inspection.phrases import CJK, Phrases, wording
from trainer.data.rows import Row, answer, question

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = ("en", "es", "zh", "ja", "ko", "fr", "de", "pt", "it", "nl", "pl", "ru", "ar", "tr", "hi", "vi")
"""Languages that are told apart. A choice among fewer is surer where texts are short and full of Latin and drug names."""
SURE_LANGUAGE = 0.8
"""py3langid's confidence below which no language is given."""
MOST_READ = 3_000
"""Characters of a question, and of an answer, that are looked at."""
_OPTIONS = re.compile(r"\n\s*A[.):] ")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_KANA, _HANGUL = re.compile("[\u3040-\u30ff]"), re.compile("[\uac00-\ud7af]")
_WITHOUT_LEVEL = {"ner", "classification", "report_generation", "summarization", "dialogue"}
# Their wording stands anywhere in a question, and often at its beginning; of the others the last sentence tells most.
_SAID_ANYWHERE = ("ner", "report_generation", "summarization", "classification", "patient_education")
_MEASURED = frozenset("mg mmol mcg dl ml bp mmhg ecg ct mri percent hb pulse temperature saturation".split())
_PATIENT = frozenset("man woman boy girl lady gentleman toddler baby infant".split())
# Endings of international nonproprietary names (WHO, "The use of stems in the selection of INN"), and common names
# without one. A table of all drugs would take 350 MB.
_DRUG_ENDINGS = tuple(
    "pril prilat sartan olol alol dipine statin xaban gatran parin grel gliptin gliflozin glutide glitazone mycin micin "
    "cillin floxacin cycline azole oxacin penem vir mab nib platin rubicin taxel abine trexate setron prazole tidine "
    "triptan zepam zolam barbital caine profen oxicam coxib dronate oxetine azepine apine peridone peridol fentanil "
    "thiazide semide lactone buterol meterol moterol tropium sone solone onide lukast mustine imus limus orphan orphine adone oxone "
    "cainide arone formin thyroxine cysteine tadine rizine fibrate ampicin".split()
)
_DRUGS = frozenset(
    "aspirin paracetamol acetaminophen warfarin digoxin lithium insulin heparin morphine codeine tramadol ketamine "
    "colchicine allopurinol methotrexate tamoxifen valproate phenytoin lamotrigine levetiracetam gabapentin pregabalin "
    "citalopram escitalopram sertraline isoniazid linezolid vancomycin metronidazole nitrofurantoin trimethoprim "
    "hydroxychloroquine ciclosporin oxytocin misoprostol levodopa carbidopa lactulose adrenaline epinephrine "
    "clopidogrel amiodarone ivermectin prednisone contraceptive".split()
)
_AGES = (" year old ", " month old ", " week old ", " day old ")


class Assigned(NamedTuple):
    """A value, and what in the text speaks for it."""

    value: str
    evidence: str


def assign(row: Row) -> dict[str, Assigned]:
    """Fill what is missing of specialty, task, language and level in `row["about"]`; returns what was filled, with evidence.

    A value that is there is never changed. What the text does not tell stays unknown: the field is left out.
    """
    about = row.setdefault("about", {})
    found: dict[str, Assigned] = {}
    asked, answered = question(row)[:MOST_READ], answer(row)[:MOST_READ]
    if "specialty" not in about:
        name, terms = _specialty(asked, answered)
        if name:
            found["specialty"] = Assigned(
                name, f"{len(terms)} {'term' if len(terms) == 1 else 'terms'}: {', '.join(terms)}"
            )
    if "task" not in about and (task := task_of(row)):
        found["task"] = task
    if "language" not in about:
        code, confidence = language_of(f"{asked}\n{answered}")
        if confidence >= SURE_LANGUAGE:
            found["language"] = Assigned(code, f"confidence {confidence:.2f}")
    for name, value in found.items():
        about[name] = value.value
    if "level" not in about and (level := level_of(row)):
        found["level"] = level
        about["level"] = level.value
    return found


def specialty_of(text: str) -> tuple[str | None, list[str]]:
    """Specialty whose words of the table (catalogue/specialties.yaml) a text has most of, and those words.

    A term counts two points, a hint one; two points are needed, else (None, []). Between equals, the one named first.
    """
    return _specialty(text, "")


def _specialty(asked: str, answered: str) -> tuple[str | None, list[str]]:
    # An answer also names what is ruled out, and side effects elsewhere: its words count half of the question's.
    texts = [(wording(asked), 2), (wording(answered), 1)]
    points: dict[str, int] = {}
    words: dict[str, dict[str, int]] = {}
    for seen, weight in texts:
        for name, phrases in _specialty_phrases().found(seen).items():
            points[name] = points.get(name, 0) + weight * sum(phrases.values())
            words.setdefault(name, {}).update(phrases)
    most = max(points.values(), default=0)
    best = [name for name, score in points.items() if score == most and sum(words[name].values()) >= 2]
    if not best:
        return None, []
    line = "".join(seen.line + seen.original for seen, _ in texts)
    name = best[0] if len(best) == 1 else min(best, key=lambda one: (_first_place(line, words[one]), one))
    return name, sorted(words[name], key=lambda phrase: (-words[name][phrase], phrase))


def task_of(row: Row) -> Assigned | None:
    """Task of a row by how its question is worded (catalogue/question_wording.yaml); None for plain text.

    A conversation of several turns is a dialogue, unless its last question says more.
    """
    if "prompt" not in row:
        return None
    if said := _worded(row, "tasks"):
        return said
    if sum(message["role"] == "user" for message in row["prompt"]) > 1:
        return Assigned("dialogue", "a conversation of several turns")
    drugs = sorted(word for word in wording(_ask(row)).words if word in _DRUGS or word.endswith(_DRUG_ENDINGS))
    if drugs:
        return Assigned("drug_information", f"the question names {', '.join(drugs)}, and no other task")
    return Assigned("question_answering", "a question whose wording says no narrower task")


def level_of(row: Row) -> Assigned | None:
    """Level of difficulty (lecture L2.7) by how the question is worded and whether it describes a patient.

    Judgement: what to do, asked as a decision. Concepts: why and how. Reasoning: a patient or measured values, and what
    they mean. Facts: any other question. None for plain text and for tasks that ask for no knowledge (entities, notes).
    """
    task = row.get("about", {}).get("task")
    if "prompt" not in row or task in _WITHOUT_LEVEL:
        return None
    if said := _worded(row, "levels"):
        return said
    seen = wording(_ask(row))
    aged = any(age in seen.line for age in _AGES)
    if aged or seen.words & _PATIENT or len(seen.words & _MEASURED) >= 2:
        return Assigned("reasoning", "the question describes a patient or gives values")
    return Assigned("facts", "a question about no patient, and not why or how")


def language_of(text: str) -> tuple[str, float]:
    """ISO 639-1 code and confidence (0 to 1). Japanese, Korean and Chinese by their script, others by py3langid.

    A text is Chinese where a fifth of its letters are Han characters: drug names and values are written in Latin ones.
    """
    sample = text[:300]
    if not sample.isascii() and (characters := len(CJK.findall(sample))):
        letters = sum(letter.isalpha() for letter in sample)
        share = characters / max(1, letters)
        if share >= 0.2:
            script = "ja" if _KANA.search(sample) else "ko" if _HANGUL.search(sample) else "zh"
            return script, min(1.0, 0.5 + share)
    if not any(letter.isalpha() for letter in sample):
        return "", 0.0
    language, confidence = _identifier().classify(sample)
    return str(language), float(confidence)


def _worded(row: Row, of: str) -> Assigned | None:
    """The first label of the table of which the last sentence has a phrase, else the whole question."""
    asked = _ask(row)
    sentences = [sentence for sentence in _SENTENCE.split(asked) if sentence.strip()]
    whole = _wording(of).found(wording(asked))
    if not whole:
        return None
    last = _wording(of).found(wording(sentences[-1]))
    for found, labels in ((whole, _SAID_ANYWHERE), (last, _order(of)), (whole, _order(of))):
        for label in labels:
            if label in found:
                return Assigned(label, f"the question says “{next(iter(found[label]))}”")
    return None


def _ask(row: Row) -> str:
    """Where a question says what it wants: without its options, its beginning and its end."""
    asked = question(row)
    if options := _OPTIONS.search(asked):
        asked = asked[: options.start()]
    return asked if len(asked) <= 600 else f"{asked[:200]}\n{asked[-400:]}"


def _first_place(line: str, phrases: Iterable[str]) -> int:
    places = [line.find(phrase if CJK.search(phrase) else wording(phrase).line[:-1]) for phrase in phrases]
    return min(place for place in places if place >= 0)


@cache
def _specialty_phrases() -> Phrases:
    return Phrases(
        {
            row.name: [(term, 2) for term in (*row.terms, *row.es, *row.zh)] + [(hint, 1) for hint in row.hints]
            for row in specialties()
        }
    )


@cache
def _question_wording() -> dict[str, dict[str, list[str]]]:
    return table("question_wording.yaml")  # pyright: ignore[reportReturnType]


@cache
def _wording(of: str) -> Phrases:
    return Phrases({label: [(phrase, 1) for phrase in phrases] for label, phrases in _question_wording()[of].items()})


@cache
def _order(of: str) -> tuple[str, ...]:
    return tuple(_question_wording()[of])


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier
