"""What a look at the data found, in sentences: the weightiest first, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.data.inspection.balance import ClassMix
from trainer.data.inspection.findings import LECTURE_ANSWER, LECTURE_SPECIALTIES, LECTURE_VALIDATED, Inspection

UNEVEN = 10
"""Rows of the largest class for one of the smallest, from which imbalance is pointed out."""
FEW_CLASSES = 50
"""A field with more values than this is taken for free text and not for classes."""
FAR = 0.15
"""Difference in share from the lecture's mix that is pointed out."""
ENOUGH = 30
"""Rows from which shares are compared."""


def warnings_of(found: Inspection) -> list[str]:
    """Sentences on what needs a decision, the weightiest first."""
    if not found.rows:
        return ["There is no row."]
    return [*_unusable(found), *_contradictions(found), *_doubtful(found), *_validation(found), *_mix(found)]


def _unusable(found: Inspection) -> Iterator[str]:
    if found.nothing_trained:
        limit = f" within {found.max_length} tokens" if found.max_length is not None else ""
        yield (
            f"{_rows(found.nothing_trained)} without a trained token{limit}: the question alone is so long, or the "
            "answer is empty. Shorten the question, raise schedule.max_length, or remove the row."
        )
    if found.empty:
        yield f"{_rows(found.empty)} with an empty answer ({_places(found.empty_listed)}). Fill them in or remove them."
    if found.too_long and found.tokens:
        yield (
            f"{_rows(found.too_long)} ({found.too_long / found.tokens.rows:.1%}) longer than {found.max_length} "
            f"tokens: the end is cut off. 98 % of the rows have at most {found.tokens.p98} tokens, the longest "
            f"{found.tokens.longest}: raise schedule.max_length if memory allows, or shorten them."
        )


def _contradictions(found: Inspection) -> Iterator[str]:
    by_kind = found.contradicting
    first = {how: next((one for one in found.contradictions if one.how == how), None) for how in by_kind}
    if one := first["class"]:
        yield (
            f"{_rows(by_kind['class'])} with another decision for a question asked before (first: {one.first} against "
            f"{one.again}). A model learns to guess there: decide which is right, and remove the other."
        )
    if one := first["numbers"]:
        yield (
            f"{_rows(by_kind['numbers'])} with the same answer but other numbers (first: {one.first} against "
            f"{one.again}). Check the doses and values."
        )
    if one := first["text"]:
        yield (
            f"{_rows(by_kind['text'])} with an answer that shares few words with the first one to the same question "
            f"(first: {one.first} against {one.again}). Both may be right: read some of them."
        )
    if found.doubled:
        one = found.doubled_listed[0]
        yield (
            f"{_rows(found.doubled)} ({found.doubled / found.rows:.1%}) repeat another row word for word (first: "
            f"{one.first} and {one.again}). A copy weighs once more in training: keep one of each."
        )


def _doubtful(found: Inspection) -> Iterator[str]:
    # Where most answers are so short, short answers are what is wanted.
    if 0 < found.short < found.rows / 2:
        yield (
            f"{_rows(found.short)} with an answer under three words that is no class ({_places(found.short_listed)}). "
            "See whether they were cut off."
        )


def _validation(found: Inspection) -> Iterator[str]:
    low, high = LECTURE_VALIDATED
    if found.validated_rate < low:
        marked = f"{found.validated:,} of {found.rows:,} rows ({found.validated_rate:.0%}) are"
        yield (
            f"{marked if found.validated else 'No row is'} marked as checked by an expert; the lecture's sets have "
            f"{low:.0%} to {high:.0%} (L2.2). Have experts check them, and mark what they checked."
        )


def _mix(found: Inspection) -> Iterator[str]:
    for field in ("specialty", "task", "label"):
        mix: ClassMix = getattr(found, field)
        if mix.ratio >= UNEVEN and mix.classes <= (100 if field == "specialty" else FEW_CLASSES):
            largest, smallest = mix.listed[0], mix.listed[-1]
            told = found.assigned.get(field, 0)
            doubt = f" It was told from the text in {_rows(told)}: look at it first." if told > mix.known / 2 else ""
            yield (
                f"{field.capitalize()} is uneven: {largest.name} has {largest.rows:,} rows, {smallest.name} "
                f"{smallest.rows:,} ({mix.ratio:,.0f} to 1). {found.balance[field].sentence} "
                f"To do so, set data.balance to {field} (lecture L3.20).{doubt}"
            )
    rows = sum(share.rows for share in found.lecture_mix)
    if rows >= ENOUGH and any(abs(one.share - one.lecture) > FAR for one in found.lecture_mix):
        said = ", ".join(f"{one.task.replace('_', ' ')} {one.share:.0%}" for one in found.lecture_mix)
        yield (
            f"Of {rows:,} rows on diagnosis, treatment and patient education: {said}; the lecture's mix is 40, 30 and "
            "30 % (L2.2). Add rows of what is short if the model is to serve all three."
        )
    if found.rows >= ENOUGH and found.specialty.classes < LECTURE_SPECIALTIES:
        yield (
            f"{found.specialty.classes} specialties are covered; the lecture's sets cover {LECTURE_SPECIALTIES} or "
            "more (L2.2). That is right for a model of a few specialties; one for all needs more."
        )
    low, high = LECTURE_ANSWER
    if found.answer_tokens and found.rows >= ENOUGH and not low <= found.answer_tokens.mean <= high:
        yield (
            f"Answers have {found.answer_tokens.mean:.0f} tokens on average; the lecture's sets have {low} to {high} "
            "(L2.2). Short ones suit classes and entities, not explanations; long ones are slow to read."
        )


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _places(places: list[str]) -> str:
    return "; ".join(places[:3]) + (" …" if len(places) > 3 else "")
