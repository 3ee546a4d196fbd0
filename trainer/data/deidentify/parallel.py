"""De-identification of rows: all texts of a row together, many rows on several processes, in order."""

from __future__ import annotations

import itertools
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, cast

from trainer.data.deidentify.find import Kind, Span, find_in_many
from trainer.data.deidentify.replace import Replacer
from trainer.data.records import DataError
from trainer.data.rows import Message, Row, row_id, texts

Outcome = tuple[Row | None, Counter[Kind]]
CHUNK = 64
"""Rows that a process takes at once."""
_BREAK = "\n\n§§\n\n"
# The texts of a row are searched as one, so that a name which the question makes sure is known in the answer too.


def find_in_rows(rows: Sequence[Row]) -> list[list[list[Span]]]:
    """For each row, the identifiers in each of its `texts`."""
    found: list[list[list[Span]]] = [[] for _ in rows]
    languages = [row.get("about", {}).get("language", "en") for row in rows]
    for language in dict.fromkeys(languages):
        places = [n for n, own in enumerate(languages) if own == language]
        joined = [_BREAK.join(texts(rows[n])) for n in places]
        for n, spans in zip(places, find_in_many(joined, language), strict=True):
            start = 0
            for text in texts(rows[n]):
                end = start + len(text)
                found[n].append(
                    [
                        span._replace(start=max(span.start, start) - start, end=min(span.end, end) - start)
                        for span in spans
                        if span.start < end and span.end > start
                    ]
                )
                start = end + len(_BREAK)
    return found


def deidentify_row(row: Row, spans: Sequence[Sequence[Span]], replacer: Replacer) -> Row:
    """A copy of the row with its identifiers replaced; `spans` has a list for each of `texts(row)`.

    In `about`, the patient becomes a pseudonym, the time is moved like the patient's dates (surrogate) or cut to its
    year (mask), and a file's name in the place becomes a pseudonym too.
    """
    about = row.get("about", {})
    # A row that names no patient is a patient of its own: nothing links it with another.
    patient = about.get("patient") or about.get("id") or row_id(row)
    left = iter(spans)

    def cleaned(text: str) -> str:
        return replacer.replace(text, next(left), patient)

    new: dict[str, Any] = dict(row)
    for name in ("prompt", "completion", "chosen", "rejected"):
        if name in row:
            messages = cast(list[Message], row.get(name))
            new[name] = [message | {"content": cleaned(message["content"])} for message in messages]
    if "text" in row:
        new["text"] = cleaned(row["text"])
    if about:
        new["about"] = dict(about)
        if "patient" in about:
            new["about"]["patient"] = replacer.pseudonym(about["patient"])
        if "time" in about:
            new["about"]["time"] = _moved_time(about["time"], replacer, patient)
        if "place" in about:
            new["about"]["place"] = _plain_place(about["place"], replacer)
    return cast(Row, new)


def _moved_time(time: str, replacer: Replacer, patient: str) -> str:
    from datetime import date, timedelta

    if replacer.action == "mask":
        return time[:4]
    try:
        day = date.fromisoformat(time[:10])
    except ValueError:
        return time[:4]
    return (day + timedelta(replacer.offset(patient))).isoformat() + time[10:]


def _plain_place(place: str, replacer: Replacer) -> str:
    """ "smith_john.docx, row 3" becomes "document 1f3a….docx, row 3"."""
    return re.sub(
        r"[^,;]*?(\.[A-Za-z]{2,7})(?=$|[,;:\s])",
        lambda match: f"document {replacer.pseudonym(match[0])[:8]}{match[1]}",
        place,
        count=1,
    )


def _chunk(rows: list[Row], action: Literal["mask", "surrogate", "drop"], secret: bytes) -> list[Outcome]:
    """One chunk's rows with the number of identifiers in each; runs in a process of the pool."""
    outcomes: list[Outcome] = []
    replacer = Replacer("mask" if action == "drop" else action, secret)
    for row, spans in zip(rows, find_in_rows(rows), strict=True):
        counts: Counter[Kind] = Counter(span.kind for own in spans for span in own)
        dropped = action == "drop" and counts.total() > 0
        outcomes.append((None if dropped else deidentify_row(row, spans, replacer), counts))
    return outcomes


def deidentify_rows(
    rows: Iterable[Row],
    action: Literal["mask", "surrogate", "drop"],
    secret: bytes,
    processes: int = 2,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """Each row de-identified, in order, with the number of its identifiers by kind; None for a row that was dropped.

    Rows stream: no more than a few chunks are in memory. The result does not depend on `processes`. `progress` is told
    the number of rows done. Raises `DataError` where a process died.
    """
    chunks = _batched(rows)
    done = 0
    first = list(itertools.islice(chunks, 2))
    if processes < 2 or len(first) < 2:  # a pool takes seconds to load its models
        outcomes = (_chunk(chunk, action, secret) for chunk in itertools.chain(first, chunks))
    else:
        outcomes = _in_pool(itertools.chain(first, chunks), action, secret, processes)
    for chunk in outcomes:
        done += len(chunk)
        yield from chunk
        if progress:
            progress(done)


def _batched(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while chunk := list(itertools.islice(source, CHUNK)):
        yield chunk


def end_with_parent() -> None:
    """Make this process end when the one that started it does: a killed one would leave 600 MB waiting for work."""
    import multiprocessing
    import os
    import threading

    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_pool(
    chunks: Iterator[list[Row]], action: Literal["mask", "surrogate", "drop"], secret: bytes, processes: int
) -> Iterator[list[Outcome]]:
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent)
    waiting: deque[Future[list[Outcome]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_chunk, chunk, action, secret))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            f"A process of de-identification died, most likely for want of memory (each of {processes} takes about "
            "600 MB); close other programs or use one process, and start again."
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
