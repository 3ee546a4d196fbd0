"""A look at one source before anything is done to it: how it was recognised, what is in it, and what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from trainer.config import DataFormat, DataSource
from trainer.data import corrections
from trainer.data.inspection.inspect import Inspection, Inspector
from trainer.data.loading import Loading, no_rows
from trainer.data.reading.containers import recognise
from trainer.data.records import Fault
from trainer.data.rows import Row
from trainer.data.sources import Progress, locate

CountTokens = Callable[[Row], tuple[int, int]]  # trained tokens, all tokens
EVERY = 1000  # rows between two words on progress


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
        inspection=inspector.report(),
    )
