"""Preference data and alignment in a terminal: what their verbs print, as objects and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from assistant.planner.advice_models import Reason
from assistant.results import RunSummary
from trainer.data.rows import Row, question
from trainer.review.preference_data import LeftOut, PreferenceData, ReaderAgreement, Rules
from trainer.review.preferences import PreferenceManifest, Saved, rows
from trainer.sections import RunConfig

EXAMPLES = 3
_SHOWN = 100  # characters of a text in a line


class PreferenceMade(BaseModel):
    """`preferences make --json` and `preferences import --json`: what there is, and as what it was kept."""

    saved: str | None
    """None where it was only looked at."""
    source: str
    rules: Rules | None
    counts: dict[str, int]
    reasons: dict[str, int]
    left_out: list[LeftOut]
    agreement: ReaderAgreement
    examples: list[dict[str, Any]]
    """The first pairs, or the first labelled answers where there are none."""


class PreferenceDetails(BaseModel):
    """`preferences show --json`."""

    id: str
    folder: str
    manifest: PreferenceManifest
    examples: list[dict[str, Any]]


class PreferenceList(BaseModel):
    """`preferences list --json`, newest first."""

    saved: list[PreferenceSummary]


class PreferenceSummary(BaseModel):
    """Saved preference data as a list shows it."""

    id: str
    source: str
    counts: dict[str, int]
    created: str


class PreferenceExported(BaseModel):
    """`preferences export --json`."""

    file: str
    rows: int


class Aligned(BaseModel):
    """`align --json`: the run file with the reason for each value, and the run where one was started."""

    data: str | None
    config: RunConfig
    reasons: list[Reason]
    run: RunSummary | None = None


def made(data: PreferenceData, saved: Saved | None) -> PreferenceMade:
    """What was made, and as what it was kept."""
    return PreferenceMade(
        saved=saved.id if saved else None,
        source=data.source,
        rules=data.rules,
        counts=data.counts,
        reasons=data.reasons,
        left_out=data.left_out,
        agreement=data.agreement,
        examples=_examples(data.pairs or data.labels),
    )


def summary(saved: Saved) -> PreferenceSummary:
    """One line of the list."""
    manifest = saved.manifest
    created = manifest.created.isoformat(timespec="seconds")
    return PreferenceSummary(id=saved.id, source=manifest.source, counts=manifest.counts, created=created)


def details(saved: Saved) -> PreferenceDetails:
    """All that is known of it."""
    found = rows(saved, "preference") or rows(saved, "unpaired_preference")
    return PreferenceDetails(id=saved.id, folder=str(saved.folder), manifest=saved.manifest, examples=_examples(found))


def lines(
    source: str, counts: dict[str, int], reasons: dict[str, int], agreement: ReaderAgreement, examples: list[Any]
) -> Iterator[str]:
    """Counts, what is left out and why, agreement, and examples, in words."""
    yield f"From {source}: {counted(counts)}."
    if reasons:
        yield "No pair: " + "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) + "."
    if agreement.doubly_read:
        told = f"Two readers of one comparison differed {agreement.differ} of {agreement.doubly_read} times"
        wrong = agreement.wrong_pairs
        yield f"{told}; by that, {wrong:.1%} of the pairs are the wrong way round." if wrong is not None else f"{told}."
    for row in examples:
        yield f"  {_cut(question(row))}"
        for name, shown in (
            ("chosen", "better"),
            ("rejected", "worse"),
            ("completion", "good" if row.get("label") else "bad"),
        ):
            if name in row:
                yield f"    {shown}: {_cut(row[name][-1]['content'])}"


def counted(counts: dict[str, int]) -> str:
    """ "31 pairs, 60 labelled answers (33 good, 27 bad)" """
    labelled = counts["good"] + counts["bad"]
    return f"{counts['pairs']:,} pairs, {labelled:,} labelled answers ({counts['good']:,} good, {counts['bad']:,} bad)"


def _examples(found: list[Row]) -> list[dict[str, Any]]:
    return [dict(row) for row in found[:EXAMPLES]]


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 3]}..."


PreferenceList.model_rebuild()
