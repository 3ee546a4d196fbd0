"""A look at one source before anything is done to it: how it was recognised, what is in it, and what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from trainer.data import corrections
from trainer.data.inspection.inspect import Inspection, Inspector
from trainer.data.loading import Loading, no_rows
from trainer.data.near_duplicates import Signatures
from trainer.data.reading.containers import recognise
from trainer.data.records import Fault
from trainer.data.rows import Row, question_and_answer
from trainer.data.sources import Progress, locate
from trainer.data_sections import DataFormat, DataSource

CountTokens = Callable[[Row], tuple[int, int]]  # trained tokens, all tokens
SHOWN = 5  # groups of near-duplicates that are named, and rows of each
EVERY = 1000  # rows between two words on progress


class NearDuplicates(BaseModel):
    """Rows that say the same thing in nearly the same words, as `near_duplicates` finds them."""

    groups: int
    rows: int
    """Rows in these groups."""
    first: list[list[str]]
    """Places of the first groups' rows, at most `SHOWN` of each."""


class Survey(BaseModel):
    """What a source is and holds. `complete` is false where only its first rows were looked at."""

    name: str
    path: str
    licence: str
    restriction: str
    evidence: list[str]
    """By what the container and the format were recognised, in sentences."""
    format: DataFormat | None
    """None where a template writes the rows."""
    columns: dict[str, str]
    """What each column was taken for."""
    other_formats: list[DataFormat]
    """What else the rows might be."""
    rows: int
    complete: bool
    faults: list[Fault]
    near_duplicates: NearDuplicates
    inspection: Inspection


def survey(
    source: DataSource,
    count_tokens: CountTokens | None,
    max_length: int,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Look at the first `limit` rows of a source, or at all of them.

    Lengths are counted where `count_tokens` is given, against `max_length` tokens. Raises `DataError` where nothing can
    be used.
    """
    report = progress or (lambda stage, done, total: None)
    located = locate(source.name, "train", report)
    loading = Loading(source, located)
    corrected = corrections.read(Path(source.corrections)) if source.corrections else {}
    inspector = Inspector(max_length)
    faults: list[Fault] = []
    signatures, places = Signatures(), []
    rows, complete = 0, True
    for one in loading.rows():
        if isinstance(one, Fault):
            faults.append(one)
            continue
        if rows == limit:
            complete = False
            break
        rows += 1
        corrections.apply(one, corrected)
        trained, tokens = count_tokens(one) if count_tokens else (None, None)
        inspector.add(one, trained, tokens)
        signatures.add(question_and_answer(one))
        places.append(one["about"]["place"])
        if rows % EVERY == 0:
            report(f"looking at {located.path.name}", rows, limit or 0)
    if not rows:
        raise no_rows(located, faults)
    detection = loading.detection
    return Survey(
        name=located.name,
        path=str(located.path),
        licence=located.licence,
        restriction=located.restriction,
        evidence=[*recognise(located.path).evidence, *(detection.evidence if detection else [])],
        format=detection.format if detection else None,
        columns=detection.columns | detection.about if detection else {},
        other_formats=detection.others if detection else [],
        rows=rows,
        complete=complete,
        faults=faults,
        near_duplicates=_near_duplicates(signatures, places),
        inspection=inspector.report(),
    )


def _near_duplicates(signatures: Signatures, places: list[str]) -> NearDuplicates:
    members: dict[int, list[str]] = {}
    for group, place in zip(signatures.groups().tolist(), places, strict=True):
        members.setdefault(group, []).append(place)
    several = [rows for rows in members.values() if len(rows) > 1]
    return NearDuplicates(
        groups=len(several), rows=sum(map(len, several)), first=[rows[:SHOWN] for rows in several[:SHOWN]]
    )
