"""Finding identifiers: Presidio with our own recognisers, its findings made spans that do not overlap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from trainer.data.deidentify import dates, labelled, lexicon, names, places

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

Kind = Literal[
    "name", "location", "date", "age", "phone", "fax", "email", "ssn", "mrn", "health_plan", "account", "licence",
    "vehicle", "device", "url", "ip", "biometric", "photo", "other_id",
]  # fmt: skip
"""The identifiers of 45 CFR 164.514(b)(2)(i)(A) to (R); dates and ages over 89 are one of them there."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class Span(NamedTuple):
    """An identifier: text[start:end]."""

    start: int
    end: int
    kind: Kind
    score: float


PIECE = 100_000
"""Characters searched at once; a longer text is searched in pieces."""
# A ruled line ("-----"): spaCy's tokenizer takes quadratic time over it.
_RULE = re.compile(r"([^\w\s])\1{19,}")
_OTHER = "xx"  # every language without a model of its own
# What Presidio's recognisers call their findings.
_FROM_PRESIDIO: dict[str, Kind] = {
    "PHONE_NUMBER": "phone", "CREDIT_CARD": "account", "IBAN_CODE": "account",
}  # fmt: skip


@cache
def _analyzer() -> AnalyzerEngine:
    """Presidio's engine with the spaCy model (English) and with patterns alone (any other language). Loaded once."""
    import logging

    import spacy
    from presidio_analyzer import (
        AnalyzerEngine,
        LocalRecognizer,
        Pattern,
        PatternRecognizer,
        RecognizerRegistry,
        RecognizerResult,
    )
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        IbanRecognizer,
        PhoneRecognizer,
    )

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)

    class Engine(SpacyNlpEngine):
        """The model without the parts that nothing here reads."""

        def load(self) -> None:
            english = spacy.load(lexicon.MODEL, exclude=["parser", "tagger", "lemmatizer", "attribute_ruler"])
            self.nlp = {"en": english, _OTHER: spacy.blank("xx")}

    class PeopleAndPlaces(LocalRecognizer):
        """People and places, `names.find` and `places.find`."""

        def load(self) -> None:
            pass

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
            labels = {entity.label_ for entity in nlp_artifacts.entities}
            seen = {
                label: [(e.start_char, e.end_char) for e in nlp_artifacts.entities if e.label_ == label]
                for label in sorted(labels)
            }
            people = [
                RecognizerResult("name", found.start, found.end, found.score)
                for found in names.find(text, seen.get("PERSON", []))
            ]
            near = [RecognizerResult("location", *found) for found in places.find(text, seen.get("LOCATION", []))]
            return people + near

    patterns = {kind: [*listed] for kind, listed in labelled.PATTERNS.items()} | {
        "date": dates.DATES,
        "age": dates.AGES,
    }
    recognizers: list[Any] = [
        PeopleAndPlaces(supported_entities=["name", "location"], supported_language="en", name="people and places")
    ]
    for language in ("en", _OTHER):
        recognizers += [
            PatternRecognizer(
                kind,
                name=f"{kind} {language}",
                supported_language=language,
                patterns=[Pattern(f"{kind} {n}", pattern, score) for n, (pattern, score) in enumerate(listed)],
            )
            for kind, listed in patterns.items()
        ]
        recognizers += [
            CreditCardRecognizer(supported_language=language),
            IbanRecognizer(supported_language=language),
            PhoneRecognizer(supported_language=language, supported_regions=("US", "GB", "ES", "CN")),
        ]
    ner = NerModelConfiguration(
        model_to_presidio_entity_mapping={"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION"},
        labels_to_ignore=[
            "CARDINAL", "DATE", "EVENT", "LANGUAGE", "LAW", "MONEY", "NORP", "ORDINAL", "ORG", "PERCENT", "PRODUCT",
            "QUANTITY", "TIME", "WORK_OF_ART",
        ],
    )  # fmt: skip
    return AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=recognizers, supported_languages=["en", _OTHER]),
        nlp_engine=Engine(models=[{"lang_code": "en", "model_name": lexicon.MODEL}], ner_model_configuration=ner),
        supported_languages=["en", _OTHER],
    )


def find_identifiers(text: str, language: str = "en") -> list[Span]:
    """The identifiers in a text, in order and without overlap. `language` is an ISO 639-1 code; see `limits`."""
    return find_in_many([text], language)[0]


def find_in_many(texts: Sequence[str], language: str = "en") -> list[list[Span]]:
    """`find_identifiers` for many texts of one language at once."""
    longest = max((len(text) for text in texts), default=0)
    if longest > PIECE:
        pieces = [_pieces(text) for text in texts]
        spans = iter(find_in_many([piece for own in pieces for piece in own], language))
        return [_joined(own, [next(spans) for _ in own]) for own in pieces]
    engine = _analyzer()
    code = "en" if language.lower().split("-")[0] == "en" else _OTHER
    found: list[list[Span]] = []
    calm = [_RULE.sub(lambda match: " " * len(match[0]), text) for text in texts]
    batch = engine.nlp_engine.process_batch(calm, code, batch_size=32)
    for text, (_, artifacts) in zip(texts, batch, strict=True):  # pyright: ignore[reportGeneralTypeIssues]
        results = engine.analyze(text, code, nlp_artifacts=artifacts)
        spans = [Span(r.start, r.end, _FROM_PRESIDIO.get(r.entity_type, r.entity_type), r.score) for r in results]  # pyright: ignore[reportArgumentType]
        found.append(_without_overlap(text, spans))
    return found


def _pieces(text: str) -> list[str]:
    """The text in pieces that end at a line's end where one is near: what the model can hold."""
    pieces = []
    while len(text) > PIECE:
        cut = text.rfind("\n", PIECE // 2, PIECE) + 1 or text.rfind(" ", PIECE // 2, PIECE) + 1 or PIECE
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]


def _joined(pieces: list[str], found: list[list[Span]]) -> list[Span]:
    joined: list[Span] = []
    start = 0
    for piece, spans in zip(pieces, found, strict=True):
        joined += [span._replace(start=span.start + start, end=span.end + start) for span in spans]
        start += len(piece)
    return joined


def _measured(text: str, span: Span) -> bool:
    """Is this long number a count or a measurement?"""
    before, after = text[max(0, span.start - 30) : span.start], text[span.end : span.end + 20]
    return (
        re.search(labelled.MEASURED_BEFORE, before, re.IGNORECASE) is not None
        or re.match(labelled.MEASURED_AFTER, after, re.IGNORECASE) is not None
    )


def _without_overlap(text: str, spans: list[Span]) -> list[Span]:
    """The best of spans that overlap; what sticks out of the others stays marked, since leaving it would tell."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, -(s.end - s.start), s.start, s.kind)):
        if span.kind == "other_id" and span.score <= 0.4 and _measured(text, span):
            continue
        pieces = [(span.start, span.end)]
        for other in kept:
            pieces = [
                piece
                for start, end in pieces
                for piece in ((start, min(end, other.start)), (max(start, other.end), end))
                if piece[0] < piece[1] and (piece != (start, end) or other.end <= start or other.start >= end)
            ] if any(start < other.end and other.start < end for start, end in pieces) else pieces  # fmt: skip
        for start, end in dict.fromkeys(pieces):
            while start < end and not text[start].isalnum() and text[start] not in "+([\\/":
                start += 1
            while start < end and not text[end - 1].isalnum() and text[end - 1] not in ")]/":
                if re.search(r"\b[A-Z]\.$", text[start:end]):  # the full stop of an initial
                    break
                end -= 1
            if re.search(r"\w", text[start:end]):
                kept.append(span._replace(start=start, end=end))
    kept.sort()
    merged: list[Span] = []
    for span in kept:
        if merged and span.kind == merged[-1].kind and span.kind in ("name", "location"):
            between = text[merged[-1].end : span.start]
            if re.fullmatch(r"[ \t]*|,[ \t]?" if span.kind == "location" else r"[ \t]*", between):
                merged[-1] = Span(merged[-1].start, span.end, span.kind, max(span.score, merged[-1].score))
                continue
        merged.append(span)
    return merged


def limits(language: str) -> str:
    """One sentence on what cannot be found in texts of this language; the code is ISO 639-1."""
    code = language.lower().split("-")[0]
    if code == "en":
        return (
            "Names and places are found by lists, by what stands around them and by a small model; some are missed, so "
            "read a sample."
        )
    known = {"es": "Spanish", "zh": "Chinese"}.get(code, f'the language "{code}"')
    return (
        f"There is no model of names and places for {known}: only dates, numbers and codes with a known shape or "
        "label, e-mail and web addresses are found; names of people, places and institutions stay in the text."
    )
