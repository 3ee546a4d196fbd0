"""The registry of versions (lecture L3.1): register, list, put into use, roll back in one step.

A version names a model; the model itself stays in its run's folder. What is in use is the last entry of a history that
is only ever appended.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlmodel import Session, col, select

from evaluators.gates import Decision, Gate, decide
from trainer import audit, runs
from trainer.data.manifest import RunManifest
from trainer.evaluation.evaluations import list_evaluations
from trainer.model_refs import TUNED, ModelRef, parse
from trainer.run_differences import differences
from trainer.runs import Run, RunError
from trainer.sections import RunConfig
from trainer.store import Deployment, Version, session
from trainer.versions import VersionError, compatibility, numbering
from trainer.versions.compatibility import MOST_BROKEN, Compatibility
from trainer.versions.knowledge import knowledge_until
from trainer.versions.numbering import EARLIER, FIRST, Change
from trainer.versions.updates import replay_folder

_UNSAID = ("output", "hardware", "format_version")  # sections that say nothing of what a model is
_LINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
DECISIONS: dict[Decision | None, str] = {
    "within every limit tested": "Release gates: within every limit tested",
    "beyond a limit": "Release gates: beyond a limit",
    "not enough evidence": "Release gates: not enough evidence",
    None: "Release gates: not enough evidence, as nothing was evaluated",
}


class Draft(BaseModel):
    """A version as it would be registered, and what stands against it."""

    line: str
    number: str
    reasons: list[str]
    """Why this number."""
    model: str
    parent: str | None
    change: Change
    changelog: str
    data_manifest: dict[str, Any]
    knowledge_until: str | None
    evaluation: str | None
    gates: list[Gate]
    compatibility: Compatibility | None
    """With its parent; None for the first version of a line."""
    objections: list[str]
    """What has to be overruled by a stated reason: gates that fail, too many cases that fail now."""

    @property
    def decision(self) -> Decision | None:
        """What the gates say; None where nothing was evaluated."""
        return decide(self.gates) if self.gates else None


def draft(
    line: str,
    model: Run | ModelRef,
    change: Change,
    note: str = "",
    *,
    parent: str | None = None,
    number: str | None = None,
    knowledge: str | None = None,
    most_broken: float = MOST_BROKEN,
) -> Draft:
    """What `register` would write down; nothing is kept. Raises `VersionError` and `RunError`.

    `note` is the user's sentence; `parent` the number that it goes on from (the version in use, else the newest, where
    it is left out); `number` overrules the rules; `knowledge` is the ISO date that the user states; `most_broken` the
    share of passed questions that may fail now.
    """
    if not _LINE.fullmatch(line):
        raise VersionError(f"{line!r} cannot name a line; take letters, digits, dots and dashes, such as lab-tests.")
    ref = ModelRef(run=model.id) if isinstance(model, Run) else model
    run = runs.get(ref.run)
    if not run.weights:
        raise VersionError(f"{run.id} has trained nothing yet; register it when its training has ended.")
    known = versions(line)
    if same := next((one for one in known if one.model == str(ref)), None):
        raise VersionError(f"{ref} is version {same.number} of {line} already; register another model.")
    before = _parent(line, known, parent)
    gates, evaluation = gates_of(ref)
    data = _data(run, ref)
    compared = compatibility.compare(parse(before.model), ref) if before else None
    objections = [f"{gate.name}: {gate.sentence}" for gate in gates if gate.result == "fail"]
    broken = ""
    if compared and compared.share is not None and compared.share > most_broken:
        broken = f"more than {100 * most_broken:g} % of what was passed fails now"
        objections.append(f"{broken}. {compared.sentence()}")
    if before is None:
        proposed, reasons = FIRST, ["the first version of its line"]
    else:
        earlier = runs.get(parse(before.model).run)
        found = numbering.propose(earlier.config, run.config, before.data_manifest, data, change, broken)
        # From its parent up, and past what is there: two versions may go on from the same one.
        proposed = str(_free(numbering.parse(before.number).next(found.part), found.part, known))
        reasons = [f"{found.part}: {found.reasons[0]}", *found.reasons[1:]]
    if number is not None:
        wanted = str(numbering.parse(number))
        if any(one.number == wanted for one in known):
            raise VersionError(f"{line} has a version {wanted} already; choose another number.")
        if wanted != proposed:
            reasons = [f"given by hand; the rules propose {proposed}", *reasons]
        proposed = wanted
    drawn = Draft(
        line=line,
        number=proposed,
        reasons=reasons,
        model=str(ref),
        parent=before.number if before else None,
        change=change,
        changelog="",
        data_manifest=data,
        knowledge_until=knowledge_until(run, ref, before, knowledge),
        evaluation=evaluation,
        gates=gates,
        compatibility=compared,
        objections=objections,
    )
    drawn.changelog = _changelog(drawn, note, run, before)
    return drawn


def register(
    line: str,
    model: Run | ModelRef,
    change: Change,
    note: str = "",
    *,
    parent: str | None = None,
    number: str | None = None,
    knowledge: str | None = None,
    most_broken: float = MOST_BROKEN,
    despite: str = "",
) -> Version:
    """Keep a version (see `draft`); it is not in use by that.

    Raises `VersionError` where a gate fails or too many cases fail now, unless `despite` states why it is registered
    all the same; the version keeps that reason.
    """
    found = draft(line, model, change, note, parent=parent, number=number, knowledge=knowledge, most_broken=most_broken)
    if found.objections and not despite.strip():
        raise VersionError(
            f"{found.model} was not registered: {' '.join(found.objections)} State why it is to be registered all the "
            "same (--despite), or improve it."
        )
    kept = Version(
        line=line,
        number=found.number,
        model=found.model,
        parent=found.parent,
        change=change,
        changelog=found.changelog,
        data_manifest=found.data_manifest,
        knowledge_until=found.knowledge_until,
        evaluation=found.evaluation,
        gates=[gate.model_dump(mode="json") for gate in found.gates],
        despite=despite.strip() if found.objections else "",
    )
    with session() as open_:
        open_.add(kept)
    audit.record("registered a version", f"{line} {kept.number}, {kept.model}")
    return kept


def lines() -> list[str]:
    """The lines that have a version, by name."""
    with session() as open_:
        return sorted(open_.exec(select(Version.line).distinct()))


def versions(line: str) -> list[Version]:
    """All versions of a line, the highest number first."""
    with session() as open_:
        found = open_.exec(select(Version).where(Version.line == line)).all()
    return sorted(found, key=lambda one: numbering.parse(one.number), reverse=True)


def get(line: str, number: str) -> Version:
    """One version; raises `VersionError` where there is none."""
    wanted = str(numbering.parse(number))
    found = versions(line)
    if not found:
        known = ", ".join(lines()) or "none yet"
        raise VersionError(f"There is no line {line!r}; there are: {known}.")
    if version := next((one for one in found if one.number == wanted), None):
        return version
    have = ", ".join(one.number for one in found)
    raise VersionError(f"{line} has no version {wanted}; it has {have}.")


def decision(version: Version) -> Decision | None:
    """What the gates said when it was registered; None where nothing had been evaluated."""
    gates = [Gate.model_validate(gate) for gate in version.gates]
    return decide(gates) if gates else None


def history(line: str) -> list[Deployment]:
    """What was put into use, the latest last."""
    with session() as open_:
        return _history(open_, line)


def in_use(line: str) -> Version | None:
    """The version that is in use, or None."""
    found = history(line)
    return get(line, found[-1].number) if found else None


def put_in_use(line: str, number: str, reason: str) -> Deployment:
    """Put a version into use from now on; raises `VersionError` where there is none, or no reason."""
    version = get(line, number)
    if not reason.strip():
        raise VersionError(f"Say why {line} {version.number} is put into use.")
    with session() as open_:
        kept = Deployment(line=line, number=version.number, reason=reason.strip())
        open_.add(kept)
    audit.record("put into use", f"{line} {version.number}")
    return kept


def roll_back(line: str, reason: str) -> Deployment:
    """Back to the version that was in use before the one that is; raises `VersionError` where there was none.

    Rolling back again goes one further back, and not forth again to what was just left.
    """
    if not reason.strip():
        raise VersionError(f"Say why {line} is rolled back.")
    with session() as open_:
        before = _before(_history(open_, line))
        if before is None:
            raise VersionError(f"There is nothing to roll {line} back to: no version was in use before.")
        kept = Deployment(line=line, number=before, reason=f"rolled back: {reason.strip()}")
        open_.add(kept)
    audit.record("rolled back", f"{line} to {before}")
    return kept


def before_that(line: str) -> str | None:
    """The number that rolling back would go to, or None."""
    return _before(history(line))


def _before(found: list[Deployment]) -> str | None:
    stack: list[str] = []
    for one in found:
        if one.number in stack:
            del stack[stack.index(one.number) :]
        stack.append(one.number)
    return stack[-2] if len(stack) > 1 else None


def _history(open_: Session, line: str) -> list[Deployment]:
    return list(open_.exec(select(Deployment).where(Deployment.line == line).order_by(col(Deployment.id))))


def _parent(line: str, known: list[Version], number: str | None) -> Version | None:
    if number is not None:
        return get(line, number)
    return in_use(line) or (known[0] if known else None)


def _free(number: numbering.Number, part: numbering.Part, known: list[Version]) -> numbering.Number:
    taken = {one.number for one in known}
    while str(number) in taken:
        number = number.next(part)
    return number


def gates_of(ref: ModelRef) -> tuple[list[Gate], str | None]:
    """The gates of the newest complete evaluation of the model against its base, and its id; none without one."""
    if ref.part != TUNED:
        return [], None
    for one in list_evaluations(ref.run):
        report = one.report()
        if report and report.complete and report.against is None:
            return report.gates, one.id
    return [], None


def _data(run: Run, ref: ModelRef) -> dict[str, Any]:
    """What the model was trained on, of the run's manifest; empty where that is not known, or it is the base."""
    path = run.folder / "data" / "manifest.json"
    if ref.is_base or not path.exists():
        return {}
    try:
        made = RunManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    told = {"name", "role", "licence", "restriction", "sha256", "rows_used"}
    sources = [source.model_dump(include=told) for source in made.sources]
    for source in sources:
        if Path(source["name"]).parent == replay_folder():
            source["role"] = EARLIER
    return {
        "key": made.key,
        "sources": sources,
        "train_rows": made.train_rows,
        "validation_rows": made.validation_rows,
        "test_rows": made.test_rows,
        "deidentification": made.deidentification.action,
    }


def _changelog(found: Draft, note: str, run: Run, before: Version | None) -> str:
    """One change a line: the user's sentence, then what differs, then what was measured."""
    lines_ = [note.strip()] if note.strip() else []
    if before is None:
        names = ", ".join(one["name"] for one in found.data_manifest.get("sources", []) if one["role"] == "training")
        base = (
            f"{run.config.model.name}, as it is"
            if parse(found.model).is_base
            else f"Tuned from {run.config.model.name}"
        )
        lines_.append(base + (f" on {names}." if names else "."))
    else:
        lines_.append(f"Goes on from {before.number}: {'; '.join(found.reasons)}.")
        lines_ += [f"Settings: {settings}." for settings in _settings(runs.get(parse(before.model).run).config, run)]
    if found.compatibility:
        lines_.append(found.compatibility.sentence())
    failing = [gate.name for gate in found.gates if gate.result == "fail"]
    lines_.append(DECISIONS[found.decision] + (f" ({', '.join(failing)})." if failing else "."))
    return "\n".join(lines_)


def _settings(before: RunConfig, run: Run) -> list[str]:
    told = [
        f"{one.field} {one.second} instead of {one.first}"
        for one in differences(before, run.config)
        if one.field.partition(".")[0] not in _UNSAID and not one.field.startswith("data.")
    ]
    return ["; ".join(told)] if told else []
