"""Specialty, task, language and level of a row, by a stated method that can be checked and corrected by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from trainer.catalogue.question_wording import question_wording
from trainer.catalogue.specialties import specialties
from trainer.data.inspection.phrases import CJK, Phrases, Wording, wording
from trainer.data.rows import Row, answer, question

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = ("en", "es", "zh", "ja", "ko", "fr", "de", "pt", "it", "nl", "pl", "ru", "ar", "tr", "hi", "vi")
"""Languages that are told apart. A choice among few is surer where texts are short and full of Latin and drugs."""
METHOD = (
    "Specialty, task and level that the file does not give are told from words: a table of 65 specialties (a term "
    "counts two points, a hint one; in the question twice), and how the question is worded. As the starter data's "
    "authors gave them, of the 180 rows that the tables were made with and of 36 others, mostly summaries and drug "
    "questions: specialty 75% and 44%, task 83% and 61%, level 67% and 39%. Of 477 questions from four institutes of "
    "the NIH and from the CDC (MedQuAD), 76% are told to be of the institute's own specialties. Language: py3langid, "
    "and the script. All can be corrected by hand."
)
"""What people are told beside a value that was told from the text. The figures are measured by a test."""
SURE_LANGUAGE = 0.7
"""py3langid's confidence below which no language is given."""
MOST_READ = 3_000
"""Characters of a question, and of an answer, that are looked at."""
NAMED = 8
"""Terms that are named as evidence; all are counted."""
_OPTIONS = re.compile(r"\n[ \t]*\(?A[.):] ")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_KANA, _HANGUL = re.compile("[\u3040-\u30ff]"), re.compile("[\uac00-\ud7af]")
_WITHOUT_LEVEL = {"ner", "classification", "report_generation", "summarization", "dialogue"}
# Their wording stands anywhere in a question, and often at its beginning; of the others the last sentence tells most.
_SAID_ANYWHERE = ("ner", "report_generation", "summarization", "classification", "patient_education")


class Assigned(NamedTuple):
    """A value, and what in the text speaks for it."""

    value: str
    evidence: str


def assign(row: Row) -> dict[str, Assigned]:
    """Fill what is missing of specialty, task, language and level in `row["about"]`.

    Returns what was filled, each with its evidence. A value that is there is never changed. What the text does not
    tell stays unknown: the field is left out.
    """
    about = row.setdefault("about", {})
    found: dict[str, Assigned] = {}
    asked, answered = question(row)[:MOST_READ], answer(row)[:MOST_READ]
    if not about.get("specialty"):
        name, terms = _specialty(asked, answered)
        if name:
            named = ", ".join(terms[:NAMED]) + (" …" if len(terms) > NAMED else "")
            found["specialty"] = Assigned(name, f"{len(terms)} {'term' if len(terms) == 1 else 'terms'}: {named}")
    if not about.get("language"):
        # A question may begin and end with an instruction in English that its format adds: its middle is its own.
        middle = asked[max(0, len(asked) // 2 - 50) :][:100]
        code, confidence = language_of(f"{answered[:100]}\n{middle}")
        if confidence < SURE_LANGUAGE:
            code, confidence = language_of(f"{asked[:200]}\n{answered[:200]}")
        if confidence >= SURE_LANGUAGE:
            found["language"] = Assigned(code, f"confidence {confidence:.2f}")
    if "prompt" in row and not (about.get("task") and about.get("level")):
        parts = _asked(row)
        if not about.get("task"):
            found["task"] = _task(row, parts)
        task = found["task"].value if "task" in found else about.get("task")
        if not about.get("level") and (level := _level(task, parts)):
            found["level"] = level
    for name, value in found.items():
        about[name] = value.value
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
    return _task(row, _asked(row)) if "prompt" in row else None


def level_of(row: Row) -> Assigned | None:
    """Level of difficulty (lecture L2.7) by how the question is worded and whether it describes a patient.

    Judgement: what to do, asked as a decision. Concepts: why and how. Reasoning: a patient or measured values, and what
    they mean. Facts: any other question. None for plain text and for tasks that ask for no knowledge (entities, notes).
    """
    return _level(row.get("about", {}).get("task"), _asked(row)) if "prompt" in row else None


def language_of(text: str) -> tuple[str, float]:
    """ISO 639-1 code and confidence (0 to 1). Japanese, Korean and Chinese by their script, others by py3langid.

    A text is Chinese where a fifth of its letters are Han characters: drug names and values are written in Latin ones.
    """
    sample = text[:400]
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


class _Asked(NamedTuple):
    whole: Wording
    last: Wording
    """The last sentence."""


def _asked(row: Row) -> _Asked:
    """Where a question says what it wants: without its options, its beginning and its end."""
    text = question(row)
    if len(text) > 4 * MOST_READ:
        text = f"{text[:MOST_READ]}\n{text[-MOST_READ:]}"
    if options := _OPTIONS.search(text):
        text = text[: options.start()]
    if len(text) > 600:
        text = f"{text[:200]}\n{text[-400:]}"
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence.strip()]
    whole = wording(text)
    return _Asked(whole, wording(sentences[-1]) if len(sentences) > 1 else whole)


def _task(row: Row, asked: _Asked) -> Assigned:
    if said := _worded(asked, "tasks"):
        return said
    if sum(message["role"] == "user" for message in row.get("prompt", [])) > 1:
        return Assigned("dialogue", "a conversation of several turns")
    if drugs := _drugs(asked.whole):
        return Assigned("drug_information", f"the question names {', '.join(drugs)}, and no other task")
    return Assigned("question_answering", "a question whose wording says no narrower task")


def _level(task: str | None, asked: _Asked) -> Assigned | None:
    if task in _WITHOUT_LEVEL:
        return None
    if said := _worded(asked, "levels"):
        return said
    if _describes_patient(asked.whole):
        return Assigned("reasoning", "the question describes a patient or gives values")
    return Assigned("facts", "a question about no patient, and not why or how")


def _worded(asked: _Asked, of: Literal["tasks", "levels"]) -> Assigned | None:
    """The first label of the table of which the last sentence has a phrase, else the whole question."""
    whole = _wording(of).found(asked.whole)
    if not whole:
        return None
    last = _wording(of).found(asked.last)
    for found, labels in ((whole, _SAID_ANYWHERE), (last, _labels(of)), (whole, _labels(of))):
        for label in labels:
            if label in found:
                return Assigned(label, f"the question says “{next(iter(found[label]))}”")
    return None


def _drugs(seen: Wording) -> list[str]:
    drugs = question_wording().drugs
    return sorted(word for word in seen.words if word.endswith(drugs.endings) or word in drugs.names)


def _describes_patient(seen: Wording) -> bool:
    patient = question_wording().patient
    return (
        any(f" {age} " in seen.line for age in patient.ages)
        or not seen.words.isdisjoint(patient.people)
        or len(seen.words & patient.measured) >= 2
    )


def _first_place(line: str, phrases: Iterable[str]) -> int:
    # Without a last "y", so that a plural in -ies is found too.
    places = [
        line.find(phrase if CJK.search(phrase) else wording(phrase).line.rstrip().removesuffix("y"))
        for phrase in phrases
    ]
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
def _wording(of: Literal["tasks", "levels"]) -> Phrases:
    table = _labels(of)
    return Phrases({label: [(phrase, 1) for phrase in phrases] for label, phrases in table.items()})


def _labels(of: Literal["tasks", "levels"]) -> dict[str, list[str]]:
    return question_wording().tasks if of == "tasks" else question_wording().levels


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier
