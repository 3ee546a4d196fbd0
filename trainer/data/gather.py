"""All of a run's own rows in one file: read, assigned, and de-identified; killed in the middle, it goes on.

A line of the file is `{"row": ..., "found": {kind: n}, "time": ...}`; the row is null where it was dropped for what it
held. The time is as it was read, which a split by time needs; in the row itself it is masked or moved with the rest.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from trainer import config
from trainer.data import corrections, manifest
from trainer.data.inspection.assignment import assign
from trainer.data.loading import Loading, no_rows
from trainer.data.records import Fault
from trainer.data.rows import Row
from trainer.data.sources import Located, Progress, content_hash
from trainer.data_sections import DataSection, DataSource

EVERY = 2000  # rows between two words on progress
MOST_PROCESSES = 4  # of de-identification; each holds a model of its own, 660 MB


def gather(
    data: DataSection, located: dict[str, Located], seed: int, target: Path, progress: Progress
) -> tuple[list[manifest.SourceRecord], list[Fault], manifest.Deidentification]:
    """Write the rows of every source to `target`; returns what each source gave, and what could not be used.

    Rows that `target` holds already are read again, which is cheap, and not de-identified again.
    """
    sources: list[manifest.SourceRecord] = []
    rejected: list[Fault] = []
    done = _complete_lines(target)
    with target.open("a", encoding="utf-8") as out:
        for source in data.sources:
            record, faults, done = _one_source(data, source, located[source.name], seed, out, done, progress)
            sources.append(record)
            rejected += faults
    return sources, rejected, _removed(data, located, target)


def kept_rows(path: Path) -> Iterator[Row]:
    """The rows of a gathered file, without those that were dropped."""
    return (one["row"] for one in _lines(path) if one["row"] is not None)


def times(path: Path) -> list[str | None]:
    """The kept rows' times as they were read."""
    return [one["time"] for one in _lines(path) if one["row"] is not None]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def needs_deidentification(data: DataSection, located: Located) -> bool:
    """Whether a source's rows go through de-identification: unless it is known that no patient is in them."""
    return data.contains_phi is not False and data.deidentify != "off" and located.patient_text


def secret() -> bytes:
    """What this home's pseudonyms and surrogates are made with; never leaves it, so that none can be undone outside."""
    from filelock import FileLock

    path = config.home() / "pseudonyms.key"
    with FileLock(f"{path}.lock"):
        # An empty one was cut off before it was written, and nothing was made with it.
        if not path.exists() or not path.stat().st_size:
            partial = path.with_name(f".{path.name}.part")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            partial.replace(path)
    return path.read_bytes()


def _one_source(
    data: DataSection,
    source: DataSource,
    located: Located,
    seed: int,
    out: Any,
    done: int,
    progress: Progress,
) -> tuple[manifest.SourceRecord, list[Fault], int]:
    loading = Loading(source, located)
    corrected = corrections.read(Path(source.corrections)) if source.corrections else {}
    faults: list[Fault] = []
    read_at: deque[str | None] = deque()
    rows = _assigned(loading.drawn(seed), corrected, faults, read_at)
    skipped = sum(1 for _ in islice(rows, done))
    read_at.clear()
    used = skipped
    if needs_deidentification(data, located):
        from trainer.data.deidentify.parallel import deidentify_rows

        assert data.deidentify != "off"
        stream = deidentify_rows(rows, data.deidentify, secret(), min(MOST_PROCESSES, os.cpu_count() or 1))
        stage = f"de-identifying {located.path.name}"
    else:
        stream = ((row, Counter()) for row in rows)
        stage = f"reading {located.path.name}"
    for row, found in stream:
        line = {"row": row, "found": found, "time": read_at.popleft()}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        used += 1
        if used % EVERY == 0 or (row is not None and stage.startswith("de-id") and used % 20 == 0):
            out.flush()
            progress(stage, used, source.rows or 0)
    out.flush()
    if not used:
        raise no_rows(located, faults)
    detection = loading.detection
    record = manifest.SourceRecord(
        name=source.name,
        path=str(located.path),
        licence=located.licence,
        restriction=located.restriction,
        sha256=content_hash(located.path),
        role="training",
        format=detection.format if detection else f"template {source.template}",
        evidence=detection.evidence if detection else [],
        rows_used=used,
        rows_rejected=len(faults),
        corrected=sum(len(fields) for fields in corrected.values()),
    )
    return record, faults, done - skipped


def _assigned(
    rows: Iterator[Row | Fault],
    corrected: dict[str, dict[str, Any]],
    faults: list[Fault],
    read_at: deque[str | None],
) -> Iterator[Row]:
    """The good rows, with what their file does not say of specialty, task, language and level; faults are put aside.

    Each row's time goes to `read_at`, from where it is taken when the row comes out of de-identification.
    """
    for one in rows:
        if isinstance(one, Fault):
            faults.append(one)
            continue
        about: Any = one.setdefault("about", {})
        corrections.apply(one, corrected)
        assign(one)
        read_at.append(about.get("time"))
        yield one


def _complete_lines(path: Path) -> int:
    """Rows that a killed preparation left; a last line that was cut off is removed."""
    if not path.exists():
        return 0
    lines, end = 0, 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines += 1
                end += len(line)
    os.truncate(path, end)
    return lines


def _removed(data: DataSection, located: dict[str, Located], path: Path) -> manifest.Deidentification:
    if not any(needs_deidentification(data, one) for one in located.values()):
        if data.contains_phi is False:
            because = "data.contains_phi is false: somebody stated that no row holds patient data."
        elif data.deidentify == "off":
            because = f"Switched off: {data.not_deidentified_because}"
        else:
            because = "No source holds text about patients, as its publisher says."
        return manifest.Deidentification(action="off" if data.deidentify == "off" else "not needed", because=because)
    from trainer.data.deidentify.find import limits

    found: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    changed = dropped = 0
    for one in _lines(path):
        found.update(one["found"])
        changed += bool(one["found"])
        dropped += one["row"] is None
        if one["row"] is not None:
            languages[one["row"]["about"].get("language", "en")] += 1
    return manifest.Deidentification(
        action=data.deidentify,
        because=f"{sum(found.values())} identifiers in {changed} rows; action: {data.deidentify}.",
        found=dict(sorted(found.items())),
        rows_changed=changed - dropped,
        rows_dropped=dropped,
        limits=[said for language in sorted(languages) if (said := limits(language))],
    )
