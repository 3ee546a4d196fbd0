"""Semantic numbers of versions by stated rules (lecture L3.1, after semver.org).

major: another base model, another task or structure of the answers, or cases that the last version passed fail past
the limit: who relies on the old version cannot simply take the new one. minor: new data, new knowledge or alignment.
patch: the same data, trained otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel

from trainer.sections import RunConfig
from trainer.versions import VersionError

Change = Literal["drug", "guideline", "research", "epidemiology", "alignment", "data", "base", "fix"]
CHANGES: tuple[Change, ...] = get_args(Change)
Part = Literal["major", "minor", "patch"]
FIRST = "1.0.0"
EARLIER = "earlier"
"""Role, in a version's data manifest, of rows that an update replays (`trainer.versions.updates`)."""


class Number(NamedTuple):
    """major.minor.patch; compares as versions do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return ".".join(map(str, self))

    def next(self, part: Part) -> Number:
        """The next number whose `part` is one higher; the parts behind it begin at 0."""
        if part == "major":
            return Number(self.major + 1, 0, 0)
        return Number(self.major, self.minor + 1, 0) if part == "minor" else self._replace(patch=self.patch + 1)


class Proposed(BaseModel):
    """Which part of the number goes up, and why, the weightiest reason first."""

    part: Part
    reasons: list[str]


def parse(text: str) -> Number:
    """Read a number; raises `VersionError`."""
    found = re.fullmatch(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", text.strip())
    if not found:
        raise VersionError(f"{text!r} is no version number; write major.minor.patch, such as 1.2.0.")
    return Number(*map(int, found.groups()))


def propose(
    before: RunConfig,
    after: RunConfig,
    data_before: dict[str, Any],
    data_after: dict[str, Any],
    change: Change,
    broken: str = "",
) -> Proposed:
    """What differs between two versions' run files and data manifests (`Version.data_manifest`) makes the number.

    `change` is what the user says it is; `broken` says that cases fail which passed, where these are past the limit.
    """
    major = _incompatible(before, after) + ([broken] if broken else [])
    minor = _new(before, after, data_before, data_after, change)
    if major:
        return Proposed(part="major", reasons=major + minor)
    if minor:
        return Proposed(part="minor", reasons=minor)
    return Proposed(part="patch", reasons=["base, task, data and objective are those of the version before"])


def _incompatible(before: RunConfig, after: RunConfig) -> list[str]:
    found = []
    if before.model.name != after.model.name:
        found.append(f"another base model: {after.model.name} instead of {before.model.name}")
    if before.task.name != after.task.name:
        found.append(f"another task: {_words(after.task.name)} instead of {_words(before.task.name)}")
    served = {after.task.name, *after.task.other_tasks}
    if lost := [task for task in before.task.other_tasks if task not in served]:
        found.append(f"no longer serves {', '.join(map(_words, lost))}")
    if before.task.system_prompt != after.task.system_prompt:
        found.append("another system prompt")
    templates = {source.template for source in after.data.sources}
    dropped = [one.template for one in before.data.sources if one.template and one.template not in templates]
    # Without any template of its own a run says nothing of the structure: what it goes on from had learnt it.
    if dropped and templates - {None}:
        found.append(f"another structure of the answers: without the template {', '.join(sorted(set(dropped)))}")
    return found


def _new(
    before: RunConfig, after: RunConfig, data_before: dict[str, Any], data_after: dict[str, Any], change: Change
) -> list[str]:
    found = []
    if change not in ("fix", "base"):
        found.append("alignment" if change == "alignment" else f"new knowledge or data ({change})")
    if before.objective.kind != after.objective.kind:
        found.append(f"another objective: {after.objective.kind} instead of {before.objective.kind}")
    if not data_before or not data_after:
        return [*found, "what one of the two was trained on is not known"]
    return found + data_changes(data_before, data_after)


def data_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """How the sources that were trained on differ between two data manifests, by their content; general rows aside."""
    old, new = _sources(before), _sources(after)
    gone = {one["name"] for sha, one in old.items() if sha not in new}
    found = []
    for sha, one in new.items():
        name, rows = _short(one["name"]), one["rows_used"]
        if sha in old:
            if old[sha]["rows_used"] != rows:
                found.append(f"{rows:,} rows of {name} instead of {old[sha]['rows_used']:,}")
        elif one["name"] in gone:
            gone.remove(one["name"])
            found.append(f"{name} has other content ({rows:,} rows)")
        else:
            found.append(f"trained on {name} ({rows:,} rows)")
    if replayed := sum(one["rows_used"] for one in after["sources"] if one["role"] == EARLIER):
        return [*found, f"{replayed:,} earlier rows replayed"] if found else []
    return found + [f"no longer trained on {_short(name)}" for name in sorted(gone)]


def _sources(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["sha256"]: one for one in data["sources"] if one["role"] == "training"}


def _short(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def _words(task: str) -> str:
    return task.replace("_", " ")
