"""Slips of the keyboard in frequent words: "exmaples", "radiolgy", "sumarise"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

# Words that carry facts. Related forms stand here too, so that none of them is taken for a slip of another.
_LIST = """
    example examples sample samples report reports record records question questions answer answers message
    messages letter letters document documents summary summaries summarise summarize summarised summarized
    summarises summarizes summarisation summarization summariser summarizer conversation conversations dialogue
    dialogues discharge discharges discharged patient patients labelled labeled training radiology radiologist
    radiologists cardiology cardiologist oncology oncologist pathology pathologist neurology neurologist
    dermatology dermatologist psychiatry psychiatrist pediatrics paediatrics nephrology urology endocrinology
    gastroenterology pulmonology ophthalmology surgery surgical emergency anonymised anonymized anonymise
    anonymize identified identify identifies identifiers deidentified pseudonymised pseudonymized redacted
    synthetic impression impressions diagnosis diagnoses diagnose diagnostic differential treatment treatments
    medication medications extract extracts extracting extraction classify classifies classified classifier
    classification triage interpret interprets interpretation laboratory education reasoning preference
    preferences adversarial quality accuracy tomorrow hundred thousand million laptop computer machine mistral
    hospital clinical explain explains
    explained explaining prefix prefixes adapter adapters bottleneck parallel sequential curriculum forgetting
    uncertainty distillation gradient gradients unfreezing layer layers virtual offload mixing dynamic validation
"""
_WORDS = _LIST.split()
# Spelt by ear rather than slipped.
_HEARD = {
    "anonimised": "anonymised",
    "anonimized": "anonymized",
    "annonimised": "anonymised",
    "annonimized": "anonymized",
    "anomymised": "anonymised",
    "anomymized": "anonymized",
    "deindentified": "deidentified",
    "indentified": "identified",
    "sumerise": "summarise",
    "sumerize": "summarize",
    "thousend": "thousand",
    "hundered": "hundred",
    "diagnosys": "diagnosis",
    "treatement": "treatment",
    "catagorise": "categorise",
    "catagorize": "categorize",
}


def corrected(text: str) -> str:
    """The text with slips in frequent words mended. What is quoted, or looks like a file or an address, stays."""
    return re.sub(r"\"[^\"]*\"|\S+", lambda match: _corrected_word(match[0]), text)


def _corrected_word(text: str) -> str:
    if text.startswith('"') or re.search(r"[/\\_@]|\.\w", text):
        return text
    return re.sub(r"[A-Za-z]{5,}", lambda match: _MENDED.get(match[0].lower(), match[0]), text)


def _slips(word: str) -> Iterator[str]:
    """Two letters swapped, one left out (not the first or last: "report" is no slip of "reports"), or one doubled."""
    for place in range(1, len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        yield word[:place] + word[place + 1 :]
        yield word[:place] + word[place] + word[place:]


def _mended() -> dict[str, str]:
    slips = {word: set(_slips(word)) - set(_WORDS) for word in _WORDS}
    # A slip that could be one of two words is left as it is.
    meant = Counter(slip for found in slips.values() for slip in found)
    return {slip: word for word, found in slips.items() for slip in found if meant[slip] == 1} | _HEARD


_MENDED = _mended()
