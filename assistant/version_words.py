"""Versions in a terminal: what the verbs print, as objects and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from evaluators.gates import Decision
from trainer.run_differences import Different
from trainer.store import ABTest, Version
from trainer.versions import registry
from trainer.versions.ab_test import Arm, State
from trainer.versions.compatibility import Compatibility
from trainer.versions.registry import DECISIONS, Draft


class VersionDetails(BaseModel):
    """`versions show` and `versions register --json`: one version and what stands behind it."""

    line: str
    number: str
    model: str
    in_use: bool
    parent: str | None
    change: str
    changelog: list[str]
    knowledge_until: str | None
    decision: Decision | None
    """What the gates said when it was registered; null where nothing had been evaluated."""
    gates: list[dict[str, Any]]
    evaluation: str | None
    despite: str
    data: dict[str, Any]


class VersionList(BaseModel):
    """`versions list --json`: all versions, by line, the highest number first."""

    versions: list[VersionDetails]


class VersionDraft(BaseModel):
    """`versions register --preview --json`: what would be registered."""

    draft: Draft


class InUse(BaseModel):
    """`versions use` and `versions rollback --json`."""

    line: str
    number: str
    reason: str


class UpdatePlanned(BaseModel):
    """`versions update --json`: the run file that was written, and why its values are as they are."""

    file: str
    reasons: dict[str, str]


class ABTestList(BaseModel):
    """`versions ab list --json`: the tests, the newest first."""

    tests: list[State]


class ArmOf(BaseModel):
    """`versions ab arm` and `versions ab record --json`: which version a user gets."""

    test: str
    arm: Arm
    number: str


class RunsCompared(BaseModel):
    """`runs compare --json`: the fields of the run files that differ, and the last validation losses."""

    first: str
    second: str
    differences: list[Different]
    first_loss: float | None
    second_loss: float | None


def details(version: Version, in_use: Version | None) -> VersionDetails:
    """A version as the command line shows it."""
    return VersionDetails(
        line=version.line,
        number=version.number,
        model=version.model,
        in_use=in_use is not None and in_use.id == version.id,
        parent=version.parent,
        change=version.change,
        changelog=version.changelog.splitlines(),
        knowledge_until=version.knowledge_until,
        decision=registry.decision(version),
        gates=version.gates,
        evaluation=version.evaluation,
        despite=version.despite,
        data=version.data_manifest,
    )


def version_lines(found: VersionDetails) -> Iterator[str]:
    """A version in words."""
    yield f"{found.line} {found.number}{' (in use)' if found.in_use else ''}: {found.model}"
    yield f"  change: {found.change}; {f'goes on from {found.parent}' if found.parent else 'the first of its line'}"
    yield f"  knowledge until: {found.knowledge_until or 'not known'} (of what it was trained on)"
    yield from (f"  - {line}" for line in found.changelog)
    if found.despite:
        yield f"  registered all the same: {found.despite}"
    for gate in found.gates:
        yield f"  {gate['result'].upper()} {gate['name']}: {gate['sentence']}"
    for source in found.data.get("sources", []):
        rows = f"{source['rows_used']:,} rows, {source['licence']}, sha256 {source['sha256'][:12]}"
        yield f"  data: {source['name']} ({source['role']}; {rows})"


def draft_lines(found: Draft) -> Iterator[str]:
    """What would be registered, and what stands against it."""
    yield f"{found.line} {found.number}: {found.model}"
    yield from (f"  {reason}" for reason in found.reasons)
    yield from (f"  - {line}" for line in found.changelog.splitlines())
    yield f"  knowledge until: {found.knowledge_until or 'not known'} (of what it was trained on)"
    yield from (f"  against it: {one}" for one in found.objections)
    if found.decision != "within every limit tested":
        yield f"  {DECISIONS[found.decision]}."


def compatibility_lines(found: Compatibility, most: int = 20) -> Iterator[str]:
    """What can no longer be done, and the cases themselves."""
    yield found.sentence()
    for one in found.broken[:most]:
        yield f"  {one.suite}{f', {one.group}' if one.group else ''}: {_line(one.question)}"
        yield f"    before: {_line(one.before)}"
        yield f"    now:    {_line(one.now)}"
        if one.reference:
            yield f"    wanted: {_line(one.reference)}"
    if len(found.broken) > most:
        yield f"  and {len(found.broken) - most:,} more; --json gives them all."


def test_line(test: ABTest, found: State) -> str:
    """An A/B test in a line."""
    return f"{found.id}  {found.line}: {test.conclusion or found.words}"


def _line(text: str) -> str:
    whole = " ".join(text.split())
    return whole if len(whole) <= 160 else f"{whole[:159]}…"
